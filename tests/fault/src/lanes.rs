//! How many calls an HSM works on at a time: who comes when all lanes are taken waits for one, in the order of coming.

use parking_lot::{Condvar, Mutex};

/// The lanes of a module.
#[derive(Default)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    handed_on: Condvar,
}

#[derive(Default)]
struct State {
    inside: usize,
    waiting: usize,
    /// Lanes that were handed on to those who wait, and not yet taken.
    granted: usize,
}

/// A lane that is taken, until this is dropped.
pub(crate) struct Lane<'a>(&'a Lanes);

impl Lanes {
    /// Takes a lane, of so many; without a number there is always one.
    pub(crate) fn enter(&self, count: Option<usize>) -> Lane<'_> {
        let mut state = self.state.lock();
        if count.is_some_and(|count| state.inside >= count) {
            state.waiting = state.waiting.saturating_add(1);
            while state.granted == 0 {
                self.handed_on.wait(&mut state);
            }
            // Who left is still counted, as the one who comes now.
            state.granted = state.granted.saturating_sub(1);
            state.waiting = state.waiting.saturating_sub(1);
        } else {
            state.inside = state.inside.saturating_add(1);
        }
        Lane(self)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.waiting > state.granted {
            state.granted = state.granted.saturating_add(1);
            self.0.handed_on.notify_one();
        } else {
            state.inside = state.inside.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    /// The most calls that were inside at once, of so many threads.
    fn most_inside(threads: usize, count: Option<usize>) -> usize {
        let (lanes, inside, most) = (Lanes::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _lane = lanes.enter(count);
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(4));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        let state = lanes.state.lock();
        assert_eq!((state.inside, state.waiting, state.granted), (0, 0, 0), "all have left");
        most.into_inner()
    }

    #[test]
    fn no_more_are_inside_than_there_are_lanes_and_all_come_in() {
        assert_eq!(most_inside(8, Some(1)), 1);
        assert_eq!(most_inside(16, Some(3)), 3);
        assert!(most_inside(8, None) > 3, "without lanes nobody waits");
    }

    #[test]
    fn who_comes_later_waits_behind_who_waits() {
        let (lanes, order) = (Lanes::default(), Mutex::new(Vec::new()));
        let first = lanes.enter(Some(1));
        thread::scope(|scope| {
            for number in 1..=3 {
                scope.spawn({
                    let (lanes, order) = (&lanes, &order);
                    move || {
                        let _lane = lanes.enter(Some(1));
                        order.lock().push(number);
                    }
                });
                while lanes.state.lock().waiting < number {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(*order.lock(), [1, 2, 3]);
    }
}
