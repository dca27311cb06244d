//! What `tandem kek` reports.

use super::{AwayLine, BackupLine, LeftOutLine, time};
use serde::Serialize;
use std::path::PathBuf;
use tandem_engine::object::ObjectId;
use tandem_engine::report::Status;
use tandem_engine::ring::Ring;
use tandem_engine::rotation::{Reign, Rotated};

/// `tandem kek rotate`
#[derive(Serialize)]
pub(crate) struct RotatedReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The KEKs under which everything is wrapped now.
    pub(crate) kek: String,
    /// True if the rotation was begun now; false if one was gone on with.
    pub(crate) begun: bool,
    /// True if nothing is wrapped under older KEKs, and members remove these.
    pub(crate) finished: bool,
    /// The number of the set of shares that opens the new KEKs; null without a recovery.
    pub(crate) set: Option<u16>,
    /// How many shares there are.
    pub(crate) shares: Option<u8>,
    /// How many of them are enough.
    pub(crate) threshold: Option<u8>,
    /// The files that the shares were written to; empty if they were shown, or handed out before.
    pub(crate) files: Vec<PathBuf>,
    /// The members that hold the new KEKs.
    pub(crate) members: Vec<String>,
    /// Those of them that were given them now, after an absence.
    pub(crate) given: Vec<String>,
    /// Members that lack them: the rotation waits for these.
    pub(crate) lacking: Vec<AwayLine>,
    /// How many keys and private values were wrapped anew now.
    pub(crate) rewrapped: u64,
    /// Those that could not be.
    pub(crate) left: Vec<LeftOutLine>,
    /// Members where older KEKs still stand.
    pub(crate) kept: Vec<AwayLine>,
}

/// A rotation under way.
#[derive(Serialize)]
pub(crate) struct RotationLine {
    /// The KEKs under which everything new is wrapped.
    pub(crate) to: String,
    /// The ones that they replace.
    pub(crate) from: String,
    /// Members that lack the new ones.
    pub(crate) lacking: Vec<String>,
}

/// `tandem kek list`
#[derive(Serialize)]
pub(crate) struct KeksReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The KEKs, the first first.
    pub(crate) keks: Vec<KekLine>,
}

/// KEKs of the ring.
#[derive(Serialize)]
pub(crate) struct KekLine {
    /// Their name.
    pub(crate) name: String,
    /// `in-force`, `rotating-out`, `rotated-out` or `retired`.
    pub(crate) state: &'static str,
    /// Since when things were wrapped under them.
    pub(crate) begun_at: String,
    /// Since when nothing is any more; null if something is, or may be.
    pub(crate) ended_at: Option<String>,
    /// Since when backups under them count no more; null if they do.
    pub(crate) retired_at: Option<String>,
    /// The numbers of the sets of shares that open them.
    pub(crate) sets: Vec<u16>,
    /// The backups that need them; null without a login.
    pub(crate) backups: Option<Vec<BackupLine>>,
}

/// `tandem kek retire`
#[derive(Serialize)]
pub(crate) struct RetiredReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The KEKs.
    pub(crate) kek: String,
    /// False if they were retired before.
    pub(crate) changed: bool,
    /// Backups that counted, and do so no more.
    pub(crate) backups: Vec<String>,
}

fn away((member, reason): &(String, String)) -> AwayLine {
    AwayLine { member: member.clone(), reason: reason.clone() }
}

impl RotatedReport {
    /// What a rotation came to, and the files its shares are in.
    pub(crate) fn of(
        token: String,
        rotated: &Rotated,
        files: Vec<PathBuf>,
        label: impl Fn(ObjectId) -> String,
    ) -> Self {
        Self {
            token,
            kek: rotated.generation.to_string(),
            begun: rotated.begun,
            finished: rotated.finished,
            set: rotated.split.map(|split| split.set),
            shares: rotated.split.map(|split| split.shares),
            threshold: rotated.split.map(|split| split.threshold),
            files,
            members: rotated.members.clone(),
            given: rotated.given.clone(),
            lacking: rotated.lacking.iter().map(away).collect(),
            rewrapped: rotated.rewrapped,
            left: LeftOutLine::all(&rotated.left, label),
            kept: rotated.kept.iter().map(away).collect(),
        }
    }
}

impl RotationLine {
    /// The rotation that a ring is in, if it is in one.
    pub(crate) fn of(ring: &Ring, status: &Status) -> Option<Self> {
        let newest = ring.newest();
        let is_apart = |name: &str| status.backup_tokens.iter().any(|known| known.name == name);
        let lacks = |name: &str, generation| generation < newest && !is_apart(name);
        let lacking = ring.members.iter().filter(|it| lacks(&it.name, it.generation));
        ring.is_rotating().then(|| Self {
            to: newest.to_string(),
            from: ring.oldest.to_string(),
            lacking: lacking.map(|member| member.name.clone()).collect(),
        })
    }

    /// What to do about it.
    pub(crate) const REMEDY: &str = "`tandem kek rotate --shares DIR` goes on with it";

    /// The same for people.
    pub(crate) fn found(&self) -> String {
        let waits = match self.lacking.as_slice() {
            [] => String::new(),
            lacking => format!("; that waits for {}", lacking.join(", ")),
        };
        format!("KEKs are being rotated from {} to {}{waits}", self.from, self.to)
    }
}

impl KekLine {
    /// Nothing is wrapped under them but backups.
    pub(crate) const ROTATED_OUT: &str = "rotated-out";

    pub(crate) fn of(reign: &Reign, ring: &Ring, backups: Option<Vec<BackupLine>>) -> Self {
        let state = match (&reign.retired, &reign.ended) {
            (Some(_), _) => "retired",
            (None, Some(_)) => Self::ROTATED_OUT,
            (None, None) if reign.generation == ring.newest() => "in-force",
            (None, None) => "rotating-out",
        };
        let recovery = ring.recovery.as_ref().filter(|_| reign.generation == ring.newest());
        let sets = reign.splits.iter().map(|splitting| splitting.split.set);
        Self {
            name: reign.generation.to_string(),
            state,
            begun_at: time(reign.begun.at_ms),
            ended_at: reign.ended.map(|moment| time(moment.at_ms)),
            retired_at: reign.retired.map(|moment| time(moment.at_ms)),
            sets: sets.chain(recovery.map(|recovery| recovery.set)).collect(),
            backups,
        }
    }

    /// The backups under them that count.
    pub(crate) fn counting(&self) -> impl Iterator<Item = &BackupLine> {
        self.backups.iter().flatten().filter(|backup| backup.counts)
    }
}

impl RetiredReport {
    /// What retiring came to.
    pub(crate) fn of(token: String, kek: String, before: &KekLine, changed: bool) -> Self {
        let backups = before.counting().filter(|_| changed).map(|it| it.id.clone()).collect();
        Self { token, kek, changed, backups }
    }
}
