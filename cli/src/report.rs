//! What commands report: the JSON that scripts read.
//!
//! `cli/JSON.md` explains them. **These names are an interface.** Fields may be added; none is renamed, removed or given another meaning. Times are
//! RFC 3339 in UTC, identities are UUIDs in hyphens, bytes are lower-case hexadecimal digits, and what is not known is null.

mod backup;
mod bench;
mod kek;
mod log;
mod recovery;
mod runway;
mod stock;

pub(crate) use backup::{
    BackupLine, BackupReport, BackupsReport, BundleReport, DrillReport, LeftOutLine, PickedReport,
    RestoredReport, TokenBundlesReport, UnusableLine,
};
pub(crate) use bench::{BenchReport, ContenderLine, MeasuredLine, MissingLine};
pub(crate) use runway::{ReachLine, RunwayReport, StockLine, UseLine};

pub(crate) use kek::{KekLine, KeksReport, RetiredReport, RotatedReport, RotationLine};
pub(crate) use log::{AnchorLine, GoneLine, HeadLine, LogReport};
pub(crate) use stock::{LevelLine, NamesReport, StockDropReport, StockFillReport, StockReport};

pub(crate) use recovery::{CombinedReport, RecoveryReport, SplitLine, SplitReport};

use serde::Serialize;
use std::path::PathBuf;
use tandem_config::meant;
use tandem_engine::moving::Moved;
use tandem_engine::object::{Hold, ObjectId};
use tandem_engine::reconcile::{self, Action};
use tandem_engine::report::{
    BackupToken, Condition, JoinReport, LeaveReport, MemberStatus, ObjectReport, Outcome,
    PairReport, Reconciliation, Replica, Status,
};
use tandem_engine::ring::{self, Ring};
use tandem_engine::settings::Role;
use tandem_engine::token::show_uuid;
use tandem_runtime::Live;
use tandem_values::ck::{
    CKA_ID, CKA_LABEL, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
};
use tandem_values::keytype;
use tandem_values::{Template, names};

/// `tandem status`
#[derive(Serialize)]
pub(crate) struct StatusReport {
    /// The virtual tokens, in the order of the configuration.
    pub(crate) tokens: Vec<TokenStatus>,
}

/// A virtual token.
#[derive(Serialize)]
pub(crate) struct TokenStatus {
    /// Its label.
    pub(crate) label: String,
    /// Its serial number.
    pub(crate) serial: String,
    /// True once `tandem pair` has made its key ring.
    pub(crate) paired: bool,
    /// Its key ring; null while it is not paired.
    pub(crate) ring: Option<RingLine>,
    /// The rotation of its KEKs that is under way; null if none is.
    pub(crate) rotation: Option<RotationLine>,
    /// Position of the last record of its log.
    pub(crate) head: u64,
    /// Why its log is in doubt, as a login has found; null if it isn't.
    pub(crate) doubt: Option<String>,
    /// Objects it holds.
    pub(crate) objects: u64,
    /// Those of them that are beyond some members, which are not to hold them (`mechanisms = "any"`).
    pub(crate) apart: Vec<ApartLine>,
    /// Its members, in the order of the configuration.
    pub(crate) members: Vec<MemberState>,
    /// Its backup tokens, in the order of the configuration. They are not asked how they are: they may be away.
    pub(crate) backup_tokens: Vec<BackupTokenLine>,
    /// Members that hold its key ring, as the log tells it, and that the configuration does not name.
    pub(crate) not_configured: Vec<NotConfigured>,
}

/// A backup token, as the log tells of it.
#[derive(Serialize)]
pub(crate) struct BackupTokenLine {
    /// Its name.
    pub(crate) name: String,
    /// Its token's serial number; null if it does not hold the key ring.
    pub(crate) serial: Option<String>,
    /// Its position in the log.
    pub(crate) position: u64,
    /// When it was last filled; null if it never was.
    pub(crate) filled_at: Option<String>,
    /// The backup with which it was; null if it never was.
    pub(crate) backup: Option<String>,
}

