//! Names: under what keys of the stock were claimed, without any key. Such a bundle holds the claims since the last backup of
//! everything, each with a stub of the record before it, so that it is borne out like any other; it is small, and is made as often as
//! one likes. Put into the log after an older backup it names the keys again that this has in stock.

use super::bundle::{Header, Part, Written, broken};
use super::phases::stub_of;
use super::source::Source;
use super::source::Sources;
use crate::error::Result;
use crate::event::{Event, Record};
use crate::journal::{ALWAYS, Entry};
use crate::log::Position;
use crate::object::{Object, ObjectId};
use crate::seal::Seal;
use crate::stock::{About, RETRY_MS};
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// The follower that has the names written; its position is how far they go. No member can have its name.
const KEEPER: &str = "stock/names";

/// How many records are read at once.
const BATCH: usize = 256;

/// So many times as long as writing the names took they are not written again: where the last backup is long ago, much of the log is
/// read for them.
const WAIT_SHARE: u64 = 10;

/// A bundle of names that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its claims come after this position: those before are in the last backup of everything.
    pub since: Position,
    /// Position of the last record that it knows of.
    pub to: Position,
    /// How many keys it names.
    pub claims: u64,
    /// What it came to.
    pub written: Written,
}

/// What taking names came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renamed {
    /// Keys that have their names again.
    pub named: u64,
    /// Keys that had them already.
    pub there: u64,
    /// Keys that are named and that the backup does not hold: they were made after it.
    pub unknown: u64,
}

impl Token {
    /// Writes the names of the keys that were claimed since the last backup of everything. Needs a login.
    pub fn write_names(&self, out: &mut dyn Write) -> Result<Named> {
        let last = self.last_backup()?.map(|(backup, _)| (backup.id, backup.prepared.position));
        let (base, since) = last.unzip();
        let since = since.unwrap_or(0);
        let header = Header { base, names: true, ..self.header(since)? };
        let to = header.to;
        let claims = std::cell::Cell::new(0_u64);
        let written = self.write_records(header, out, &|record| match record.event_of_claim() {
            Some(Event::Claimed { kind, .. }) => {
                claims.set(claims.get().saturating_add(u64::from(kind.is_some())));
                Part::Record(Box::new(record))
            }
            _ => stub_of(&record),
        })?;
        Ok(Named { since, to, claims: claims.get(), written })
    }

