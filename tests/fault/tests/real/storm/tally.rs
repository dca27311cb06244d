//! What callers saw.

use std::fmt;
use std::time::Duration;

/// What one caller, or all of them, saw.
#[derive(Default)]
pub(crate) struct Tally {
    /// How long each call took.
    pub(crate) times: Vec<Duration>,
    /// What failed, and with what.
    pub(crate) failed: Vec<String>,
}

impl Tally {
    /// All that these saw.
    pub(crate) fn sum(tallies: Vec<Self>) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.times.extend(tally.times);
            sum.failed.extend(tally.failed);
        }
        sum.times.sort_unstable();
        sum
    }

    /// The longest call.
    pub(crate) fn longest(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }

    /// The time that 99 of 100 calls don't exceed.
    fn p99(&self) -> Duration {
        self.times.get(self.times.len() * 99 / 100).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p99, longest) = (self.p99().as_micros(), self.longest().as_millis());
        write!(
            f,
            "{} calls, {} failed, p99 {p99} us, longest {longest} ms",
            self.times.len(),
            self.failed.len()
        )
    }
}
