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
    /// The head records that members hold are not looked at.
    OverlooksHeads,
    /// The old bytes of a key that a rotation wraps anew go before the new ones are proven.
    ErasesFirst,
    /// What is claimed was chosen before the transaction in which it is claimed.
    ClaimsUnseen,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 15] = [
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
        Self::OverlooksHeads,
        Self::ErasesFirst,
        Self::ClaimsUnseen,
    ];

    /// The short script in which it would show, and how many troubles that takes at most.
    pub const fn scene(self) -> (&'static str, u32) {
        match self {
            Self::RetriesWrongPin => ("log in wrongly", 0),
            Self::OverlooksHeads => ("log out and in", 0),
            Self::ForgetsTombstones | Self::KeepsWrapped => ("destroy", 0),
            Self::ReusesHandles => ("make while another destroys", 1),
            Self::ReplaysUnchecked => ("encrypt in parts", 2),
            Self::AdvancesFirst => ("destroy", 1),
            Self::SkipsProof | Self::TearsAppend => ("make a pair", 1),
            Self::IgnoresLease | Self::StaysStale => ("make while another makes", 1),
            Self::ClaimsUnseen => ("two claim the last of a stock", 1),
            Self::MakesAgain | Self::AcknowledgesEarly => ("make a secret key", 1),
            Self::ErasesFirst => ("rotate", 1),
        }
    }
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

/// So many placements are tried in the long scripts.
const SAMPLE: usize = 500;

/// Looks for a bug by every placement of the troubles it needs in the short script where it would show; by a sample of them if an
/// operator's command is tried there. `None` if it is not found.
pub fn hunt(pair: &Snapshot, bug: Bug) -> Option<Finding> {
    let (name, troubles) = bug.scene();
    let script = SCRIPTS.iter().find(|script| script.name == name)?;
    let sample = script.is_long().then_some(SAMPLE);
    let search = Search { bug: Some(bug), sample, ..Search::all(troubles, 1) };
    let found = everywhere(pair, script, search);
    let violation = found.violations.into_iter().next()?;
    let by = format!("{troubles} in \"{name}\"");
    Some(Finding { bug, by, runs: found.runs, what: violation.what })
}

/// Looks for a bug by seeds alone. `None` if so many don't find it.
pub fn by_seeds(nests: &Nests, bug: Bug, seeds: u64) -> Option<Finding> {
    (1..=seeds).find_map(|seed| {
        let what = Case::of(seed).play(nests, Some(bug), false)?.verdict.err()?;
        Some(Finding { bug, by: format!("seed {seed}"), runs: seed, what })
    })
}
