//! What else the engine asks of the world: the time and unpredictable bytes.

/// The time. Injected, so that the simulation owns it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch: for what people read, never for order.
    fn wall_ms(&self) -> u64;
    /// Milliseconds of a clock that never goes back: for back-off and ages.
    fn steady_ms(&self) -> u64;
}

/// The operating system's random bytes: for identifiers, challenges and shares, never alone for keys.
pub trait Entropy: Send + Sync {
    /// Fills a buffer.
    fn fill(&self, buffer: &mut [u8]);
}
