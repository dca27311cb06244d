//! The script: which calls fail, and how (`README.md` has the words).

use crate::table::Function;
use std::time::Duration;
use tandem_values::ck::CK_RV;
use tandem_values::names;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The process is killed before the call reaches the wrapped module.
    Kill,
    /// The process is killed after the wrapped module has answered.
    KillAfter,
    /// Answered with this CK_RV, and not done.
    Return(CK_RV),
    /// Done, and answered with this CK_RV.
    ReturnAfter(CK_RV),
    /// Done later.
    Delay(Duration),
    /// Not answered before the script changes, and then with CKR_DEVICE_ERROR.
    Hang,
    /// Every session on the slot is closed first.
    LoseSessions,
    /// The user is logged out first.
    LoseLogin,
    /// What C_UnwrapKey gets is another key, wrapped under the same.
    WrongKey,
    /// A bit of what the call puts out is changed.
    WrongOutput,
    /// What the call puts out is a byte shorter.
    WrongLength,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// The nth call, of all or of one function.
    At(u64),
    /// The nth call and all after it.
    From(u64),
    /// Every nth call.
    Every(u64),
    /// This share of the calls, of 2^32.
    Share(u64),
}

/// A line of a script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    function: Option<Function>,
    when: When,
    fault: Fault,
}

impl Line {
    /// True of the functions that it is about. What needs no HSM is as quick as ever, unless its name is there.
    fn fits(&self, function: Function) -> bool {
        let is_slow = matches!(self.fault, Fault::Delay(_));
        self.function.map_or_else(|| !(is_slow && function.is_local()), |named| named == function)
    }
}

/// A script, and how far it has come.
pub struct Script {
    lines: Vec<Line>,
    lanes: Option<usize>,
    random: u64,
    total: u64,
    of: Vec<u64>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            lanes: None,
            random: 1,
            total: 0,
            of: vec![0; Function::ALL.len()],
        }
    }
}

impl Script {
    /// Reads a script. An error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for (at, line) in text.lines().enumerate() {
            let about = |error| format!("line {}: {error}", at.saturating_add(1));
            let words: Vec<_> =
                line.split('#').next().unwrap_or_default().split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                ["seed", seed] => script.random = number(seed).map_err(about)?.max(1),
                ["lanes", count] => script.lanes = Some(lanes(count).map_err(about)?),
                words => script.lines.push(parse_line(words).map_err(about)?),
            }
        }
        Ok(script)
    }

    /// How many calls may be in the wrapped module at a time; `None`: as many as come.
    pub const fn lanes(&self) -> Option<usize> {
        self.lanes
    }

    /// The next call: its number, and what becomes of it.
    pub fn next(&mut self, function: Function) -> (u64, Vec<Fault>) {
        self.total = self.total.saturating_add(1);
        let own = self.of.get_mut(function.place()).map_or(0, |count| {
            *count = count.saturating_add(1);
            *count
        });
        let mut faults = Vec::new();
        for line in &self.lines {
            if !line.fits(function) {
                continue;
            }
            let count = if line.function.is_some() { own } else { self.total };
            let happens = match line.when {
                When::At(at) => count == at,
                When::From(from) => count >= from,
                When::Every(nth) => count.is_multiple_of(nth.max(1)),
                When::Share(share) => next_random(&mut self.random) >> 32 < share,
            };
            if happens {
                faults.push(line.fault);
            }
        }
        (self.total, faults)
    }
}

