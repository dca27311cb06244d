//! Members that are being brought back just now, and waiting for them where nobody else could do the work.
//!
//! A member that lost our sessions is back within moments: a call that finds no other member waits for it rather than fail.
//! How long that takes is bounded by the deadlines of whoever brings it back.

use parking_lot::{Condvar, Mutex};

/// So often a call asks a member that says our session or login is gone; each time but the last it is brought back first.
pub(crate) const LOST_MAX: usize = 3;

/// How many members are being brought back.
#[derive(Default)]
pub(crate) struct Waking {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Waking {
    /// One more, until the guard goes.
    pub(crate) fn begin(&self) -> WakingGuard<'_> {
        let mut count = self.count.lock();
        *count = count.saturating_add(1);
        WakingGuard(self)
    }

    /// Waits while some are being brought back and nothing has come of it. Not for who brings one back itself.
    pub(crate) fn wait_until(&self, done: impl Fn() -> bool) {
        let mut count = self.count.lock();
        while *count > 0 && !done() {
            self.changed.wait(&mut count);
        }
    }
}

/// A member is being brought back as long as this is there.
pub(crate) struct WakingGuard<'a>(&'a Waking);

impl Drop for WakingGuard<'_> {
    fn drop(&mut self) {
        let mut count = self.0.count.lock();
        *count = count.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_what_nobody_does() {
        Waking::default().wait_until(|| false);
    }

    #[test]
    fn what_has_come_is_not_waited_for() {
        let waking = Waking::default();
        let _begun = waking.begin();
        waking.wait_until(|| true);
    }

    #[test]
    fn nor_is_what_was_given_up() {
        let waking = Waking::default();
        let (first, second) = (waking.begin(), waking.begin());
        drop((first, second));
        waking.wait_until(|| false);
    }
}
