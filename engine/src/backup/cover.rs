//! What is backed up: the committed backups whose chain stands, and the objects they cover.

use super::ledger::{Backup, Ledger, Moment, State};
use super::words::{BackupId, Made};
use crate::log::Position;
use crate::object::{Object, ObjectId};
use crate::ring::Ring;
use minicbor::bytes::ByteVec;
use std::collections::BTreeSet;
use tandem_values::ck::*;

/// An artefact that counts.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The backup.
    pub(crate) id: BackupId,
    /// When it was committed.
    pub(crate) committed: Moment,
    since: Position,
    to: Position,
    selection: Option<BTreeSet<ObjectId>>,
    left_out: BTreeSet<ObjectId>,
}

impl Standing {
    pub(super) fn of(backup: &Backup, committed: Moment, made: &Made) -> Self {
        Self {
            id: backup.id,
            committed,
            since: made.since,
            to: backup.prepared.position,
            selection: made.selection.as_ref().map(|ids| ids.iter().copied().collect()),
            left_out: made.left_out.iter().map(|(id, _)| *id).collect(),
        }
    }

    /// True if an object is in it that came into the log, or changed last, at `at`.
    pub(super) fn has(&self, id: ObjectId, at: Position) -> bool {
        at > self.since
            && at <= self.to
            && self.selection.as_ref().is_none_or(|chosen| chosen.contains(&id))
            && !self.left_out.contains(&id)
    }
}

/// The artefacts that count now, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Cover(Vec<Standing>);

impl Cover {
    /// What stands of a ledger, with the ring as it is now.
    pub(crate) fn of(ledger: &Ledger, ring: &Ring) -> Self {
        let mut standing = Vec::new();
        for backup in ledger.backups().iter().rev() {
            if let Some(committed) = backup.committed {
                let counting =
                    backup.counting().filter(|made| stands(ledger, ring, backup, made).is_ok());
                standing.extend(counting.map(|made| Standing::of(backup, committed, made)));
            }
        }
        Self(standing)
    }

    /// The backup that holds an object which changed last at `changed`.
    pub(crate) fn over(&self, object: &Object, changed: Position) -> Option<&Standing> {
        // A key is its wrapped bytes, whatever it is called since; anything else is all that it shows.
        let at = match object.class() {
            CKO_PRIVATE_KEY | CKO_SECRET_KEY | CKO_PUBLIC_KEY => object.born,
            _ => object.changed_at(changed),
        };
        self.holding(object.id, at)
    }

    /// True if a backup holds a key whose wrapped bytes came into the log at `born`.
    pub(crate) fn has_key(&self, id: ObjectId, born: Position) -> bool {
        self.holding(id, born).is_some()
    }

    fn holding(&self, id: ObjectId, at: Position) -> Option<&Standing> {
        self.0.iter().find(|standing| standing.has(id, at))
    }
}

/// True for a committed backup with an artefact that new HSMs open by the recovery of this ring only.
pub(crate) fn needs_recovery(backup: &Backup, ring: &Ring) -> bool {
    let recovery = ring.recovery_mark();
    backup.state() == State::Committed
        && backup
            .counting()
            .any(|made| !made.is_on_word() && made.recovery.is_some() && made.recovery == recovery)
}

/// Why an artefact of a backup does not count; `Ok` if it does.
pub(super) fn stands(
    ledger: &Ledger,
    ring: &Ring,
    backup: &Backup,
    made: &Made,
) -> Result<(), String> {
    match backup.state() {
        State::Committed => {}
        State::Prepared | State::Made => return Err("it is not committed".into()),
        State::RolledBack | State::Withdrawn => return Err("it has ended".into()),
    }
    ledger.is_trusted(backup)?;
    if !made.is_on_word() {
        opens(ring, made)?;
    }
    match made.base {
        Some(base) => base_stands(ledger, ring, base, backup, made),
        None => Ok(()),
    }
}

/// Why what is wrapped in an artefact could not be opened on new HSMs.
fn opens(ring: &Ring, made: &Made) -> Result<(), String> {
    let newest = ring.checks(ring.newest());
    let is_known = |kek: &ByteVec| {
        newest.contains(kek) || ring.replaced.iter().any(|before| before.checks.contains(kek))
    };
    if !made.keks.iter().all(is_known) {
        return Err("it needs a key of the ring that has been retired".into());
    }
    let Some(then) = made.recovery else {
        return Err("the ring had no recovery: nothing could bring it to new HSMs".into());
    };
    let before = ring.replaced.iter().filter_map(|before| before.recovery);
    if ring.recovery_mark().into_iter().chain(before).any(|known| known == then) {
        return Ok(());
    }
    Err("it opens with the shares of a recovery that was replaced".into())
}

/// Why what an artefact builds on does not count, or does not reach to where it begins. A base is older than what is built on
/// it, so this ends.
fn base_stands(
    ledger: &Ledger,
    ring: &Ring,
    base: BackupId,
    on: &Backup,
    made: &Made,
) -> Result<(), String> {
    let older = ledger.backup(base).filter(|base| {
        base.prepared.position < on.prepared.position && base.prepared.position >= made.since
    });
    let Some(older) = older else { return Err(format!("its base {base} is not in the log")) };
    let mut last = format!("its base {base} has no artefact that counts");
    for made in older.counting() {
        match stands(ledger, ring, older, made) {
            Ok(()) => return Ok(()),
            Err(why) => last = format!("its base {base} does not count: {why}"),
        }
    }
    Err(last)
}
