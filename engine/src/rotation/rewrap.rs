//! Wrapping anew what is in the log under keys that are replaced: read from the log from its beginning to its end, so that nothing
//! is missed that was put there meanwhile, and whoever goes on after an interruption finds what is left by itself.

use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::fault::{Class, Fault};
use crate::inquiry::Inquiry;
use crate::journal::Entry as Appended;
use crate::log::Position;
use crate::object::{Object, ObjectId, Wrapped};
use crate::pair::Bench;
use crate::prove::Failure;
use crate::report::Progress;
use crate::ring::{Generation, Ring};
use crate::shelf::Entry;
use crate::station::Station;
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// How many records are looked at before what was wrapped anew is put into the log.
const BATCH: usize = 64;
/// How often a batch is put into the log again that others have got in the way of.
const AGAIN_MAX: usize = 100;

/// How far wrapping anew has come.
#[derive(Default)]
pub(super) struct Done {
    /// Up to here nothing is wrapped under older keys but what is left.
    pub(super) reached: Position,
    /// How much was wrapped anew.
    pub(super) rewrapped: u64,
    /// What could not be, with the reason.
    pub(super) left: BTreeMap<ObjectId, String>,
}

/// An object wrapped anew, and proven.
struct Fresh {
    id: ObjectId,
    /// Where its old bytes are, and its last change was.
    old: Position,
    changed: Position,
    bytes: Vec<u8>,
}

impl Token {
    /// Wraps everything anew that is wrapped under older keys than the newest, on the first member that is able to.
    pub(super) fn rewrap_all(
        &self,
        told: &Ring,
        shares: &[Secret],
        progress: &dyn Progress,
    ) -> Result<Done> {
        let head = self.store.head()?.position;
        progress.stage("wrapping keys anew", head);
        let mut done = Done::default();
        let mut last = None;
        let mut inquiry = Inquiry::default();
        for station in self.keepers().filter(|station| station.is_ready()) {
            // What one can't wrap, another may.
            let left = std::mem::take(&mut done.left);
            let from = if left.is_empty() { done.reached } else { 0 };
            match self.rewrap_on(station, (told, shares), from, &mut done, progress) {
                Ok(()) if done.left.is_empty() => {
                    inquiry.done();
                    return Ok(done);
                }
                Ok(()) => {}
                Err(Stopped::Fault(fault)) => {
                    self.judge(&mut inquiry, station, fault);
                    last = Some(Error::from(fault));
                    done.left.extend(left);
                }
                Err(Stopped::Error(error)) => {
                    last = Some(error);
                    done.left.extend(left);
                }
            }
        }
        match (last, done.left.is_empty()) {
            (Some(error), true) => Err(error),
            (None, true) => Err(self.nobody()),
            _ => Ok(done),
        }
    }

    /// The same on one member, from a position of the log on.
    fn rewrap_on(
        &self,
        station: &Arc<Station>,
        (told, shares): (&Ring, &[Secret]),
        from: Position,
        done: &mut Done,
        progress: &dyn Progress,
    ) -> Result<(), Stopped> {
        let ring = &self.paired()?.ring;
        let (oldest, newest) = (ring.oldest, ring.newest());
        let lease = station.lease()?;
        let desk = lease.desk();
        let keks = self.newest_keks_at(&desk, station)?;
        let wanted = |generation| (oldest..newest).contains(&generation);
        let bench = Bench::open(&desk, keks, told, shares, wanted)?;
        let mut at = from;
        loop {
            let records = self.store.read(at, BATCH).map_err(Error::from)?;
            let Some(last) = records.last().map(|record| record.position) else {
                done.reached = at;
                return Ok(());
            };
            let outdated: Vec<_> =
                records.into_iter().filter(|record| is_outdated(record, newest)).collect();
            let mut again = 0;
            while !self.rewrap_batch(&bench, &outdated, newest, done)? {
                again += 1;
                if again > AGAIN_MAX {
                    let busy = "others change the same keys all the time; run this again";
                    return Err(Error::new(CKR_DEVICE_ERROR, busy).into());
                }
            }
            for _ in at..last {
                progress.step();
            }
            at = last;
        }
    }

