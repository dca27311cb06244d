//! Filling a backup token: it is brought everything and proves it, and then the bundle is put on it and read back.

use super::super::bundle::{Bundle, broken};
use super::super::ledger::Backup;
use super::super::phases::Plan;
use super::super::source::Source;
use super::super::verify::Verified;
use super::super::words::BackupId;
use super::sheet::{self, Sheets};
use super::{TokenBundle, Vault};
use crate::error::{Error, Result};
use crate::inspect;
use crate::joining::{Bringing, Coming, unwell};
use crate::log::Position;
use crate::object::ObjectId;
use crate::report::{JoinReport, Progress, Replica};
use std::collections::BTreeSet;
use tandem_values::ck::*;

/// What filling a backup token came to.
#[derive(Clone, Debug)]
pub struct Filled {
    /// How it followed the log.
    pub joined: JoinReport,
    /// What is in the backup, and what could not be put in.
    pub plan: Plan,
    /// The bundle as it was read back.
    pub verified: Verified,
}

impl Vault {
    /// Brings it everything up to the backup's position at least, and the backup's bundle. Nothing counts before the log
    /// tells of it; run again it goes on. Needs a login.
    ///
    /// What it can't hold, and what could not be proven there, is left out.
    pub fn fill(&self, backup: &Backup, mut plan: Plan, bringing: &Bringing<'_>) -> Result<Filled> {
        self.is_new_here(backup)?;
        self.holds_base(&plan)?;
        let before = self.token.store.following(self.name())?.position;
        let roster = self.token.paired()?;
        let lease = self.station.lease().map_err(|fault| unwell(self.name(), fault))?;
        let joined = self.token.bring_to(&self.station, lease, Coming::Added, &roster, bringing)?;
        // What it was given anew it has just proven.
        let before = if joined.changed { 0 } else { before };
        self.tidy()?;
        let lacking = self.lacking(backup, &plan, before, bringing.progress)?;
        plan.leave_out(lacking);
        let verified = self.put(backup, &plan, bringing.progress)?;
        plan.leave_out(verified.failed.clone());
        Ok(Filled { joined, plan, verified })
    }

    /// The log tells of one artefact of a backup on one token.
    fn is_new_here(&self, backup: &Backup) -> Result {
        let artefact = self.artefact();
        if backup.made.iter().all(|made| made.artefact != artefact) {
            return Ok(());
        }
        Err(self.token.out_of_order(&format!(
            "backup {} is on {} already: `tandem backup commit` or `rollback` it",
            backup.id,
            self.name()
        )))
    }

    /// What is built on must be there.
    fn holds_base(&self, plan: &Plan) -> Result {
        let Some(base) = plan.base else { return Ok(()) };
        if self.bundles()?.get(&base).is_some_and(sheet::Pieces::has_index) {
            return Ok(());
        }
        Err(self.token.out_of_order(&format!(
            "{} does not hold the bundle of backup {base}, on which this one would build: make a complete one",
            self.name()
        )))
    }

    /// What it does not hold of what is meant, with the reason. What it took since `before` was proven when it was taken;
    /// everything else is proven anew.
    fn lacking(
        &self,
        backup: &Backup,
        plan: &Plan,
        before: Position,
        progress: &dyn Progress,
    ) -> Result<Vec<(ObjectId, String)>> {
        let name = self.name();
        let told: BTreeSet<_> = plan.left_out.iter().map(|(id, _)| *id).collect();
        let exceptions = self.token.store.following(name)?.exceptions;
        let directory = inspect::directory(&self.station, progress);
        progress.stage(&format!("proving what {name} held before"), plan.objects);
        let mut lacking = Vec::new();
        self.token.each_meant(backup, plan, |entry| {
            let id = entry.object.id;
            if told.contains(&id) {
                return Ok(());
            }
            progress.step();
            if let Some((_, reason)) = exceptions.iter().find(|(other, _)| *other == id) {
                lacking.push((id, format!("{name} does not hold it: {reason}")));
            } else if entry.object.born <= before || entry.object.is_on_demand() {
                match self.token.prove_there(&self.station, &directory, &entry) {
                    Replica::Proven | Replica::OnDemand => {}
                    Replica::Failed(reason) | Replica::Beyond(reason) => {
                        lacking.push((id, format!("{name} does not hold it: {reason}")));
                    }
                    Replica::Behind | Replica::Away | Replica::NotHeld => return Err(self.gone()),
                }
            }
            Ok(())
        })?;
        // One that shows nothing any more has not lost everything.
        self.is_there()?;
        Ok(lacking)
    }

    fn gone(&self) -> Error {
        let message = format!(
            "the backup token {} is gone ({}): nothing of this backup counts yet. Connect it and run the same command again",
            self.name(),
            self.station.condition().1
        );
        Error::new(CKR_DEVICE_REMOVED, message)
    }

    /// Puts a bundle there and reads it back. One that was put there and not noted before a crash is taken as it is.
    fn put(&self, backup: &Backup, plan: &Plan, progress: &dyn Progress) -> Result<Verified> {
        if let Some(pieces) = self.bundles()?.get(&backup.id) {
            if pieces.has_index() && self.is_as_meant(backup, plan) {
                return self.token.verify_bundle(&self.bundle(backup.id), progress);
            }
            self.clear(backup.id)?;
        }
        let put = self.put_anew(backup, plan, progress);
        if put.is_err() {
            // If it can't be removed now, the next run does.
            let _ = self.clear(backup.id);
        }
        put
    }

    fn put_anew(&self, backup: &Backup, plan: &Plan, progress: &dyn Progress) -> Result<Verified> {
        let desk = self.lease.desk();
        let mut sheets = Sheets::new(desk, backup.id);
        let written = self.token.write_bundle(backup, plan, &mut sheets, progress)?;
        let made = sheets.made();
        let unbound = TokenBundle { vault: self, id: backup.id, bound: false };
        let verified = self.token.verify_bundle(&unbound, progress)?;
        if verified.written != written {
            return Err(broken("it is not what was put there"));
        }
        sheet::bind(&desk, backup.id, made)?;
        // Looked at from the outside once more: it is what a restore will find.
        self.bundle(backup.id).open()?;
        Ok(verified)
    }

    /// True if what is there of this backup was made as it is wanted now.
    fn is_as_meant(&self, backup: &Backup, plan: &Plan) -> bool {
        let source = self.bundle(backup.id);
        let Ok(mut from) = source.open() else { return false };
        Bundle::open(&mut *from).is_ok_and(|bundle| plan.is_that_of(bundle.header(), backup))
    }

    /// Removes what is there of a backup.
    pub(super) fn clear(&self, id: BackupId) -> Result {
        let found = self.bundles()?;
        let Some(pieces) = found.get(&id) else { return Ok(()) };
        let desk = self.lease.desk();
        sheet::remove(&desk, pieces).map(drop).map_err(|fault| sheet::unanswered(&desk, fault))
    }
}
