//! What `tandem backup` and `tandem restore` report.

use super::{AwayLine, JoinedReport, hex, time};
use serde::Serialize;
use tandem_engine::backup::{Artefact, Backup, Made, Picked, Restored, State, Verified};
use tandem_engine::object::ObjectId;
use tandem_engine::report::JoinReport;

/// `tandem backup list`
#[derive(Serialize)]
pub(crate) struct BackupsReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// Its objects that a committed backup holds, and those that none does.
    pub(crate) backed_up: usize,
    /// Objects that no committed backup holds.
    pub(crate) not_backed_up: usize,
    /// Every backup that was ever begun, in that order.
    pub(crate) backups: Vec<BackupLine>,
}

/// `tandem backup prepare`, `run`, `commit`, `rollback`, `withdraw`
#[derive(Serialize)]
pub(crate) struct BackupReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The backup, as it is now.
    pub(crate) backup: BackupLine,
    /// What was written and read back; null unless a bundle was made now.
    pub(crate) bundle: Option<BundleReport>,
    /// The backup token that was filled now, as `tandem member add` tells of a member; null unless one was.
    pub(crate) member: Option<JoinedReport>,
    /// Objects that could not be put in, and stay not backed up.
    pub(crate) left_out: Vec<LeftOutLine>,
}

/// A backup.
#[derive(Serialize)]
pub(crate) struct BackupLine {
    /// Its identity.
    pub(crate) id: String,
    /// `prepared`, `made`, `committed`, `rolled-back` or `withdrawn`.
    pub(crate) state: &'static str,
    /// The position of the log up to which it goes.
    pub(crate) position: u64,
    /// When it was prepared.
    pub(crate) prepared_at: String,
    /// When it was committed; null if it wasn't.
    pub(crate) committed_at: Option<String>,
    /// When it was rolled back or withdrawn; null if it wasn't.
    pub(crate) ended_at: Option<String>,
    /// True if what it holds counts as backed up now.
    pub(crate) counts: bool,
    /// Why it doesn't count; otherwise empty.
    pub(crate) reason: String,
    /// What it was put on.
    pub(crate) artefacts: Vec<ArtefactLine>,
}

/// What a backup was put on.
#[derive(Serialize)]
pub(crate) struct ArtefactLine {
    /// `bundle`, `token` or `vendor`.
    pub(crate) kind: &'static str,
    /// The bundle's file name, the member's name, or the operator's reference.
    pub(crate) name: String,
    /// SHA-256 of a bundle; otherwise null.
    pub(crate) sha256: Option<String>,
    /// Length of a bundle in bytes; otherwise null.
    pub(crate) bytes: Option<u64>,
    /// True if every key in it was opened and proven when it was made.
    pub(crate) verified: bool,
    /// It holds what came after this position of the log.
    pub(crate) since: u64,
    /// The backup that it builds on; null if it holds everything.
    pub(crate) base: Option<String>,
    /// How many objects were chosen; null if all were meant.
    pub(crate) selected: Option<usize>,
    /// How many objects could not be put in.
    pub(crate) left_out: usize,
}

/// A bundle that was read: what `tandem backup verify` reports.
#[derive(Serialize)]
pub(crate) struct BundleReport {
    /// The file; empty if it is on a backup token.
    pub(crate) file: String,
    /// The backup token that it is on; null if it is a file.
    pub(crate) member: Option<String>,
    /// The backup that it is of.
    pub(crate) backup: String,
    /// True if it is as it was written and every key in it was proven.
    pub(crate) verified: bool,
    /// The virtual token's label when it was made.
    pub(crate) label: String,
    /// The virtual token's serial number.
    pub(crate) serial: String,
    /// When it was made.
    pub(crate) made_at: String,
    /// It holds what came after this position of the log, and up to the next.
    pub(crate) since: u64,
    /// Position of its last record.
    pub(crate) position: u64,
    /// The backup that it builds on; null if it holds everything.
    pub(crate) base: Option<String>,
    /// Records in it.
    pub(crate) records: u64,
    /// Keys and private values that an HSM opened and proved.
    pub(crate) proven: u64,
    /// Those that none did.
    pub(crate) failed: Vec<LeftOutLine>,
    /// Keys under KEKs that were rotated out since: no HSM holds these, and only shares open them.
    pub(crate) rotated_out: u64,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// Its SHA-256.
    pub(crate) sha256: String,
}

