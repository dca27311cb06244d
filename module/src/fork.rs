//! Which side of a fork this process is on.
//!
//! A child inherits memory as it was: locks held by threads that are gone, sockets and logins that belong to its parent.
//! So nothing of that is touched there, not even to free it. [`PerProcess`] holds what belongs to one process, and
//! makes it anew in a child.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use tandem_store::{park, unpark};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of forks between the process that loaded the module and this one.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Counts forks from now on, and keeps the store's files consistent across them.
pub fn watch() {
    static WATCHING: AtomicBool = AtomicBool::new(false);

    extern "C" fn prepare() {
        tandem_runtime::before_fork();
        park();
    }
    extern "C" fn parent() {
        unpark();
        tandem_runtime::after_fork();
    }
    extern "C" fn child() {
        // Only an atomic is touched before anything else: what the parent's threads held is out of reach from here on.
        GENERATION.fetch_add(1, Ordering::Relaxed);
        tandem_runtime::in_child();
        unpark();
    }

    if !WATCHING.swap(true, Ordering::Relaxed) {
        // Out of memory is the only failure; then a child is not told apart, as if nothing watched.
        // SAFETY: the handlers are functions of this module, which is never unloaded (see build.rs).
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    }
}

/// A value that belongs to one process: after a fork the child gets a fresh one, and the inherited one is left alone.
pub struct PerProcess<T: 'static> {
    current: AtomicPtr<Stamped<T>>,
    make: fn() -> T,
}

struct Stamped<T> {
    generation: u32,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// Makes the value with `make` when it is first asked for in a process.
    pub const fn new(make: fn() -> T) -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()), make }
    }

    /// This process's value.
    pub fn get(&self) -> &'static T {
        loop {
            let held = self.current.load(Ordering::Acquire);
            // SAFETY: what is stored was leaked by `Box::into_raw` below and is never freed.
            if let Some(stamped) = unsafe { held.as_ref() }
                && stamped.generation == generation()
            {
                return &stamped.value;
            }
            let fresh = Stamped { generation: generation(), value: (self.make)() };
            let fresh = Box::into_raw(Box::new(fresh));
            let swapped =
                self.current.compare_exchange(held, fresh, Ordering::AcqRel, Ordering::Acquire);
            if swapped.is_err() {
                // SAFETY: another thread was quicker, so `fresh` is still ours alone.
                drop(unsafe { Box::from_raw(fresh) });
            }
            // Otherwise `held` stays as it is for ever: its locks may be held by threads that are not in this process.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[test]
    #[cfg_attr(miri, ignore = "forks")]
    fn a_child_is_another_generation_with_values_of_its_own() {
        static VALUE: PerProcess<Mutex<u32>> = PerProcess::new(Mutex::default);
        watch();
        *VALUE.get().lock() = 7;
        let before = generation();
        // A lock that is held while forking would be held in the child for ever.
        let held = VALUE.get().lock();
        // SAFETY: the child only reads atomics, allocates (glibc allows it) and exits.
        match unsafe { libc::fork() } {
            0 => {
                let fresh = *VALUE.get().lock() == 0 && generation() == before + 1;
                // SAFETY: ends the child without running the parent's handlers.
                unsafe { libc::_exit(if fresh { 42 } else { 1 }) }
            }
            pid => {
                drop(held);
                let mut status = 0;
                // SAFETY: `pid` is our child and `status` is ours.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                assert_eq!(libc::WEXITSTATUS(status), 42);
                assert_eq!(*VALUE.get().lock(), 7);
            }
        }
    }

    #[test]
    fn threads_get_the_same_value() {
        static VALUE: PerProcess<Mutex<u32>> = PerProcess::new(Mutex::default);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| *VALUE.get().lock() += 1);
            }
        });
        assert_eq!(*VALUE.get().lock(), 4);
    }
}
