//! An answer on its way from the thread that makes it to whoever waits for it, or has given up.

use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Not in time.
    Late,
    /// So many calls hang already that no other is risked.
    Full,
    /// No thread could be made.
    NoThread,
    /// What ran the call has failed.
    Broken,
}

/// How far it is.
enum State<T> {
    /// Somebody waits.
    Awaited,
    /// Nobody waits any more.
    Left,
    /// It is there.
    Answered(T),
    /// It never will be, or has been taken.
    Broken,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Nobody need wait any more: looked at without a lock.
    settled: AtomicBool,
    /// Calls that somebody gave up and that go on.
    stuck: Arc<AtomicUsize>,
}

impl<T> Slot<T> {
    fn settle(&self) {
        self.settled.store(true, Release);
        self.changed.notify_all();
    }
}

/// The end of who waits.
pub(crate) struct Waiting<T>(Arc<Slot<T>>);

/// The end of who answers.
pub(crate) struct Answering<T>(Arc<Slot<T>>);

/// Both ends. `stuck` counts the calls that somebody gave up and that go on.
pub(crate) fn handover<T>(stuck: &Arc<AtomicUsize>) -> (Waiting<T>, Answering<T>) {
    let slot = Arc::new(Slot {
        state: Mutex::new(State::Awaited),
        changed: Condvar::default(),
        settled: AtomicBool::new(false),
        stuck: Arc::clone(stuck),
    });
    (Waiting(Arc::clone(&slot)), Answering(slot))
}

impl<T> Waiting<T> {
    /// True once waiting ends at once.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.settled.load(Acquire)
    }

    /// Waits so long for the answer.
    pub(crate) fn wait(self, patience: Duration) -> Result<T, NoAnswer> {
        let Slot { state, changed, stuck, .. } = &*self.0;
        let until = Instant::now() + patience;
        let mut state = state.lock();
        let mut is_late = false;
        loop {
            match std::mem::replace(&mut *state, State::Broken) {
                State::Answered(value) => return Ok(value),
                State::Broken => return Err(NoAnswer::Broken),
                State::Awaited | State::Left if is_late => {
                    *state = State::Left;
                    stuck.fetch_add(1, AcqRel);
                    return Err(NoAnswer::Late);
                }
                State::Awaited | State::Left => *state = State::Awaited,
            }
            is_late = changed.wait_until(&mut state, until).timed_out();
        }
    }
}

impl<T> Answering<T> {
    /// Gives the answer to who waits, or else to `late`. A panic is no answer.
    pub(crate) fn answer(self, value: thread::Result<T>, late: impl FnOnce(T)) {
        let mut state = self.0.state.lock();
        if matches!(*state, State::Left) {
            drop(state);
            if let Ok(value) = value {
                drop(catch_unwind(AssertUnwindSafe(|| late(value))));
            }
            return;
        }
        *state = value.map_or(State::Broken, State::Answered);
        drop(state);
        self.0.settle();
    }
}

/// What was given up counts no more; who waits still hears that nothing comes.
impl<T> Drop for Answering<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        match *state {
            State::Left => {
                self.0.stuck.fetch_sub(1, AcqRel);
            }
            State::Awaited => {
                *state = State::Broken;
                drop(state);
                self.0.settle();
            }
            State::Answered(_) | State::Broken => {}
        }
    }
}
