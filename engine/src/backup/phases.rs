//! The phases of a backup: prepared, made, committed or rolled back. Each is one record of the log, so that a process which
//! dies between two of them leaves nothing half-done; one operator at a time.

use super::bundle::{Header, Part, Writer, Written};
use super::choice::Choice;
use super::cover::stands;
use super::ledger::{Backup, Ledger, State};
use super::words::{Artefact, BackupId, Made, Medium};
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::journal::damaged;
use crate::log::{Lease, Position};
use crate::object::{Kek, Object, ObjectId};
use crate::report::Progress;
use crate::ring::Ring;
use crate::shelf::Entry;
use crate::token::{Token, note};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use tandem_values::{Template, ck::*};

/// The name under which one operator keeps others out; no member can have it.
const LEASE: &str = "backup/operator";

/// How many records are read at once.
const BATCH: usize = 256;

/// What is to be put into an artefact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// It holds what came after this position.
    pub since: Position,
    /// The committed backup that holds what came before.
    pub base: Option<BackupId>,
    /// The objects that are meant; `None` for all.
    pub selection: Option<BTreeSet<ObjectId>>,
    /// Objects that can't be put in, with the reason.
    pub left_out: Vec<(ObjectId, String)>,
    /// How many objects will be in it.
    pub objects: u64,
}

impl Plan {
    /// True if a bundle with this header is of this backup, and was made as it is wanted now.
    pub fn is_that_of(&self, header: &Header, backup: &Backup) -> bool {
        header.id == backup.id
            && header.since == self.since
            && header.base == self.base
            && header.whole
            && self.selection.is_none()
    }

    /// Leaves out what could not be put in; what is left out already stays so for its own reason.
    pub fn leave_out(&mut self, objects: Vec<(ObjectId, String)>) {
        for (id, why) in objects {
            if self.left_out.iter().all(|(other, _)| *other != id) {
                self.left_out.push((id, why));
                self.objects = self.objects.saturating_sub(1);
            }
        }
    }
}

