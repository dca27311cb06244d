//! What `tandem stock` and `tandem backup names` report.

use super::hold;
use serde::Serialize;
use tandem_engine::backup::Named;
use tandem_engine::stock::Level;

/// `tandem stock`
#[derive(Serialize)]
pub(crate) struct StockReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// True if there are as many keys as are wanted, and all may be claimed.
    pub(crate) full: bool,
    /// Each stock.
    pub(crate) levels: Vec<LevelLine>,
}

/// A stock.
#[derive(Serialize)]
pub(crate) struct LevelLine {
    /// The type of its keys: `ec:p256`, …
    pub(crate) key_type: String,
    /// Where they live: `resident` or `on-demand`.
    pub(crate) hold: &'static str,
    /// How many there are to be.
    pub(crate) wanted: u64,
    /// How many there are.
    pub(crate) there: u64,
    /// How many of them a committed backup holds.
    pub(crate) backed_up: u64,
    /// How many of them nobody is given: not proven where they should be, or perhaps claimed before a restore.
    pub(crate) held_back: u64,
    /// How many there are beyond those that are wanted.
    pub(crate) surplus: u64,
    /// How many were claimed in the last thirty days.
    pub(crate) claimed: u64,
    /// Why no more can be made; empty if nothing is known against it.
    pub(crate) problem: String,
}

impl StockReport {
    pub(crate) fn of(token: String, levels: &[Level]) -> Self {
        let is_full = |level: &Level| level.missing() == 0 && level.held_back == 0;
        Self {
            token,
            full: levels.iter().all(is_full),
            levels: levels.iter().map(LevelLine::of).collect(),
        }
    }
}

impl LevelLine {
    fn of(level: &Level) -> Self {
        Self {
            key_type: level.kind.clone(),
            hold: hold(level.hold),
            wanted: level.wanted,
            there: level.there,
            backed_up: level.backed_up,
            held_back: level.held_back,
            surplus: level.surplus(),
            claimed: level.claimed,
            problem: level.problem.clone(),
        }
    }
}

/// `tandem stock fill`
#[derive(Serialize)]
pub(crate) struct StockFillReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// How many keys were made.
    pub(crate) made: u64,
    /// Why it ended early; null if it didn't.
    pub(crate) error: Option<String>,
}

/// `tandem stock drop`
#[derive(Serialize)]
pub(crate) struct StockDropReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The type of the keys.
    pub(crate) key_type: String,
    /// How many were destroyed.
    pub(crate) dropped: u64,
}

/// `tandem backup names`
#[derive(Serialize)]
pub(crate) struct NamesReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The file.
    pub(crate) file: String,
    /// Its claims come after this position of the log: those before are in the last backup of everything.
    pub(crate) since: u64,
    /// The position up to which it goes.
    pub(crate) position: u64,
    /// How many keys it names.
    pub(crate) claims: u64,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

impl NamesReport {
    pub(crate) fn of(token: String, file: String, named: &Named) -> Self {
        Self {
            token,
            file,
            since: named.since,
            position: named.to,
            claims: named.claims,
            bytes: named.written.bytes,
        }
    }
}