/// Xorshift (Marsaglia 2003): a seed makes the same faults again.
const fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn parse_line(words: &[&str]) -> Result<Line, String> {
    let (when, rest) = match words {
        ["at", rest @ ..] => (Word::At, rest),
        ["from", rest @ ..] => (Word::From, rest),
        ["every", rest @ ..] => (Word::Every, rest),
        ["share", rest @ ..] => (Word::Share, rest),
        rest => (Word::Always, rest),
    };
    let (function, rest) = match rest {
        [name, rest @ ..] if name.starts_with("C_") => {
            let function =
                Function::named(name).ok_or_else(|| format!("no function is called {name}"))?;
            (Some(function), rest)
        }
        rest => (None, rest),
    };
    let counted = |rest: &[&str]| {
        rest.first().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (when, rest) = match (when, rest) {
        (Word::At, [nth, rest @ ..]) => (When::At(number(nth)?), rest),
        (Word::From, [nth, rest @ ..]) => (When::From(number(nth)?), rest),
        (Word::Every, [nth, rest @ ..]) if counted(&[nth]) => (When::Every(number(nth)?), rest),
        (Word::Share, [share, rest @ ..]) => (When::Share(share_of(share)?), rest),
        (Word::Every | Word::Always, rest) => (When::Every(1), rest),
        (Word::At | Word::From | Word::Share, []) => return Err("a number is missing".into()),
    };
    Ok(Line { function, when, fault: fault(rest)? })
}

#[derive(Clone, Copy)]
enum Word {
    At,
    From,
    Every,
    Share,
    Always,
}

fn fault(words: &[&str]) -> Result<Fault, String> {
    Ok(match words {
        ["kill"] => Fault::Kill,
        ["kill-after"] => Fault::KillAfter,
        ["return", rv] => Fault::Return(rv_named(rv)?),
        ["return-after", rv] => Fault::ReturnAfter(rv_named(rv)?),
        ["delay", ms] => Fault::Delay(Duration::from_millis(number(ms)?)),
        ["hang"] => Fault::Hang,
        ["lose-sessions"] => Fault::LoseSessions,
        ["lose-login"] => Fault::LoseLogin,
        ["wrong-key"] => Fault::WrongKey,
        ["wrong-output" | "wrong-signature"] => Fault::WrongOutput,
        ["wrong-length"] => Fault::WrongLength,
        words => return Err(format!("\"{}\" is no fault", words.join(" "))),
    })
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn lanes(word: &str) -> Result<usize, String> {
    let count = usize::try_from(number(word)?).ok().filter(|count| *count > 0);
    count.ok_or_else(|| "there is at least one lane".to_owned())
}

/// A share between 0 and 1, of 2^32.
fn share_of(word: &str) -> Result<u64, String> {
    let wrong = || format!("{word} is no share between 0 and 1");
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    let digits = u32::try_from(part.len()).ok().filter(|digits| *digits <= 9).ok_or_else(wrong)?;
    let (whole, part) =
        (whole.parse::<u64>().map_err(|_| wrong())?, part.parse::<u64>().map_err(|_| wrong())?);
    let unit = 10_u64.pow(digits);
    let share = whole.saturating_mul(unit).saturating_add(part);
    if share > unit { Err(wrong()) } else { Ok((share << 32) / unit) }
}

/// The specification's CK_RVs are all below this.
const KNOWN_MAX: CK_RV = 0x1000;

/// A CK_RV by its name, or as a number.
fn rv_named(word: &str) -> Result<CK_RV, String> {
    if let Some(digits) = word.strip_prefix("0x") {
        return CK_RV::from_str_radix(digits, 16).map_err(|_| format!("{word} is no CK_RV"));
    }
    (0..KNOWN_MAX).find(|rv| names::rv(*rv) == word).ok_or_else(|| format!("{word} is no CK_RV"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_values::ck::{CKR_DEVICE_ERROR, CKR_SESSION_HANDLE_INVALID};

    fn faults(text: &str, calls: &[Function]) -> Vec<Vec<Fault>> {
        let mut script = Script::parse(text).unwrap();
        calls.iter().map(|function| script.next(*function).1).collect()
    }

    #[test]
    fn calls_are_counted_over_all_and_for_each_function() {
        use Function::{C_Sign, C_SignInit};
        let calls = [C_SignInit, C_Sign, C_SignInit, C_Sign];
        let none = Vec::new;
        assert_eq!(faults("at 3 kill", &calls), [none(), none(), vec![Fault::Kill], none()]);
        assert_eq!(
            faults("# the second\nat C_Sign 2 return CKR_DEVICE_ERROR", &calls),
            [none(), none(), none(), vec![Fault::Return(CKR_DEVICE_ERROR)]]
        );
        assert_eq!(
            faults("every C_Sign hang", &calls),
            [none(), vec![Fault::Hang], none(), vec![Fault::Hang]]
        );
        assert_eq!(
            faults("every 2 hang", &calls),
            [none(), vec![Fault::Hang], none(), vec![Fault::Hang]]
        );
        assert_eq!(
            faults("from C_Sign 2 kill\nfrom 4 hang", &calls),
            [none(), none(), none(), vec![Fault::Kill, Fault::Hang]]
        );
        let both = vec![
            Fault::Delay(Duration::from_millis(5)),
            Fault::ReturnAfter(CKR_SESSION_HANDLE_INVALID),
        ];
        let text = "C_SignInit delay 5\nat 1 return-after CKR_SESSION_HANDLE_INVALID";
        assert_eq!(faults(text, &calls[..1]), [both]);
    }

    #[test]
    fn a_share_is_about_that_share_and_a_seed_makes_it_again() {
        let calls = [Function::C_Sign; 2_000];
        let count = |text| faults(text, &calls).iter().filter(|faults| !faults.is_empty()).count();
        assert!((100..300).contains(&count("share 0.1 kill")));
        assert_eq!(count("share 0 kill"), 0);
        assert_eq!(count("share 1 kill"), 2_000);
        assert_eq!(
            faults("seed 7\nshare 0.5 kill", &calls),
            faults("seed 7\nshare 0.5 kill", &calls)
        );
        assert_ne!(
            faults("seed 8\nshare 0.5 kill", &calls),
            faults("seed 7\nshare 0.5 kill", &calls)
        );
    }

    #[test]
    fn a_slow_hsm_makes_slow_only_what_it_is_asked() {
        use Function::{C_GetInfo, C_GetTokenInfo, C_Initialize, C_Sign};
        let slow = vec![Fault::Delay(Duration::from_millis(5))];
        let calls = [C_Initialize, C_GetInfo, C_GetTokenInfo, C_Sign];
        let (own, asked) = (vec![], slow.clone());
        assert_eq!(
            faults("every delay 5", &calls),
            [own.clone(), own, asked.clone(), asked],
            "what needs no HSM is as quick as ever"
        );
        assert_eq!(faults("C_Initialize delay 5", &calls[..1]), [slow], "unless it is named");
        assert_eq!(
            faults("every hang", &calls[..1]),
            [[Fault::Hang]],
            "and other faults strike all"
        );
    }

    #[test]
    fn lanes_are_as_many_as_it_says() {
        assert_eq!(Script::parse("every delay 5\nlanes 4").unwrap().lanes(), Some(4));
        assert_eq!(Script::parse("every delay 5").unwrap().lanes(), None);
    }

    #[test]
    fn what_is_no_line_is_named() {
        for text in [
            "lanes 0",
            "lanes",
            "seed x",
            "at kill",
            "at C_Sing 1 kill",
            "every C_Sign",
            "share 2 kill",
            "return CKR_NOTHING",
            "explode",
        ] {
            let error = Script::parse(&format!("\n{text}")).err().unwrap();
            assert!(error.starts_with("line 2: "), "{text}: {error}");
        }
    }
}
