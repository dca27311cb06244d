//! What came of programs of others on a member alone and on a layer over members, as `tests/programs/compare.sh` tells it.

use serde::{Deserialize, Serialize};

/// What came of all of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    /// The member that was alone.
    pub alone: String,
    /// The layer's members.
    pub members: String,
    /// Each program.
    pub programs: Vec<Program>,
    /// Cases that passed on the member alone and not on the layer.
    pub accepted: Vec<Accepted>,
}

/// A program, or a project's own tests.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The name of its script.
    pub name: String,
    /// What it is, with its version.
    pub what: String,
    /// On the member alone.
    pub alone: Count,
    /// On the layer.
    pub layer: Count,
    /// So many cases passed alone and not on the layer, for a reason that is listed.
    pub accepted: usize,
    /// And so many for none.
    pub different: usize,
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

/// Why a case may pass on the member alone and not on the layer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The case.
    pub case: String,
    /// Why.
    pub reason: String,
}
