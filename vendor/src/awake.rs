//! Waiting awake. To fall asleep and be woken takes a machine tens of microseconds, where a signature of a software token
//! takes as many: so whoever expects something within moments looks for it again and again before it sleeps.
//!
//! Only while this process leaves processors idle: a thread that waits awake must never be in the way of one that works.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How many processors this process uses, as far as is known here: for calls under way, and for waiting awake.
static USED: AtomicUsize = AtomicUsize::new(0);

/// How many it has.
static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// A processor is used until this is dropped.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn new() -> Self {
        USED.fetch_add(1, SeqCst);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        USED.fetch_sub(1, SeqCst);
    }
}

/// Waits so long for an answer, or until it is there, or until the processor is wanted.
pub(crate) fn for_answer(most: Duration, is_there: impl Fn() -> bool) {
    let _busy = Busy::new();
    wait(most, || is_there() || USED.load(SeqCst) > *PROCESSORS);
}

/// Waits so long for work, or until there is some, or until the processor is wanted. This doesn't count as using one: the
/// work itself does, from the moment at which it is given.
pub(crate) fn for_work(most: Duration, is_there: impl Fn() -> bool) {
    wait(most, || is_there() || USED.load(SeqCst) >= *PROCESSORS);
}

fn wait(most: Duration, is_over: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_over() && begun.elapsed() < most {
        for _ in 0..16 {
            std::hint::spin_loop();
        }
    }
}

/// After a fork, in the child: whoever was busy is not there.
pub(crate) fn in_child() {
    USED.store(0, SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_wait_ends_when_it_is_too_long_or_the_processor_is_wanted() {
        let looks = Cell::new(0);
        let never = || {
            looks.set(looks.get() + 1);
            false
        };
        for_answer(Duration::from_millis(1), never);
        for_work(Duration::from_millis(1), never);
        assert!(looks.get() > 0);
        let all: Vec<_> = (0..*PROCESSORS).map(|_| Busy::new()).collect();
        looks.set(0);
        for_answer(Duration::from_secs(60), never);
        for_work(Duration::from_secs(60), never);
        assert_eq!(looks.get(), 2, "once each, when it is seen that all are busy");
        drop(all);
    }
}
