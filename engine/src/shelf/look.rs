//! Taking in what is new in the log: folding it into the catalogue's rows, and holding the rows against it.
//!
//! A window of records at a time, from what was taken in last, from the checkpoint, or from the beginning. Where it is not from what
//! was taken in last, readers see what they saw until all of it is done.

use super::base::{Flaw, Taken};
use super::known::{Before, Folded, Folding, Known, decode};
use super::slot::{Names, Slot};
use super::slots::Slots;
use super::{Books, Entry, Shelf};
use crate::backup::Ledger;
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::journal::{BROKEN, damaged, link_at};
use crate::log::{Position, Row, StoreError};
use crate::object::{Object, ObjectId};
use crate::seal::Seal;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::{Handle, ck::CKR_DEVICE_ERROR};

/// How many records are read at once.
const BATCH: usize = 256;

/// How many records are taken in at once, at most.
const WINDOW: Position = 4_096;

/// Of so many new records at most the objects are kept at once: they were made just now, and are asked for by those who made them.
const KEPT_MAX: Position = 64;

/// How often a catalogue that is not what the log says is put right before it is left to the next look.
const MENDING_MAX: usize = 3;

/// From where the log is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From what was taken in last.
    Last,
    /// From the checkpoint, if there is one; everything after it is judged anew.
    Checkpoint,
    /// From the beginning: everything is judged anew.
    Beginning,
}

/// What the log was found to be, as far as it was judged.
#[derive(Default)]
pub(crate) struct Checked {
    /// Positions whose records are not as they were written, the first of them being where the chain first breaks.
    pub(crate) broken: BTreeSet<Position>,
    /// Positions of records whose wrapped bytes are gone, as those of destroyed keys should be.
    pub(crate) erased: BTreeSet<Position>,
}

/// Why the log could not be taken in.
pub(super) enum Trouble {
    Told(Error),
    /// The checkpoint is not as it was written.
    Checkpoint,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Told(error.into())
    }
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            // What a checkpoint can't tell the log can.
            Flaw::Unread(_) | Flaw::Broken => Self::Checkpoint,
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Told(error) => error,
            Trouble::Checkpoint => Self::new(
                CKR_DEVICE_ERROR,
                "the catalogue's checkpoint changes all the time: who writes to the state folder?",
            ),
        }
    }
}

type Looked<T = ()> = std::result::Result<T, Trouble>;

/// A row's slot, in its place, with its object where that is likely to be asked for next; `None` for a row of a destroyed object.
type Placed = (Handle, Option<(Slot, Option<Object>)>);

/// What a window of the log brings.
struct Brought {
    placed: Vec<Placed>,
    others: Vec<Position>,
    ledger: Arc<Ledger>,
}

/// Where what is taken in goes.
struct Draft<'a> {
    books: &'a RwLock<Books>,
    /// These are the books that readers have open.
    is_live: bool,
}

impl Shelf {
    /// Takes in what is new in the log, or more. One thread at a time: the caller holds the turn.
    pub(super) fn look(&self, since: Since) -> Result<Checked> {
        match self.look_once(since) {
            Err(Trouble::Checkpoint) => {
                log::error!(
                    "the catalogue's checkpoint, or a record that it relies on, is not as it was written or can't be read: the log is \
                     read from its beginning; who may write to the state folder?"
                );
                if self.seal.read().is_some() {
                    self.drop_checkpoint();
                }
                Ok(self.look_once(Since::Beginning)?)
            }
            looked => Ok(looked?),
        }
    }

    fn look_once(&self, since: Since) -> Looked<Checked> {
        // Read before looking: a change that comes while we look is seen the next time. The seal may be shut meanwhile: what is
        // taken in was all judged by it, or nothing was.
        let (generation, seal) = (self.store.generation(), self.seal.read().clone());
        let reached = self.fold(seal.as_ref())?;
        // Less than before: another process has begun a new log. What nobody has judged yet is not left so, and who knows nothing yet
        // begins where the checkpoint ends.
        let known = self.books.read().position;
        let is_old = reached < known || known == 0 || (seal.is_some() && !self.is_checked());
        let since = if since == Since::Last && is_old { Since::Checkpoint } else { since };
        let mut checked = Checked::default();
        match since {
            Since::Last => {
                let live = Draft { books: &self.books, is_live: true };
                self.take_in(&live, seal.as_ref(), reached, &mut checked)?;
            }
            Since::Checkpoint | Since::Beginning => {
                let drafted = RwLock::new(self.drafted(since, seal.as_ref())?);
                let draft = Draft { books: &drafted, is_live: false };
                self.take_in(&draft, seal.as_ref(), reached, &mut checked)?;
                self.found_broken(&checked.broken, true);
                self.publish(&drafted, checked.broken.is_empty());
                let mut books = self.books.write();
                *books = drafted.into_inner();
                books.told = self.telling();
                self.cache.clear();
                self.gone.fetch_add(1, Ordering::AcqRel);
                self.checkpoint_tried.store(0, Ordering::Relaxed);
            }
        }
        if since == Since::Beginning && !checked.broken.is_empty() {
            // Every login is to find what this one found.
            self.drop_checkpoint();
        }
        self.checked.store(seal.is_some(), Ordering::Release);
        self.seen.store(generation, Ordering::Release);
        Ok(checked)
    }

