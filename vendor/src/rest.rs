//! A fork finds vendors' code at rest: in the middle of a call it might hold locks, of a vendor, of a library that vendors
//! share or of the C library, that no thread of the child would ever open.
//!
//! So calls are counted, by the threads that wait for their answers: a call that was given up counts no more. A fork lets no
//! other begin and waits for those under way, though not for ever.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long a fork waits. Calls that take longer are not waited for.
const WAIT: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(200);

/// Forks under way.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Threads that are busy.
static BUSY: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// How often this thread is busy. Only the first time counts.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// This thread is busy with vendors until this is dropped.
pub struct Busy(PhantomData<*const ()>);

impl Busy {
    /// Begins, after any fork that is under way.
    pub fn begin() -> Self {
        let depth = DEPTH.get();
        DEPTH.set(depth.saturating_add(1));
        if depth == 0 {
            count();
        }
        Self(PhantomData)
    }
}

/// Either this sees the fork that begins, or the fork sees this thread.
fn count() {
    BUSY.fetch_add(1, SeqCst);
    while FORKS.load(SeqCst) > 0 {
        cease();
        std::thread::sleep(PAUSE);
        BUSY.fetch_add(1, SeqCst);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let depth = DEPTH.get().saturating_sub(1);
        DEPTH.set(depth);
        if depth == 0 {
            cease();
        }
    }
}

/// In a child that was forked in the middle of it the count is none already.
fn cease() {
    let _ = BUSY.fetch_update(SeqCst, SeqCst, |busy| busy.checked_sub(1));
}

/// From now on this thread works for others that wait for it, and are counted in its place.
pub(crate) fn works_for_others() {
    DEPTH.set(DEPTH.get().saturating_add(1));
}

/// Before a fork, for the `prepare` handler of `pthread_atfork`: waits for the calls under way and lets no other begin. One
/// that a vendor's own code makes, to start a program, waits for nothing: its call is under way until it is made.
pub fn before_fork() {
    FORKS.fetch_add(1, SeqCst);
    let until = Instant::now() + WAIT;
    while DEPTH.get() == 0 && BUSY.load(SeqCst) > 0 && Instant::now() < until {
        std::thread::sleep(PAUSE);
    }
}

/// After a fork, in the parent.
pub fn after_fork() {
    FORKS.fetch_sub(1, SeqCst);
}

/// After a fork, in the child, which has no other threads and no other forks.
pub fn in_child() {
    FORKS.store(0, SeqCst);
    BUSY.store(0, SeqCst);
    crate::awake::in_child();
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::thread;

    /// The counts are the process's.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn a_fork_waits_for_calls_and_no_call_begins_during_a_fork() {
        let _one = ONE_AT_A_TIME.lock();
        let (call, inner) = (Busy::begin(), Busy::begin());
        let forking = thread::spawn(before_fork);
        thread::sleep(Duration::from_millis(20));
        drop(inner);
        thread::sleep(Duration::from_millis(20));
        assert!(!forking.is_finished());
        drop(call);
        forking.join().unwrap();
        let beginning = thread::spawn(|| drop(Busy::begin()));
        thread::sleep(Duration::from_millis(20));
        assert!(!beginning.is_finished());
        after_fork();
        beginning.join().unwrap();
    }

    #[test]
    fn a_call_that_hangs_is_waited_for_a_while_and_what_a_vendor_forks_for_itself_is_not() {
        let _one = ONE_AT_A_TIME.lock();
        let hanging = Busy::begin();
        let began = Instant::now();
        thread::spawn(before_fork).join().unwrap();
        assert!(began.elapsed() >= WAIT);
        after_fork();
        let began = Instant::now();
        before_fork();
        after_fork();
        let helper = thread::spawn(|| {
            works_for_others();
            before_fork();
            after_fork();
        });
        helper.join().unwrap();
        assert!(began.elapsed() < WAIT);
        in_child();
        drop(hanging);
        assert_eq!(BUSY.load(SeqCst), 0);
    }
}
