//! Restoring: the log comes from bundles, the key ring from the shares, and then every member follows the log as after any
//! other absence. What members hold that is newer than the backup is kept, and told.
//!
//! Each step can be interrupted and is taken again. The log is filled only with records whose seals were checked, by a key
//! that the shares, or a member that lives, have brought.

use super::bundle::{Header, broken};
use super::names::Renamed;
use super::phases::Plan;
use super::source::{Source, Sources};
use super::words::{Artefact, BackupId};
use crate::error::{Error, Result};
use crate::event::{Event, Hash, Head, Record};
use crate::joining::Bringing;
use crate::log::{Append, Position, StoreError};
use crate::object::ObjectId;
use crate::pair;
use crate::recovery::Lost;
use crate::report::JoinReport;
use crate::seal::Seal;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// How many records are written at once.
const BATCH: usize = 512;

/// Members that were brought in, and those that could not be, with the reason.
type Brought = (Vec<JoinReport>, Vec<(String, String)>);

/// What restoring came to.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The last backup that it was made from.
    pub backup: BackupId,
    /// How far that goes.
    pub to: Position,
    /// Records that were put into the log.
    pub records: u64,
    /// Each member that was brought in, in the order of the configuration.
    pub members: Vec<JoinReport>,
    /// Members that could not be reached, with the reason.
    pub away: Vec<(String, String)>,
    /// Objects that were found on members and not in the backup: kept, not backed up, and not to be copied.
    pub newer: Vec<ObjectId>,
    /// What became of the names of keys that were claimed after the backup; `None` if none were given.
    pub renamed: Option<Renamed>,
    /// How many keys in stock are given to nobody, since they may have been claimed after the backup.
    pub held_back: u64,
}

impl Token {
    /// Restores the token from a complete bundle and those that build on it, oldest first: into an empty log, or one that
    /// ends where they go on. Members that lost the key ring get it by the shares.
    ///
    /// `artefact` is the last bundle, as it counts from now on, `names` the names of keys that were claimed after it. Run again
    /// after an interruption it goes on.
    pub fn restore(
        self: &Arc<Self>,
        pin: &Secret,
        (bundles, names): (&[&dyn Source], Option<&dyn Source>),
        artefact: Artefact,
        bringing: &Bringing<'_>,
    ) -> Result<Restored> {
        let sources = Sources::of(bundles)?;
        let last = sources.last()?.clone();
        self.is_fit(&sources)?;
        let (records, lived, renamed) = self.as_user(pin, || {
            let bears_out = |seal: &Seal| {
                bringing.progress.stage("reading the backup", 0);
                sources.each(seal, &mut |_| Ok(()))
            };
            // The last tells of the recovery that opens what the log will end with.
            let lost = Lost { ring: &sources.last()?.ring, bears_out: &bears_out };
            let (reached, away) = self.reach_all(pin);
            let lived: Vec<String> = reached
                .iter()
                .filter(|member| pair::find(&member.lease.desk(), lost.ring).is_ok())
                .map(|member| member.station.name().to_owned())
                .collect();
            let seal = Self::open_seal((&reached, &away), &lost, bringing)?;
            let records = self.fill(&sources, &seal, bringing)?;
            // Before any member follows: one that lived knows these keys by their names.
            let renamed = names.map(|names| self.rename(bundles, names, &seal)).transpose()?;
            self.forget_names()?;
            if renamed.is_none() && self.store.note(note::RESTORING)?.is_some() {
                self.doubt_stock(last.to)?;
            }
            self.settle_heads(&reached, lost.ring, &seal)?;
            Ok((records, lived, renamed))
        })?;
        let (members, away) = self.bring_members(pin, &lived, bringing)?;
        let newer = self.finish(pin, (&last, artefact), &lived, bringing)?;
        let held_back = self.held_back()?;
        let (backup, to) = (last.id, last.to);
        Ok(Restored { backup, to, records, members, away, newer, renamed, held_back })
    }

    /// An error while a restore was begun and not ended: the log is not whole.
    pub(crate) fn is_restored(&self) -> Result {
        if self.store.note(note::RESTORING)?.is_none() {
            return Ok(());
        }
        Err(Error::new(
            CKR_FUNCTION_FAILED,
            format!(
                "token {}: its log is being restored, or that was interrupted: run `tandem restore` again with the same bundles",
                self.settings.label
            ),
        ))
    }

    /// Refuses bundles that the log here can't be made from.
    fn is_fit(&self, sources: &Sources<'_>) -> Result {
        let first = sources.first()?;
        if first.names {
            return Err(broken("it holds names alone: give the backup, and these with --names"));
        }
        if !sources.are_whole() {
            return Err(broken(
                "a log can be made from a complete backup and those that build on it only; this one holds chosen objects, or begins \
                 in the middle",
            ));
        }
        match self.known_ring()? {
            Some(ours) => self.is_of_ring(&first.ring, &ours),
            None => Ok(()),
        }
    }

