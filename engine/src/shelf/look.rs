//! Taking in what is new in the log: folding it into the catalogue's rows, and holding the rows against it.

use super::known::{Before, Folded, Folding, Known, decode};
use super::slot::{Slot, Slots};
use super::{Books, Shelf};
use crate::backup::Ledger;
use crate::error::Result;
use crate::event::{Event, Record};
use crate::journal::{BROKEN, damaged, link_at};
use crate::log::{Position, Row};
use crate::object::ObjectId;
use crate::seal::Seal;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::Handle;

/// How many records, and how many rows, are read at once.
const BATCH: usize = 256;

/// How often a catalogue that is not what the log says is put right before it is left to the next look.
const MENDING_MAX: usize = 3;

/// What the whole log was found to be.
#[derive(Default)]
pub(crate) struct Checked {
    /// Positions whose records are not as they were written, the first of them being where the chain first breaks.
    pub(crate) broken: BTreeSet<Position>,
    /// Positions of records whose wrapped bytes are gone, as those of destroyed keys should be.
    pub(crate) erased: BTreeSet<Position>,
}

/// A row's slot, in its place; `None` for a row of a destroyed object.
type Placed = (Handle, Option<Slot>);

impl Shelf {
    /// Takes in what is new in the log, or everything anew. One thread at a time: the caller holds the turn.
    pub(super) fn look(&self, anew: bool) -> Result<Checked> {
        // Read before looking: a change that comes while we look is seen the next time. The seal may be shut meanwhile: what is
        // taken in was all judged by it, or nothing was.
        let (generation, seal) = (self.store.generation(), self.seal.read().clone());
        self.fold(seal.as_ref())?;
        let reached = self.store.position()?;
        // Less than before: another process has begun a new log. What nobody has judged yet is not left so.
        let anew =
            anew || reached < self.books.read().position || (seal.is_some() && !self.is_checked());
        let from = if anew { 0 } else { self.books.read().position };
        let mut ledger = if anew { Arc::default() } else { self.ledger() };
        let mut checked = Checked::default();
        let placed = if let Some(seal) = &seal {
            self.take_in(seal, (from, reached), &mut ledger, &mut checked)?
        } else {
            ledger = Arc::default();
            self.take_as_it_is(from)?
        };
        self.place(placed, anew, |books| {
            books.ledger = ledger;
            books.position = reached;
        });
        self.checked.store(seal.is_some(), Ordering::Release);
        self.seen.store(generation, Ordering::Release);
        Ok(checked)
    }

