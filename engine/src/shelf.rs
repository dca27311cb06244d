//! The catalogue in this process: every object at hand, indexed, and as fresh as the last event any process made.

use crate::error::Result;
use crate::event::{Event, Record};
use crate::log::{Position, Row, Store};
use crate::object::{Object, ObjectId};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_values::{Handle, Template, ck::*};

/// An object and its handle.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its handle: the catalogue's row number.
    pub handle: Handle,
    /// Position of the last event that changed it.
    pub position: Position,
    /// The object.
    pub object: Object,
}

#[derive(Default)]
struct Books {
    position: Position,
    entries: BTreeMap<Handle, Arc<Entry>>,
    handles: HashMap<ObjectId, Handle>,
    by_id: HashMap<Vec<u8>, BTreeSet<Handle>>,
    by_label: HashMap<Vec<u8>, BTreeSet<Handle>>,
}

impl Books {
    fn put(&mut self, entry: Entry) {
        self.take(entry.handle);
        let handle = entry.handle;
        self.handles.insert(entry.object.id, handle);
        index(&mut self.by_id, entry.object.template.bytes(CKA_ID)).insert(handle);
        index(&mut self.by_label, entry.object.template.bytes(CKA_LABEL)).insert(handle);
        self.entries.insert(handle, Arc::new(entry));
    }

    fn take(&mut self, handle: Handle) {
        let Some(entry) = self.entries.remove(&handle) else { return };
        self.handles.remove(&entry.object.id);
        index(&mut self.by_id, entry.object.template.bytes(CKA_ID)).remove(&handle);
        index(&mut self.by_label, entry.object.template.bytes(CKA_LABEL)).remove(&handle);
    }
}

fn index<'a>(
    map: &'a mut HashMap<Vec<u8>, BTreeSet<Handle>>,
    key: Option<&[u8]>,
) -> &'a mut BTreeSet<Handle> {
    map.entry(key.unwrap_or_default().to_vec()).or_default()
}

/// The shelf of one token.
pub struct Shelf {
    store: Arc<dyn Store>,
    books: RwLock<Books>,
    seen: AtomicU64,
    /// One refresh at a time; the others wait for it rather than do it again.
    turn: Mutex<()>,
    /// Positions of records whose seal is broken: what they made or changed is not used.
    broken: RwLock<HashSet<Position>>,
}

