//! Bugs that are switched on in the simulation only, to show that it finds them. Each is put between the engine and the
//! world, so that the engine behaves as if it had the bug.

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
