//! What threads meet by, over loom: it looks like `src/sync.rs`. A wait for no time at all gives up after others may have
//! gone on; any other is as long as it takes, and one that would never end is an error.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use loom::sync as loomed;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// A lock.
#[derive(Default)]
pub(crate) struct Mutex<T>(loomed::Mutex<T>);

/// Its guard; empty only inside of a wait.
pub(crate) struct Guard<'a, T>(&'a Mutex<T>, Option<loomed::MutexGuard<'a, T>>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.1.as_ref().unwrap()
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.1.as_mut().unwrap()
    }
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loomed::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard(self, self.0.lock().ok())
    }
}

/// Where threads wait.
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
