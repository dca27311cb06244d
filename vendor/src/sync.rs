//! What this crate's threads meet by. `tests/orders` puts others in its place, by which every order of events is tried on the
//! same files.
//!
//! The standard library's locks, which are nothing but a word that a thread sleeps on. Others keep a table of the threads that
//! sleep, and in a forked child that table names the parent's: a call there would wake one of those, and its own for ever sleep.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Instant;

/// A lock. What panics under it leaves what it holds as it is.
#[derive(Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

/// Holds a lock; empty only inside of a wait.
pub(crate) struct Guard<'a, T>(Option<std::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[expect(clippy::expect_used, reason = "only a wait takes it out, and puts it back")]
impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect("a lock that is held")
    }
}

#[expect(clippy::expect_used, reason = "only a wait takes it out, and puts it back")]
impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("a lock that is held")
    }
}

/// Where threads wait for a change of what a lock holds.
#[derive(Default)]
pub(crate) struct Condvar(std::sync::Condvar);

/// What came of a wait.
pub(crate) struct Waited(bool);

impl Waited {
    pub(crate) const fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Waits for a notice, at most until then.
    pub(crate) fn wait_until<T>(&self, guard: &mut Guard<'_, T>, until: Instant) -> Waited {
        let Some(held) = guard.0.take() else { return Waited(true) };
        let patience = until.saturating_duration_since(Instant::now());
        let (held, waited) =
            self.0.wait_timeout(held, patience).unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(held);
        Waited(waited.timed_out())
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
