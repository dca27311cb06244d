//! Random sequences of legal and illegal calls, played on two modules; what they answer is held side by side.
//!
//! A sequence comes from its seed ([`generate`]), is played by a process for each module ([`play`]), and where the answers differ it is
//! made as short as it can be ([`shrink`]). Differences that are right are data ([`accepted`]).

pub mod accepted;
pub mod call;
pub mod compare;
pub mod generate;
mod made;
pub mod play;
pub mod shrink;

use crate::module::Result;
use crate::subject::{Heard, Process, Subject};
use crate::worker::Identity;
use accepted::Accepted;
use call::{Call, Outcome};
use compare::Difference;
use play::Played;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What is played.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The first seed.
    pub seed: u64,
    /// How many.
    pub seeds: u64,
    /// How long a sequence may take.
    pub limit: Duration,
    /// After so many different differences it is enough.
    pub most: usize,
}

/// A difference that nobody has accepted.
#[derive(Debug)]
pub struct Found {
    /// The seed of the sequence that showed it first.
    pub seed: u64,
    /// How many sequences showed it.
    pub times: u64,
    /// The sequence as short as it can be, with both answers to each call.
    pub text: String,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// How many sequences were played.
    pub played: u64,
    /// How many calls were compared.
    pub calls: u64,
    /// How many sequences were compared only in part, since an accepted difference parted them.
    pub parted: u64,
    /// How often each accepted difference was met, by its reason.
    pub accepted: BTreeMap<String, u64>,
    /// What nobody has accepted, by what differs.
    pub found: BTreeMap<String, Found>,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} sequences, {} calls compared; {} sequences in part, after an accepted difference.\n",
            self.played, self.calls, self.parted
        );
        for (reason, times) in &self.accepted {
            let _ = writeln!(text, "  accepted {times} times: {reason}");
        }
        for (what, found) in &self.found {
            let _ = write!(
                text,
                "\nDIFFERENCE: {what}\n  {} sequences; the first is --seed {} --seeds 1\n{}",
                found.times, found.seed, found.text
            );
        }
        if self.found.is_empty() {
            text.push_str("No difference that isn't accepted.\n");
        }
        text
    }
}

/// A module's side: a process that plays sequences, and another one when it has died.
struct Side<'a> {
    subject: &'a Subject,
    process: Option<Process>,
    identity: Identity,
    limit: Duration,
}

impl<'a> Side<'a> {
    fn new(subject: &'a Subject, limit: Duration) -> Result<Self> {
        let mut side = Self { subject, process: None, identity: Identity::default(), limit };
        side.start()?;
        Ok(side)
    }

    fn start(&mut self) -> Result<()> {
        let mut process = self.subject.process("player", &[])?;
        match hear(&mut process, self.limit) {
            Ok(Played::Ready(identity)) => self.identity = identity,
            Ok(Played::Unusable { reason }) => return Err(reason),
            Ok(Played::Outcomes(_)) => return Err("the process speaks out of turn".to_owned()),
            Err(how) => return Err(how),
        }
        self.process = Some(process);
        Ok(())
    }

    fn say(&mut self, calls: &[Call]) -> Result<()> {
        if self.process.is_none() {
            self.start()?;
        }
        let line = serde_json::to_string(calls).map_err(|error| error.to_string())?;
        if let Some(process) = &mut self.process {
            process.say(&line);
        }
        Ok(())
    }

    /// What the calls answered; one more outcome, which no call answers, if the module died or hung.
    fn outcomes(&mut self) -> Vec<Outcome> {
        let Some(process) = &mut self.process else { return Vec::new() };
        match hear(process, self.limit) {
            Ok(Played::Outcomes(outcomes)) => outcomes,
            Ok(Played::Ready(_)) => vec![Outcome::died("the process speaks out of turn")],
            Ok(Played::Unusable { reason }) | Err(reason) => {
                self.process = None;
                vec![Outcome::died(&reason)]
            }
        }
    }
}

fn hear(process: &mut Process, limit: Duration) -> Result<Played> {
    loop {
        match process.hear(limit) {
            Heard::Line(line) => {
                if let Ok(played) = serde_json::from_str(&line) {
                    return Ok(played);
                }
            }
            Heard::Ended(how) => return Err(how),
            Heard::Silent => return Err(format!("nothing came within {} s", limit.as_secs())),
        }
    }
}

/// Both sides.
pub struct Pair<'a> {
    one: Side<'a>,
    other: Side<'a>,
    accepted: Accepted,
}

/// What a sequence came to.
pub struct Compared {
    /// What differs and isn't accepted.
    pub difference: Option<Difference>,
    /// The reasons of what differs and is.
    pub accepted: Vec<String>,
    /// How many calls were compared.
    pub calls: usize,
    /// Both answers to each call.
    pub outcomes: [Vec<Outcome>; 2],
}

impl<'a> Pair<'a> {
    /// Starts both.
    pub fn new(
        one: &'a Subject,
        other: &'a Subject,
        accepted: Accepted,
        limit: Duration,
    ) -> Result<Self> {
        Ok(Self { one: Side::new(one, limit)?, other: Side::new(other, limit)?, accepted })
    }

    /// Plays a sequence on both.
    pub fn play(&mut self, calls: &[Call]) -> Result<Compared> {
        self.one.say(calls)?;
        self.other.say(calls)?;
        let outcomes = [self.one.outcomes(), self.other.outcomes()];
        let identities = [&self.one.identity, &self.other.identity];
        Ok(compare::all(calls, outcomes, |difference| self.accepted.reason(difference, identities)))
    }

    /// Plays many.
    pub fn run(&mut self, plan: Plan, progress: &mut dyn FnMut(&Report)) -> Result<Report> {
        let mut report = Report::default();
        for seed in plan.seed..plan.seed.saturating_add(plan.seeds) {
            let calls = generate::sequence(seed);
            let compared = self.play(&calls)?;
            report.played += 1;
            report.calls += compared.calls as u64;
            report.parted += u64::from(compared.calls < calls.len());
            for reason in &compared.accepted {
                *report.accepted.entry(reason.clone()).or_default() += 1;
            }
            if let Some(difference) = compared.difference {
                self.note(&mut report, seed, &calls, &difference)?;
            }
            progress(&report);
            if report.found.len() >= plan.most {
                break;
            }
        }
        Ok(report)
    }

    fn note(
        &mut self,
        report: &mut Report,
        seed: u64,
        calls: &[Call],
        difference: &Difference,
    ) -> Result<()> {
        let what = difference.to_string();
        if let Some(found) = report.found.get_mut(&what) {
            found.times += 1;
            return Ok(());
        }
        let calls = shrink::shortest(calls, |fewer| {
            let compared = self.play(fewer)?;
            Ok(compared.difference.is_some_and(|found| found.to_string() == what))
        })?;
        let shown = self.play(&calls)?;
        let text = compare::text(&calls, &shown.outcomes);
        report.found.insert(what, Found { seed, times: 1, text });
        Ok(())
    }
}