impl BackupTokenLine {
    pub(crate) fn of(known: &BackupToken) -> Self {
        Self {
            name: known.name.clone(),
            serial: known.serial.clone(),
            position: known.position,
            filled_at: known.filled.map(|(_, moment)| time(moment.at_ms)),
            backup: known.filled.map(|(backup, _)| backup.to_string()),
        }
    }

    /// When it was filled, for people.
    pub(crate) fn line(&self) -> String {
        match (&self.filled_at, &self.backup) {
            (Some(at), Some(backup)) => format!("filled at {at} with backup {backup}"),
            _ => format!(
                "never filled: `tandem backup run --commit --to {} --shares DIR` fills it",
                self.name
            ),
        }
    }
}

/// A key ring.
#[derive(Serialize)]
pub(crate) struct RingLine {
    /// Its identity.
    pub(crate) id: String,
    /// SHA-256 over its keys' check values: equal on two hosts if, and only if, the ring is the same.
    pub(crate) fingerprint: String,
    /// Shares of its recovery; null if there is no recovery.
    pub(crate) shares: Option<u8>,
    /// How many shares open it.
    pub(crate) threshold: Option<u8>,
    /// The members that hold it, by name.
    pub(crate) members: Vec<String>,
    /// The KEKs under which everything new is wrapped.
    pub(crate) kek: String,
}

/// How a member is.
#[derive(Serialize)]
pub(crate) struct MemberState {
    /// Its name.
    pub(crate) name: String,
    /// `active`, `standby` or `generator`.
    pub(crate) role: &'static str,
    /// `up`, `down`, `wrong-pin` or `fenced`.
    pub(crate) condition: &'static str,
    /// Why, if it isn't up; otherwise empty.
    pub(crate) reason: String,
    /// Its position in the log; a generator's is the log's end.
    pub(crate) position: u64,
    /// Records of the log that it has not followed yet.
    pub(crate) behind: u64,
    /// Objects that it holds and has proven.
    pub(crate) proven: u64,
    /// Objects that it could not take.
    pub(crate) exceptions: Vec<ExceptionLine>,
    /// Objects that are beyond it: others hold them, and it is not to.
    pub(crate) beyond: Vec<BeyondLine>,
    /// Its library; null if it doesn't answer.
    pub(crate) library: Option<LibraryLine>,
    /// Its own token; null if it doesn't answer.
    pub(crate) token: Option<OwnToken>,
}

/// An object that a member could not take.
#[derive(Serialize)]
pub(crate) struct ExceptionLine {
    /// The object's identity.
    pub(crate) object: String,
    /// Why.
    pub(crate) reason: String,
}

/// A vendor's library.
#[derive(Serialize)]
pub(crate) struct LibraryLine {
    /// Who made it.
    pub(crate) manufacturer: String,
    /// What it calls itself.
    pub(crate) description: String,
    /// Its own version: `2.6`.
    pub(crate) version: String,
    /// The version of PKCS #11 that is spoken with it: `3.2`.
    pub(crate) interface: String,
}

/// A member's own token.
#[derive(Serialize)]
pub(crate) struct OwnToken {
    /// Its label.
    pub(crate) label: String,
    /// Its serial number.
    pub(crate) serial: String,
    /// Its model.
    pub(crate) model: String,
}

/// Objects that are beyond a member, which others hold.
#[derive(Serialize)]
pub(crate) struct BeyondLine {
    /// Why.
    pub(crate) reason: String,
    /// How many.
    pub(crate) objects: u64,
}

/// Objects that are beyond some members.
#[derive(Serialize)]
pub(crate) struct ApartLine {
    /// Their type, as in `tandem keys list`.
    pub(crate) key_type: String,
    /// The members that hold them, proven.
    pub(crate) members: Vec<String>,
    /// How many.
    pub(crate) objects: u64,
}

impl TokenStatus {
    pub(crate) fn of(status: &Status) -> Self {
        let apart = |((kind, members), objects): (&(String, Vec<String>), &u64)| ApartLine {
            key_type: kind.clone(),
            members: members.clone(),
            objects: *objects,
        };
        let state = |member| MemberState::of(member, status.head);
        Self {
            label: status.label.clone(),
            serial: status.serial.clone(),
            paired: status.ring.is_some(),
            ring: status.ring.as_ref().map(RingLine::of),
            rotation: status.ring.as_ref().and_then(|ring| RotationLine::of(ring, status)),
            head: status.head,
            doubt: status.doubt.as_ref().map(ToString::to_string),
            objects: status.objects,
            apart: status.apart.iter().map(apart).collect(),
            members: status.members.iter().map(state).collect(),
            backup_tokens: status.backup_tokens.iter().map(BackupTokenLine::of).collect(),
            not_configured: NotConfigured::all(status),
        }
    }
}

