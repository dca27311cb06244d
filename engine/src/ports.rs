//! What else the engine asks of the world: the time, unpredictable bytes, a second opinion on signatures, and hands.

use tandem_values::Template;

/// Nanoseconds in a millisecond.
const NS_IN_MS: u64 = 1_000_000;

/// The time. Injected, so that the simulation owns it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch: for what people read, never for order.
    fn wall_ms(&self) -> u64;
    /// Nanoseconds of a clock that never goes back: for how long calls take. Asked with every call, so it must be quick.
    fn steady_ns(&self) -> u64;
    /// Milliseconds of the same clock: for back-off and ages.
    fn steady_ms(&self) -> u64 {
        self.steady_ns() / NS_IN_MS
    }
}

/// The operating system's random bytes: for identifiers, challenges and shares, never alone for keys.
pub trait Entropy: Send + Sync {
    /// Fills a buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Something to be done, beside other things.
pub type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Does several things at once, where threads may be made.
pub trait Hands: Send + Sync {
    /// Does all of these, and comes back when all are done. Those that can't be done at once are done in this order.
    fn all(&self, tasks: Vec<Task<'_>>);
}

/// Does one thing after the other.
pub struct OneHand;

impl Hands for OneHand {
    fn all(&self, tasks: Vec<Task<'_>>) {
        for task in tasks {
            task();
        }
    }
}

/// Judges signatures without an HSM.
pub trait Verifier: Send + Sync {
    /// True if it knows the kind of key and finds the signature good; false says nothing, and a member is asked.
    ///
    /// `data` is what was signed with `mechanism`, a CKM_ number: with CKM_ECDSA and CKM_RSA_PKCS, which don't hash, a digest.
    fn is_good(&self, public: &Template, mechanism: u64, data: &[u8], signature: &[u8]) -> bool;
}

/// Knows no kind of key, so members judge all signatures.
pub struct NoVerifier;

impl Verifier for NoVerifier {
    fn is_good(&self, _: &Template, _: u64, _: &[u8], _: &[u8]) -> bool {
        false
    }
}