    /// Books to begin with.
    fn drafted(&self, since: Since, seal: Option<&Seal>) -> Looked<Books> {
        let base = if since == Since::Beginning { None } else { self.base(seal)? };
        let Some(base) = base else { return Ok(Books::default()) };
        let header = base.header();
        let (position, names) = (header.position, Names(header.names));
        let others = header.others.clone();
        let mut ledger = Ledger::default();
        for at in others.iter().filter(|_| seal.is_some()) {
            let mut is_there = false;
            let broken = self.each_sound::<Trouble>(
                seal,
                (at.saturating_sub(1), *at),
                true,
                |record, event| {
                    if let Some(event) = event {
                        ledger.take(record, &event);
                    }
                    is_there = true;
                    Ok(())
                },
            )?;
            if !broken.is_empty() || !is_there {
                // It was changed since, or taken out: what is broken is looked for in all of the log.
                return Err(Trouble::Checkpoint);
            }
        }
        let slots = Slots::over(Arc::new(base));
        Ok(Books { position, slots, names, others, ledger: Arc::new(ledger), told: 0 })
    }

    /// Takes in the log from where books are to a position.
    fn take_in(
        &self,
        draft: &Draft<'_>,
        seal: Option<&Seal>,
        reached: Position,
        checked: &mut Checked,
    ) -> Looked {
        loop {
            let from = draft.books.read().position;
            if from >= reached {
                break;
            }
            let to = reached.min(from.saturating_add(WINDOW));
            let brought = match seal {
                Some(seal) => self.judge(draft, seal, (from, to), checked)?,
                None => self.take_as_it_is(draft, (from, to))?,
            };
            self.place(draft, to, brought)?;
            if let Some(seal) = seal.filter(|_| !draft.is_live && checked.broken.is_empty()) {
                self.unburden(draft.books, seal)?;
            }
        }
        let mut books = draft.books.write();
        let known = self.broken.read().last().copied().filter(|_| draft.is_live);
        if let Some(broken) = checked.broken.last().copied().max(known) {
            Arc::make_mut(&mut books.ledger).distrust(broken);
        }
        if self.doubted.load(Ordering::Acquire) && seal.is_some() {
            Arc::make_mut(&mut books.ledger).distrust_all();
        }
        Ok(())
    }

    /// Keeps what is being taken in from filling the memory: it goes to a file that nobody else sees.
    fn unburden(&self, books: &RwLock<Books>, seal: &Seal) -> Looked {
        if self.is_much(&books.read())
            && let Some(base) = self.scratch(books, seal)?
        {
            books.write().slots = Slots::over(Arc::new(base));
        }
        Ok(())
    }

    fn place(&self, draft: &Draft<'_>, to: Position, brought: Brought) -> Looked {
        let mut books = draft.books.write();
        for (handle, placed) in brought.placed {
            if draft.is_live {
                self.cache.remove(&handle);
            }
            let (slot, object) = placed.unzip();
            let (is_there, position) = (slot.is_some(), slot.as_ref().map(|slot| slot.position));
            let was_there = books.slots.put(handle, slot)?;
            if let (Some(position), Some(object)) = (position, object.flatten()) {
                self.cache.insert(handle, Arc::new(Entry { handle, position, object }));
            }
            if draft.is_live && was_there && !is_there {
                self.gone.fetch_add(1, Ordering::AcqRel);
            }
        }
        if !brought.others.is_empty() {
            books.others.extend(brought.others);
            books.told = self.telling();
        }
        books.ledger = brought.ledger;
        books.position = to;
        Ok(())
    }

    /// The rows of a window, as they stand: nobody is logged in, so nothing can be checked.
    fn take_as_it_is(
        &self,
        draft: &Draft<'_>,
        (from, to): (Position, Position),
    ) -> Looked<Brought> {
        let names = draft.books.read().names.clone();
        let rows = self.store.changed(from, to)?;
        let placed = rows.into_iter().map(|row| {
            let slot = decode(&row).map(|object| {
                let body = row.body.as_deref().unwrap_or_default();
                (Slot::of(&names, &object, (row.position, 0), body), None)
            });
            (row.handle, slot)
        });
        Ok(Brought { placed: placed.collect(), others: Vec::new(), ledger: Arc::default() })
    }

