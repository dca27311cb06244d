//! Members brought up at once: each by a thread of its own for as long as that takes, the caller's among them.

use crate::budget::Share;
use crate::rest;
use crate::shield::hold_off_signals;
use parking_lot::Mutex;
use std::thread::{Builder, scope};
use tandem_engine::ports::{Hands, Task};

/// The host's threads; none where the application forbids them.
pub struct HostHands {
    forbidden: bool,
}

impl HostHands {
    /// With threads, unless they are forbidden (CKF_LIBRARY_CANT_CREATE_OS_THREADS).
    pub const fn new(forbidden: bool) -> Self {
        Self { forbidden }
    }
}

impl Hands for HostHands {
    /// A panic in one of them comes out when all are done.
    fn all(&self, tasks: Vec<Task<'_>>) {
        let helpers = if self.forbidden { 0 } else { tasks.len().saturating_sub(1) };
        let tasks = Mutex::new(tasks.into_iter());
        let work = || {
            loop {
                // A statement of its own: the lock is open again when the task begins.
                let Some(task) = tasks.lock().next() else { return };
                task();
            }
        };
        let share = Share::of_this_thread();
        let help = || {
            hold_off_signals();
            rest::works_for_others();
            share.take();
            work();
        };
        scope(|scope| {
            for _ in 0..helpers {
                // What no thread can be had for is done by those that there are.
                if Builder::new().name("tandem-start".into()).spawn_scoped(scope, help).is_err() {
                    break;
                }
            }
            work();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn all_are_at_it_at_once() {
        let together = Barrier::new(3);
        let meet = || Box::new(|| _ = together.wait()) as Task<'_>;
        HostHands::new(false).all(vec![meet(), meet(), meet()]);
    }

    #[test]
    fn where_threads_are_forbidden_the_caller_does_it_in_order() {
        let (caller, done) = (thread::current().id(), AtomicUsize::new(0));
        let task = |turn| {
            let done = &done;
            Box::new(move || {
                assert_eq!(thread::current().id(), caller);
                assert_eq!(done.fetch_add(1, Ordering::Relaxed), turn);
            }) as Task<'_>
        };
        HostHands::new(true).all((0..3).map(task).collect());
        assert_eq!(done.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_panic_comes_out_and_the_others_are_done() {
        let done = AtomicUsize::new(0);
        let count = || Box::new(|| _ = done.fetch_add(1, Ordering::Relaxed)) as Task<'_>;
        let fails =
            || Box::new(|| assert!(done.load(Ordering::Relaxed) > 9, "on purpose")) as Task<'_>;
        let all = || HostHands::new(false).all(vec![count(), count(), fails()]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_err());
        assert_eq!(done.load(Ordering::Relaxed), 2);
    }
}