    /// Puts into the log what it lacks. That a restore was begun stays noted, for whoever settles what members know.
    fn fill(&self, sources: &Sources<'_>, seal: &Seal, bringing: &Bringing<'_>) -> Result<u64> {
        let (head, to) = (self.store.head()?, sources.last()?.to);
        let mut same: Option<Hash> = (head.position == 0).then_some(head.link);
        let meeting = head.position.min(to);
        sources.each(seal, &mut |record| {
            if record.position == meeting {
                same = Some(record.link);
            }
            Ok(())
        })?;
        if same != Some(self.journal.link_at(meeting)?) {
            return Err(broken(&format!(
                "the log of token {} is of another history: nothing of it is replaced. Choose the keys that you miss with --key or \
                 --label, or move the state folder away",
                self.settings.label
            )));
        }
        if head.position >= to {
            return Ok(0);
        }
        self.begin_filling(sources.last()?, head)?;
        bringing.progress.stage("filling the log", to.saturating_sub(head.position));
        let mut batch = Vec::with_capacity(BATCH);
        sources.each(seal, &mut |record| {
            if record.position > head.position {
                batch.push(record);
                bringing.progress.step();
            }
            if batch.len() == BATCH { self.put(&mut batch) } else { Ok(()) }
        })?;
        self.put(&mut batch)?;
        Ok(to.saturating_sub(head.position))
    }

    fn begin_filling(&self, last: &Header, head: Head) -> Result {
        if head.position == 0 {
            self.store.set_note(note::FRESH, None)?;
            self.store.set_note(note::SERIAL, Some(&last.identity))?;
            if last.label != self.settings.label {
                self.store.set_note(note::LABEL, Some(last.label.as_bytes()))?;
            }
        }
        Ok(self.store.set_note(note::RESTORING, Some(&last.id.0))?)
    }

    /// Writes records as they are, after the ones before.
    fn put(&self, batch: &mut Vec<Record>) -> Result {
        let Some(first) = batch.first().map(|record| record.position) else { return Ok(()) };
        let records = std::mem::take(batch);
        self.store.append(&mut |head: &Head| {
            if head.position.saturating_add(1) != first {
                return Err(StoreError::Unavailable(
                    "another process wrote to the log while it was restored".into(),
                ));
            }
            Ok(Append { records: records.clone(), erase: Vec::new() })
        })?;
        Ok(())
    }

    /// Brings in every member of the configuration that can be reached.
    fn bring_members(
        self: &Arc<Self>,
        pin: &Secret,
        lived: &[String],
        bringing: &Bringing<'_>,
    ) -> Result<Brought> {
        let (mut members, mut away) = (Vec::new(), Vec::new());
        // What they hold they held before the backup was needed: it is looked for before anything is made there, as far as the
        // log doesn't know that they followed. Noted for all of them first, since each follows when another is brought in.
        for name in lived {
            if self.store.following(name)?.position < self.store.head()?.position {
                self.store.set_note(&note::member(name, note::LOOK), Some(b"1"))?;
            }
        }
        for station in &self.stations {
            let known = self.paired()?;
            let name = station.name();
            let is_known = known.since.contains_key(name) || known.left.contains(name);
            let brought = if is_known {
                self.replace_member(pin, name, bringing)
            } else {
                self.add_member(pin, name, bringing)
            };
            match brought {
                Ok(joined) => members.push(joined),
                Err(error) => away.push((name.to_owned(), error.to_string())),
            }
        }
        match (members.is_empty(), away.first()) {
            (true, Some((_, why))) => Err(Error::new(CKR_DEVICE_ERROR, why.clone())),
            _ => Ok((members, away)),
        }
    }

    /// Takes over what members hold beyond the backup, and lets the backup count.
    fn finish(
        self: &Arc<Self>,
        pin: &Secret,
        (last, artefact): (&Header, Artefact),
        lived: &[String],
        bringing: &Bringing<'_>,
    ) -> Result<Vec<ObjectId>> {
        let session = self.login(pin)?;
        let done = (|| {
            let newer = self.adopt_from(lived, bringing.progress)?.ids;
            let ledger = self.ledger()?;
            // Ended or committed since, it says so itself.
            if let Some(backup) = ledger.backup(last.id).filter(|backup| backup.is_open()) {
                let base = if last.since == 0 { None } else { last.base };
                let plan = Plan { since: last.since, base, ..Plan::default() };
                self.count_restored(backup, plan, artefact)?;
            }
            self.append(Event::Restored(last.id))?;
            Ok(newer)
        })();
        session.close();
        done
    }
}