impl Shelf {
    /// An empty shelf over a store; the first look fills it.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            books: RwLock::default(),
            seen: AtomicU64::new(u64::MAX),
            turn: Mutex::new(()),
            broken: RwLock::default(),
        }
    }

    /// Forgets everything: a new log has begun.
    pub fn clear(&self) {
        *self.books.write() = Books::default();
        self.broken.write().clear();
        self.seen.store(u64::MAX, Ordering::Release);
    }

    /// Marks records that can't be trusted, and takes back what they did to objects that other records speak of.
    pub fn distrust(&self, positions: impl IntoIterator<Item = Position>) -> Result {
        let broken: HashSet<Position> = positions.into_iter().collect();
        let any = !broken.is_empty();
        *self.broken.write() = broken;
        if any { self.take_back() } else { Ok(()) }
    }

    /// Folds the objects that broken records name anew, from the other records.
    fn take_back(&self) -> Result {
        let _turn = self.turn.lock();
        let mut named = BTreeSet::new();
        let mut rows: BTreeMap<ObjectId, (Position, Option<Object>)> = BTreeMap::new();
        let (mut at, to) = (0, self.store.position()?);
        while at < to {
            let records = self.store.read(at, 256)?;
            let Some(last) = records.last() else { break };
            at = last.position;
            for record in records.iter().take_while(|record| record.position <= to) {
                let id = match record.event() {
                    Some(Event::Created(object)) => object.id,
                    Some(Event::Changed { id, .. } | Event::Destroyed(id)) => id,
                    Some(Event::Paired(_)) | None => continue,
                };
                if self.is_broken(record.position) {
                    named.insert(id);
                } else if rows.contains_key(&id)
                    || matches!(record.event(), Some(Event::Created(_)))
                {
                    self.fold_one(record, &mut rows)?;
                }
            }
        }
        rows.retain(|id, _| named.contains(id));
        self.store.fold(to, to, &encoded(rows))?;
        *self.books.write() = Books::default();
        self.seen.store(u64::MAX, Ordering::Release);
        Ok(())
    }

    fn is_broken(&self, position: Position) -> bool {
        self.broken.read().contains(&position)
    }

    /// Brings the shelf up to the last event, if any process has made one since.
    pub fn refresh(&self) -> Result {
        if self.store.generation() == self.seen.load(Ordering::Acquire) {
            return Ok(());
        }
        let _turn = self.turn.lock();
        // Read before looking: a change that comes while we look is seen the next time.
        let generation = self.store.generation();
        self.fold()?;
        let (after, reached) = (self.books.read().position, self.store.position()?);
        if reached < after {
            // Another process has begun a new log.
            *self.books.write() = Books::default();
        }
        let rows = self.store.changed(if reached < after { 0 } else { after })?;
        let mut books = self.books.write();
        for row in rows {
            apply(&mut books, &row);
        }
        books.position = reached;
        self.seen.store(generation, Ordering::Release);
        Ok(())
    }

    /// Folds events that the catalogue has not taken in yet. The catalogue is a follower of the log like any other.
    fn fold(&self) -> Result {
        let from = self.store.position()?;
        let mut rows: BTreeMap<ObjectId, (Position, Option<Object>)> = BTreeMap::new();
        let mut to = from;
        loop {
            let records = self.store.read(to, 256)?;
            let Some(last) = records.last() else { break };
            to = last.position;
            for record in records.iter().filter(|record| !self.is_broken(record.position)) {
                self.fold_one(record, &mut rows)?;
            }
        }
        if to == from {
            return Ok(());
        }
        Ok(self.store.fold(from, to, &encoded(rows))?)
    }

    fn fold_one(
        &self,
        record: &Record,
        rows: &mut BTreeMap<ObjectId, (Position, Option<Object>)>,
    ) -> Result {
        match record.event() {
            Some(Event::Created(mut object)) => {
                object.born = record.position;
                rows.insert(object.id, (record.position, Some(*object)));
            }
            Some(Event::Changed { id, template, kek }) => {
                let old = match rows.remove(&id) {
                    Some((_, old)) => old,
                    None => self.store.row(id)?.and_then(|row| decode(&row)),
                };
                let changed = old.map(|mut object| {
                    object.template.merge(&template);
                    if kek.is_some() {
                        object.kek = kek;
                        object.born = record.position;
                    }
                    object
                });
                rows.insert(id, (record.position, changed));
            }
            Some(Event::Destroyed(id)) => {
                rows.insert(id, (record.position, None));
            }
            Some(Event::Paired(_)) | None => {}
        }
        Ok(())
    }

    /// The object of a handle.
    pub fn get(&self, handle: Handle) -> Option<Arc<Entry>> {
        let entry = self.books.read().entries.get(&handle).cloned()?;
        self.trusted(&entry).then_some(entry)
    }

    /// The object of an identity.
    pub fn by_id(&self, id: ObjectId) -> Option<Arc<Entry>> {
        let books = self.books.read();
        let entry = books.entries.get(books.handles.get(&id)?).cloned()?;
        drop(books);
        self.trusted(&entry).then_some(entry)
    }

    /// Every object that has these attributes, in order of handle.
    pub fn find(&self, wanted: &Template) -> Vec<Arc<Entry>> {
        let books = self.books.read();
        let chosen = |handle: &Handle| books.entries.get(handle);
        let candidates: Vec<_> = match (wanted.bytes(CKA_ID), wanted.bytes(CKA_LABEL)) {
            (Some(id), _) => {
                books.by_id.get(id).into_iter().flatten().filter_map(chosen).cloned().collect()
            }
            (None, Some(label)) => books
                .by_label
                .get(label)
                .into_iter()
                .flatten()
                .filter_map(chosen)
                .cloned()
                .collect(),
            (None, None) => books.entries.values().cloned().collect(),
        };
        drop(books);
        candidates
            .into_iter()
            .filter(|e| self.trusted(e) && e.object.template.matches(wanted))
            .collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.books.read().entries.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn trusted(&self, entry: &Entry) -> bool {
        let broken = self.broken.read();
        broken.is_empty()
            || !(broken.contains(&entry.object.born) || broken.contains(&entry.position))
    }
}

/// Rows as the catalogue takes them.
fn encoded(
    rows: BTreeMap<ObjectId, (Position, Option<Object>)>,
) -> Vec<(ObjectId, Position, Option<Vec<u8>>)> {
    let encode = |object: Object| minicbor::to_vec(&object).ok();
    rows.into_iter().map(|(id, (at, object))| (id, at, object.and_then(encode))).collect()
}

fn apply(books: &mut Books, row: &Row) {
    match decode(row) {
        Some(object) => books.put(Entry { handle: row.handle, position: row.position, object }),
        None => books.take(row.handle),
    }
}

fn decode(row: &Row) -> Option<Object> {
    let body = row.body.as_deref()?;
    if let Ok(object) = minicbor::decode(body) {
        Some(object)
    } else {
        log::error!(
            "row {} of the catalogue is damaged and is not used; run `tandem doctor`",
            row.handle
        );
        None
    }
}