    /// The rows of a window, as the log has them.
    fn judge(
        &self,
        draft: &Draft<'_>,
        seal: &Seal,
        (from, to): (Position, Position),
        checked: &mut Checked,
    ) -> Looked<Brought> {
        let (names, mut ledger) = {
            let books = draft.books.read();
            (books.names.clone(), Arc::clone(&books.ledger))
        };
        let (mut folded, mut others) = (Folded::new(&names), Vec::new());
        let erased = &mut checked.erased;
        let broken = self.each_sound(Some(seal), (from, to), !draft.is_live, |record, event| {
            if record.wrapped.is_none() && record.wrapped_hash != [0; 32] {
                erased.insert(record.position);
            }
            let about = event.as_ref().and_then(Event::about);
            if about.is_none() {
                others.push(record.position);
            }
            let Some(event) = event else { return Ok(()) };
            if event.is_for_ledger() {
                Arc::make_mut(&mut ledger).take(record, &event);
            }
            folded.fold(record, event, |id| self.before(draft, seal, id))
        })?;
        if draft.is_live {
            self.found_broken(&broken, false);
        }
        checked.broken.extend(broken);
        for _ in 0..MENDING_MAX {
            // Read first: what another process folds meanwhile is newer than what is held against the log here.
            let reached = self.store.position()?;
            let (placed, wrong) = self.compare(draft, seal, (from, to, reached), &folded)?;
            if wrong.is_empty() {
                return Ok(Brought { placed, others, ledger });
            }
            for (id, ..) in &wrong {
                log::error!(
                    "the catalogue's row of object {id} is not what the log says: it is written anew; who may write to the \
                     state folder?"
                );
            }
            self.store.fold(reached, reached, &wrong)?;
        }
        // Somebody is at it all the time: what can't be put right is not served.
        let placed = self.compare(draft, seal, (from, to, Position::MAX), &folded)?.0;
        Ok(Brought { placed, others, ledger })
    }

    /// Holds the rows of a window against the log, which has been taken in up to a position: those that are what it says, and as
    /// they should be those that are not.
    fn compare(
        &self,
        draft: &Draft<'_>,
        seal: &Seal,
        (from, to, reached): (Position, Position, Position),
        folded: &Folded<'_>,
    ) -> Looked<(Vec<Placed>, Vec<Folding>)> {
        let (mut placed, mut wrong, mut there) = (Vec::new(), Vec::new(), HashSet::new());
        let keeps = draft.is_live && to.saturating_sub(from) <= KEPT_MAX;
        for row in self.store.changed(from, to)? {
            there.insert(row.id);
            let Some(known) = folded.objects.get(&row.id) else {
                wrong.extend(self.untold(draft, seal, &row)?);
                continue;
            };
            match known.slot_of(&row) {
                Ok(slot) => {
                    let object =
                        || keeps.then(|| known.object()).flatten().map(|(object, _)| object);
                    placed.push((row.handle, slot.map(|slot| (slot, object()))));
                }
                Err(should_be) => wrong.push(should_be),
            }
        }
        for (id, known) in folded.objects.iter().filter(|(id, _)| !there.contains(id)) {
            match self.store.row(*id)? {
                // What the log says later has been taken in there already. What it says up to here stands for the row.
                // What is beyond all of it was of a log that has been cut short since.
                Some(row) if row.position > to && row.position <= reached => {
                    placed.push((row.handle, known.slot().map(|slot| (slot, None))));
                }
                Some(_) => wrong.push(known.row(*id)),
                // A destroyed object that never was on this host's catalogue needs no row.
                None if known.is_there() => wrong.push(known.row(*id)),
                None => {}
            }
        }
        Ok((placed, wrong))
    }

    /// A row that has changed though no record speaks of it, as it was; `None` if there is nothing to put right.
    fn untold(&self, draft: &Draft<'_>, seal: &Seal, row: &Row) -> Looked<Option<Folding>> {
        let Some((object, since)) = self.before(draft, seal, row.id)? else {
            return Ok(row.body.is_some().then_some((row.id, row.position, None)));
        };
        let slot = slot_of(&draft.books.read().slots, row.id)?;
        let position = slot.map_or(since, |(_, slot)| slot.position);
        let names = draft.books.read().names.clone();
        Ok(Some(Known::of(&names, Some(&object), (position, since)).row(row.id)))
    }

