//! The catalogue in this process: every object at hand, and as fresh as the last event any process made.
//!
//! In memory is what tells objects apart, and by which an object's row is known to be the one that was checked; the objects
//! themselves are read when they are wanted, and the last ones are kept. Where there are more objects than memory should hold, the
//! most are in a checkpoint: a sealed file of what the log was judged to say up to a position.

mod base;
mod checkpoint;
mod known;
mod look;
mod page;
mod slot;
mod slots;
mod stocked;

use crate::backup::Ledger;
use crate::error::{Error, Result};
use crate::log::{Position, Row, Store};
use crate::object::{Object, ObjectId};
use crate::seal::Seal;
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tandem_values::{Handle, Template, ck::CKR_DEVICE_ERROR};

use base::{Flaw, Taken};
use known::decode;
pub(crate) use look::Checked;
use look::{Since, Trouble};
use slot::{Names, Slot};
use slots::Slots;
pub(crate) use stocked::Stocked;

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

#[derive(Clone, Default)]
struct Books {
    position: Position,
    slots: Slots,
    names: Names,
    /// Positions of the records that are about no object, as far as they were judged.
    others: Vec<Position>,
    /// Another whenever `others` is.
    told: u64,
    /// Every backup, as sealed records tell; empty while nobody is logged in.
    ledger: Arc<Ledger>,
}

/// What came of reading an object.
enum Read {
    There(Arc<Entry>),
    Nowhere,
    /// Its row is not the one that was taken in.
    Other,
}

/// So many objects are read at once, where many are.
const READ_MAX: usize = 256;

/// So many objects are kept as they were read. Each takes two to three kilobytes.
const CACHED_MAX: usize = 8_192;

/// The shelf of one token.
pub struct Shelf {
    store: Arc<dyn Store>,
    /// Open while somebody is logged in: then nothing is taken from the catalogue but what sealed records say.
    seal: Arc<RwLock<Option<Seal>>>,
    books: RwLock<Books>,
    /// Objects as they were read, each of the row that its slot speaks of.
    cache: Cache<Handle, Arc<Entry>>,
    seen: AtomicU64,
    /// How often objects went.
    gone: AtomicU64,
    /// How often the log told of something else than objects, or was taken in anew.
    tellings: AtomicU64,
    /// Every row that was taken in was held against the sealed log.
    checked: AtomicBool,
    /// One refresh at a time; the others wait for it rather than do it again.
    turn: Mutex<()>,
    /// Positions of records whose seal is broken: what they made or changed is not used.
    broken: RwLock<BTreeSet<Position>>,
    /// A member knew another log than this one: no backup that it tells of counts.
    doubted: AtomicBool,
    /// How many changed objects are kept in memory before a checkpoint takes them.
    checkpoint_after: usize,
    /// How many there were when one could not be written last.
    checkpoint_tried: AtomicUsize,
    /// Somebody writes them in the background.
    tended: AtomicBool,
}

impl Shelf {
    /// An empty shelf over a store, and the seal that a login opens; the first look fills it. When so many objects have changed since
    /// the last checkpoint, another is written.
    pub fn new(
        store: Arc<dyn Store>,
        seal: Arc<RwLock<Option<Seal>>>,
        checkpoint_after: usize,
    ) -> Self {
        Self {
            store,
            seal,
            books: RwLock::default(),
            cache: Cache::new(CACHED_MAX),
            seen: AtomicU64::new(u64::MAX),
            gone: AtomicU64::new(0),
            tellings: AtomicU64::new(0),
            checked: AtomicBool::new(false),
            turn: Mutex::new(()),
            broken: RwLock::default(),
            doubted: AtomicBool::new(false),
            checkpoint_after,
            checkpoint_tried: AtomicUsize::new(0),
            tended: AtomicBool::new(false),
        }
    }

    /// Forgets everything: a new log has begun.
    pub fn clear(&self) {
        *self.books.write() = Books { told: self.telling(), ..Books::default() };
        self.cache.clear();
        self.broken.write().clear();
        self.checked.store(false, Ordering::Release);
        self.seen.store(u64::MAX, Ordering::Release);
    }

