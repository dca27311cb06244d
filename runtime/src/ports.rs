//! The real time and the operating system's random bytes.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tandem_engine::ports::{Clock, Entropy};

/// The host's clocks.
pub struct HostClock(Instant);

impl HostClock {
    /// A clock whose steady time begins now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for HostClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HostClock {
    fn wall_ms(&self) -> u64 {
        // A host whose clock stands before 1970 has other worries; people read this time, nothing is decided by it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn steady_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The operating system's random bytes.
pub struct HostEntropy;

impl Entropy for HostEntropy {
    #[expect(
        clippy::panic,
        reason = "going on without random bytes would be worse; the C boundary stops a panic"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            panic!("the operating system gives no random bytes: {error}");
        }
    }
}
