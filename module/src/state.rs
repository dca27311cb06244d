//! What is there between C_Initialize and C_Finalize: the runtime, the sessions, and the count of calls under way.

use crate::fork::{self, PerProcess};
use crate::limits::{FINALIZE_WAIT, LIFECYCLE_WAIT, SESSIONS_MAX};
use crate::outside::{self, Runtime};
use arc_swap::ArcSwapOption;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tandem_engine::error::{Error, Result};
use tandem_engine::session::Session;
use tandem_engine::token::Token;
use tandem_values::ck::*;

/// This process's life between its first C_Initialize and its end. A forked child has one of its own, and so is not
/// initialised, whatever its parent was.
static LIFECYCLE: PerProcess<Lifecycle> = PerProcess::new(Lifecycle::default);

#[derive(Default)]
struct Lifecycle {
    /// One C_Initialize or C_Finalize at a time.
    turn: Mutex<()>,
    running: ArcSwapOption<Running>,
    /// What the last C_Finalize left to calls that didn't end in time.
    leaving: Mutex<Weak<Running>>,
}

/// A turn of C_Initialize or C_Finalize.
struct Turn<'a> {
    _lock: MutexGuard<'a, ()>,
}

thread_local! {
    /// This thread has the turn.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        IN_TURN.set(false);
    }
}

impl Lifecycle {
    /// Waits, but neither for ever nor for itself: what a vendor's library calls C_Initialize may be Tandem's.
    fn turn(&self) -> Result<Turn<'_>> {
        let lock = if IN_TURN.get() { None } else { self.turn.try_lock_for(LIFECYCLE_WAIT) };
        let Some(lock) = lock else {
            let busy = "C_Initialize or C_Finalize of this process is under way and does not end; \
                is Tandem a member of itself, or does a vendor's library call Tandem's functions for its own?";
            return Err(Error::new(CKR_FUNCTION_FAILED, busy));
        };
        IN_TURN.set(true);
        Ok(Turn { _lock: lock })
    }
}

/// True between C_Initialize and C_Finalize.
pub fn is_running() -> bool {
    LIFECYCLE.get().running.load().is_some()
}

/// C_Initialize.
pub fn initialize(forbids_threads: bool) -> Result {
    begin(|| Ok(Running::new(outside::start(fork::generation(), forbids_threads)?)))
}

/// C_Initialize over tokens that the caller has put together: for programs that link the module and bring a world of their own.
pub fn initialize_over(tokens: Vec<Arc<Token>>) -> Result {
    begin(|| Ok(Running::over(None, tokens)))
}

fn begin(start: impl FnOnce() -> Result<Running>) -> Result {
    let lifecycle = LIFECYCLE.get();
    let _turn = lifecycle.turn()?;
    if lifecycle.running.load().is_some() {
        return Err(CKR_CRYPTOKI_ALREADY_INITIALIZED.into());
    }
    if lifecycle.leaving.lock().strong_count() > 0 {
        let stuck = "a call that began before C_Finalize is still waiting for its HSM";
        return Err(Error::new(CKR_FUNCTION_FAILED, stuck));
    }
    fork::watch();
    lifecycle.running.store(Some(Arc::new(start()?)));
    Ok(())
}

/// C_Finalize. Calls that began before it end first, within [`FINALIZE_WAIT`].
pub fn finalize() -> Result {
    let lifecycle = LIFECYCLE.get();
    let _turn = lifecycle.turn()?;
    let running = lifecycle.running.swap(None).ok_or(CKR_CRYPTOKI_NOT_INITIALIZED)?;
    *lifecycle.leaving.lock() = Arc::downgrade(&running);
    if !running.gate.close() {
        log::warn!("C_Finalize: calls of other threads go on; what they use ends with them");
    }
    // The last holder stops the runtime: this one, or the last of those calls.
    drop(running);
    Ok(())
}

/// Begins a call: CKR_CRYPTOKI_NOT_INITIALIZED before C_Initialize, after C_Finalize and in a forked child.
pub fn enter() -> Result<InFlight> {
    let running = LIFECYCLE.get().running.load_full().ok_or(CKR_CRYPTOKI_NOT_INITIALIZED)?;
    if running.gate.enter() {
        Ok(InFlight(running))
    } else {
        Err(CKR_CRYPTOKI_NOT_INITIALIZED.into())
    }
}

/// A call under way: what it uses stays alive until it ends.
pub struct InFlight(Arc<Running>);

impl Deref for InFlight {
    type Target = Running;
    fn deref(&self) -> &Running {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.gate.leave();
    }
}