impl RingLine {
    pub(crate) fn of(ring: &Ring) -> Self {
        Self {
            id: show_uuid(&ring.id),
            fingerprint: hex(&ring.fingerprint()),
            shares: ring.recovery.as_ref().map(|recovery| recovery.shares),
            threshold: ring.recovery.as_ref().map(|recovery| recovery.threshold),
            members: ring.members.iter().map(|member| member.name.clone()).collect(),
            kek: ring.newest().to_string(),
        }
    }
}

impl MemberState {
    fn of(status: &MemberStatus, head: u64) -> Self {
        let exception = |(object, reason): &(ObjectId, String)| ExceptionLine {
            object: object.to_string(),
            reason: reason.clone(),
        };
        Self {
            name: status.name.clone(),
            role: role(status.role),
            condition: condition(status.condition),
            reason: status.reason.clone(),
            position: status.position,
            behind: head.saturating_sub(status.position),
            proven: status.proven,
            exceptions: status.exceptions.iter().map(exception).collect(),
            beyond: beyond(status),
            library: status.library.as_ref().map(|library| LibraryLine {
                manufacturer: library.manufacturer.clone(),
                description: library.description.clone(),
                version: version(library.version),
                interface: version(library.interface),
            }),
            token: status.token.as_ref().map(|token| OwnToken {
                label: token.label.clone(),
                serial: token.serial.clone(),
                model: token.model.clone(),
            }),
        }
    }
}

fn beyond(status: &MemberStatus) -> Vec<BeyondLine> {
    let line =
        |(why, objects): (&String, &u64)| BeyondLine { reason: why.clone(), objects: *objects };
    status.beyond.iter().map(line).collect()
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Active => "active",
        Role::Standby => "standby",
        Role::Backup => "backup",
        Role::Generator => "generator",
    }
}

pub(crate) const fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Up => "up",
        Condition::Recovering => "recovering",
        Condition::Suspect => "suspect",
        Condition::Down => "down",
        Condition::WrongPin => "wrong-pin",
        Condition::Fenced => "fenced",
        Condition::Drained => "drained",
        Condition::Outside => "outside",
    }
}

/// `tandem keys`
#[derive(Serialize)]
pub(crate) struct KeysReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// Its objects, in order of handle.
    pub(crate) objects: Vec<ObjectLine>,
    /// How many objects more are in stock: `tandem stock`.
    pub(crate) in_stock: usize,
}

/// `tandem verify`
#[derive(Serialize)]
pub(crate) struct VerifyReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// True if every replica that should be there was proven now.
    pub(crate) verified: bool,
    /// Its objects, in order of handle.
    pub(crate) objects: Vec<ObjectLine>,
}

/// One object of a virtual token.
#[derive(Serialize)]
pub(crate) struct ObjectLine {
    /// Its handle (CK_OBJECT_HANDLE).
    pub(crate) handle: u64,
    /// Its identity.
    pub(crate) object_id: String,
    /// `private`, `public`, `secret`, `certificate`, `data`, or CKO_… as it is.
    pub(crate) class: String,
    /// `rsa:2048`, `ec:p256`, `ed25519`, `aes:256`, `generic:32` (bytes), or CKK_… as it is; null if it is no key.
    pub(crate) key_type: Option<String>,
    /// CKA_LABEL.
    pub(crate) label: String,
    /// CKA_ID.
    pub(crate) id: String,
    /// When it was made.
    pub(crate) created_at: String,
    /// True if a committed backup covers it.
    pub(crate) backed_up: bool,
    /// True if it was on members before Tandem and can't be copied.
    pub(crate) adopted: bool,
    /// `resident`: members have it as a token object; `on-demand`: while it is used.
    pub(crate) hold: &'static str,
    /// The stock that it is in; null once it is an application's.
    pub(crate) stock: Option<String>,
    /// On each member, in the order of the configuration.
    pub(crate) replicas: Vec<ReplicaLine>,
}

