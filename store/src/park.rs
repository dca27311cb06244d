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
//! A child that inherits an open connection can't use SQLite any more: SQLite takes its parent's locks for its own. That
//! is one made without the handlers (a bare `clone`, `_Fork`, `vfork`), by a thread inside a transaction, or while another
//! thread could not come out. It is seen by the process id and refused everything until it execs. Without the handlers
//! its copies of the lease files keep the parent's leases held, too.
//!
//! The gate is one atomic word, waited for by sleeping: a lock's queue may belong to threads that the child lacks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
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
/// The process in which SQLite may be used; zero before its first use.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// How many connections are open.
static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
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
    /// This is the child. Whatever threads of the parent held may be held for ever.
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
    if !is_sound() {
        return Err(StoreError::Unavailable(
            "this process was forked with its parent's database open: it can't be used before exec"
                .into(),
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

/// True unless this is a child with its parent's connections.
fn is_sound() -> bool {
    let own = std::process::id();
    if PROCESS.load(SeqCst) == own {
        return true;
    }
    if CONNECTIONS.load(SeqCst) == 0 && GATE.load(SeqCst) == 0 {
        PROCESS.store(own, SeqCst);
    }
    // Read again: another thread of this process may have come first, and be the one that is inside.
    PROCESS.load(SeqCst) == own
}

/// An open connection, counted.
pub(crate) struct Connected(());

impl Connected {
    pub(crate) fn new() -> Self {
        CONNECTIONS.fetch_add(1, SeqCst);
        Self(())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, SeqCst);
    }
}

/// True if a fork waits for the threads inside: whoever can leave and come again does so.
pub(crate) fn is_wanted() -> bool {
    GATE.load(SeqCst) & PARKED != 0 && DEPTH.get() <= 1
}

/// Registers what has something to do around a fork. Only inside.
pub(crate) fn register(_: &Inside, guest: Weak<dyn Guest>) {
    let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
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
    if within(PARK_MS_MAX, || GATE.load(SeqCst) & !PARKED == own) {
        for guest in living() {
            guest.park();
        }
    }
    PARKER.store(std::process::id(), SeqCst);
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
    for guest in living() {
        guest.in_child();
    }
    // Of the threads that were inside or about to go in, this one is left.
    GATE.store(DEPTH.get().min(1), SeqCst);
    if CONNECTIONS.load(SeqCst) == 0 {
        PROCESS.store(std::process::id(), SeqCst);
    }
}

/// Registered guests that are still there. In a child the list may be locked for ever, by a thread that was inside.
fn living() -> Vec<Arc<dyn Guest>> {
    match GUESTS.try_lock() {
        Ok(guests) => guests.iter().filter_map(Weak::upgrade).collect(),
        Err(TryLockError::Poisoned(guests)) => {
            guests.into_inner().iter().filter_map(Weak::upgrade).collect()
        }
        Err(TryLockError::WouldBlock) => Vec::new(),
    }
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
