//! What threads meet by, over loom: it looks like `src/sync.rs`. A wait for no time at all gives up after others may have
//! gone on; any other is as long as it takes, and one that would never end is an error.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use loom::sync as loomed;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// parking_lot's Mutex.
#[derive(Default)]
pub(crate) struct Mutex<T>(loomed::Mutex<T>);

/// Its guard; empty only inside of a wait.
pub(crate) struct Guard<'a, T>(&'a Mutex<T>, Option<loomed::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard(self, self.0.lock().ok())
    }
}

/// parking_lot's Condvar.
#[derive(Default)]
pub(crate) struct Condvar(loomed::Condvar);

pub(crate) struct Waited(bool);

impl Waited {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn wait_until<T>(&self, guard: &mut Guard<'_, T>, until: Instant) -> Waited {
        let held = guard.1.take().unwrap();
        let gives_up = until <= Instant::now();
        if gives_up {
            drop(held);
            loom::thread::yield_now();
            guard.1 = guard.0.0.lock().ok();
        } else {
            guard.1 = self.0.wait(held).ok();
        }
        Waited(gives_up)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

struct Slot<T> {
    value: loomed::Mutex<(Option<T>, bool)>,
    changed: loomed::Condvar,
}

/// crossbeam's channel, for one value.
pub(crate) fn bounded<T>(_: usize) -> (Sender<T>, Receiver<T>) {
    let slot = Slot { value: loomed::Mutex::new((None, false)), changed: loomed::Condvar::new() };
    let slot = Arc::new(slot);
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

pub(crate) struct Sender<T>(Arc<Slot<T>>);
pub(crate) struct Receiver<T>(Arc<Slot<T>>);

/// Why nothing was received: the sender is gone, or it was too late.
pub(crate) struct Nothing {
    gone: bool,
}

impl Nothing {
    pub(crate) fn is_disconnected(&self) -> bool {
        self.gone
    }
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, value: T) {
        self.0.value.lock().unwrap().0 = Some(value);
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.value.lock().unwrap().1 = true;
        self.0.changed.notify_all();
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv(&self) -> Result<T, Nothing> {
        self.recv_timeout(Duration::MAX)
    }

    pub(crate) fn recv_timeout(&self, patience: Duration) -> Result<T, Nothing> {
        let mut slot = self.0.value.lock().unwrap();
        loop {
            match (slot.0.take(), slot.1) {
                (Some(value), _) => return Ok(value),
                (None, true) => return Err(Nothing { gone: true }),
                (None, false) if patience.is_zero() => return Err(Nothing { gone: false }),
                (None, false) => slot = self.0.changed.wait(slot).unwrap(),
            }
        }
    }
}