/// One object on one member.
#[derive(Serialize)]
pub(crate) struct ReplicaLine {
    /// The member's name.
    pub(crate) member: String,
    /// `proven`; `on-demand`: the member proves it when it is used there; `behind`: the member has not come so far; `failed`: it could not take it, or its proof failed; `away`: the
    /// member doesn't answer; `not-held`: an adopted object that this member doesn't have; `beyond`: the member can't hold such keys (`mechanisms = "any"`).
    pub(crate) state: &'static str,
    /// Why it failed, or is beyond the member; otherwise empty.
    pub(crate) reason: String,
}

/// How it is written where keys live.
const fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Resident => "resident",
        Hold::OnDemand => "on-demand",
    }
}

impl ObjectLine {
    pub(crate) fn of(object: &ObjectReport) -> Self {
        let template = &object.template;
        let bytes = |kind| template.bytes(kind).unwrap_or_default();
        Self {
            handle: object.handle,
            object_id: object.id.to_string(),
            class: class(template),
            key_type: keytype::of(template),
            label: String::from_utf8_lossy(bytes(CKA_LABEL)).into_owned(),
            id: hex(bytes(CKA_ID)),
            created_at: time(object.created_at_ms),
            backed_up: object.backed_up,
            adopted: object.adopted,
            hold: hold(object.hold),
            stock: object.stock.clone(),
            replicas: object
                .replicas
                .iter()
                .map(|(name, replica)| ReplicaLine::of(name, replica))
                .collect(),
        }
    }

    /// True if it is proven wherever it should be.
    pub(crate) fn is_whole(&self) -> bool {
        self.replicas
            .iter()
            .all(|replica| matches!(replica.state, "proven" | "on-demand" | "not-held" | "beyond"))
    }
}

impl ReplicaLine {
    fn of(name: &str, replica: &Replica) -> Self {
        let (state, reason) = match replica {
            Replica::Proven => ("proven", ""),
            Replica::OnDemand => ("on-demand", ""),
            Replica::Behind => ("behind", ""),
            Replica::Failed(reason) => ("failed", reason.as_str()),
            Replica::Beyond(why) => ("beyond", why.as_str()),
            Replica::Away => ("away", ""),
            Replica::NotHeld => ("not-held", ""),
        };
        Self { member: name.to_owned(), state, reason: reason.to_owned() }
    }
}

/// `tandem keys generate`
#[derive(Serialize)]
pub(crate) struct GeneratedReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// How many were asked for.
    pub(crate) count: u64,
    /// How many of them were there already (`--resume`).
    pub(crate) there: u64,
    /// What was made, in order.
    pub(crate) made: Vec<MadeLine>,
    /// Why it ended early; null if it didn't.
    pub(crate) error: Option<String>,
}

/// One key, or key pair, that was made.
#[derive(Serialize)]
pub(crate) struct MadeLine {
    /// Its type: `ec:p256`, …
    pub(crate) key_type: String,
    /// CKA_ID.
    pub(crate) id: String,
    /// CKA_LABEL; empty if it has none.
    pub(crate) label: String,
    /// Handle of the secret or private key.
    pub(crate) handle: u64,
    /// Handle of the public key; null for secret keys.
    pub(crate) public_handle: Option<u64>,
}

/// `tandem keys hold`
#[derive(Serialize)]
pub(crate) struct HeldReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// How many objects were moved; both halves of a key pair count.
    pub(crate) moved: u64,
    /// How many were there already.
    pub(crate) there: u64,
    /// Objects that stay where they are, since members hold them that can't give them away.
    pub(crate) kept: Vec<String>,
    /// What members could not take, or let go of.
    pub(crate) left: Vec<LeftLine>,
}

/// An object that a member could not take, or let go of.
#[derive(Serialize)]
pub(crate) struct LeftLine {
    /// The member's name.
    pub(crate) member: String,
    /// The object's identity.
    pub(crate) object_id: String,
    /// Why.
    pub(crate) reason: String,
}

