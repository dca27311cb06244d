//! The steps of a transaction, in order. Tests stop a process at each of them and kill it there; in ordinary builds
//! [`reach`] is nothing.

/// A step of a transaction that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The write lock is held.
    Begun,
    /// What is to be written is in the transaction.
    Written,
    /// The generation word says that a change is coming.
    Announced,
    /// The transaction is durable and other processes see it.
    Committed,
    /// The generation word is quiet again.
    Settled,
    /// Erased bytes are gone from the write-ahead file too.
    Truncated,
}

#[cfg(feature = "steps")]
mod watched {
    use super::Step;
    use std::sync::OnceLock;

    type Watcher = Box<dyn Fn(Step) + Send + Sync>;

    static WATCHER: OnceLock<Watcher> = OnceLock::new();

    /// Calls `watcher` at every step from now on, in this process. The first one stays.
    pub fn watch(watcher: impl Fn(Step) + Send + Sync + 'static) {
        let _ = WATCHER.set(Box::new(watcher));
    }

    pub(crate) fn reach(step: Step) {
        if let Some(watcher) = WATCHER.get() {
            watcher(step);
        }
    }
}

#[cfg(feature = "steps")]
pub(crate) use watched::reach;
#[cfg(feature = "steps")]
pub use watched::watch;

#[cfg(not(feature = "steps"))]
#[inline]
pub(crate) const fn reach(_: Step) {}