    fn place(&self, placed: Vec<Placed>, anew: bool, and: impl FnOnce(&mut Books)) {
        let mut books = self.books.write();
        if anew {
            let there = placed.into_iter().filter_map(|(handle, slot)| Some((handle, slot?)));
            books.slots = Slots::of(there.collect());
            self.cache.clear();
            self.gone.fetch_add(1, Ordering::AcqRel);
        } else {
            for (handle, slot) in placed {
                self.cache.remove(&handle);
                if let Some(slot) = slot {
                    books.slots.put(handle, slot);
                } else {
                    books.slots.take(handle);
                    self.gone.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
        and(&mut books);
    }

    /// The rows that have changed since a position, as they stand: nobody is logged in, so nothing can be checked.
    fn take_as_it_is(&self, from: Position) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        self.each_row(from, |row| {
            let slot = decode(&row).map(|object| {
                let body = row.body.as_deref().unwrap_or_default();
                Slot::of(&self.names, &object, (row.position, 0), body)
            });
            placed.push((row.handle, slot));
            Ok(())
        })?;
        Ok(placed)
    }

    /// The rows that have changed since a position, as the log has them.
    fn take_in(
        &self,
        seal: &Seal,
        (from, to): (Position, Position),
        ledger: &mut Arc<Ledger>,
        checked: &mut Checked,
    ) -> Result<Vec<Placed>> {
        let mut folded = Folded::new(&self.names);
        let Checked { broken, erased } = checked;
        // From the beginning everything is judged anew.
        let anew = from == 0;
        *broken = self.each_sound(Some(seal), (from, to), anew, |record, event| {
            if record.wrapped.is_none() && record.wrapped_hash != [0; 32] {
                erased.insert(record.position);
            }
            let Some(event) = event else { return Ok(()) };
            if event.is_for_ledger() {
                Arc::make_mut(ledger).take(record, &event);
            }
            folded.fold(record, event, |id| self.before(seal, from, id))
        })?;
        self.found_broken(broken, anew);
        if let Some(broken) = self.broken.read().last() {
            Arc::make_mut(ledger).distrust(*broken);
        }
        if self.doubted.load(Ordering::Acquire) {
            Arc::make_mut(ledger).distrust_all();
        }
        for _ in 0..MENDING_MAX {
            let (placed, wrong) = self.compare(seal, (from, to), &folded)?;
            if wrong.is_empty() {
                return Ok(placed);
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
        Ok(self.compare(seal, (from, to), &folded)?.0)
    }

    /// Holds the rows that have changed since a position against the log: those that are what it says, and as they should be
    /// those that are not.
    fn compare(
        &self,
        seal: &Seal,
        (from, to): (Position, Position),
        folded: &Folded<'_>,
    ) -> Result<(Vec<Placed>, Vec<Folding>)> {
        let (mut placed, mut wrong, mut there) = (Vec::new(), Vec::new(), HashSet::new());
        self.each_row(from, |row| {
            there.insert(row.id);
            let known = folded.objects.get(&row.id);
            if row.position > to {
                // Another process has taken in more since. What the log says up to there stands for the row, and what it doesn't
                // speak of is left to the next look.
                placed.extend(known.map(|known| (row.handle, known.slot())));
                return Ok(());
            }
            match known.map(|known| known.slot_of(&row)) {
                Some(Ok(slot)) => placed.push((row.handle, slot)),
                Some(Err(should_be)) => wrong.push(should_be),
                None => wrong.extend(self.untold(seal, from, &row)?),
            }
            Ok(())
        })?;
        for (id, known) in folded.objects.iter().filter(|(id, _)| !there.contains(id)) {
            // A destroyed object that never was on this host's catalogue needs no row.
            if known.is_there() || self.store.row(*id)?.is_some() {
                wrong.push(known.row(*id));
            }
        }
        Ok((placed, wrong))
    }

    /// A row that has changed though no record speaks of it, as it was; `None` if there is nothing to put right.
    fn untold(&self, seal: &Seal, from: Position, row: &Row) -> Result<Option<Folding>> {
        let Some((object, since)) = self.before(seal, from, row.id)? else {
            return Ok(row.body.is_some().then_some((row.id, row.position, None)));
        };
        let position = self.slot_of(row.id).map_or(since, |(_, slot)| slot.position);
        Ok(Some(Known::of(&self.names, Some(&object), (position, since)).row(row.id)))
    }

    /// An object as it was when the log was last taken in, which was up to a position.
    fn before(&self, seal: &Seal, from: Position, id: ObjectId) -> Result<Before> {
        if from == 0 {
            return Ok(None);
        }
        let Some((handle, slot)) = self.slot_of(id) else { return Ok(None) };
        if let Some(entry) = self.cache.get(&handle).filter(|entry| entry.position == slot.position)
        {
            return Ok(Some((entry.object.clone(), slot.since)));
        }
        // Its row may be another's already: its records are not.
        let mut object = None;
        let records = (slot.since.saturating_sub(1), slot.position);
        self.each_sound(Some(seal), records, false, |record, event| {
            if let Some(event) = event.filter(|event| event.about() == Some(id)) {
                object = event.fold(object.take(), record.position);
            }
            Ok(())
        })?;
        Ok(object.map(|object| (object, slot.since)))
    }

    fn slot_of(&self, id: ObjectId) -> Option<(Handle, Slot)> {
        let books = self.books.read();
        let handle = books.slots.handle(id)?;
        Some((handle, books.slots.get(handle)?.clone()))
    }

    /// Folds events that the catalogue has not taken in yet. The catalogue is a follower of the log like any other.
    fn fold(&self, seal: Option<&Seal>) -> Result {
        let (from, to) = (self.store.position()?, self.store.head()?.position);
        if to < from {
            // The log was cut short: what comes next in it is not in the catalogue yet.
            return Ok(self.store.fold(from, to, &[])?);
        }
        if to == from {
            return Ok(());
        }
        let mut folded = Folded::new(&self.names);
        let broken = self.each_sound(seal, (from, to), false, |record, event| {
            let Some(event) = event else { return Ok(()) };
            folded.fold(record, event, |id| {
                let row = self.store.row(id)?;
                Ok(row.and_then(|row| decode(&row)).map(|object| (object, 0)))
            })
        })?;
        self.found_broken(&broken, false);
        Ok(self.store.fold(from, to, &folded.rows())?)
    }

    /// Visits the rows that have changed since a position, in order of handle.
    fn each_row(&self, from: Position, mut visit: impl FnMut(Row) -> Result) -> Result {
        let mut beyond = 0;
        loop {
            let rows = self.store.changed(from, beyond, BATCH)?;
            let Some(last) = rows.last() else { return Ok(()) };
            beyond = last.handle;
            rows.into_iter().try_for_each(&mut visit)?;
        }
    }

    /// Visits the records after a position and up to another that nobody has changed, as far as can be told now, with what
    /// they say where this program knows it. Answers those that somebody has. What was found broken stays so, unless it is
    /// judged anew.
    fn each_sound(
        &self,
        seal: Option<&Seal>,
        (from, to): (Position, Position),
        anew: bool,
        mut visit: impl FnMut(&Record, Option<Event>) -> Result,
    ) -> Result<BTreeSet<Position>> {
        let mut broken = BTreeSet::new();
        let (mut link, mut at) = (link_at(&*self.store, from)?, from);
        while at < to {
            let records = self.store.read(at, BATCH)?;
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
