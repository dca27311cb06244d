//! The time that a call of the application has, divided among the calls on members that it needs.
//!
//! A member's deadline is for the application's call as a whole. While other members could still be asked, one member gets
//! four fifths of what is left, so that the rest have time to answer within the same deadline.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

thread_local! {
    /// When the application's call on this thread began, put off by long calls that don't count.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Which member is being tried now, and until when.
    static ATTEMPT: Cell<Option<(u64, Instant)>> = const { Cell::new(None) };
}

/// The least that a call on a member gets, as a part of its deadline, however much others have used up.
const LEAST: u32 = 10;

/// How many members of this process have deadlines. Without any the time is nobody's concern.
static DEADLINES: AtomicUsize = AtomicUsize::new(0);

/// A member with a deadline, for as long as it is there.
pub(crate) struct HasDeadline(());

impl HasDeadline {
    pub(crate) fn new() -> Self {
        DEADLINES.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for HasDeadline {
    fn drop(&mut self) {
        DEADLINES.fetch_sub(1, Relaxed);
    }
}

/// A call of the application under way on this thread; dropped when it is answered.
pub struct Serving {
    outer: (Option<Instant>, Option<(u64, Instant)>),
}

impl Serving {
    /// The application's call begins. Without one each call on a member has a deadline for itself.
    pub fn begin() -> Self {
        let began = BEGAN.get();
        // A call inside a call is part of it.
        let now = || (DEADLINES.load(Relaxed) > 0).then(Instant::now);
        let outer = (BEGAN.replace(began.or_else(now)), ATTEMPT.take());
        Self { outer }
    }
}

/// What an application's call has used up so far, for a thread that does part of it.
#[derive(Clone, Copy)]
pub(crate) struct Share(Option<Instant>);

impl Share {
    /// Of the call under way on this thread.
    pub(crate) fn of_this_thread() -> Self {
        Self(BEGAN.get())
    }

    /// From now on this thread works for that call, until it ends.
    pub(crate) fn take(self) {
        BEGAN.set(self.0);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let (began, attempt) = self.outer;
        BEGAN.set(began);
        ATTEMPT.set(attempt);
    }
}

/// This thread begins to try a member, which has this deadline, while so many others could be tried instead.
pub(crate) fn attempt(member: u64, deadline: Duration, others: usize) {
    let now = Instant::now();
    let left = deadline.saturating_sub(used(now));
    let share = if others > 0 { left * 4 / 5 } else { left };
    ATTEMPT.set(Some((member, now + share)));
}

/// How long this thread may wait for an answer of this member now.
pub(crate) fn patience(member: u64, deadline: Duration) -> Duration {
    let now = Instant::now();
    let left = match ATTEMPT.get() {
        Some((tried, until)) if tried == member => until.saturating_duration_since(now),
        _ => deadline.saturating_sub(used(now)),
    };
    left.max(deadline / LEAST)
}

/// A long call has taken so much time, which the rest of the application's call is not to go without.
pub(crate) fn put_off(by: Duration) {
    BEGAN.set(BEGAN.get().map(|began| began + by));
    ATTEMPT.set(ATTEMPT.get().map(|(member, until)| (member, until + by)));
}

fn used(now: Instant) -> Duration {
    BEGAN.get().map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// As if the application's call had begun so long ago.
    fn began_ago(time: Duration) {
        BEGAN.set(BEGAN.get().and_then(|began| began.checked_sub(time)));
    }

    #[test]
    fn without_an_application_each_call_has_the_deadline_for_itself() {
        assert_eq!(patience(1, SECOND), SECOND);
    }

    #[test]
    fn one_deadline_serves_a_whole_call() {
        let (_deadline, _serving) = (HasDeadline::new(), Serving::begin());
        began_ago(SECOND * 3 / 10);
        assert!(patience(1, SECOND) <= SECOND * 7 / 10);
        attempt(1, SECOND, 1);
        assert!(patience(1, SECOND) <= SECOND * 56 / 100, "four fifths of what is left");
        attempt(1, SECOND, 0);
        let alone = patience(1, SECOND);
        assert!(alone > SECOND * 6 / 10 && alone <= SECOND * 7 / 10);
    }

    #[test]
    fn who_does_part_of_a_call_has_no_more_time_than_it() {
        let (_deadline, _serving) = (HasDeadline::new(), Serving::begin());
        began_ago(SECOND * 3 / 10);
        let share = Share::of_this_thread();
        let helped = std::thread::spawn(move || {
            share.take();
            patience(1, SECOND)
        });
        assert!(helped.join().unwrap() <= SECOND * 7 / 10);
    }

    #[test]
    fn an_attempt_is_one_members() {
        let (_deadline, _serving) = (HasDeadline::new(), Serving::begin());
        attempt(1, SECOND, 1);
        assert!(patience(1, SECOND) <= SECOND * 4 / 5 && patience(2, SECOND) > SECOND * 4 / 5);
    }

    #[test]
    fn whoever_comes_late_still_gets_a_little() {
        let (_deadline, _serving) = (HasDeadline::new(), Serving::begin());
        began_ago(SECOND * 5);
        attempt(1, SECOND, 1);
        assert_eq!(patience(1, SECOND), SECOND / 10);
    }

    #[test]
    fn long_calls_do_not_count() {
        let (_deadline, _serving) = (HasDeadline::new(), Serving::begin());
        began_ago(SECOND * 5);
        put_off(SECOND * 5);
        assert!(patience(1, SECOND) > SECOND * 9 / 10);
    }

    #[test]
    fn a_call_inside_a_call_is_part_of_it() {
        let (_deadline, outer) = (HasDeadline::new(), Serving::begin());
        began_ago(SECOND / 2);
        {
            let _inner = Serving::begin();
            assert!(patience(1, SECOND) <= SECOND / 2);
        }
        assert!(patience(1, SECOND) <= SECOND / 2);
        drop(outer);
        assert_eq!(patience(1, SECOND), SECOND);
    }
}
