//! An answer on its way from the thread that makes it to whoever waits for it, or has given up.

use crate::sync::{AtomicBool, AtomicUsize, Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::thread;
use std::time::Duration;

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

/// The end of who waits.
pub(crate) struct Waiting<T> {
    answered: Receiver<T>,
    decided: Arc<AtomicBool>,
    stuck: Arc<AtomicUsize>,
}

/// The end of who answers.
pub(crate) struct Answering<T> {
    answer: Sender<T>,
    /// Whoever sets it first decides: the one by giving up, the other by answering.
    decided: Arc<AtomicBool>,
    stuck: Arc<AtomicUsize>,
}

/// Both ends. `stuck` counts the calls that somebody gave up and that go on.
pub(crate) fn handover<T>(stuck: &Arc<AtomicUsize>) -> (Waiting<T>, Answering<T>) {
    let (answer, answered) = bounded(1);
    let decided = Arc::new(AtomicBool::new(false));
    let waiting = Waiting { answered, decided: Arc::clone(&decided), stuck: Arc::clone(stuck) };
    (waiting, Answering { answer, decided, stuck: Arc::clone(stuck) })
}

impl<T> Waiting<T> {
    /// Waits so long for the answer.
    pub(crate) fn wait(self, patience: Duration) -> Result<T, NoAnswer> {
        match self.answered.recv_timeout(patience) {
            Ok(value) => Ok(value),
            Err(error) if error.is_disconnected() => Err(NoAnswer::Broken),
            Err(_) => {
                self.stuck.fetch_add(1, AcqRel);
                if self.decided.swap(true, AcqRel) {
                    self.stuck.fetch_sub(1, AcqRel);
                    return self.answered.recv().map_err(|_| NoAnswer::Broken);
                }
                Err(NoAnswer::Late)
            }
        }
    }
}

impl<T> Answering<T> {
    /// Gives the answer to who waits, or else to `late`. A panic is no answer.
    pub(crate) fn answer(self, value: thread::Result<T>, late: impl FnOnce(T)) {
        if !self.decided.swap(true, AcqRel) {
            drop(value.map(|value| self.answer.send(value)));
            return;
        }
        if let Ok(value) = value {
            drop(catch_unwind(AssertUnwindSafe(|| late(value))));
        }
        self.stuck.fetch_sub(1, AcqRel);
    }
}