    /// Wraps anew what some records hold, and puts it into the log. False if somebody has changed one of the objects meanwhile.
    fn rewrap_batch(
        &self,
        bench: &Bench<'_>,
        records: &[Record],
        newest: Generation,
        done: &mut Done,
    ) -> Result<bool, Stopped> {
        if records.is_empty() {
            return Ok(true);
        }
        // Read before the catalogue is: what comes after is looked at when it is put into the log.
        let seen = self.store.head().map_err(Error::from)?.position;
        self.shelf.refresh()?;
        let mut fresh = Vec::new();
        for record in records {
            let Some(id) = record.event().and_then(|event| event.about()) else { continue };
            match self.shelf.by_id(id)? {
                Some(entry) if entry.object.wrapped_at() == record.position => {
                    match self.rewrap_one(bench, &entry, newest)? {
                        Ok(rewrapped) => fresh.push(rewrapped),
                        Err(why) => _ = done.left.insert(id, why),
                    }
                }
                // It was destroyed, or its bytes are elsewhere: who did that may have died before these were erased.
                _ => self.erase_superseded(id)?,
            }
        }
        if fresh.is_empty() {
            return Ok(true);
        }
        let count = fresh.len();
        if !self.put_rewrapped(fresh, newest, seen)? {
            return Ok(false);
        }
        done.rewrapped = done.rewrapped.saturating_add(u64::try_from(count).unwrap_or(0));
        Ok(true)
    }

    /// Wraps one object anew, and proves that what came out opens under the newest keys and is the same. The inner error says why
    /// it stays as it is.
    fn rewrap_one(
        &self,
        bench: &Bench<'_>,
        entry: &Entry,
        newest: Generation,
    ) -> Result<Result<Fresh, String>, Stopped> {
        let old = &entry.object;
        let wrapped = match self.wrapped(old) {
            Ok(wrapped) => wrapped,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut nonce = [0; 12];
        self.entropy.fill(&mut nonce);
        let bytes = match bench.rewrap(old, &wrapped, &nonce) {
            Ok(bytes) => bytes,
            Err(fault) if matches!(fault.class, Class::Ill | Class::Lost) => {
                return Err(Stopped::Fault(fault));
            }
            Err(fault) => return Ok(Err(format!("it can't be wrapped there: {fault}"))),
        };
        let mut object = old.clone();
        object.generation = newest;
        if let Err(failure) = self.prove_rewrapped(&object, &wrapped, &bytes)? {
            return Ok(Err(format!("what it was wrapped to is not used: {failure}")));
        }
        let changed = old.changed_at(entry.position);
        Ok(Ok(Fresh { id: old.id, old: old.wrapped_at(), changed, bytes }))
    }

    /// Opens what was wrapped anew on a member, and holds it against what is known of the object.
    fn prove_rewrapped(
        &self,
        object: &Object,
        old: &Wrapped,
        bytes: &[u8],
    ) -> Result<Result<(), Failure>> {
        let mut object = object.clone();
        object.kek = Some(old.under.kek);
        self.prove_record(&object, bytes)
    }

    /// Puts what was wrapped anew into the log, in the place of the old bytes. False if an object was changed since `seen`: what
    /// was read before that is of no use.
    fn put_rewrapped(
        &self,
        fresh: Vec<Fresh>,
        generation: Generation,
        seen: Position,
    ) -> Result<bool> {
        let ids: BTreeSet<_> = fresh.iter().map(|fresh| fresh.id).collect();
        let erase: Vec<_> = fresh.iter().map(|fresh| fresh.old).collect();
        let entries: Vec<_> = fresh
            .into_iter()
            .map(|Fresh { id, changed, bytes, .. }| Appended {
                event: Event::Rewrapped { id, generation, changed },
                wrapped: Some(bytes),
            })
            .collect();
        let changed = std::cell::Cell::new(false);
        let still = |news: &[Record]| {
            let is_about = |record: &Record| record.about().is_some_and(|id| ids.contains(&id));
            changed.set(news.iter().any(is_about));
            if changed.get() { Err(CKR_FUNCTION_CANCELED.into()) } else { Ok(()) }
        };
        let appended = self.append_if(&entries, &erase, (seen, &still));
        match appended {
            Ok(_) => {
                self.shelf.refresh()?;
                Ok(true)
            }
            Err(_) if changed.get() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// True for a record that holds bytes wrapped under older keys.
pub(super) fn is_outdated(record: &Record, newest: Generation) -> bool {
    record.wrapped.is_some()
        && record.event().and_then(|event| event.generation()).is_some_and(|it| it < newest)
}

/// Why a member does not go on.
enum Stopped {
    /// It failed.
    Fault(Fault),
    /// Something else did.
    Error(Error),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
