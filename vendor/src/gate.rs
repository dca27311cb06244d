//! The gate of a library. Calls pass it side by side; whoever starts or stops the library shuts it, waits until nobody is
//! inside, and meanwhile lets nobody in. No lock is held while a call runs, so a call that hangs is counted and nothing
//! else.

use crate::sync::{AtomicU64, Condvar, Mutex};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// The bit that says that the gate is shut; the rest counts the calls inside.
const SHUT: u64 = 1 << 63;

/// The gate of one library.
#[derive(Default)]
pub(crate) struct Gate {
    inside: AtomicU64,
    /// How many wait to go in.
    waiting: Mutex<usize>,
    changed: Condvar,
}

/// The right to be inside.
pub(crate) struct Pass<'a>(&'a Gate);

/// The gate is shut and nobody is inside.
pub(crate) struct Shut<'a>(&'a Gate);

impl Gate {
    /// Goes in. Where the gate is shut it waits so long for it; `None` if it is shut still.
    pub(crate) fn enter(&self, wait: Duration) -> Option<Pass<'_>> {
        if self.go_in() {
            return Some(Pass(self));
        }
        let mut waiting = self.waiting.lock();
        let until = Instant::now() + wait;
        *waiting += 1;
        let mut is_in = self.go_in();
        while !is_in && !self.changed.wait_until(&mut waiting, until).timed_out() {
            is_in = self.go_in();
        }
        *waiting -= 1;
        // Whoever would shut it waits for those who wait.
        self.changed.notify_all();
        is_in.then(|| Pass(self))
    }

    /// Shuts the gate once nobody is inside, and after those who wait to go in since it was shut last: who shuts it again and again
    /// keeps nobody out. `None` if somebody is inside, or somebody else has shut it, all that time: then it is as it was.
    pub(crate) fn shut(&self, wait: Duration) -> Option<Shut<'_>> {
        let mut waiting = self.waiting.lock();
        let until = Instant::now() + wait;
        // Nobody but who holds the lock shuts it.
        while *waiting > 0 || self.inside.load(SeqCst) & SHUT != 0 {
            if self.changed.wait_until(&mut waiting, until).timed_out() {
                return None;
            }
        }
        self.inside.fetch_or(SHUT, SeqCst);
        while self.inside.load(SeqCst) != SHUT {
            if self.changed.wait_until(&mut waiting, until).timed_out() {
                self.inside.fetch_and(!SHUT, SeqCst);
                self.changed.notify_all();
                return None;
            }
        }
        Some(Shut(self))
    }

    fn go_in(&self) -> bool {
        self.inside.fetch_update(SeqCst, SeqCst, |now| (now & SHUT == 0).then(|| now + 1)).is_ok()
    }

    fn tell(&self) {
        // Taken so that nobody who has just looked misses it.
        drop(self.waiting.lock());
        self.changed.notify_all();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, SeqCst) & SHUT != 0 {
            self.0.tell();
        }
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_and(!SHUT, SeqCst);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn calls_pass_side_by_side_and_shutting_waits_for_them() {
        let gate = Gate::default();
        let (one, other) = (gate.enter(SHORT).unwrap(), gate.enter(SHORT).unwrap());
        assert!(gate.shut(SHORT).is_none(), "two are inside");
        drop(one);
        std::thread::scope(|scope| {
            let shutting = scope.spawn(|| gate.shut(LONG).is_some());
            std::thread::sleep(SHORT);
            assert!(!shutting.is_finished());
            drop(other);
            assert!(shutting.join().unwrap());
        });
    }

    #[test]
    fn nobody_gets_in_while_it_is_shut_and_all_do_afterwards() {
        let gate = Gate::default();
        let shut = gate.shut(SHORT).unwrap();
        assert!(gate.enter(SHORT).is_none() && gate.shut(SHORT).is_none());
        std::thread::scope(|scope| {
            let entering = scope.spawn(|| gate.enter(LONG).is_some());
            std::thread::sleep(SHORT);
            drop(shut);
            assert!(entering.join().unwrap());
        });
    }

    #[test]
    fn who_waits_to_go_in_does_before_it_is_shut_again() {
        let (gate, has_been_in) = (Gate::default(), std::sync::atomic::AtomicBool::new(false));
        for _ in 0..100 {
            has_been_in.store(false, SeqCst);
            let shut = gate.shut(LONG).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let _pass = gate.enter(LONG).unwrap();
                    has_been_in.store(true, SeqCst);
                });
                while *gate.waiting.lock() == 0 {
                    std::thread::yield_now();
                }
                drop(shut);
                let _again = gate.shut(LONG).unwrap();
                assert!(has_been_in.load(SeqCst));
            });
        }
    }

    #[test]
    fn a_shutting_that_gave_up_leaves_the_gate_open() {
        let gate = Gate::default();
        let hanging = gate.enter(SHORT).unwrap();
        assert!(gate.shut(SHORT).is_none());
        assert!(gate.enter(SHORT).is_some());
        drop(hanging);
        assert!(gate.shut(SHORT).is_some());
    }
}
