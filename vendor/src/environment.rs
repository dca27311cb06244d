//! Environment variables around the loading of a module and its C_Initialize, for vendors whose module takes its configuration from nowhere else.
//!
//! The environment belongs to the whole process. Members start one after the other as far as it is concerned: one
//! that sets variables is alone, others wait with their C_Initialize, so that no member sees another's. Whoever reads a
//! variable at that moment, a thread of the host or of another vendor's module, may see a member's; more than that doesn't
//! happen to it (`docs/decisions/0041`). A vendor that takes its configuration as an argument needs no variable
//! (`Initialise::Reserved`, `Initialise::Nss`).

use crate::environ;
use parking_lot::{Condvar, Mutex};
use std::env;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// For how long a member that starts has the environment to itself. One that takes longer has read what it needs from it, or
/// hangs, and then the others must not wait for it.
const TURN: Duration = Duration::from_secs(2);

/// Names and values.
pub(crate) type Variables = [(String, String)];

/// The first name or value that the system would not take.
pub(crate) fn invalid(variables: &Variables) -> Option<&str> {
    variables
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        .map(|(name, _)| name.as_str())
}

/// The process's environment, as far as members that start are concerned.
pub(crate) struct Environment {
    turn: Duration,
    now: Mutex<Now>,
    changed: Condvar,
}

/// Who starts now.
#[derive(Default)]
struct Now {
    last: u64,
    turns: Vec<Turn>,
}

/// A member's turn: with variables it is alone, those without share.
struct Turn {
    number: u64,
    until: Instant,
    restored: Option<Restore>,
}

impl Default for Environment {
    fn default() -> Self {
        Self { turn: TURN, now: Mutex::default(), changed: Condvar::new() }
    }
}

impl Environment {
    /// Runs with these variables set, which must be valid. When that takes longer than a turn, they are gone before it ends.
    pub(crate) fn with<T>(&self, variables: &Variables, run: impl FnOnce() -> T) -> T {
        let number = self.begin(variables);
        // Ended in whatever way.
        let _ends = Ends(self, number);
        run()
    }

    fn begin(&self, variables: &Variables) -> u64 {
        let mut now = self.now.lock();
        while let Some(until) = now.taken_until(!variables.is_empty()) {
            self.changed.wait_until(&mut now, until);
        }
        now.last += 1;
        let (number, until) = (now.last, Instant::now() + self.turn);
        let restored = (!variables.is_empty()).then(|| Restore::set(variables));
        now.turns.push(Turn { number, until, restored });
        number
    }
}

impl Now {
    /// Until when somebody else has a turn that one with variables, or without, must wait for.
    fn taken_until(&mut self, with_variables: bool) -> Option<Instant> {
        let now = Instant::now();
        self.turns.retain(|turn| turn.until > now);
        let others = self.turns.iter().filter(|turn| with_variables || turn.restored.is_some());
        others.map(|turn| turn.until).min()
    }
}

/// Ends a turn.
struct Ends<'a>(&'a Environment, u64);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.now.lock().turns.retain(|turn| turn.number != self.1);
        self.0.changed.notify_all();
    }
}

/// What the variables were before.
struct Restore(Vec<(String, Option<OsString>)>);

impl Restore {
    fn set(variables: &Variables) -> Self {
        let mut before = Vec::with_capacity(variables.len());
        for (name, value) in variables {
            before.push((name.clone(), env::var_os(name)));
            environ::set(name, Some(value.as_ref()));
        }
        Self(before)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Backwards, so that a name given twice ends as it began.
        for (name, value) in self.0.iter().rev() {
            environ::set(name, value.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn variables_are_set_and_put_back() {
        let outer = [pair("TANDEM_TEST_A", "outer")];
        let inner = [
            pair("TANDEM_TEST_A", "one"),
            pair("TANDEM_TEST_A", "two"),
            pair("TANDEM_TEST_B", "new"),
        ];
        let (lock, other) = (Environment::default(), Environment::default());
        lock.with(&outer, || {
            let seen = other.with(&inner, || {
                (env::var("TANDEM_TEST_A").unwrap(), env::var("TANDEM_TEST_B").unwrap())
            });
            assert_eq!(seen, ("two".into(), "new".into()));
            assert_eq!(env::var("TANDEM_TEST_A").unwrap(), "outer");
        });
        assert!(env::var("TANDEM_TEST_A").is_err() && env::var("TANDEM_TEST_B").is_err());
    }

    #[test]
    fn members_that_start_at_once_see_their_own_variables() {
        let environment = Environment::default();
        let start = |value: String| {
            let seen = environment.with(&[pair("TANDEM_TEST_C", &value)], || {
                std::thread::sleep(Duration::from_millis(5));
                env::var("TANDEM_TEST_C").ok()
            });
            assert_eq!(seen, Some(value));
            // One that sets none must not see another's either.
            assert_eq!(environment.with(&[], || env::var("TANDEM_TEST_C").ok()), None);
        };
        std::thread::scope(|scope| {
            for member in 0..4 {
                scope.spawn(move || start(member.to_string()));
            }
        });
    }

    #[test]
    fn a_member_that_hangs_keeps_the_environment_for_a_turn_and_no_longer() {
        let environment = Environment { turn: Duration::from_millis(50), ..Environment::default() };
        let seen = || (env::var("TANDEM_TEST_D").ok(), env::var("TANDEM_TEST_E").ok());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let environment = &environment;
        std::thread::scope(|scope| {
            let hangs = scope.spawn(move || {
                environment.with(&[pair("TANDEM_TEST_D", "hangs")], || wait.recv().is_ok())
            });
            while seen().0.is_none() {
                std::thread::yield_now();
            }
            assert_eq!(environment.with(&[], seen), (None, None), "it is gone with the turn");
            let other = [pair("TANDEM_TEST_E", "works")];
            let during = environment.with(&other, || {
                go.send(()).unwrap();
                assert!(hangs.join().unwrap());
                seen()
            });
            assert_eq!(during, (None, Some("works".into())), "who comes late changes nothing");
        });
        assert_eq!(seen(), (None, None));
    }

    #[test]
    fn what_the_system_would_not_take_is_found() {
        let bad = |name: &str, value: &str| {
            invalid(&[("GOOD".into(), "good".into()), (name.into(), value.into())]).is_some()
        };
        assert!(bad("", "x") && bad("A=B", "x") && bad("A\0", "x") && bad("A", "x\0y"));
        assert!(!bad("A", "x=y"));
    }
}