    /// Judges every record of the log anew, and holds every row against them: with the seal open, what was served before is
    /// taken back where the log says otherwise.
    pub(crate) fn check(&self) -> Result<Checked> {
        let _turn = self.turn.lock();
        if let Err(error) = self.store.mend_index() {
            log::warn!("the index of the log could not be looked over: {error}");
        }
        self.look(Since::Beginning)
    }

    /// The same from the checkpoint on: what was judged by then bears its seal, and is held against it when it is used.
    pub(crate) fn check_since(&self) -> Result<Checked> {
        let _turn = self.turn.lock();
        self.look(Since::Checkpoint)
    }

    /// Positions of the sealed records that are about no object, and the one up to which these are all.
    pub(crate) fn others(&self) -> (Vec<Position>, Position) {
        let books = self.books.read();
        (books.others.clone(), books.position)
    }

    /// A number that is another whenever [`Shelf::others`] are, and the position up to which these are all.
    pub(crate) fn told(&self) -> (u64, Position) {
        let books = self.books.read();
        (books.told, books.position)
    }

    fn telling(&self) -> u64 {
        self.tellings.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The store's generation when the shelf was last brought up.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// A number that is another whenever objects have gone since.
    pub(crate) fn gone(&self) -> u64 {
        self.gone.load(Ordering::Acquire)
    }

    /// True if nothing is here that was not held against the sealed log.
    pub(crate) fn is_checked(&self) -> bool {
        self.checked.load(Ordering::Acquire)
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
        let looked = self.look(Since::Checkpoint).map(drop);
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
        if self.is_fresh() {
            return Ok(());
        }
        let looked = {
            let _turn = self.turn.lock();
            // Another thread may have done it meanwhile.
            if self.is_fresh() {
                return Ok(());
            }
            self.look(Since::Last)
        };
        looked.map(|_| self.lighten())
    }

    fn is_fresh(&self) -> bool {
        let is_as_seen = self.store.generation() == self.seen.load(Ordering::Acquire);
        is_as_seen && (self.is_checked() || self.seal.read().is_none())
    }

    /// From now on somebody writes checkpoints in the background, or nobody does.
    pub(crate) fn tended(&self, tended: bool) {
        self.tended.store(tended, Ordering::Relaxed);
    }

    /// Every backup, as the log tells.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.books.read().ledger)
    }

    /// The object of a handle; `None` if there is none. An error says that the store can't be read now.
    pub fn get(&self, handle: Handle) -> Result<Option<Arc<Entry>>> {
        // A row that is not the one that was taken in was changed by another process, or by somebody's hand.
        let mut looks = [Since::Last, Since::Checkpoint, Since::Beginning].into_iter();
        let mut meant = None;
        loop {
            match self.read(handle)? {
                // A row that was put in another's place is not what the handle was given for.
                Read::There(entry) if meant.is_some_and(|id| id != entry.object.id) => {
                    return Ok(None);
                }
                Read::There(entry) => return Ok(self.trusted(&entry).then_some(entry)),
                Read::Nowhere => return Ok(None),
                Read::Other if meant.is_none() => {
                    meant = self.ask(|books| books.slots.get(handle))?.map(|slot| slot.id);
                }
                Read::Other => {}
            }
            // That nothing is seen says nothing of the object: it is there, and can't be read now.
            let Some(since) = looks.next() else {
                let message = format!(
                    "row {handle} of the catalogue changes all the time: who writes to the state folder?"
                );
                return Err(Error::new(CKR_DEVICE_ERROR, message));
            };
            let _turn = self.turn.lock();
            self.look(since)?;
        }
    }

    /// The object of an identity.
    pub fn by_id(&self, id: ObjectId) -> Result<Option<Arc<Entry>>> {
        let handle = self.ask(|books| books.slots.handle(id))?;
        handle.map_or(Ok(None), |handle| self.get(handle))
    }