/// The bundles on a backup token: what `tandem backup verify --from` reports.
#[derive(Serialize)]
pub(crate) struct TokenBundlesReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The backup token.
    pub(crate) member: String,
    /// True if all of them are as they were written and every key in them was proven.
    pub(crate) verified: bool,
    /// Those that could be read.
    pub(crate) bundles: Vec<BundleReport>,
    /// Those that could not.
    pub(crate) unusable: Vec<UnusableLine>,
}

/// A bundle that can't be used.
#[derive(Serialize)]
pub(crate) struct UnusableLine {
    /// The backup that it should be of.
    pub(crate) backup: String,
    /// Why.
    pub(crate) reason: String,
}

/// An object that is not in an artefact.
#[derive(Clone, Serialize)]
pub(crate) struct LeftOutLine {
    /// Its identity.
    pub(crate) object_id: String,
    /// Its CKA_LABEL, if it is known.
    pub(crate) label: String,
    /// Why.
    pub(crate) reason: String,
}

impl BackupLine {
    /// A backup; `why` it doesn't count, if it doesn't.
    pub(crate) fn of(backup: &Backup, why: Option<String>) -> Self {
        Self {
            id: backup.id.to_string(),
            state: state(backup.state()),
            position: backup.prepared.position,
            prepared_at: time(backup.prepared.at_ms),
            committed_at: backup.committed.map(|moment| time(moment.at_ms)),
            ended_at: backup.ended.as_ref().map(|(moment, _)| time(moment.at_ms)),
            counts: why.is_none(),
            reason: match (&backup.ended, why) {
                (Some((_, reason)), _) => reason.clone(),
                (None, why) => why.unwrap_or_default(),
            },
            artefacts: backup.made.iter().map(ArtefactLine::of).collect(),
        }
    }
}

const fn state(state: State) -> &'static str {
    match state {
        State::Prepared => "prepared",
        State::Made => "made",
        State::Committed => "committed",
        State::RolledBack => "rolled-back",
        State::Withdrawn => "withdrawn",
    }
}

impl ArtefactLine {
    fn of(made: &Made) -> Self {
        let (kind, name, sha256, bytes) = match &made.artefact {
            Artefact::Bundle { name, bytes, digest } => {
                ("bundle", name.clone(), Some(hex(digest)), Some(*bytes))
            }
            Artefact::Token { name, .. } => ("token", name.clone(), None, None),
            Artefact::Vendor { reference } => ("vendor", reference.clone(), None, None),
        };
        Self {
            kind,
            name,
            sha256,
            bytes,
            verified: made.verified,
            since: made.since,
            base: made.base.map(|base| base.to_string()),
            selected: made.selection.as_ref().map(Vec::len),
            left_out: made.left_out.len(),
        }
    }
}

impl BundleReport {
    /// What reading a bundle on a backup token came to.
    pub(crate) fn on(
        member: &str,
        verified: &Verified,
        label: impl Fn(ObjectId) -> String,
    ) -> Self {
        Self { member: Some(member.to_owned()), ..Self::of(String::new(), verified, label) }
    }

    /// What reading a bundle file came to; `label` tells what an object is called.
    pub(crate) fn of(
        file: String,
        verified: &Verified,
        label: impl Fn(ObjectId) -> String,
    ) -> Self {
        let header = &verified.header;
        Self {
            file,
            member: None,
            backup: header.id.to_string(),
            verified: verified.failed.is_empty() && verified.sealed == 0,
            label: header.label.clone(),
            serial: header.serial.clone(),
            made_at: time(header.at_ms),
            since: header.since,
            position: header.to,
            base: header.base.map(|base| base.to_string()),
            records: verified.records,
            proven: verified.proven,
            failed: LeftOutLine::all(&verified.failed, label),
            rotated_out: verified.sealed,
            bytes: verified.written.bytes,
            sha256: hex(&verified.written.digest),
        }
    }
}

impl LeftOutLine {
    /// Objects and reasons; `label` tells what an object is called.
    pub(crate) fn all(
        objects: &[(ObjectId, String)],
        label: impl Fn(ObjectId) -> String,
    ) -> Vec<Self> {
        objects
            .iter()
            .map(|(id, reason)| Self {
                object_id: id.to_string(),
                label: label(*id),
                reason: reason.clone(),
            })
            .collect()
    }
}