/// One operator at a time holds it.
pub struct Turn(#[expect(dead_code, reason = "held, not read")] Box<dyn Lease>);

impl Token {
    /// Keeps other operators away from the token's backups until it is dropped.
    pub fn backup_turn(&self) -> Result<Turn> {
        match self.store.lease(LEASE, self.settings.lease_wait_ms)? {
            Some(lease) => Ok(Turn(lease)),
            None => Err(self.out_of_order(
                "another operator is at a backup of it right now; wait for the other to end",
            )),
        }
    }

    /// Every backup as the log tells. Needs a login.
    pub fn ledger(&self) -> Result<Arc<Ledger>> {
        self.seal()?;
        self.shelf.refresh()?;
        Ok(self.shelf.ledger())
    }

    /// Freezes the position of a new backup.
    pub fn prepare_backup(&self, _: &Turn) -> Result<Backup> {
        if let Some(open) = self.ledger()?.open() {
            return Err(self.out_of_order(&format!(
                "backup {} is prepared already; `tandem backup run`, `commit` or `rollback` it",
                open.id
            )));
        }
        let id = BackupId(self.new_uuid());
        self.append(Event::BackupPrepared(id))?;
        self.known_backup(id)
    }

    /// The backup that is prepared and not yet committed.
    pub fn open_backup(&self) -> Result<Backup> {
        let ledger = self.ledger()?;
        ledger.open().cloned().ok_or_else(|| {
            self.out_of_order("no backup is prepared: begin with `tandem backup prepare`")
        })
    }

    fn known_backup(&self, id: BackupId) -> Result<Backup> {
        let ledger = self.ledger()?;
        ledger.backup(id).cloned().ok_or_else(|| {
            self.out_of_order(&format!("there is no backup {id}; see `tandem backup list`"))
        })
    }

    /// What an artefact of a backup would hold: everything, or some objects, or what came after the last bundle that counts and
    /// is kept on the same.
    pub fn plan_backup(
        &self,
        backup: &Backup,
        chosen: Option<&[Choice]>,
        incremental: Option<&Medium>,
    ) -> Result<Plan> {
        let base = incremental.map(|medium| self.base_for(backup, medium)).transpose()?;
        let mut plan = Plan {
            since: base.as_ref().map_or(0, |base| base.prepared.position),
            base: base.map(|base| base.id),
            ..Plan::default()
        };
        if let Some(wanted) = chosen {
            let entries = self.chosen(wanted)?;
            plan.selection = Some(entries.iter().map(|entry| entry.object.id).collect());
        }
        let (mut left_out, mut objects) = (Vec::new(), 0_u64);
        self.each_meant(backup, &plan, |entry| {
            match why_not(&entry.object) {
                Some(why) => left_out.push((entry.object.id, why)),
                None => objects = objects.saturating_add(1),
            }
            Ok(())
        })?;
        Ok(Plan { left_out, objects, ..plan })
    }

    /// Visits the objects that a plan is about.
    pub(super) fn each_meant(
        &self,
        backup: &Backup,
        plan: &Plan,
        mut visit: impl FnMut(Arc<Entry>) -> Result,
    ) -> Result {
        self.shelf.each(&Template::new(), |entry| {
            let object = &entry.object;
            let is_meant = object.born > plan.since
                && object.born <= backup.prepared.position
                && plan.selection.as_ref().is_none_or(|chosen| chosen.contains(&object.id));
            if is_meant { visit(entry) } else { Ok(()) }
        })
    }

    /// The objects that some templates name, with the other halves of key pairs.
    fn chosen(&self, wanted: &[Choice]) -> Result<Vec<Arc<Entry>>> {
        let mut chosen = Vec::new();
        for choice in wanted {
            let found = match choice {
                Choice::Object(id) => self.shelf.by_id(*id)?.into_iter().collect(),
                Choice::Like(template) => self.shelf.find(template)?,
            };
            if found.is_empty() {
                let message = format!("no object is {choice}; see `tandem keys`");
                return Err(Error::new(CKR_ARGUMENTS_BAD, message));
            }
            for entry in found {
                if let Some(mate) = entry.object.mate {
                    chosen.extend(self.shelf.by_id(mate)?);
                }
                chosen.push(entry);
            }
        }
        Ok(chosen)
    }

    /// The last committed backup with a bundle of everything that counts.
    fn base_for(&self, backup: &Backup, medium: &Medium) -> Result<Backup> {
        let (ledger, ring) = (self.ledger()?, self.known_ring()?);
        let ring = ring.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        let is_base = |base: &&Backup| {
            base.prepared.position < backup.prepared.position
                && whole_bundle(&ledger, &ring, base, medium).is_some()
        };
        ledger.backups().iter().rev().find(is_base).cloned().ok_or_else(|| {
            let there = match medium {
                Medium::Token { name, serial } => format!(" on {name} (serial {serial})"),
                Medium::Files | Medium::Unknown => String::new(),
            };
            self.out_of_order(&format!(
                "there is no committed bundle{there} to build on: make a complete one first"
            ))
        })
    }

    /// Writes a backup's bundle.
    pub fn write_bundle(
        &self,
        backup: &Backup,
        plan: &Plan,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<Written> {
        let header = Header {
            id: backup.id,
            since: plan.since,
            to: backup.prepared.position,
            base: plan.base,
            whole: plan.selection.is_none(),
            ..self.header(plan.since)?
        };
        progress.stage("writing the bundle", header.to.saturating_sub(header.since));
        self.write_records(header, out, &|record| {
            progress.step();
            part_of(record, plan.selection.as_ref())
        })
    }

    /// Writes a bundle of the records between two positions, each as `part` has it. Where it holds names alone, the last of the
    /// stubs that follow each other stands for them.
    pub(super) fn write_records(
        &self,
        header: Header,
        out: &mut dyn Write,
        part: &dyn Fn(Record) -> Part,
    ) -> Result<Written> {
        let seal = self.seal()?;
        let (mut at, to, mut link) = (header.since, header.to, header.link);
        let (are_names, mut passed) = (header.names, None);
        let mut writer = Writer::begin(out, header)?;
        while at < to {
            let records = self.store.read(at, BATCH)?;
            if records.is_empty() {
                return Err(damaged(at.saturating_add(1), "it is missing"));
            }
            for record in records.into_iter().take_while(|record| record.position <= to) {
                if record.position != at.saturating_add(1) {
                    return Err(damaged(at.saturating_add(1), "it is missing"));
                }
                if !seal.holds(&record, &link) {
                    return Err(damaged(record.position, crate::journal::BROKEN));
                }
                (at, link) = (record.position, record.link);
                match part(record) {
                    stub @ Part::Stub { .. } if are_names => passed = Some(stub),
                    part => {
                        passed.take().map_or(Ok(()), |stub| writer.part(&stub))?;
                        writer.part(&part)?;
                    }
                }
            }
        }
        passed.map_or(Ok(()), |stub| writer.part(&stub))?;
        writer.end(&seal)
    }

    /// What a bundle that begins after a position says of the token now, up to the log's end.
    pub(super) fn header(&self, since: Position) -> Result<Header> {
        let ring = self.known_ring()?.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        Ok(Header {
            id: BackupId(self.new_uuid()),
            label: self.label(),
            serial: self.serial()?,
            since,
            link: self.journal.link_at(since)?,
            to: self.store.head()?.position,
            base: None,
            whole: false,
            ring: Box::new(Arc::unwrap_or_clone(ring)),
            at_ms: self.clock.wall_ms(),
            identity: self.identity(note::SERIAL)?,
            names: false,
        })
    }

    /// Notes an artefact of the open backup.
    pub fn note_made(
        &self,
        _: &Turn,
        backup: &Backup,
        plan: Plan,
        artefact: Artefact,
        verified: bool,
    ) -> Result {
        if !self.known_backup(backup.id)?.is_open() {
            return Err(self.out_of_order(&format!(
                "backup {} has been committed or rolled back meanwhile",
                backup.id
            )));
        }
        let ring = self.known_ring()?.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        // While a rotation is under way there are bytes under both.
        let keks = ring.held().flat_map(|generation| ring.checks(generation)).collect();
        self.append(Event::BackupMade(Box::new(Made {
            id: backup.id,
            artefact,
            since: plan.since,
            base: plan.base,
            selection: plan.selection.map(|ids| ids.into_iter().collect()),
            left_out: plan.left_out,
            keks,
            recovery: ring.recovery_mark(),
            verified,
        })))?;
        Ok(())
    }

    /// What was just read back from end to end counts: it is what the token was restored from.
    pub(super) fn count_restored(&self, backup: &Backup, plan: Plan, artefact: Artefact) -> Result {
        let turn = self.backup_turn()?;
        self.note_made(&turn, backup, plan, artefact, true)?;
        self.commit_backup(&turn).map(|_| ())
    }

    /// Lets the open backup count.
    pub fn commit_backup(&self, _: &Turn) -> Result<Backup> {
        let open = self.open_backup()?;
        if open.counting().next().is_none() {
            return Err(self.out_of_order(&format!(
                "backup {} has no verified artefact yet: run `tandem backup run --out FILE` first",
                open.id
            )));
        }
        self.append(Event::BackupCommitted(open.id))?;
        self.known_backup(open.id)
    }

    /// Forgets the open backup. What it was put on stays where it is, and counts for nothing.
    pub fn roll_back_backup(&self, _: &Turn) -> Result<Backup> {
        let open = self.open_backup()?;
        self.end_backup(&open, "rolled back by the operator")
    }

    /// A committed backup that turned out not to be one counts no more.
    pub fn withdraw_backup(&self, _: &Turn, id: BackupId, why: &str) -> Result<Backup> {
        let backup = self.known_backup(id)?;
        if backup.state() != State::Committed {
            return Err(self.out_of_order(&format!("backup {id} does not count in any case")));
        }
        self.end_backup(&backup, why)
    }

    pub(super) fn end_backup(&self, backup: &Backup, why: &str) -> Result<Backup> {
        self.append(Event::BackupEnded { id: backup.id, reason: why.to_owned() })?;
        self.known_backup(backup.id)
    }

    /// What an object shows; `None` if there is none of this identity.
    pub fn shown(&self, id: ObjectId) -> Result<Option<Template>> {
        Ok(self.shelf.by_id(id)?.map(|entry| entry.object.template.clone()))
    }

    /// The bundles that bring back the most: the last one that counts and all that it builds on, oldest first, and what they
    /// are kept on: files before a token, which somebody must connect. `None` if there is none.
    pub fn last_bundles(&self) -> Result<Option<(Medium, Vec<Backup>)>> {
        let (ledger, ring) = (self.ledger()?, self.known_ring()?);
        let ring = ring.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        let media = |backup: &Backup| {
            let mut media: Vec<_> =
                backup.counting().map(|made| Medium::of(&made.artefact)).collect();
            media.sort_by_key(|medium| *medium != Medium::Files);
            media.into_iter().find(|on| whole_bundle(&ledger, &ring, backup, on).is_some())
        };
        let last = ledger.backups().iter().rev().find_map(|it| Some((media(it)?, it.clone())));
        let Some((medium, last)) = last else { return Ok(None) };
        let (mut next, mut chain) = (Some(last), Vec::new());
        while let Some(backup) = next {
            let base = whole_bundle(&ledger, &ring, &backup, &medium).and_then(|made| made.base);
            next = base.and_then(|base| ledger.backup(base).cloned());
            chain.push(backup);
        }
        chain.reverse();
        Ok(Some((medium, chain)))
    }

    /// Why the artefacts of a backup don't count, if none does.
    pub fn why_not_counting(&self, backup: &Backup) -> Result<Option<String>> {
        let (ledger, ring) = (self.ledger()?, self.known_ring()?);
        let ring = ring.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        let mut last = Some("it has no verified artefact".to_owned());
        for made in backup.counting() {
            match stands(&ledger, &ring, backup, made) {
                Ok(()) => return Ok(None),
                Err(why) => last = Some(why),
            }
        }
        Ok(last)
    }
}

/// The bundle of everything that a backup has on something and that counts.
fn whole_bundle<'a>(
    ledger: &Ledger,
    ring: &Ring,
    backup: &'a Backup,
    on: &Medium,
) -> Option<&'a Made> {
    backup.counting().find(|made| {
        made.selection.is_none()
            && *on != Medium::Unknown
            && Medium::of(&made.artefact) == *on
            && stands(ledger, ring, backup, made).is_ok()
    })
}

/// Why an object can't be put into a bundle.
fn why_not(object: &Object) -> Option<String> {
    let keyed = matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY);
    let has_secret = keyed || object.kek == Some(Kek::Data);
    (has_secret && object.kek.is_none()).then(|| {
        let holders = object.holders.as_deref().unwrap_or_default().join(", ");
        format!("it was there before Tandem and can't be copied off {holders}")
    })
}

/// A record, or what stands for it where it is about an object that is not meant.
fn part_of(record: Record, selection: Option<&BTreeSet<ObjectId>>) -> Part {
    let about = record.event().and_then(|event| event.about());
    match (about, selection) {
        (Some(id), Some(chosen)) if !chosen.contains(&id) => stub_of(&record),
        _ => Part::Record(Box::new(record)),
    }
}

/// What stands for a record that is not meant.
pub(super) const fn stub_of(record: &Record) -> Part {
    Part::Stub { position: record.position, link: record.link, mac: record.mac }
}
