//! Writing a checkpoint: the last one and what has changed since, merged as they are read, so that millions of objects take no
//! memory. It is written by whoever has much that has changed and can have the right to; the others go on from there when they
//! have much themselves.

use super::base::{Base, Flaw, Header, Taken, Walk};
use super::look::Since;
use super::page::{self, Entry, per_page};
use super::slots::{Recent, Slots};
use super::{Books, Shelf};
use crate::error::Result;
use crate::event::Hash;
use crate::journal::link_at;
use crate::log::{Sink, StoreError, Stored};
use crate::seal::Seal;
use parking_lot::RwLock;
use std::sync::atomic::Ordering;

/// Whose lease it is that a process writes under. No member is called so.
const WRITER: &str = "(checkpoint)";

/// This share of all objects has changed before a checkpoint is written in passing.
const GROWTH_SHARE: usize = 16;

/// Of what would be written in passing, this share is enough when a login ends.
const LOGIN_SHARE: usize = 16;

impl Shelf {
    /// Does the work of the background where there is none.
    pub(super) fn lighten(&self) {
        if !self.tended.load(Ordering::Relaxed) {
            self.keep_checkpoint();
        }
    }

    /// Writes a checkpoint if enough has changed since the last one, or goes on from one that another process has written
    /// meanwhile. If neither can be, everything that has changed stays in memory.
    pub(crate) fn keep_checkpoint(&self) {
        self.go_on_from_checkpoint(|books| self.is_much(books));
    }

    /// The same before the login ends, for less: whoever logs in next judges what came after the checkpoint.
    pub(crate) fn leave_checkpoint(&self) {
        let much = self.checkpoint_after.div_ceil(LOGIN_SHARE);
        self.go_on_from_checkpoint(|books| self.has_changed(books, much));
    }

    fn go_on_from_checkpoint(&self, is_due: impl Fn(&Books) -> bool) {
        if let Err(error) = self.try_to_go_on(is_due) {
            log::warn!("no checkpoint of the catalogue was written: {error}");
        }
    }

    fn try_to_go_on(&self, is_due: impl Fn(&Books) -> bool) -> Result {
        let draft = {
            let _turn = self.turn.lock();
            let books = self.books.read();
            if !self.may_write() || !is_due(&books) {
                return Ok(());
            }
            RwLock::new(books.clone())
        };
        // Not one that is behind what this process has: that would have to be judged again.
        let older = draft.read().slots.base().map_or(0, |base| base.header().position);
        let newer = self.base(self.seal.read().clone().as_ref())?;
        if newer.is_none_or(|base| base.header().position <= older)
            && !self.write_checkpoint(&draft)?
        {
            return Ok(());
        }
        let _turn = self.turn.lock();
        self.look(Since::Checkpoint).map(drop)
    }

    /// True if so much has changed since the last checkpoint that another is worth its writing: all of it is written again, so
    /// there is more to change in a large one.
    pub(super) fn is_much(&self, books: &Books) -> bool {
        self.has_changed(books, self.checkpoint_after.max(books.slots.len() / GROWTH_SHARE))
    }

    /// True if so much has changed since the last checkpoint, and since one could not be written.
    fn has_changed(&self, books: &Books, much: usize) -> bool {
        let tried = self.checkpoint_tried.load(Ordering::Relaxed);
        books.slots.recent().by_handle.len() >= tried.saturating_add(much)
    }

    /// True if all that is known was judged, and no record was found broken. What somebody has changed is told at every login, and
    /// not only at the one that found it.
    fn may_write(&self) -> bool {
        self.is_checked() && self.seal.read().is_some() && self.broken.read().is_empty()
    }

    /// The last checkpoint, if it is one of this log and can be read.
    pub(super) fn base(&self, seal: Option<&Seal>) -> Result<Option<Base>> {
        let opened = match self.store.checkpoint() {
            Ok(None) => return Ok(None),
            Ok(Some(pages)) => Base::open(pages, seal.cloned()),
            Err(error) => Err(error.into()),
        };
        let base = match opened {
            Ok(base) => base,
            Err(flaw) => {
                log::warn!("the catalogue's checkpoint is not used: {flaw}");
                return Ok(None);
            }
        };
        let header = base.header();
        let is_ours = self.store.position()? >= header.position
            && link_at(&*self.store, header.position)? == header.link;
        Ok(is_ours.then_some(base))
    }

    /// Writes what these books know as a checkpoint. False if another process is writing one.
    fn write_checkpoint(&self, books: &RwLock<Books>) -> Result<bool> {
        let Some(seal) = self.seal.read().clone() else { return Ok(false) };
        // A disk that is full, and another who is at it, are not tried again at once.
        let changed = books.read().slots.recent().by_handle.len();
        self.checkpoint_tried.store(changed, Ordering::Relaxed);
        let Some(_lease) = self.store.lease(WRITER, 0)? else { return Ok(false) };
        match self.store.set_checkpoint(&mut |sink| self.write_to(sink, books, &seal)) {
            Ok(()) => Ok(true),
            // The last one goes on counting, or the log itself: nothing but time is lost.
            Err(error) => {
                log::warn!("the catalogue's checkpoint could not be written: {error}");
                Ok(false)
            }
        }
    }