/// `tandem restore`
#[derive(Serialize)]
pub(crate) struct RestoredReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The last backup that it was restored from.
    pub(crate) backup: String,
    /// The position of the log up to which that goes.
    pub(crate) position: u64,
    /// Records that were put into the log.
    pub(crate) records: u64,
    /// Objects that the token holds now.
    pub(crate) objects: u64,
    /// The members, as they are now.
    pub(crate) members: Vec<RestoredMember>,
    /// Members that could not be reached.
    pub(crate) away: Vec<AwayLine>,
    /// Objects that members held and the backup didn't: kept, not backed up, and not to be copied.
    pub(crate) newer: Vec<LeftOutLine>,
    /// Keys of the stock that have the names again under which they were claimed after the backup; null if none were given.
    pub(crate) named: Option<u64>,
    /// Keys that the names speak of and the backup does not hold: they were made after it, and are lost. Null if none were given.
    pub(crate) named_lost: Option<u64>,
    /// Keys in stock that nobody is given, since they may have been claimed after the backup.
    pub(crate) held_back: u64,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
}

/// A member of a restored token.
#[derive(Serialize)]
pub(crate) struct RestoredMember {
    /// Its name.
    pub(crate) member: String,
    /// True if it was given the key ring now.
    pub(crate) given_ring: bool,
    /// Objects that it holds and has proven.
    pub(crate) proven: u64,
    /// Objects that it could not take.
    pub(crate) exceptions: Vec<LeftOutLine>,
}

impl RestoredReport {
    /// What restoring came to; `label` tells what an object is called.
    pub(crate) fn of(
        token: String,
        objects: u64,
        seconds: f64,
        restored: &Restored,
        label: impl Fn(ObjectId) -> String,
    ) -> Self {
        let member = |joined: &JoinReport| RestoredMember {
            member: joined.status.name.clone(),
            given_ring: joined.changed,
            proven: joined.status.proven,
            exceptions: LeftOutLine::all(&joined.status.exceptions, &label),
        };
        let newer = "it is newer than the backup".to_owned();
        let newer: Vec<_> = restored.newer.iter().map(|id| (*id, newer.clone())).collect();
        let away = |(name, reason): &(String, String)| AwayLine {
            member: name.clone(),
            reason: reason.clone(),
        };
        Self {
            token,
            backup: restored.backup.to_string(),
            position: restored.to,
            records: restored.records,
            objects,
            named: restored.renamed.map(|renamed| renamed.named.saturating_add(renamed.there)),
            named_lost: restored.renamed.map(|renamed| renamed.unknown),
            held_back: restored.held_back,
            members: restored.members.iter().map(member).collect(),
            away: restored.away.iter().map(away).collect(),
            newer: LeftOutLine::all(&newer, &label),
            seconds,
        }
    }

    /// True if every member has everything.
    pub(crate) fn is_whole(&self) -> bool {
        self.away.is_empty() && self.members.iter().all(|member| member.exceptions.is_empty())
    }
}

/// `tandem restore --key`, `--label`, `--missing`
#[derive(Serialize)]
pub(crate) struct PickedReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// Objects that are back.
    pub(crate) restored: Vec<ObjectName>,
    /// Objects that were there all the time.
    pub(crate) present: Vec<ObjectName>,
    /// Objects that did not come back.
    pub(crate) left: Vec<LeftOutLine>,
}

/// How an object is called.
#[derive(Serialize)]
pub(crate) struct ObjectName {
    /// Its identity.
    pub(crate) object_id: String,
    /// Its CKA_LABEL, if it is known.
    pub(crate) label: String,
}

impl PickedReport {
    /// What bringing objects back came to; `label` tells what one is called.
    pub(crate) fn of(token: String, picked: &Picked, label: impl Fn(ObjectId) -> String) -> Self {
        let names = |ids: &[ObjectId]| {
            let name = |id: &ObjectId| ObjectName { object_id: id.to_string(), label: label(*id) };
            ids.iter().map(name).collect()
        };
        Self {
            token,
            restored: names(&picked.restored),
            present: names(&picked.present),
            left: LeftOutLine::all(&picked.left, &label),
        }
    }
}

/// `tandem backup drill`
#[derive(Serialize)]
pub(crate) struct DrillReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The last backup that was restored from.
    pub(crate) backup: String,
    /// The bundles, oldest first: files, or what is on a backup token.
    pub(crate) files: Vec<String>,
    /// True if every key that the backup should hold came back and was proven.
    pub(crate) recovered: bool,
    /// Keys that came back and were proven under the public keys that everybody knows.
    pub(crate) proven: u64,
    /// Those that did not.
    pub(crate) failed: Vec<LeftOutLine>,
    /// Keys that are newer than the backup: lost, had this been no drill.
    pub(crate) newer: Vec<LeftOutLine>,
    /// What restoring came to, on the scratch token.
    pub(crate) restored: RestoredReport,
    /// How long it took from an empty token to the last proof, in seconds.
    pub(crate) seconds: f64,
}
