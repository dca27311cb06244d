//! The catalogue in this process: every object at hand, indexed, and as fresh as the last event any process made.

use crate::backup::Ledger;
use crate::error::Result;
use crate::event::{Event, Record};
use crate::journal::{BROKEN, damaged};
use crate::log::{Position, Row, Store};
use crate::object::{Object, ObjectId};
use crate::seal::Seal;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Every backup, as sealed records tell; empty while nobody is logged in.
    ledger: Arc<Ledger>,
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
    /// Open while somebody is logged in: then nothing is taken from the catalogue but what sealed records say.
    seal: Arc<RwLock<Option<Seal>>>,
    books: RwLock<Books>,
    seen: AtomicU64,
    /// One refresh at a time; the others wait for it rather than do it again.
    turn: Mutex<()>,
    /// Positions of records whose seal is broken: what they made or changed is not used.
    broken: RwLock<BTreeSet<Position>>,
    /// A member knew another log than this one: no backup that it tells of counts.
    doubted: AtomicBool,
}

/// What objects are by the log, each with the position of the last record about it.
type Folded = BTreeMap<ObjectId, (Position, Option<Object>)>;

/// How many records are read at once.
const BATCH: usize = 256;

/// How often a catalogue that is not what the log says is put right before it is left to the next look.
const MENDING_MAX: usize = 3;

impl Shelf {
    /// An empty shelf over a store, and the seal that a login opens; the first look fills it.
    pub fn new(store: Arc<dyn Store>, seal: Arc<RwLock<Option<Seal>>>) -> Self {
        Self {
            store,
            seal,
            books: RwLock::default(),
            seen: AtomicU64::new(u64::MAX),
            turn: Mutex::new(()),
            broken: RwLock::default(),
            doubted: AtomicBool::new(false),
        }
    }

    /// Forgets everything: a new log has begun.
    pub fn clear(&self) {
        *self.books.write() = Books::default();
        self.broken.write().clear();
        self.seen.store(u64::MAX, Ordering::Release);
    }

    /// Marks records that can't be trusted, and holds every row against the others: with the seal open, what was served
    /// before is taken back where the log says otherwise.
    pub fn check(&self, broken: impl IntoIterator<Item = Position>) -> Result {
        *self.broken.write() = broken.into_iter().collect();
        let _turn = self.turn.lock();
        self.look(true)
    }

    /// From now on no backup that the log tells of counts: it may not be the whole log.
    pub(crate) fn doubt(&self) {
        // Whoever is looking just now has not heard of it.
        let _turn = self.turn.lock();
        if !self.doubted.swap(true, Ordering::AcqRel) {
            Arc::make_mut(&mut self.books.write().ledger).distrust_all();
        }
    }

    /// Backups count again, as the log tells.
    pub(crate) fn trust(&self) -> Result {
        if !self.doubted.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let _turn = self.turn.lock();
        let looked = self.look(true);
        if looked.is_err() {
            self.doubted.store(true, Ordering::Release);
        }
        looked
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
        self.look(false)
    }

    /// Takes in what is new in the log, or everything anew.
    fn look(&self, anew: bool) -> Result {
        // Read before looking: a change that comes while we look is seen the next time.
        let generation = self.store.generation();
        self.fold()?;
        let reached = self.store.position()?;
        // Less than before: another process has begun a new log.
        let anew = anew || reached < self.books.read().position;
        let from = if anew { 0 } else { self.books.read().position };
        let mut ledger = if anew { Arc::default() } else { self.ledger() };
        let rows = self.sound_rows(from, reached, &mut ledger)?;
        let mut books = self.books.write();
        if anew {
            *books = Books::default();
        }
        books.ledger = ledger;
        for row in rows {
            apply(&mut books, &row);
        }
        books.position = reached;
        self.seen.store(generation, Ordering::Release);
        Ok(())
    }

    /// The rows that have changed since a position; with the seal open, as the log has them.
    fn sound_rows(
        &self,
        from: Position,
        to: Position,
        ledger: &mut Arc<Ledger>,
    ) -> Result<Vec<Row>> {
        if self.seal.read().is_none() {
            *ledger = Arc::default();
            return Ok(self.store.changed(from)?);
        }
        let mut folded = Folded::new();
        self.each_sound(from, to, |record, event| {
            if event.is_for_ledger() {
                Arc::make_mut(ledger).take(record, &event);
            }
            Self::fold_one(record, event, &mut folded, |id| {
                (from > 0).then(|| self.by_id(id).map(|entry| entry.object.clone())).flatten()
            });
        })?;
        if let Some(broken) = self.broken.read().last() {
            Arc::make_mut(ledger).distrust(*broken);
        }
        if self.doubted.load(Ordering::Acquire) {
            Arc::make_mut(ledger).distrust_all();
        }
        for _ in 0..MENDING_MAX {
            let rows = rows_at(to, self.store.changed(from)?, &folded);
            let wrong = self.wrong(from, &rows, &folded)?;
            if wrong.is_empty() {
                return Ok(rows);
            }
            for (id, ..) in &wrong {
                log::error!(
                    "the catalogue's row of object {id} is not what the log says: it is written anew; who may write to the \
                     state folder?"
                );
            }
            self.store.fold(to, to, &wrong)?;
        }
        // Somebody is at it all the time: what can't be put right is not served.
        let rows = rows_at(to, self.store.changed(from)?, &folded);
        Ok(rows.into_iter().filter(|row| is_right(row, folded.get(&row.id))).collect())
    }