impl HeldReport {
    pub(crate) fn of(token: String, moved: &Moved) -> Self {
        let left = |(member, id, reason): &(String, ObjectId, String)| LeftLine {
            member: member.clone(),
            object_id: id.to_string(),
            reason: reason.clone(),
        };
        Self {
            token,
            moved: moved.moved,
            there: moved.there,
            kept: moved.kept.iter().map(ToString::to_string).collect(),
            left: moved.left.iter().map(left).collect(),
        }
    }

    /// True if all that was chosen is where it was to go.
    pub(crate) const fn is_done(&self) -> bool {
        self.kept.is_empty() && self.left.is_empty()
    }
}

/// `tandem pair`
#[derive(Serialize)]
pub(crate) struct PairingReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// False if it was paired before and nothing was changed.
    pub(crate) changed: bool,
    /// Its key ring.
    pub(crate) ring: RingLine,
    /// What can be carried from where to where.
    pub(crate) routes: Vec<RouteLine>,
    /// The known attacks on each member.
    pub(crate) attacks: Vec<AttackLine>,
    /// Files that the shares were written to.
    pub(crate) shares: Vec<PathBuf>,
    /// Objects that were on members before and were taken over.
    pub(crate) adopted: u64,
    /// Of these, the ones that could not be copied to every member.
    pub(crate) adopted_partly: u64,
}

/// Can what one member wraps be unwrapped by another and proven there?
#[derive(Serialize)]
pub(crate) struct RouteLine {
    /// The member that makes and wraps.
    pub(crate) from: String,
    /// The member that unwraps.
    pub(crate) to: String,
    /// What was tried: `rsa:2048`, `ec:p256`, …
    pub(crate) kind: String,
    /// True if it was proven.
    pub(crate) proven: bool,
    /// Why not; otherwise empty.
    pub(crate) reason: String,
}

/// A known attack on the ring's locked keys, tried on a member.
#[derive(Serialize)]
pub(crate) struct AttackLine {
    /// The member.
    pub(crate) member: String,
    /// What was tried.
    pub(crate) attack: String,
    /// True if its module refused.
    pub(crate) refused: bool,
    /// What it answered (CKR_…).
    pub(crate) answer: String,
}

impl PairingReport {
    pub(crate) fn of(token: String, report: &PairReport, shares: Vec<PathBuf>) -> Self {
        Self {
            token,
            changed: report.changed,
            ring: RingLine::of(&report.ring),
            routes: report.ring.routes.iter().map(RouteLine::of).collect(),
            attacks: attacks(&report.ring.members),
            shares,
            adopted: report.adopted,
            adopted_partly: report.adopted_partly,
        }
    }
}

impl RouteLine {
    fn of(route: &ring::Route) -> Self {
        Self {
            from: route.from.clone(),
            to: route.to.clone(),
            kind: route.kind.clone(),
            proven: route.failure.is_none(),
            reason: route.failure.clone().unwrap_or_default(),
        }
    }
}

/// Every attack on every member.
fn attacks(members: &[ring::Paired]) -> Vec<AttackLine> {
    let line = |member: &ring::Paired, attack: &ring::Attack| AttackLine {
        member: member.name.clone(),
        attack: attack.name.clone(),
        refused: attack.refused,
        answer: attack.answer.clone(),
    };
    members
        .iter()
        .flat_map(|member| member.attacks.iter().map(move |attack| line(member, attack)))
        .collect()
}

/// `tandem member list`
#[derive(Serialize)]
pub(crate) struct MembersReport {
    /// The virtual tokens, in the order of the configuration.
    pub(crate) tokens: Vec<TokenMembers>,
}

/// The members of a virtual token.
#[derive(Serialize)]
pub(crate) struct TokenMembers {
    /// The virtual token's label.
    pub(crate) label: String,
    /// Its members, in the order of the configuration.
    pub(crate) members: Vec<MemberLine>,
    /// Members that hold its key ring, as the log tells it, and that the configuration does not name.
    pub(crate) not_configured: Vec<NotConfigured>,
}

/// A member that the log counts and the configuration does not name.
#[derive(Serialize)]
pub(crate) struct NotConfigured {
    /// Its name.
    pub(crate) name: String,
    /// Its token's serial number when it came to hold the key ring.
    pub(crate) serial: String,
}

