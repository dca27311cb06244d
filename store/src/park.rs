//! Forks. No SQLite connection crosses one, and no child keeps a lease of its parent's alive.
//!
//! Every use of SQLite goes through one gate of the process ([`enter`]). [`park`], in the `prepare` handler, closes the
//! gate to newcomers, waits until nobody is inside, and closes the idle connections of every open store. [`unpark`], in
//! the `parent` and `child` handlers, opens it. Connections are opened again when they are next used.
//!
//! In the child [`unpark`] also closes the child's copies of lease files. `flock` locks belong to the open file, which
//! parent and child share; unlocking in the child would free the lease for both, merely closing keeps the parent's and
//! makes sure that the lease is free when the parent dies. Leases and transactions that a thread of the parent had are
//! dead in the child: they answer that they are fenced, and do nothing when dropped.
//!
//! A child made without the handlers (a bare `clone`, `_Fork`, or `vfork`) must only exec. If it goes on nevertheless,
//! connections and leases see by the process id that they are the parent's and aren't used, but its copies of the lease
//! files keep the parent's leases held until it ends.
//!
//! The gate is one atomic word, waited for by sleeping: a lock's queue may belong to threads that the child lacks.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tandem_engine::log::{StoreError, Stored};

/// The bit of the gate that says that a fork is under way; the rest counts the threads inside.
const PARKED: u32 = 1 << 31;
/// How long a fork waits for threads inside SQLite. Each leaves after at most one transaction.
const PARK_MS_MAX: u64 = 5_000;
/// How long a thread waits for another thread's fork.
const FORK_MS_MAX: u64 = 30_000;

static GATE: AtomicU32 = AtomicU32::new(0);
static PARKER: AtomicU32 = AtomicU32::new(0);
/// A thread was still inside when the fork could wait no longer: SQLite's own locks may be held in the child for ever.
static OVERDUE: AtomicBool = AtomicBool::new(false);
/// This process is a child of such a fork.
static UNSOUND: AtomicBool = AtomicBool::new(false);
static GUESTS: Mutex<Vec<Weak<dyn Guest>>> = Mutex::new(Vec::new());

thread_local! {
    /// How many times this thread is inside.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// How many times this thread has parked.
    static PARKING: Cell<u32> = const { Cell::new(0) };
}

/// What has something to do around a fork.
pub(crate) trait Guest: Send + Sync {
    /// Nobody is inside: let go of what must not cross the fork.
    fn park(&self);
    /// This is the child.
    fn in_child(&self);
}

/// This thread may use SQLite and the registered guests until this is dropped.
pub(crate) struct Inside(());

impl Drop for Inside {
    fn drop(&mut self) {
        let depth = DEPTH.get().saturating_sub(1);
        DEPTH.set(depth);
        if depth == 0 {
            GATE.fetch_sub(1, SeqCst);
        }
    }
}

/// Goes in, after a fork that is under way.
pub(crate) fn enter() -> Stored<Inside> {
    if UNSOUND.load(SeqCst) {
        return Err(StoreError::Unavailable(
            "this process was forked while a thread was inside the database; it can be used after exec only".into(),
        ));
    }
    if DEPTH.get() > 0 {
        DEPTH.set(DEPTH.get() + 1);
        return Ok(Inside(()));
    }
    if PARKING.get() > 0 {
        return Err(StoreError::Unavailable("this thread is in the middle of a fork".into()));
    }
    let entered = within(FORK_MS_MAX, || {
        GATE.fetch_update(SeqCst, SeqCst, |gate| (gate & PARKED == 0).then_some(gate + 1)).is_ok()
    });
    if !entered {
        return Err(StoreError::Unavailable("another thread's fork doesn't end".into()));
    }
    DEPTH.set(1);
    Ok(Inside(()))
}

/// True if a fork waits for the threads inside: whoever can leave and come again does so.
pub(crate) fn is_wanted() -> bool {
    GATE.load(SeqCst) & PARKED != 0 && DEPTH.get() <= 1
}

/// Registers what has something to do around a fork. Only inside.
pub(crate) fn register(_: &Inside, guest: Weak<dyn Guest>) {
    let mut guests = guests();
    guests.retain(|guest| guest.strong_count() > 0);
    guests.push(guest);
}

/// Before a fork: waits until no thread of this process is inside SQLite, and closes every idle connection. For the
/// `prepare` handler of `pthread_atfork`.
///
/// Until [`unpark`] other threads that want the store wait, and this one is refused. A second fork in another thread
/// waits here. May be called more than once by one thread, if [`unpark`] is called as often.
pub fn park() {
    PARKING.set(PARKING.get() + 1);
    if PARKING.get() > 1 {
        return;
    }
    while GATE.fetch_or(PARKED, SeqCst) & PARKED != 0 {
        std::thread::sleep(Duration::from_micros(100));
    }
    let own = DEPTH.get().min(1);
    let empty = within(PARK_MS_MAX, || GATE.load(SeqCst) & !PARKED == own);
    PARKER.store(std::process::id(), SeqCst);
    OVERDUE.store(!empty, SeqCst);
    if empty {
        for guest in living() {
            guest.park();
        }
    }
}

/// After a fork, in the parent and in the child: opens the gate again. For the `parent` and `child` handlers of
/// `pthread_atfork`; sees for itself which one it is.
pub fn unpark() {
    let times = PARKING.get().saturating_sub(1);
    if PARKING.replace(times) != 1 {
        return;
    }
    if PARKER.load(SeqCst) == std::process::id() {
        GATE.fetch_and(!PARKED, SeqCst);
        return;
    }
    if OVERDUE.load(SeqCst) {
        UNSOUND.store(true, SeqCst);
    } else {
        for guest in living() {
            guest.in_child();
        }
    }
    // Of the threads that were inside or about to go in, this one is left.
    GATE.store(DEPTH.get().min(1), SeqCst);
}

fn living() -> Vec<std::sync::Arc<dyn Guest>> {
    guests().iter().filter_map(Weak::upgrade).collect()
}

/// Locked inside or by the one that parks, so never across a fork.
fn guests() -> MutexGuard<'static, Vec<Weak<dyn Guest>>> {
    GUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries until it works or the time is over, at growing intervals.
fn within(ms: u64, mut attempt: impl FnMut() -> bool) -> bool {
    if attempt() {
        return true;
    }
    let deadline = Instant::now() + Duration::from_millis(ms);
    let mut pause = Duration::from_micros(20);
    while Instant::now() < deadline {
        std::thread::sleep(pause);
        if attempt() {
            return true;
        }
        pause = (pause * 2).min(Duration::from_millis(1));
    }
    false
}
