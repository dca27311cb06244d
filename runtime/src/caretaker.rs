//! The threads that tend a process's tokens: one for the members, and one that keeps the stock full, since making a key may
//! take seconds for which no member's return should wait.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tandem_engine::token::Token;
use tandem_vendor::{Busy, hold_off_signals};

/// How long an end waits for a round that is under way: longer than any that isn't stuck in a vendor's code.
const JOIN: Duration = Duration::from_secs(2);

/// The threads; they end when this is dropped.
pub(crate) struct Caretaker {
    threads: Vec<JoinHandle<()>>,
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
    /// Tends these tokens from now on. Where no thread can be made the calls do what it would have done, and nobody fills the
    /// stock.
    pub(crate) fn new(tokens: &[Arc<Token>]) -> Self {
        let (going, stopped) = bounded(0);
        let tended = Tended::new(tokens);
        let members = rounds("tandem-caretaker", stopped.clone(), move || {
            tended.0.iter().map(|token| token.tend()).min()
        });
        let members = members
            .inspect_err(|error| log::warn!("no thread tends the members: {error}; calls do it"));
        let stocked: Vec<_> =
            tokens.iter().filter(|token| token.keeps_stock()).map(Arc::clone).collect();
        let stock = (!stocked.is_empty()).then(|| {
            rounds("tandem-stock", stopped, move || stocked.iter().map(Token::keep_stock).min())
                .inspect_err(|error| {
                    log::warn!("no thread fills the stock: {error}; run `tandem stock fill`");
                })
        });
        let threads = [Some(members), stock].into_iter().flatten().flatten().collect();
        Self { threads, going: Some(going) }
    }
}

/// Starts a thread that makes a round when the last one said that the next is due, until it is told to stop.
fn rounds(
    name: &str,
    stopped: Receiver<()>,
    round: impl Fn() -> Option<u64> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let work = move || {
        // The host's signals are its own threads' to handle.
        hold_off_signals();
        let mut pause = Duration::ZERO;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            // No fork falls into a round.
            let _busy = Busy::begin();
            pause = Duration::from_millis(round().unwrap_or(1_000));
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(work)
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        self.going = None;
        let until = Instant::now() + JOIN;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(200));
            }
            // One that is stuck in a vendor's code is left to it.
            if thread.is_finished() {
                drop(thread.join());
            }
        }
    }
}
