//! The thread that tends the members of a process's tokens.

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tandem_engine::token::Token;
use tandem_vendor::{Busy, hold_off_signals};

/// How long an end waits for a round that is under way: longer than any that isn't stuck in a vendor's code.
const JOIN: Duration = Duration::from_secs(2);

/// The thread; it ends when this is dropped.
pub(crate) struct Caretaker {
    thread: Option<JoinHandle<()>>,
    // Closed by dropping it.
    going: Option<Sender<()>>,
}

/// Tokens that are tended for as long as this is there, even if the thread should fail.
struct Tended(Vec<Arc<Token>>);

impl Tended {
    fn new(tokens: &[Arc<Token>]) -> Self {
        for token in tokens {
            token.tended(true);
        }
        Self(tokens.to_vec())
    }
}

impl Drop for Tended {
    fn drop(&mut self) {
        for token in &self.0 {
            token.tended(false);
        }
    }
}

impl Caretaker {
    /// Tends these tokens from now on. Where no thread can be made the calls do what it would have done.
    pub(crate) fn new(tokens: &[Arc<Token>]) -> Self {
        let (going, stopped) = bounded(0);
        let tended = Tended::new(tokens);
        let work = move || {
            // The host's signals are its own threads' to handle.
            hold_off_signals();
            let mut pause = Duration::ZERO;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                // No fork falls into a round.
                let _busy = Busy::begin();
                let next_ms = tended.0.iter().map(|token| token.tend()).min();
                pause = Duration::from_millis(next_ms.unwrap_or(1_000));
            }
        };
        let thread = std::thread::Builder::new().name("tandem-caretaker".into()).spawn(work);
        let thread = thread
            .inspect_err(|error| log::warn!("no thread tends the members: {error}; calls do it"))
            .ok();
        Self { thread, going: Some(going) }
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        self.going = None;
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + JOIN;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        // One that is stuck in a vendor's code is left to it.
        if thread.is_finished() {
            drop(thread.join());
        }
    }
}