    /// An object as it was when the log was last taken in.
    fn before(&self, draft: &Draft<'_>, seal: &Seal, id: ObjectId) -> Looked<Before> {
        let found = slot_of(&draft.books.read().slots, id)?;
        let Some((handle, slot)) = found else { return Ok(None) };
        if let Some(entry) = self.cache.get(&handle).filter(|entry| {
            entry.position == slot.position && entry.object.id == id && draft.is_live
        }) {
            return Ok(Some((entry.object.clone(), slot.since)));
        }
        // Its row may be another's already: its records are not.
        let mut object = None;
        for at in self.store.mentions(Some(id), slot.since.saturating_sub(1))? {
            if at <= slot.position {
                let one = (at.saturating_sub(1), at);
                self.fold_again(draft, seal, (id, one), &mut object)?;
            }
        }
        if !object.as_ref().is_some_and(|object| slot.is_body_of(object)) {
            // The index kept quiet about some of them.
            object = None;
            let all = (slot.since.saturating_sub(1), slot.position);
            self.fold_again(draft, seal, (id, all), &mut object)?;
        }
        Ok(object.map(|object| (object, slot.since)))
    }

    /// Folds what these records say of one object.
    fn fold_again(
        &self,
        draft: &Draft<'_>,
        seal: &Seal,
        (id, records): (ObjectId, (Position, Position)),
        object: &mut Option<Object>,
    ) -> Looked {
        self.each_sound::<Trouble>(Some(seal), records, !draft.is_live, |record, event| {
            if let Some(event) = event.filter(|event| event.about() == Some(id)) {
                *object = event.fold(object.take(), record.position);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Folds events that the catalogue has not taken in yet, and answers up to where it has. The catalogue is a follower of the log
    /// like any other.
    fn fold(&self, seal: Option<&Seal>) -> Result<Position> {
        let (mut at, head) = (self.store.position()?, self.store.head()?.position);
        if head < at {
            // The log was cut short: what comes next in it is not in the catalogue yet.
            self.store.fold(at, head, &[])?;
            return Ok(self.store.position()?);
        }
        while at < head {
            self.fold_window(seal, (at, head.min(at.saturating_add(WINDOW))))?;
            // Another process may have folded meanwhile, and less than this: ours is then not written.
            at = self.store.position()?;
        }
        Ok(at)
    }

    fn fold_window(&self, seal: Option<&Seal>, (from, to): (Position, Position)) -> Result {
        // Rows don't have the names' numbers.
        let names = Names::default();
        let mut folded = Folded::new(&names);
        let broken = self.each_sound::<Error>(seal, (from, to), false, |record, event| {
            let Some(event) = event else { return Ok(()) };
            folded.fold(record, event, |id| {
                let row = self.store.row(id)?;
                Ok(row.and_then(|row| decode(&row)).map(|object| (object, 0)))
            })
        })?;
        self.found_broken(&broken, false);
        Ok(self.store.fold(from, to, &folded.rows())?)
    }

    /// Visits the records after a position and up to another that nobody has changed, as far as can be told now, with what
    /// they say where this program knows it. Answers those that somebody has. What was found broken stays so, unless it is
    /// judged anew.
    fn each_sound<E: From<Error>>(
        &self,
        seal: Option<&Seal>,
        (from, to): (Position, Position),
        anew: bool,
        mut visit: impl FnMut(&Record, Option<Event>) -> std::result::Result<(), E>,
    ) -> std::result::Result<BTreeSet<Position>, E> {
        let mut broken = BTreeSet::new();
        let (mut link, mut at) = (link_at(&*self.store, from)?, from);
        while at < to {
            let limit = usize::try_from(to.saturating_sub(at)).unwrap_or(BATCH).min(BATCH);
            let records = self.store.read(at, limit).map_err(Error::from)?;
            if records.is_empty() {
                break;
            }
            for record in records.iter().take_while(|record| record.position <= to) {
                let follows = record.position == at.saturating_add(1);
                let holds = seal.is_none_or(|seal| follows && seal.holds(record, &link));
                (link, at) = (record.link, record.position);
                if !holds || (!anew && self.is_broken(record.position)) {
                    broken.insert(record.position);
                } else {
                    visit(record, record.event())?;
                }
            }
            at = records.last().map_or(to, |last| last.position);
        }
        Ok(broken)
    }

    /// What these records made or changed is not used from now on.
    fn found_broken(&self, found: &BTreeSet<Position>, anew: bool) {
        let mut broken = self.broken.write();
        for position in found.difference(&broken) {
            log::error!("{}", damaged(*position, BROKEN));
        }
        if anew {
            broken.clear();
        }
        broken.extend(found);
    }
}

/// The slot of an identity, and its handle.
fn slot_of(slots: &Slots, id: ObjectId) -> Taken<Option<(Handle, Slot)>> {
    let Some(handle) = slots.handle(id)? else { return Ok(None) };
    Ok(slots.get(handle)?.map(|slot| (handle, slot)))
}
