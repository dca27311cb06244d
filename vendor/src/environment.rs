//! Environment variables around the loading of a module and its C_Initialize, for vendors whose module takes its configuration from nowhere else.
//!
//! The environment belongs to the whole process. Members start one after the other as far as it is concerned: one
//! that sets variables is alone, others wait with their C_Initialize, so that no member sees another's. A thread of
//! the host that calls getenv at this very moment, outside Rust, may read a freed value: C offers no lock for it.
//! That is accepted, since these vendors leave no other way: the window is one C_Initialize, it is open only for
//! members that are configured so, glibc never frees the strings it replaces, and a vendor that takes its
//! configuration as an argument needs no variable (`Initialise::Reserved`, `Initialise::Nss`).

use parking_lot::RwLock;
use std::env;
use std::ffi::OsString;
use std::time::Duration;

/// How long a member waits for others that are starting: longer than any module takes that is going to start.
const WAIT: Duration = Duration::from_secs(30);

/// Names and values.
pub(crate) type Variables = [(String, String)];

/// The first name or value that the system would not take.
pub(crate) fn invalid(variables: &Variables) -> Option<&str> {
    variables
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        .map(|(name, _)| name.as_str())
}

/// Runs with these variables set. `None` if another member's start holds the environment for too long. The
/// variables must be valid.
pub(crate) fn with<T>(
    lock: &RwLock<()>,
    variables: &Variables,
    run: impl FnOnce() -> T,
) -> Option<T> {
    if variables.is_empty() {
        let _shared = lock.try_read_for(WAIT)?;
        return Some(run());
    }
    let _alone = lock.try_write_for(WAIT)?;
    let _restored = Restore::set(variables);
    Some(run())
}

/// What the variables were before.
struct Restore(Vec<(String, Option<OsString>)>);

impl Restore {
    fn set(variables: &Variables) -> Self {
        let mut before = Vec::with_capacity(variables.len());
        for (name, value) in variables {
            before.push((name.clone(), env::var_os(name)));
            // SAFETY: Rust's own readers are locked out by the standard library, other members by our lock, and
            // for the rest see the head of this file.
            unsafe { env::set_var(name, value) };
        }
        Self(before)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Backwards, so that a name given twice ends as it began.
        for (name, value) in self.0.iter().rev() {
            match value {
                // SAFETY: as in `set`.
                Some(value) => unsafe { env::set_var(name, value) },
                // SAFETY: as in `set`.
                None => unsafe { env::remove_var(name) },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_and_put_back() {
        let lock = RwLock::new(());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let outer = [pair("TANDEM_TEST_A", "outer")];
        let inner = [
            pair("TANDEM_TEST_A", "one"),
            pair("TANDEM_TEST_A", "two"),
            pair("TANDEM_TEST_B", "new"),
        ];
        let other = RwLock::new(());
        with(&lock, &outer, || {
            let seen = with(&other, &inner, || {
                (env::var("TANDEM_TEST_A").unwrap(), env::var("TANDEM_TEST_B").unwrap())
            });
            assert_eq!(seen, Some(("two".into(), "new".into())));
            assert_eq!(env::var("TANDEM_TEST_A").unwrap(), "outer");
        })
        .unwrap();
        assert!(env::var("TANDEM_TEST_A").is_err() && env::var("TANDEM_TEST_B").is_err());
    }

    #[test]
    fn members_that_start_at_once_see_their_own_variables() {
        let lock = RwLock::new(());
        let start = |value: String| {
            let own = [("TANDEM_TEST_C".to_owned(), value.clone())];
            let seen = with(&lock, &own, || {
                std::thread::sleep(Duration::from_millis(5));
                env::var("TANDEM_TEST_C").ok()
            });
            assert_eq!(seen, Some(Some(value)));
            // One that sets none must not see another's either.
            let seen = with(&lock, &[], || env::var("TANDEM_TEST_C").ok());
            assert_eq!(seen, Some(None));
        };
        std::thread::scope(|scope| {
            for member in 0..4 {
                scope.spawn(move || start(member.to_string()));
            }
        });
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
