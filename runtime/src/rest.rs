//! A fork finds the caretaker at rest: in the middle of a round it might hold locks, of a vendor or of the C library, that
//! no thread of the child would ever open.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long a fork waits for a round to end. One that hangs in a vendor's code is not waited for.
const WAIT: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(200);

/// Forks under way.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// A round is under way.
static BUSY: AtomicBool = AtomicBool::new(false);

/// A round that is under way until this is dropped.
pub(crate) struct Round(());

impl Round {
    /// Begins a round, after any fork that is under way.
    pub(crate) fn begin() -> Self {
        loop {
            BUSY.store(true, SeqCst);
            if FORKS.load(SeqCst) == 0 {
                return Self(());
            }
            BUSY.store(false, SeqCst);
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        BUSY.store(false, SeqCst);
    }
}

/// Before a fork, for the `prepare` handler of `pthread_atfork`: waits for the round that is under way and lets no other
/// begin.
pub fn before_fork() {
    FORKS.fetch_add(1, SeqCst);
    let until = Instant::now() + WAIT;
    while BUSY.load(SeqCst) && Instant::now() < until {
        std::thread::sleep(PAUSE);
    }
}

/// After a fork, in the parent.
pub fn after_fork() {
    FORKS.fetch_sub(1, SeqCst);
}

/// After a fork, in the child, which has no caretaker and no other forks.
pub fn in_child() {
    FORKS.store(0, SeqCst);
    BUSY.store(false, SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_fork_waits_for_a_round_and_no_round_begins_during_a_fork() {
        let round = Round::begin();
        let forking = thread::spawn(before_fork);
        thread::sleep(Duration::from_millis(20));
        assert!(!forking.is_finished());
        drop(round);
        forking.join().unwrap();
        let beginning = thread::spawn(Round::begin);
        thread::sleep(Duration::from_millis(20));
        assert!(!beginning.is_finished());
        after_fork();
        drop(beginning.join().unwrap());
        // A round that hangs is not waited for.
        let hanging = Round::begin();
        before_fork();
        in_child();
        drop(hanging);
        drop(Round::begin());
    }
}