    /// Rows that are not what the log says, as they should be.
    fn wrong(&self, from: Position, rows: &[Row], folded: &Folded) -> Result<Vec<Folding>> {
        let mut wrong = Folded::new();
        for row in rows {
            match folded.get(&row.id) {
                known if is_right(row, known) => {}
                Some(known) => {
                    wrong.insert(row.id, known.clone());
                }
                // No record since then speaks of it.
                None => match self.by_id(row.id).filter(|_| from > 0) {
                    Some(old) => {
                        wrong.insert(row.id, (old.position, Some(old.object.clone())));
                    }
                    None if row.body.is_some() => {
                        wrong.insert(row.id, (row.position, None));
                    }
                    None => {}
                },
            }
        }
        let there: HashSet<_> = rows.iter().map(|row| row.id).collect();
        for (id, known) in folded.iter().filter(|(id, _)| !there.contains(id)) {
            // A destroyed object that never was on this host's catalogue needs no row.
            if known.1.is_some() || self.store.row(*id)?.is_some() {
                wrong.insert(*id, known.clone());
            }
        }
        Ok(encoded(wrong))
    }

    /// Folds events that the catalogue has not taken in yet. The catalogue is a follower of the log like any other.
    fn fold(&self) -> Result {
        let (from, to) = (self.store.position()?, self.store.head()?.position);
        if to < from {
            // The log was cut short: what comes next in it is not in the catalogue yet.
            return Ok(self.store.fold(from, to, &[])?);
        }
        if to == from {
            return Ok(());
        }
        let mut folded = Folded::new();
        let mut missing = None;
        self.each_sound(from, to, |record, event| {
            Self::fold_one(record, event, &mut folded, |id| match self.store.row(id) {
                Ok(row) => row.and_then(|row| decode(&row)),
                Err(error) => {
                    missing.get_or_insert(error);
                    None
                }
            });
        })?;
        match missing {
            Some(error) => Err(error.into()),
            None => Ok(self.store.fold(from, to, &encoded(folded))?),
        }
    }

    /// Visits the records after a position and up to another that nobody has changed, as far as can be told now, and what
    /// they say.
    fn each_sound(
        &self,
        from: Position,
        to: Position,
        mut visit: impl FnMut(&Record, Event),
    ) -> Result {
        let seal = self.seal.read().clone();
        let mut link = match from.checked_sub(1) {
            Some(before) => {
                let last = self.store.read(before, 1)?.into_iter().next();
                last.filter(|last| last.position == from).map_or([0; 32], |last| last.link)
            }
            None => [0; 32],
        };
        let mut at = from;
        while at < to {
            let records = self.store.read(at, BATCH)?;
            let Some(last) = records.last() else { break };
            at = last.position;
            for record in records.iter().take_while(|record| record.position <= to) {
                if seal.as_ref().is_some_and(|seal| !seal.holds(record, &link)) {
                    self.found_broken(record.position);
                }
                link = record.link;
                if !self.is_broken(record.position)
                    && let Some(event) = record.event()
                {
                    visit(record, event);
                }
            }
        }
        Ok(())
    }

    fn found_broken(&self, position: Position) {
        if self.broken.write().insert(position) {
            log::error!("{}", damaged(position, BROKEN));
        }
    }

    /// Folds a record. `before` tells what an object was of which no record was folded yet.
    fn fold_one(
        record: &Record,
        event: Event,
        folded: &mut Folded,
        mut before: impl FnMut(ObjectId) -> Option<Object>,
    ) {
        let Some(id) = event.about() else { return };
        let old = match folded.remove(&id) {
            Some((_, old)) => old,
            None => before(id),
        };
        folded.insert(id, (record.position, event.fold(old, record.position)));
    }

    /// Every backup, as the log tells.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.books.read().ledger)
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

/// A row as the catalogue takes it.
type Folding = (ObjectId, Position, Option<Vec<u8>>);

/// Rows as the catalogue takes them.
fn encoded(folded: Folded) -> Vec<Folding> {
    folded
        .into_iter()
        .map(|(id, (at, object))| (id, at, object.as_ref().and_then(encode)))
        .collect()
}

fn encode(object: &Object) -> Option<Vec<u8>> {
    minicbor::to_vec(object).ok()
}

/// Rows as they were at a position of the log. Where another process has taken in more since, what the log says up to there
/// stands for the row, and what it doesn't speak of is left to the next look.
fn rows_at(to: Position, rows: Vec<Row>, folded: &Folded) -> Vec<Row> {
    let then = |row: Row| {
        if row.position <= to {
            return Some(row);
        }
        let (position, object) = folded.get(&row.id)?;
        Some(Row { position: *position, body: object.as_ref().and_then(encode), ..row })
    };
    rows.into_iter().filter_map(then).collect()
}

/// True if a row is what the log says of its object.
fn is_right(row: &Row, known: Option<&(Position, Option<Object>)>) -> bool {
    known.is_some_and(|(at, object)| {
        *at == row.position && row.body.is_some() == object.is_some() && decode(row) == *object
    })
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