impl NotConfigured {
    /// What that means.
    pub(crate) const FOUND: &str = "it holds the key ring, and is not in the configuration: nothing is brought to it or \
                                    destroyed on it, and it takes over nothing";

    /// What to do about it.
    pub(crate) fn remedy(&self) -> String {
        format!(
            "write its section again and restart the applications, or take it out: `tandem member remove {}`",
            self.name
        )
    }

    /// The line of a report for people.
    pub(crate) fn line(&self) -> String {
        format!("{} (token {}): {}; {}", self.name, self.serial, Self::FOUND, self.remedy())
    }

    /// Those of a virtual token.
    pub(crate) fn all(status: &Status) -> Vec<Self> {
        let configured = |name: &str| {
            status.members.iter().any(|member| member.name == name)
                || status.backup_tokens.iter().any(|known| known.name == name)
        };
        let holders = status.ring.iter().flat_map(|ring| &ring.members);
        holders
            .filter(|holder| !configured(&holder.name))
            .map(|holder| Self { name: holder.name.clone(), serial: holder.serial.clone() })
            .collect()
    }
}

/// `tandem member drain` and `tandem member enable`
#[derive(Serialize)]
pub(crate) struct MemberChange {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The member's name.
    pub(crate) member: String,
    /// `drained` or `enabled`: what it is now.
    pub(crate) done: &'static str,
    /// False if it was so before.
    pub(crate) changed: bool,
}

/// `tandem member add` and `tandem member replace`
#[derive(Serialize)]
pub(crate) struct JoinedReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The member's name.
    pub(crate) member: String,
    /// `added` or `replaced`: what was asked for.
    pub(crate) done: &'static str,
    /// False if it held the ring before, on this token, and at most had to be brought up.
    pub(crate) changed: bool,
    /// Its token's serial number.
    pub(crate) serial: String,
    /// `active`, `standby`, `backup` or `generator`.
    pub(crate) role: &'static str,
    /// Its position in the log.
    pub(crate) position: u64,
    /// Objects that it holds and has proven.
    pub(crate) proven: u64,
    /// Objects that it could not take.
    pub(crate) exceptions: Vec<ExceptionLine>,
    /// Objects that are beyond it: others hold them, and it is not to.
    pub(crate) beyond: Vec<BeyondLine>,
    /// What can be carried between it and the others; empty if nothing was changed.
    pub(crate) routes: Vec<RouteLine>,
    /// The known attacks on it.
    pub(crate) attacks: Vec<AttackLine>,
}

impl JoinedReport {
    pub(crate) fn of(token: String, done: &'static str, report: &JoinReport) -> Self {
        let exception = |(object, reason): &(ObjectId, String)| ExceptionLine {
            object: object.to_string(),
            reason: reason.clone(),
        };
        Self {
            token,
            member: report.member.name.clone(),
            done,
            changed: report.changed,
            serial: report.member.serial.clone(),
            role: role(report.status.role),
            position: report.status.position,
            proven: report.status.proven,
            exceptions: report.status.exceptions.iter().map(exception).collect(),
            beyond: beyond(&report.status),
            routes: report.routes.iter().map(RouteLine::of).collect(),
            attacks: attacks(std::slice::from_ref(&report.member)),
        }
    }
}

/// `tandem member remove`
#[derive(Serialize)]
pub(crate) struct LeftReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The member's name.
    pub(crate) member: String,
    /// False if it had left before.
    pub(crate) changed: bool,
    /// The members that are left, by name.
    pub(crate) members: Vec<String>,
    /// How many members must prove a new key.
    pub(crate) min_replicas: usize,
    /// True if its section is still in the configuration.
    pub(crate) configured: bool,
    /// How many objects and keys of the ring were destroyed there; null if it was not to be wiped.
    pub(crate) wiped: Option<u64>,
    /// How many of the members that are left hold keys.
    #[serde(skip)]
    pub(crate) keepers: usize,
}

