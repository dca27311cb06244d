//! What `tandem bench` reports.

use serde::Serialize;
use tandem_bench::race::Spread;

/// `tandem bench`
#[derive(Serialize)]
pub(crate) struct BenchReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// What was measured: each type of key with each number of threads.
    pub(crate) measured: Vec<MeasuredLine>,
    /// Members that were not measured at all.
    pub(crate) left_out: Vec<MissingLine>,
}

/// Signing with one type of key by so many threads.
#[derive(Serialize)]
pub(crate) struct MeasuredLine {
    /// The keys' type: `ec:p256`, …
    pub(crate) key_type: &'static str,
    /// How many threads signed at the same time.
    pub(crate) threads: usize,
    /// Tandem, and each member alone.
    pub(crate) contenders: Vec<ContenderLine>,
    /// Those that could not do it.
    pub(crate) unable: Vec<MissingLine>,
}

/// What a contender came to.
#[derive(Serialize)]
pub(crate) struct ContenderLine {
    /// The member's name; null for Tandem over all of them.
    pub(crate) member: Option<String>,
    /// Nanoseconds for each signature, all threads together: the median of the rounds.
    pub(crate) nanoseconds: f64,
    /// Signatures a second, all threads together.
    pub(crate) per_second: f64,
    /// How long Tandem takes against this member in the same round; null for Tandem itself, or if it could not do it.
    pub(crate) tandem_takes: Option<Spread>,
}

/// Who is missing, and why.
#[derive(Serialize)]
pub(crate) struct MissingLine {
    /// The member's name; null for Tandem over all of them.
    pub(crate) member: Option<String>,
    /// Why.
    pub(crate) reason: String,
}