    /// How many keys were claimed after a position. Needs a login.
    pub fn claims_since(&self, position: Position) -> Result<u64> {
        self.seal()?;
        let (mut at, mut claims) = (position, 0_u64);
        loop {
            let records = self.store.read(at, BATCH)?;
            let Some(last) = records.last() else { return Ok(claims) };
            at = last.position;
            let claim = |record: &&Record| {
                matches!(record.event_of_claim(), Some(Event::Claimed { kind: Some(_), .. }))
            };
            let count = records.iter().filter(claim).count();
            claims = claims.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Has the names written where the operator wants them, if there are new ones and no other process is at it: `now` if the
    /// login is about to end, even if that has just failed.
    pub(crate) fn tell_names(&self, now: bool) {
        let Some(sink) = &self.name_sink else { return };
        let at_ms = self.clock.steady_ms();
        let is_early = !now && at_ms < self.stocking.due_ms(About::Names);
        if is_early || self.seal.read().is_none() || self.is_in_doubt() {
            return;
        }
        let told = (|| -> Result {
            let head = self.store.head()?.position;
            if self.store.following(KEEPER)?.position >= head {
                return Ok(());
            }
            let Some(mut writing) = self.store.lease(KEEPER, 0)? else { return Ok(()) };
            let known = writing.following()?.position;
            // The first time there is a file even if nothing was claimed: that one is missing must mean something.
            let mut to = head;
            if known == 0 || self.claims_since(known)? > 0 {
                let mut bundle = Vec::new();
                to = self.write_names(&mut bundle)?.to;
                sink.keep(&bundle).map_err(|why| broken_off(&why))?;
            }
            Ok(writing.advance(to)?)
        })();
        match told {
            Ok(()) => {
                self.stocking.is_well(About::Names);
                let now_ms = self.clock.steady_ms();
                let wait_ms = now_ms.saturating_sub(at_ms).saturating_mul(WAIT_SHARE);
                self.stocking.put_off(About::Names, now_ms, wait_ms);
            }
            Err(error) => {
                let label = &self.settings.label;
                let message = format!("token {label}: {error}; it is tried again");
                self.stocking.tell(About::Names, message);
                self.stocking.put_off(About::Names, at_ms, RETRY_MS);
            }
        }
    }

    /// The file of names is of another log than this one, and is written anew.
    pub(super) fn forget_names(&self) -> Result {
        Ok(self.store.forget(KEEPER)?)
    }

    /// Puts the claims of a bundle of names into a log that was filled from backups, where these have the keys in stock.
    pub(super) fn rename(
        &self,
        bundles: &[&dyn Source],
        names: &dyn Source,
        seal: &Seal,
    ) -> Result<Renamed> {
        let held = Sources::of(bundles)?;
        let mut from = names.open()?;
        let header = super::Bundle::open(&mut *from)?.header().clone();
        drop(from);
        if !header.names {
            return Err(broken("it holds no names: `tandem backup names` writes them"));
        }
        if header.to <= held.last()?.to {
            log::info!("the names are no newer than the backup, which has them all");
            return Ok(Renamed::default());
        }
        let mut sources = bundles.to_vec();
        sources.push(names);
        let (reached, mut claims) = (held.last()?.to, Vec::new());
        Sources::of(&sources)?.each(seal, &mut |record| {
            if record.position > reached
                && let Some(claim @ Event::Claimed { .. }) = record.event()
            {
                claims.push(claim);
            }
            Ok(())
        })?;
        self.claim_again(claims, seal)
    }

    fn claim_again(&self, claims: Vec<Event>, seal: &Seal) -> Result<Renamed> {
        let (mut renamed, mut entries) = (Renamed::default(), Vec::new());
        let named = claims.iter().filter_map(Event::about).collect();
        let objects = self.objects_by(seal, &named)?;
        for claim in claims {
            let Event::Claimed { id, kind, .. } = &claim else { continue };
            let count = match objects.get(id) {
                Some(object) if object.is_in_stock() => &mut renamed.named,
                Some(_) => &mut renamed.there,
                None => &mut renamed.unknown,
            };
            *count = count.saturating_add(u64::from(kind.is_some()));
            if objects.get(id).is_some_and(Object::is_in_stock) {
                entries.push(Entry::from(claim));
            }
        }
        if !entries.is_empty() {
            self.journal.append(seal, self.site()?, (&entries, &[]), ALWAYS)?;
        }
        Ok(renamed)
    }

    /// These objects, by the sealed records of the log alone: the shelf is not open while a log is filled.
    fn objects_by(
        &self,
        seal: &Seal,
        meant: &BTreeSet<ObjectId>,
    ) -> Result<BTreeMap<ObjectId, Object>> {
        let mut objects: BTreeMap<ObjectId, Object> = BTreeMap::new();
        let (mut at, mut link) = (0, [0; 32]);
        loop {
            let records = self.store.read(at, BATCH)?;
            let Some(last) = records.last() else { return Ok(objects) };
            at = last.position;
            for record in &records {
                let before = std::mem::replace(&mut link, record.link);
                let Some(event) = record.event().filter(|_| seal.holds(record, &before)) else {
                    continue;
                };
                let Some(id) = event.about().filter(|id| meant.contains(id)) else { continue };
                let object = objects.remove(&id);
                if let Some(object) = event.fold(object, record.position) {
                    objects.insert(id, object);
                }
            }
        }
    }
}

fn broken_off(why: &str) -> crate::error::Error {
    crate::error::Error::new(
        tandem_values::ck::CKR_DEVICE_ERROR,
        format!("the names of claimed keys are not written: {why}"),
    )
}