impl LeftReport {
    pub(crate) fn of(live: Live<'_>, member: &str, configured: bool, report: &LeaveReport) -> Self {
        Self {
            token: live.token.label(),
            member: member.to_owned(),
            changed: report.changed,
            members: report.members.clone(),
            min_replicas: live.config.min_replicas,
            configured,
            wiped: report.wiped,
            keepers: live
                .config
                .keepers()
                .filter(|keeper| report.members.contains(&keeper.name))
                .count(),
        }
    }
}

/// `tandem reconcile`
#[derive(Serialize)]
pub(crate) struct ReconcileReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// True if the steps were done, not only planned.
    pub(crate) executed: bool,
    /// What is to be done, or was.
    pub(crate) steps: Vec<StepLine>,
    /// Members that could not be looked at.
    pub(crate) away: Vec<AwayLine>,
    /// What members hold that is not Tandem's.
    pub(crate) strangers: Vec<StrangersLine>,
}

/// One step.
#[derive(Serialize)]
pub(crate) struct StepLine {
    /// The member.
    pub(crate) member: String,
    /// `bring`, `prove`, `remove` or `look`.
    pub(crate) action: &'static str,
    /// The object's identity.
    pub(crate) object: String,
    /// Its class, label and id.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: &'static str,
    /// `planned`, `done`, `failed`, or `left` to people.
    pub(crate) outcome: &'static str,
    /// Why it failed; otherwise empty.
    pub(crate) failure: String,
}

/// A member that could not be looked at.
#[derive(Serialize)]
pub(crate) struct AwayLine {
    /// The member.
    pub(crate) member: String,
    /// Why.
    pub(crate) reason: String,
}

/// What a member holds that is not Tandem's.
#[derive(Serialize)]
pub(crate) struct StrangersLine {
    /// The member.
    pub(crate) member: String,
    /// How many objects.
    pub(crate) objects: usize,
}

impl ReconcileReport {
    pub(crate) fn of(token: String, found: &Reconciliation) -> Self {
        let step = |step: &reconcile::Step| StepLine {
            member: step.member.clone(),
            action: match step.action {
                Action::Bring => "bring",
                Action::Look => "look",
                Action::Prove => "prove",
                Action::Remove => "remove",
            },
            object: step.object.to_string(),
            name: found.name(step.object).to_owned(),
            reason: step.reason,
            outcome: "planned",
            failure: String::new(),
        };
        let away = |(member, reason): &(String, String)| AwayLine {
            member: member.clone(),
            reason: reason.clone(),
        };
        let strangers = |(member, objects): &(String, usize)| StrangersLine {
            member: member.clone(),
            objects: *objects,
        };
        Self {
            token,
            executed: false,
            steps: found.steps.iter().map(step).collect(),
            away: found.away.iter().map(away).collect(),
            strangers: found.strangers.iter().map(strangers).collect(),
        }
    }
}

impl StepLine {
    /// Notes what came of a step.
    pub(crate) fn came_to((line, outcome): (&mut Self, &Outcome)) {
        (line.outcome, line.failure) = match outcome {
            Outcome::Done => ("done", String::new()),
            Outcome::Failed(reason) => ("failed", reason.clone()),
            Outcome::Left => ("left", String::new()),
        };
    }
}

/// A member as it is configured, and how it is.
#[derive(Serialize)]
pub(crate) struct MemberLine {
    /// Its name.
    pub(crate) name: String,
    /// The vendor's module.
    pub(crate) module: PathBuf,
    /// Which of the module's tokens: `label=a`, `serial=12`, `slot=0`.
    pub(crate) selector: String,
    /// `active`, `standby`, `backup` or `generator`.
    pub(crate) role: &'static str,
    /// How long a call may take; 0: as long as it likes.
    pub(crate) deadline_ms: u64,
    /// `application`: it takes the application's PIN; `own`: it has a source of its own.
    pub(crate) pin: &'static str,
    /// `up`, `down`, `wrong-pin` or `fenced`; null if it is not known, as that of a backup token.
    pub(crate) condition: Option<&'static str>,
    /// Why, if it isn't up; otherwise empty.
    pub(crate) reason: String,
    /// Its token's serial number, as the log knows it or as it says itself; null if neither is known.
    pub(crate) serial: Option<String>,
    /// Its position in the log.
    pub(crate) position: u64,
    /// True if the log counts it among the members that hold the key ring.
    pub(crate) ring: bool,
    /// A backup token, when it was filled and with what; null for other members.
    pub(crate) backup_token: Option<BackupTokenLine>,
}

