//! What the engine tells operators: progress while it works, and reports afterwards. Plain data; `cli` shows it.

use crate::backup::{BackupId, Moment};
use crate::heads::Doubt;
use crate::object::{Hold, ObjectId};
use crate::reconcile::Step;
use crate::ring::{Paired, Ring, Route};
use crate::settings::Role;
use std::collections::BTreeMap;
use tandem_values::Handle;
use tandem_values::info::{LibraryInfo, TokenInfo};

/// Hears how far long work has come.
pub trait Progress {
    /// A stage of known size begins: `what` is shown, `total` counts the steps (0: unknown).
    fn stage(&self, what: &str, total: u64);
    /// One step of the stage is done.
    fn step(&self);
}

/// Nobody listens.
pub struct Quiet;
impl Progress for Quiet {
    fn stage(&self, _: &str, _: u64) {}
    fn step(&self) {}
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Up,
    /// It works, and brings in what it missed.
    Recovering,
    /// It answers, but something there is not as it should be: others are preferred.
    Suspect,
    /// It failed lately and is tried again when its back-off is over.
    Down,
    /// It refused our PIN: it is not tried again until the operator or the application brings another.
    WrongPin,
    /// It is kept out until it is initialised or enabled: its PIN or its content may be another than the others'.
    Fenced,
    /// The operator wants no work for it.
    Drained,
    /// It is in the configuration, and the log does not count it among the members that hold the key ring.
    Outside,
}

/// A member, for `tandem status`.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// How it is.
    pub condition: Condition,
    /// The last fault, or the reason for its condition; empty if there is none.
    pub reason: String,
    /// Its position in the log; a generator's is the log's end.
    pub position: u64,
    /// Objects it could not take, with the reason.
    pub exceptions: Vec<(ObjectId, String)>,
    /// Why objects are beyond it and live on others, and how many these are.
    pub beyond: BTreeMap<String, u64>,
    /// Objects that it holds and has proven.
    pub proven: u64,
    /// Its library, if it answers.
    pub library: Option<LibraryInfo>,
    /// Its token, if it answers.
    pub token: Option<TokenInfo>,
}

/// A virtual token, for `tandem status`.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Its key ring; `None` while it is not paired.
    pub ring: Option<Ring>,
    /// Position of the last record of the log.
    pub head: u64,
    /// Why the log is in doubt; `None` if it isn't, as far as is known without asking the members.
    pub doubt: Option<Doubt>,
    /// Objects it holds.
    pub objects: u64,
    /// Objects that are beyond some of its members, by their type and by the members that hold them: how many these are.
    pub apart: BTreeMap<(String, Vec<String>), u64>,
    /// Its members.
    pub members: Vec<MemberStatus>,
    /// Its backup tokens, which are connected only while a backup runs.
    pub backup_tokens: Vec<BackupToken>,
}

/// A backup token, as the log tells of it.
#[derive(Clone, Debug)]
pub struct BackupToken {
    /// Its name.
    pub name: String,
    /// Its token's serial number; `None` if it was never filled.
    pub serial: Option<String>,
    /// Its position in the log.
    pub position: u64,
    /// The backup with which it was filled last, and when.
    pub filled: Option<(BackupId, Moment)>,
}

/// One object on one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replica {
    /// It is there and is the same key, proven.
    Proven,
    /// It is held on demand: the member proves it when it is used there.
    OnDemand,
    /// The member has not come so far in the log.
    Behind,
    /// The member could not take it, or the proof failed: why.
    Failed(String),
    /// It is beyond the member, which is not to hold it: why.
    Beyond(String),
    /// The member doesn't answer.
    Away,
    /// An adopted object that this member doesn't hold.
    NotHeld,
}

/// One object on all members, for `tandem keys` and `tandem verify`.
#[derive(Clone, Debug)]
pub struct ObjectReport {
    /// Its handle.
    pub handle: Handle,
    /// Its identity.
    pub id: ObjectId,
    /// What it shows.
    pub template: tandem_values::Template,
    /// True if it was found on members and can't be copied.
    pub adopted: bool,
    /// Where members keep it.
    pub hold: Hold,
    /// The stock that it is in; `None` once it is an application's.
    pub stock: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// True if a committed backup holds it.
    pub backed_up: bool,
    /// Each member's replica, in the order of the configuration, by name.
    pub replicas: Vec<(String, Replica)>,
}

/// What pairing did.
#[derive(Clone, Debug)]
pub struct PairReport {
    /// The ring.
    pub ring: Ring,
    /// False if the token was paired before and nothing was changed.
    pub changed: bool,
    /// Objects that were on members before, and were taken over.
    pub adopted: u64,
    /// Of these, the ones that could not be copied to every member.
    pub adopted_partly: u64,
}

/// What bringing in a member came to.
#[derive(Clone, Debug)]
pub struct JoinReport {
    /// The member, with the attacks that were tried on it when it joined.
    pub member: Paired,
    /// What can be carried between it and the others; empty if nothing was changed.
    pub routes: Vec<Route>,
    /// False if it held the ring before, on this token.
    pub changed: bool,
    /// False if another process brought it up in part.
    pub alone: bool,
    /// How it is now.
    pub status: MemberStatus,
}

/// What taking a member out came to.
#[derive(Clone, Debug)]
pub struct LeaveReport {
    /// False if it had left before.
    pub changed: bool,
    /// The members that are left, by name.
    pub members: Vec<String>,
    /// How many objects and keys of the ring were destroyed there; `None` if it was not to be wiped.
    pub wiped: Option<u64>,
}

/// What was found when members were held against the log, and what is to be done.
#[derive(Clone, Debug)]
pub struct Reconciliation {
    /// The plan.
    pub steps: Vec<Step>,
    /// How people call the objects of the plan.
    pub names: BTreeMap<ObjectId, String>,
    /// Members that could not be looked at, with the reason.
    pub away: Vec<(String, String)>,
    /// How many objects each member holds that are not Tandem's.
    pub strangers: Vec<(String, usize)>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It could not be done: why.
    Failed(String),
    /// It is for people to do.
    Left,
}