    /// An object as the shelf has it, or as its row has it now.
    fn read(&self, handle: Handle) -> Result<Read> {
        if let Some(entry) = self.cache.get(&handle) {
            return Ok(Read::There(entry));
        }
        let Some(slot) = self.ask(|books| books.slots.get(handle))? else {
            return Ok(Read::Nowhere);
        };
        let row = self.rows_at(&[handle])?.pop();
        let Some(entry) = row.and_then(|row| entry_of(&slot, &row)) else {
            return Ok(Read::Other);
        };
        let books = self.books.read();
        if books.slots.get(handle).is_ok_and(|now| now.as_ref() == Some(&slot)) {
            self.cache.insert(handle, Arc::clone(&entry));
        }
        Ok(Read::There(entry))
    }

    /// Objects that are read together, and not kept. What is not there, or not as it was taken in, is left out.
    fn read_many(&self, handles: &[Handle]) -> Result<HashMap<Handle, Arc<Entry>>> {
        let mut slots = HashMap::with_capacity(handles.len());
        for handle in handles {
            slots.extend(self.ask(|books| books.slots.get(*handle))?.map(|slot| (*handle, slot)));
        }
        let rows = self.rows_at(handles)?.into_iter();
        let entry = |row: Row| entry_of(slots.get(&row.handle)?, &row);
        Ok(rows.filter_map(entry).map(|entry| (entry.handle, entry)).collect())
    }

    /// Once more where it fails: a key that was not used before must be read, and signing waits for nobody else.
    fn rows_at(&self, handles: &[Handle]) -> Result<Vec<Row>> {
        Ok(self.store.rows_at(handles).or_else(|_| self.store.rows_at(handles))?)
    }

    /// Asks the books. If the checkpoint is not as it was written, the log is read from its beginning, and they are asked again.
    fn ask<T>(&self, question: impl Fn(&Books) -> Taken<T>) -> Result<T> {
        let answer = question(&self.books.read());
        match answer {
            Ok(answer) => Ok(answer),
            Err(Flaw::Unread(_) | Flaw::Broken) => {
                let _turn = self.turn.lock();
                // Another thread may have read the log meanwhile.
                let again = question(&self.books.read());
                if let Ok(answer) = again {
                    return Ok(answer);
                }
                self.look(Since::Beginning)?;
                Ok(question(&self.books.read()).map_err(Trouble::from)?)
            }
        }
    }

    /// The handles of every object that has these attributes and is an application's, in order; of those that everybody may
    /// see, or of all. Most are told without being read.
    pub fn handles(&self, wanted: &Template, private_too: bool) -> Result<Vec<Handle>> {
        let mut handles = Vec::new();
        let is_meant = |slot: &Slot| (private_too || !slot.is_private()) && !slot.is_in_stock;
        for (handle, is_known) in self.like(wanted, is_meant)? {
            if is_known || self.has(handle, wanted)? {
                handles.push(handle);
            }
        }
        Ok(handles)
    }

    /// Every object that has these attributes, in order of handle.
    pub fn find(&self, wanted: &Template) -> Result<Vec<Arc<Entry>>> {
        let mut found = Vec::new();
        self.each(wanted, |entry| {
            found.push(entry);
            Ok(())
        })?;
        Ok(found)
    }

    /// Visits every object that has these attributes, in order of handle: some at a time are read.
    pub fn each(&self, wanted: &Template, mut visit: impl FnMut(Arc<Entry>) -> Result) -> Result {
        for some in self.like(wanted, |_| true)?.chunks(READ_MAX) {
            let handles: Vec<_> = some.iter().map(|(handle, _)| *handle).collect();
            let mut read = self.read_many(&handles)?;
            for (handle, is_known) in some {
                let entry = match read.remove(handle).filter(|entry| self.trusted(entry)) {
                    Some(entry) => Some(entry),
                    None => self.get(*handle)?,
                };
                let is_wanted =
                    |entry: &Arc<Entry>| *is_known || entry.object.template.matches(wanted);
                if let Some(entry) = entry.filter(is_wanted) {
                    visit(entry)?;
                }
            }
        }
        Ok(())
    }