impl MemberLine {
    pub(crate) fn of(member: &meant::Member, token: &Status) -> Self {
        let status = token.members.iter().find(|status| status.name == member.name);
        let paired = token.ring.as_ref().and_then(|ring| ring.member(&member.name));
        let vault = token.backup_tokens.iter().find(|known| known.name == member.name);
        let own = status.and_then(|status| status.token.as_ref()).map(|token| &token.serial);
        Self {
            name: member.name.clone(),
            module: member.module.clone(),
            selector: match &member.token {
                meant::Selector::Label(label) => format!("label={label}"),
                meant::Selector::Serial(serial) => format!("serial={serial}"),
                meant::Selector::Slot(slot) => format!("slot={slot}"),
            },
            role: match member.role {
                meant::Role::Active => "active",
                meant::Role::Standby => "standby",
                meant::Role::Backup => "backup",
                meant::Role::Generator => "generator",
            },
            deadline_ms: member.deadline_ms,
            pin: if member.pin_source.is_some() { "own" } else { "application" },
            condition: status.map(|status| condition(status.condition)),
            reason: status.map(|status| status.reason.clone()).unwrap_or_default(),
            serial: own.or_else(|| paired.map(|paired| &paired.serial)).cloned(),
            position: match (status, vault) {
                (Some(status), _) => status.position,
                (None, vault) => vault.map_or(0, |vault| vault.position),
            },
            ring: paired.is_some(),
            backup_token: vault.map(BackupTokenLine::of),
        }
    }
}

/// `tandem doctor`
#[derive(Serialize)]
pub(crate) struct DoctorReport {
    /// True if nothing is wrong (notes don't count).
    pub(crate) healthy: bool,
    /// What was looked at, in order.
    pub(crate) findings: Vec<Finding>,
}

/// Something that was looked at.
#[derive(Serialize)]
pub(crate) struct Finding {
    /// `ok`, `note` or `wrong`.
    pub(crate) verdict: Verdict,
    /// What was looked at: `config`, `token demo`, `token demo, member a`.
    pub(crate) subject: String,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it; empty if nothing needs to be done.
    pub(crate) remedy: String,
}

/// How a finding is meant.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// To be mended.
    Wrong,
}

/// `tandem demo`
#[derive(Serialize)]
pub(crate) struct DemoReport {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// The configuration.
    pub(crate) config: PathBuf,
    /// False if everything was there and nothing was changed.
    pub(crate) changed: bool,
    /// The virtual token's label.
    pub(crate) token: String,
    /// Its members.
    pub(crate) members: Vec<DemoMember>,
    /// What `tandem pair` reported; null if it was not to be paired.
    pub(crate) pairing: Option<PairingReport>,
}

/// A member of a demo.
#[derive(Serialize)]
pub(crate) struct DemoMember {
    /// Its name, and its token's label.
    pub(crate) name: String,
    /// Its module.
    pub(crate) module: PathBuf,
    /// Where its keys are: move this folder to take the member away.
    pub(crate) storage: PathBuf,
    /// Shell lines with which the vendor's own module uses this token.
    pub(crate) env: PathBuf,
}

fn class(template: &Template) -> String {
    match template.class() {
        Some(CKO_PRIVATE_KEY) => "private".to_owned(),
        Some(CKO_PUBLIC_KEY) => "public".to_owned(),
        Some(CKO_SECRET_KEY) => "secret".to_owned(),
        Some(CKO_CERTIFICATE) => "certificate".to_owned(),
        Some(CKO_DATA) => "data".to_owned(),
        Some(other) => names::class(other).to_string(),
        None => String::new(),
    }
}

fn version((major, minor): (u8, u8)) -> String {
    format!("{major}.{minor}")
}

/// Bytes as people write them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A time as people and scripts read it.
pub(crate) fn time(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(String::new, |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Its day, for people.
pub(crate) fn date(ms: u64) -> String {
    time(ms).split('T').next().unwrap_or_default().to_owned()
}
