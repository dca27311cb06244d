//! Writing to the log and reading it back with its seals checked.

use crate::error::{Error, Result};
use crate::event::{Event, Hash, Head, Record};
use crate::log::{Append, Position, Store, StoreError, Stored};
use crate::object::ObjectId;
use crate::ports::Clock;
use crate::seal::{Seal, Site};
use std::sync::Arc;
use tandem_values::ck::*;

/// How many records are read at once.
const BATCH: usize = 256;

/// An event with the wrapped key material it carries.
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// Key material, wrapped by a key of the ring.
    pub wrapped: Option<Vec<u8>>,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self { event, wrapped: None }
    }
}

/// An error if something may not be appended, given records that have just come.
pub type Still<'a> = dyn Fn(&[Record]) -> Result + 'a;

/// What may be appended whatever the log says.
pub(crate) const ALWAYS: (Position, &Still<'_>) = (Position::MAX, &|_| Ok(()));

/// What is appended, and where wrapped bytes are erased, given records that have just come.
pub type Chooses<'a> = dyn FnMut(&[Record]) -> (Vec<Entry>, Vec<Position>) + 'a;

/// The log as one token uses it.
pub struct Journal {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// How a record was found.
enum Looked {
    Sound(Box<Record>),
    Missing,
    Broken,
}

impl Journal {
    /// A journal over a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Appends events in one durable transaction, in which nobody else can append, and erases the wrapped bytes at `erase`, if they
    /// still may be: `still` is given the records after a position. Answers the position of the first new record. When this
    /// returns the events are on disk; if it fails none of them is.
    pub fn append(
        &self,
        seal: &Seal,
        site: Site,
        (entries, erase): (&[Entry], &[Position]),
        (seen, still): (Position, &Still<'_>),
    ) -> Result<Position> {
        let at_ms = self.clock.wall_ms();
        let mut first = 0;
        let mut failure = None;
        let appended = self.store.append_after(seen, &mut |head, news| {
            still(news).map_err(|error| ended(&mut failure, error))?;
            first = head.position.saturating_add(1);
            let records = sealed(seal, *head, site, at_ms, entries);
            let records = records.map_err(|error| ended(&mut failure, error))?;
            Ok(Append { records, erase: erase.to_vec() })
        });
        told(appended, failure).map(|()| first)
    }

    /// Appends the events that `decide` chooses in one durable transaction, in which nobody else can append, and erases the
    /// wrapped bytes that it names: it is given the records after a position. Nothing is written where it chooses none.
    pub fn append_decided(
        &self,
        seal: &Seal,
        site: Site,
        seen: Position,
        decide: &mut Chooses<'_>,
    ) -> Result {
        let at_ms = self.clock.wall_ms();
        let mut failure = None;
        let appended = self.store.append_after(seen, &mut |head, news| {
            let (entries, erase) = decide(news);
            let records = sealed(seal, *head, site, at_ms, &entries);
            let records = records.map_err(|error| ended(&mut failure, error))?;
            Ok(Append { records, erase })
        });
        told(appended, failure)
    }

    /// Erases wrapped bytes in one durable transaction, and appends nothing.
    pub fn erase(&self, positions: &[Position]) -> Result {
        let erase = || Append { records: Vec::new(), erase: positions.to_vec() };
        self.store.append(&mut |_| Ok(erase()))?;
        Ok(())
    }

    /// Writes a log's first record. A log that has one already, another process's, is left as it is.
    pub fn begin(&self, seal: &Seal, site: Site, entry: &Entry) -> Result {
        let at_ms = self.clock.wall_ms();
        let mut begun = false;
        self.store.append(&mut |head: &Head| {
            begun = head.position > 0;
            if begun {
                return Ok(Append::default());
            }
            let record = seal
                .record(head, site, at_ms, &entry.event, None)
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            Ok(Append { records: vec![record], erase: Vec::new() })
        })?;
        if begun {
            return Err(Error::new(
                CKR_FUNCTION_FAILED,
                "another process has paired this token meanwhile; log in again",
            ));
        }
        Ok(())
    }

    /// The record at a position, checked against the one before it.
    pub fn at(&self, seal: &Seal, position: Position) -> Result<Record> {
        match self.look_at(seal, position)? {
            Looked::Sound(record) => Ok(*record),
            Looked::Missing => Err(damaged(position, "it is missing")),
            Looked::Broken => Err(damaged(position, BROKEN)),
        }
    }

    /// The record at a position, if it is there and its seal is whole. An error says that the store can't be read, which
    /// says nothing of the record.
    pub fn sound(&self, seal: &Seal, position: Position) -> Result<Option<Record>> {
        Ok(match self.look_at(seal, position)? {
            Looked::Sound(record) => Some(*record),
            Looked::Missing | Looked::Broken => None,
        })
    }

    /// The records about an object that nobody has changed, in order. An index leads to them. If it keeps quiet about the first, which
    /// made the object, all of the log is read: others may be missing, too.
    pub fn about(&self, seal: &Seal, id: ObjectId) -> Result<Vec<Record>> {
        let named = self.store.mentions(Some(id), 0)?;
        let found = self.sound_about(seal, id, named)?;
        let is_made = |record: &Record| matches!(record.event(), Some(Event::Created(_)));
        if found.first().is_some_and(is_made) {
            return Ok(found);
        }
        let (mut all, mut at) = (Vec::new(), 0);
        loop {
            let records = self.store.read(at, BATCH)?;
            let Some(last) = records.last() else { break };
            at = last.position;
            let about = records.iter().filter(|record| record.about() == Some(id));
            all.extend(about.map(|record| record.position));
        }
        self.sound_about(seal, id, all)
    }

    fn sound_about(&self, seal: &Seal, id: ObjectId, at: Vec<Position>) -> Result<Vec<Record>> {
        let mut sound = Vec::with_capacity(at.len());
        for position in at {
            let record = self.sound(seal, position)?;
            sound.extend(record.filter(|record| record.about() == Some(id)));
        }
        Ok(sound)
    }

    fn look_at(&self, seal: &Seal, position: Position) -> Result<Looked> {
        // With the one before it, which it follows from. Where that is missing nothing does.
        let mut records = self.store.read(position.saturating_sub(2), 2)?;
        let place = records.iter().position(|record| record.position == position);
        let Some(record) = place.map(|place| records.swap_remove(place)) else {
            return Ok(Looked::Missing);
        };
        let before = records.iter().find(|record| record.position.checked_add(1) == Some(position));
        let link = before.map_or([0; 32], |before| before.link);
        let is_sound = seal.holds(&record, &link);
        Ok(if is_sound { Looked::Sound(Box::new(record)) } else { Looked::Broken })
    }

    /// The link of the record at a position, which the next one follows from; zeroes before the first.
    pub fn link_at(&self, position: Position) -> Result<Hash> {
        link_at(&*self.store, position)
    }
}

/// The records of events that come after a head, in order.
fn sealed(
    seal: &Seal,
    mut head: Head,
    site: Site,
    at_ms: u64,
    entries: &[Entry],
) -> Result<Vec<Record>> {
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        let record = seal.record(&head, site, at_ms, &entry.event, entry.wrapped.clone())?;
        head = Head { position: record.position, counter: record.counter, link: record.link };
        records.push(record);
    }
    Ok(records)
}

/// Ends a transaction for a reason that the store need not know.
fn ended(failure: &mut Option<Error>, error: Error) -> StoreError {
    *failure = Some(error);
    StoreError::Unavailable("it was given up".into())
}

/// What came of a transaction.
fn told(appended: Stored<Head>, failure: Option<Error>) -> Result {
    match (appended, failure) {
        (Ok(_), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(error.into()),
    }
}

/// The link of the record at a position of a log, which the next one follows from; zeroes before the first.
pub(crate) fn link_at(store: &dyn Store, position: Position) -> Result<Hash> {
    let Some(before) = position.checked_sub(1) else { return Ok([0; 32]) };
    let record = store.read(before, 1)?.into_iter().next();
    // Where one is missing, nothing follows from it.
    Ok(record.filter(|record| record.position == position).map_or([0; 32], |r| r.link))
}

/// What is wrong with a record that somebody has changed.
pub const BROKEN: &str = "its seal is broken";

/// The error for a record that can't be trusted.
pub fn damaged(position: Position, what: &str) -> Error {
    Error::new(
        CKR_DEVICE_ERROR,
        format!(
            "record {position} of the log is damaged ({what}): it is not used; run `tandem doctor`, and restore the \
             state folder from a backup"
        ),
    )
}