    fn like(
        &self,
        wanted: &Template,
        is_meant: impl Fn(&Slot) -> bool,
    ) -> Result<Vec<(Handle, bool)>> {
        let broken = self.broken.read().clone();
        let is_meant = |slot: &Slot| is_meant(slot) && is_sound(&broken, slot.born, slot.position);
        self.ask(|books| books.slots.like(&books.names, wanted, is_meant))
    }

    /// True if anything is in stock.
    pub(crate) fn has_stock(&self) -> Result<bool> {
        self.ask(|books| Ok(!books.slots.stock()?.is_empty()))
    }

    /// How many keys are in stock under a label.
    pub(crate) fn count_stocked(&self, label: &str) -> Result<u64> {
        let broken = self.broken.read().clone();
        self.ask(|books| {
            let keys = books.slots.stock()?.range(of_stock(books, Some(label)));
            let count = keys.filter(|(_, key)| is_sound(&broken, key.born, key.position)).count();
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        })
    }

    /// The keys in stock, public halves apart: of one label, if one is given, in order of handle; at most so many of those that
    /// are meant.
    pub(crate) fn stocked(
        &self,
        label: Option<&str>,
        most: usize,
        is_meant: impl Fn(&Stocked) -> bool,
    ) -> Result<Vec<Stocked>> {
        let broken = self.broken.read().clone();
        self.ask(|books| {
            let keys = books.slots.stock()?.range(of_stock(books, label)).map(|(_, key)| *key);
            let keys = keys.filter(|key| is_sound(&broken, key.born, key.position));
            Ok(keys.filter(&is_meant).take(most).collect())
        })
    }

    /// Position of the last record that is known to be broken; zero if none is.
    pub(crate) fn last_broken(&self) -> Position {
        self.broken.read().last().copied().unwrap_or(0)
    }

    /// Everything up to here is taken in.
    pub(crate) fn position(&self) -> Position {
        self.books.read().position
    }

    fn has(&self, handle: Handle, wanted: &Template) -> Result<bool> {
        Ok(self.get(handle)?.is_some_and(|entry| entry.object.template.matches(wanted)))
    }

    /// The handles of objects whose secret part should be at one of these positions of the log.
    pub(crate) fn wrapped_at(&self, positions: &BTreeSet<Position>) -> Result<Vec<Handle>> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let is_there = |slot: &Slot| slot.wrapped_at.is_some_and(|at| positions.contains(&at));
        let first = positions.first().copied().unwrap_or_default();
        self.ask(|books| {
            let mut handles = Vec::new();
            let visit = |handle, slot: &Slot| handles.extend(is_there(slot).then_some(handle));
            // What the checkpoint knows was made before it.
            match books.slots.base() {
                Some(base) if base.header().position < first => books.slots.each_recent(visit),
                _ => books.slots.each(visit)?,
            }
            Ok(handles)
        })
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.books.read().slots.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn trusted(&self, entry: &Entry) -> bool {
        is_sound(&self.broken.read(), entry.object.born, entry.position)
    }
}

/// An object in its row; `None` if that is not the one that was taken in.
fn entry_of(slot: &Slot, row: &Row) -> Option<Arc<Entry>> {
    let object = Some(row).filter(|row| slot.is_of(row)).and_then(decode)?;
    Some(Arc::new(Entry { handle: row.handle, position: slot.position, object }))
}

/// Where the keys of a stock are among all that are in stock; of every stock if no label is given.
fn of_stock(books: &Books, label: Option<&str>) -> RangeInclusive<(u64, Handle)> {
    let name = label.map(|label| books.names.of(Some(label.as_bytes())));
    (name.unwrap_or(0), 0)..=(name.unwrap_or(u64::MAX), Handle::MAX)
}

/// True if neither what made an object nor what changed it last is broken.
fn is_sound(broken: &BTreeSet<Position>, born: Position, last: Position) -> bool {
    broken.is_empty() || !(broken.contains(&born) || broken.contains(&last))
}