/// What C_Initialize made.
pub struct Running {
    runtime: Option<Runtime>,
    tokens: Vec<Arc<Token>>,
    /// The application's sessions.
    pub sessions: Sessions,
    gate: Gate,
}

impl Running {
    fn new(runtime: Runtime) -> Self {
        let tokens = runtime.tokens().to_vec();
        Self::over(Some(runtime), tokens)
    }

    fn over(runtime: Option<Runtime>, tokens: Vec<Arc<Token>>) -> Self {
        Self { runtime, tokens, sessions: Sessions::default(), gate: Gate::default() }
    }

    /// The virtual tokens: a slot's id is its place in the configuration, and so never changes.
    pub fn tokens(&self) -> &[Arc<Token>] {
        &self.tokens
    }

    /// The token in a slot.
    pub fn token(&self, slot: CK_SLOT_ID) -> Result<&Arc<Token>> {
        let place = usize::try_from(slot).map_err(|_| CKR_SLOT_ID_INVALID)?;
        self.tokens.get(place).ok_or_else(|| CKR_SLOT_ID_INVALID.into())
    }

    /// Sleeps until C_Finalize.
    pub fn wait_for_end(&self) {
        self.gate.wait_for_close();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.stop();
        }
    }
}

/// Counts calls under way and lets C_Finalize wait for them.
#[derive(Default)]
struct Gate {
    inside: AtomicUsize,
    closed: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Gate {
    /// False if the gate is closed. Either this sees the gate closed, or [`Gate::close`] sees this call inside.
    fn enter(&self) -> bool {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let open = !self.closed.load(Ordering::SeqCst);
        if !open {
            self.leave();
        }
        open
    }

    fn leave(&self) {
        let last = self.inside.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.closed.load(Ordering::SeqCst) {
            let _lock = self.lock.lock();
            self.changed.notify_all();
        }
    }

    /// Lets nobody in any more and waits until all have left. False if some are still inside after the wait.
    fn close(&self) -> bool {
        let mut lock = self.lock.lock();
        self.closed.store(true, Ordering::SeqCst);
        self.changed.notify_all();
        let busy = |(): &mut ()| self.inside.load(Ordering::SeqCst) > 0;
        !self.changed.wait_while_for(&mut lock, busy, FINALIZE_WAIT).timed_out()
    }

    fn wait_for_close(&self) {
        let open = |(): &mut ()| !self.closed.load(Ordering::SeqCst);
        self.changed.wait_while(&mut self.lock.lock(), open);
    }
}

/// The application's sessions, by handle.
#[derive(Default)]
pub struct Sessions {
    open: RwLock<HashMap<CK_SESSION_HANDLE, Open>>,
}

/// An open session of the application.
#[derive(Clone)]
pub struct Open {
    /// The engine's session.
    pub session: Arc<Session>,
    /// Its slot.
    pub slot: CK_SLOT_ID,
    /// CKF_RW_SESSION.
    pub writes: bool,
}

/// How many sessions are open with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCount {
    /// All of them.
    pub all: u64,
    /// The ones that read and write.
    pub writing: u64,
}

impl Sessions {
    /// A handle for a new session: never used before in this process, not even before a C_Finalize.
    pub fn add(&self, open: Open) -> Result<CK_SESSION_HANDLE> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut sessions = self.open.write();
        if sessions.len() >= SESSIONS_MAX {
            return Err(CKR_SESSION_COUNT.into());
        }
        let handle = NEXT.fetch_add(1, Ordering::Relaxed);
        sessions.insert(handle, open);
        Ok(handle)
    }

    /// An open session. Nothing stays locked, so a call on a member never holds up another session.
    pub fn find(&self, handle: CK_SESSION_HANDLE) -> Result<Open> {
        self.open.read().get(&handle).cloned().ok_or_else(|| CKR_SESSION_HANDLE_INVALID.into())
    }

    /// Forgets a session.
    pub fn remove(&self, handle: CK_SESSION_HANDLE) -> Result<Open> {
        self.open.write().remove(&handle).ok_or_else(|| CKR_SESSION_HANDLE_INVALID.into())
    }

    /// Forgets every session of a slot. Who asked closes them, with the map unlocked.
    pub fn remove_all(&self, slot: CK_SLOT_ID) -> Vec<Open> {
        let mut sessions = self.open.write();
        sessions.extract_if(|_, open| open.slot == slot).map(|(_, open)| open).collect()
    }

    /// How many sessions a slot has.
    pub fn count(&self, slot: CK_SLOT_ID) -> SessionCount {
        let mut count = SessionCount::default();
        for open in self.open.read().values().filter(|open| open.slot == slot) {
            count.all += 1;
            count.writing += u64::from(open.writes);
        }
        count
    }
}

#[cfg(test)]
mod tests;
