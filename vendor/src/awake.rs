//! Waiting awake. To fall asleep and be woken takes a machine tens of microseconds, where a signature of a software token
//! takes as many: so whoever expects something within moments looks for it again and again before it sleeps.
//!
//! One thread of a process at a time: while others have work there is no processor to waste, and none is asleep either.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Somebody waits awake.
static AWAKE: AtomicBool = AtomicBool::new(false);

/// Waits so long, or until it is done. Returns at once if another thread waits awake.
pub(crate) fn wait(most: Duration, done: impl Fn() -> bool) {
    if done() || AWAKE.swap(true, SeqCst) {
        return;
    }
    let begun = Instant::now();
    while !done() && begun.elapsed() < most {
        for _ in 0..16 {
            std::hint::spin_loop();
        }
    }
    AWAKE.store(false, SeqCst);
}

/// After a fork, in the child: whoever waited is not there.
pub(crate) fn in_child() {
    AWAKE.store(false, SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_wait_ends_when_it_is_done_or_too_long() {
        let looks = Cell::new(0);
        wait(Duration::from_secs(60), || {
            looks.set(looks.get() + 1);
            looks.get() > 3
        });
        wait(Duration::from_millis(1), || false);
    }
}
