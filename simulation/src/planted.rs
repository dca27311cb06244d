//! Bugs that are switched on in the simulation only, to show that it finds them. Each is put between the engine and the
//! world, so that the engine behaves as if it had the bug.

use crate::exhaustive::{SCRIPTS, Search, everywhere};
use crate::setup::Snapshot;
use crate::swarm::{Case, Nests};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A PIN that was refused is tried again at once.
    RetriesWrongPin,
    /// A request whose outcome is unknown is made again.
    MakesAgain,
    /// Followers don't heed tombstones.
    ForgetsTombstones,
    /// The handle of an object that is gone goes to another.
    ReusesHandles,
    /// An operation goes on elsewhere whatever comes out there.
    ReplaysUnchecked,
    /// A follower's position is moved on before what it stands for is done.
    AdvancesFirst,
    /// Whatever a key answers proves it.
    SkipsProof,
    /// The wrapped bytes of a destroyed key stay in the log.
    KeepsWrapped,
    /// A lease that another holds is taken.
    IgnoresLease,
    /// An append is written in two halves.
    TearsAppend,
    /// Another process's change is not seen.
    StaysStale,
    /// An append is acknowledged before it is durable.
    AcknowledgesEarly,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 12] = [
        Self::RetriesWrongPin,
        Self::MakesAgain,
        Self::ForgetsTombstones,
        Self::ReusesHandles,
        Self::ReplaysUnchecked,
        Self::AdvancesFirst,
        Self::SkipsProof,
        Self::KeepsWrapped,
        Self::IgnoresLease,
        Self::TearsAppend,
        Self::StaysStale,
        Self::AcknowledgesEarly,
    ];
}

/// How a bug was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The bug.
    pub bug: Bug,
    /// By what: a script with every single trouble, or the swarm.
    pub by: String,
    /// How many runs it took.
    pub runs: u64,
    /// What was violated.
    pub what: String,
}

/// Looks for a bug: by every single trouble in every short script, then by so many seeds. `None` if it is not found.
pub fn hunt(nests: &Nests, pair: &Snapshot, bug: Bug, seeds: u64) -> Option<Finding> {
    let mut runs = 0;
    for script in SCRIPTS {
        let found = everywhere(pair, script, Search { troubles: 1, bug: Some(bug), limit: 5_000 });
        runs += found.runs;
        if let Some(violation) = found.violations.into_iter().next() {
            let by = format!("every trouble in \"{}\"", script.name);
            return Some(Finding { bug, by, runs, what: violation.what });
        }
    }
    by_seeds(nests, bug, seeds)
}

/// Looks for a bug by seeds alone.
pub fn by_seeds(nests: &Nests, bug: Bug, seeds: u64) -> Option<Finding> {
    (1..=seeds).find_map(|seed| {
        let what = Case::of(seed).play(nests, Some(bug), false)?.verdict.err()?;
        Some(Finding { bug, by: format!("seed {seed}"), runs: seed, what })
    })
}
