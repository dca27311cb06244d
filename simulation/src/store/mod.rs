//! A store in memory. [`MemoryStore`] keeps the contract of every store (`tandem_store::contract`); [`Hand`] is how a
//! simulated process reaches it, with what goes wrong on the way.

mod followers;
mod hand;
mod log;
mod pages;
mod rows;

pub use hand::Hand;

use crate::toy::Life;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_engine::event::{Event, Record};
use tandem_engine::log::{Position, Row};
use tandem_engine::object::ObjectId;
use tandem_values::Handle;

/// Waiting for a lease, as the world has it.
pub trait Pause: Send + Sync {
    /// Lets so many milliseconds pass.
    fn pause(&self, ms: u64);
}

/// A follower as it is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Follower {
    pub(crate) position: Position,
    pub(crate) epoch: u64,
    pub(crate) exceptions: BTreeMap<ObjectId, String>,
}

/// Everything that is kept. Cloned, it is a snapshot.
#[derive(Clone, Default)]
pub struct Books {
    pub(crate) records: Vec<Record>,
    pub(crate) followers: BTreeMap<String, Follower>,
    /// Who holds the lease of a follower.
    pub(crate) leases: BTreeMap<String, Life>,
    pub(crate) rows: BTreeMap<Handle, Row>,
    pub(crate) handles: BTreeMap<ObjectId, Handle>,
    pub(crate) handles_given: Handle,
    pub(crate) folded: Position,
    pub(crate) notes: BTreeMap<String, Vec<u8>>,
    pub(crate) generation: u64,
    /// The generation of the last change of a note.
    pub(crate) noted: u64,
    pub(crate) checkpoint: Option<Arc<Vec<u8>>>,
    /// In which line of the script each record was appended.
    pub(crate) lines: BTreeMap<Position, u32>,
    /// What there was before an append that is not durable, and whose it is: a planted bug.
    pub(crate) undurable: Option<(Life, Box<Self>)>,
    /// What processes were about to fold into the catalogue since it last took something in.
    pub(crate) late: Vec<Fold>,
}

/// What the catalogue takes in of the log at a time.
#[derive(Clone)]
pub(crate) struct Fold {
    /// After this position.
    pub from: Position,
    /// Up to this one.
    pub to: Position,
    /// What has changed.
    pub rows: Vec<(ObjectId, Position, Option<Vec<u8>>)>,
}

impl Books {
    /// Every record.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Every record, for whoever changes them behind Tandem's back.
    pub fn records_mut(&mut self) -> &mut Vec<Record> {
        self.generation = self.generation.wrapping_add(1);
        &mut self.records
    }

    /// The catalogue's checkpoint, for whoever changes it behind Tandem's back.
    pub fn checkpoint_mut(&mut self) -> &mut Option<Arc<Vec<u8>>> {
        self.generation = self.generation.wrapping_add(1);
        &mut self.checkpoint
    }

    /// Every row of the catalogue.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// A follower's position and what it could not take.
    pub fn follower(&self, name: &str) -> (Position, Vec<ObjectId>) {
        self.followers.get(name).map_or_else(Default::default, |follower| {
            (follower.position, follower.exceptions.keys().copied().collect())
        })
    }

    /// The positions that were appended in a line of the script.
    pub fn appended_in(&self, line: u32) -> Vec<Position> {
        self.lines.iter().filter(|(_, of)| **of == line).map(|(position, _)| *position).collect()
    }

    /// Frees what a process held.
    pub(crate) fn free(&mut self, life: Life) {
        if let Some((of, before)) = self.undurable.take_if(|(of, _)| *of == life) {
            let generation = self.generation;
            *self = Self { generation, ..*before };
            debug_assert_eq!(of, life);
            self.changed_note();
        }
        self.leases.retain(|_, holder| *holder != life);
    }

    /// Gives the rows of what is gone to what has come last: a planted bug.
    pub(crate) fn reuse_handles(&mut self) {
        let Some(gone) = self.rows.values().find(|row| row.body.is_none()).map(|row| row.handle)
        else {
            return;
        };
        let Some(last) = self.rows.keys().next_back().copied().filter(|last| *last > gone) else {
            return;
        };
        if let Some(mut row) = self.rows.remove(&last) {
            row.handle = gone;
            self.handles.insert(row.id, gone);
            self.rows.insert(gone, row);
            self.handles_given = last - 1;
        }
    }

    /// Erases bytes that a rotation wraps anew, as soon as it has opened them: a planted bug.
    pub(crate) fn erase_first(&mut self, opened: &[u8]) {
        let rotates = self.leases.contains_key("kek/rotate");
        let newest = self.records.iter().rev().find_map(|record| match record.event() {
            Some(Event::Rotating(rotation)) => rotation.keys.iter().map(|key| key.generation).max(),
            _ => None,
        });
        let is_it = |record: &&mut Record| {
            record.wrapped.as_deref() == Some(opened)
                && record.event().and_then(|event| event.generation()) < newest
        };
        if let Some(record) = self.records.iter_mut().find(is_it).filter(|_| rotates) {
            record.wrapped = None;
        }
    }

    pub(crate) fn changed(&mut self) {
        self.generation += 1;
    }

    pub(crate) fn changed_note(&mut self) {
        self.changed();
        self.noted = self.generation;
    }
}

/// A store in memory, as one process has it open.
pub struct MemoryStore {
    pub(crate) books: Arc<Mutex<Books>>,
    pub(crate) life: Life,
    pub(crate) pause: Arc<dyn Pause>,
}

impl MemoryStore {
    /// Opens it.
    pub fn open(books: Arc<Mutex<Books>>, life: Life, pause: Arc<dyn Pause>) -> Self {
        Self { books, life, pause }
    }
}