    /// What these books know, in a file that goes with whoever reads it. `None` if there is no room for it.
    pub(super) fn scratch(&self, books: &RwLock<Books>, seal: &Seal) -> Taken<Option<Base>> {
        match self.store.scratch(&mut |sink| self.write_to(sink, books, seal)) {
            Ok(pages) => Ok(Some(Base::open(pages, Some(seal.clone()))?.private())),
            Err(error) => {
                log::warn!("the catalogue stays in memory, since it could not be written: {error}");
                Ok(None)
            }
        }
    }

    /// Writes for all what was put into a file of one's own, unless there is a later one. Not what was found broken: every login is
    /// to find it.
    pub(super) fn publish(&self, books: &RwLock<Books>, is_sound: bool) {
        let is_private = books.read().slots.base().is_some_and(|base| base.is_private());
        if !is_private || !is_sound {
            return;
        }
        let position = books.read().position;
        let seal = self.seal.read().clone();
        let published = self.base(seal.as_ref()).and_then(|there| match there {
            Some(there) if there.header().position >= position => Ok(false),
            _ => self.write_checkpoint(books),
        });
        if let Err(error) = published {
            log::warn!("no checkpoint of the catalogue was written: {error}");
        }
    }

    /// From now on there is none. One that can't be removed is found wanting again.
    pub(super) fn drop_checkpoint(&self) {
        if let Err(error) = self.store.drop_checkpoint() {
            log::warn!("the catalogue's checkpoint could not be removed: {error}");
        }
    }

    fn write_to(&self, sink: &mut Sink<'_>, books: &RwLock<Books>, seal: &Seal) -> Stored {
        let books = books.read();
        let link = link_at(&*self.store, books.position)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let at = (books.position, link);
        let count = u64::try_from(books.slots.len()).unwrap_or(u64::MAX);
        let told = |flaw| match flaw {
            Flaw::Unread(error) => error,
            Flaw::Broken => StoreError::Damaged("the last checkpoint can't be built on".into()),
        };
        let stocked = books.slots.stock().map_err(told)?.len();
        let stocked = u64::try_from(stocked).unwrap_or(u64::MAX);
        let header = Header::new(at, &books.names, (count, stocked), books.others.clone());
        let (first, own) = header.write(seal).ok_or_else(|| told(Flaw::Broken))?;
        sink(&first)?;
        let number = u64::try_from(first.len() / page::PAGE).unwrap_or(u64::MAX);
        let mut pages = Writer { sink, seal, own, number, entries: Vec::new(), on: 0, count };
        pages.tables(&books.slots).map_err(told)
    }
}

/// Fills pages and hands them on.
struct Writer<'a, 'b> {
    sink: &'a mut Sink<'b>,
    seal: &'a Seal,
    own: Hash,
    /// The number of the page that is filled.
    number: u64,
    entries: Vec<u8>,
    /// How many entries are on it.
    on: u64,
    /// How many entries each table must have.
    count: u64,
}

impl Writer<'_, '_> {
    fn tables(&mut self, slots: &Slots) -> Taken {
        let (base, recent) = (slots.base().map(|base| &**base), slots.recent());
        let living = recent.by_handle.iter();
        let living = living.filter_map(|(handle, slot)| Some((*handle, slot.clone()?)));
        self.table(base.map(Base::slots), living, recent)?;
        let ids = recent.handles.iter().map(|(id, handle)| (*id, *handle));
        self.table(base.map(Base::ids), ids, recent)?;
        for (which, names) in recent.by_name.iter().enumerate() {
            let old = base.and_then(|base| base.names(which));
            self.table(old, names.iter().copied(), recent)?;
        }
        for stocked in slots.stock()?.values() {
            self.entry(stocked)?;
        }
        Ok(self.close()?)
    }

    /// What of the old entries still counts and the new ones, in the order of their keys.
    fn table<E: Entry>(
        &mut self,
        old: Option<Walk<'_, E>>,
        new: impl Iterator<Item = E>,
        recent: &Recent,
    ) -> Taken {
        let (mut new, mut count) = (new.peekable(), 0_u64);
        for entry in old.into_iter().flatten() {
            let entry = entry?;
            if recent.speaks_of(entry.handle()) {
                continue;
            }
            while let Some(before) = new.next_if(|new| new.key() < entry.key()) {
                self.entry(&before)?;
                count = count.saturating_add(1);
            }
            self.entry(&entry)?;
            count = count.saturating_add(1);
        }
        for entry in new {
            self.entry(&entry)?;
            count = count.saturating_add(1);
        }
        self.close()?;
        if count == self.count { Ok(()) } else { Err(Flaw::Broken) }
    }

    fn entry<E: Entry>(&mut self, entry: &E) -> Stored {
        entry.write(&mut self.entries);
        self.on = self.on.saturating_add(1);
        if self.on == per_page::<E>() { self.close() } else { Ok(()) }
    }

    /// Ends the page, if there is anything on it.
    fn close(&mut self) -> Stored {
        if self.on > 0 {
            let entries = std::mem::take(&mut self.entries);
            (self.sink)(&page::close(entries, self.seal, &self.own, self.number))?;
            self.number = self.number.saturating_add(1);
            self.on = 0;
        }
        Ok(())
    }
}
