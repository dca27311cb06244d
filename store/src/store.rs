//! The store of one state folder.

use crate::error::Trouble;
use crate::folder::Folder;
use crate::generation::Generation;
use crate::notes::Remembered;
use crate::park::{self, Guest};
use crate::sqlite::{self, Open};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use tandem_engine::log::{Checkpoints, Stored};

/// Log, followers, catalogue and notes of one virtual token, in its state folder. May be used by any number of threads,
/// and the folder by any number of processes.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) folder: Folder,
    pub(crate) generation: Generation,
    /// Notes as they were read last.
    pub(crate) remembered: Remembered,
    /// Reads don't wait for what is being written, not even for its reaching the disk.
    pub(crate) reader: Slot,
    pub(crate) writer: Slot,
}

/// The place of a connection. Locked inside the gate of [`park`] only; empty until it is used, after a fork and after a
/// failure.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Open>>);

impl SqliteStore {
    /// Opens the store of a folder; makes folder and store where they are missing. The folder (mode 2770) and its files
    /// (0660) belong to `group`, or, without one, to the folder's group, whatever the umask.
    ///
    /// Refused, with the path and the remedy: a folder or file that others than its owner and that group may write to; a
    /// database that isn't Tandem's, or a newer Tandem's.
    pub fn open(folder: &Path, group: Option<u32>) -> Stored<Self> {
        Self::at(Folder::make(folder, group)?, true)
    }

    /// Opens the store of a folder where there is one, and makes nothing. With the same checks as [`Self::open`].
    pub fn open_existing(folder: &Path, group: Option<u32>) -> Stored<Self> {
        Self::at(Folder::existing(folder, group)?, false)
    }

    fn at(folder: Folder, make: bool) -> Stored<Self> {
        let inside = park::enter()?;
        // A new database gives handles anew, which those of a checkpoint that was left behind are not.
        let is_new = make && !folder.database().exists();
        if make {
            // The word first, so that it is there whenever there is a database.
            Generation::create(&folder)?;
            sqlite::create(&folder)?;
        }
        let inner = Arc::new(Inner {
            folder,
            generation: Generation::new(),
            remembered: Remembered::default(),
            reader: Slot::default(),
            writer: Slot::default(),
        });
        let guest: Weak<Inner> = Arc::downgrade(&inner);
        park::register(&inside, guest);
        drop(inside);
        inner.with(&inner.reader, |_| Ok(()))?;
        let store = Self { inner };
        if is_new {
            store.drop_checkpoint()?;
        }
        if let Err(error) = store.tidy() {
            log::warn!("erased bytes may still be in the write-ahead file: {error}");
        }
        Ok(store)
    }

    /// The folder, without symbolic links.
    pub fn folder(&self) -> &Path {
        self.inner.folder.path()
    }

    /// Makes sure that erased bytes are in no file any more. False if another process's reading is in the way: then every
    /// later transaction of any process tries again, and so may the caller.
    pub fn tidy(&self) -> Stored<bool> {
        self.inner.tidy()
    }

    /// Everything that SQLite finds wrong with the database's structure; nothing, if all is well. Reads the whole file.
    pub fn check(&self) -> Stored<Vec<String>> {
        self.inner.read(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check")?;
            let said = statement.query_map((), |row| row.get::<_, String>(0))?;
            let said = said.collect::<Result<Vec<_>, _>>()?;
            Ok(said.into_iter().filter(|line| line != "ok").collect())
        })
    }
}

impl Inner {
    /// The connection of a slot; opened if there is none or it is on a file that has been replaced.
    pub(crate) fn ready<'a>(&self, slot: &'a mut Option<Open>) -> Result<&'a mut Open, Trouble> {
        let now = Folder::identity(&self.folder.database());
        if slot.as_ref().is_some_and(|open| open.identity != now) {
            *slot = None;
        }
        if slot.is_none() {
            *slot = Some(Open::new(&self.folder)?);
        }
        // Without the word there is no writing, but reading there is.
        let _ = self.generation.reopen(&self.folder);
        slot.as_mut().ok_or(Trouble::Parking)
    }
}

impl Slot {
    /// Only inside.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if a thread is using it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Option<Open>>> {
        match self.0.try_lock() {
            Ok(slot) => Some(slot),
            Err(TryLockError::Poisoned(slot)) => Some(slot.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Guest for Inner {
    fn park(&self) {
        for slot in [&self.reader, &self.writer] {
            // Taken by this very thread, if it forks inside a transaction.
            if let Some(mut slot) = slot.try_lock() {
                *slot = None;
            }
        }
    }

    fn in_child(&self) {}
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Closing is using SQLite too.
        let inside = park::enter();
        for slot in [&mut self.reader, &mut self.writer] {
            let slot = slot.0.get_mut().unwrap_or_else(PoisonError::into_inner);
            if slot.as_ref().is_some_and(|open| open.process != std::process::id()) {
                abandon(slot);
            }
            *slot = None;
        }
        drop(inside);
    }
}

/// In a child: leaves its parent's connection alone for ever. Even closing it would touch what the parent is using.
pub(crate) fn abandon(slot: &mut Option<Open>) {
    if let Some(open) = slot.take() {
        Box::leak(Box::new(open));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{append, id};
    use tandem_engine::log::{Catalogue, Followers, Log, Notes};

    const FULL: i64 = 2;
    const NORMAL: i64 = 1;

    /// A power cut can't be tried here; what SQLite does before it answers can be asked.
    #[test]
    fn what_must_survive_a_power_cut_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), None).unwrap();
        let level = || {
            let slot = store.inner.writer.lock();
            let connection = &slot.as_ref().unwrap().connection;
            connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap()
        };
        append(&store, b"one", None).unwrap();
        assert_eq!(level(), FULL);
        store.fold(0, 1, &[(id(1), 1, None)]).unwrap();
        assert_eq!(level(), NORMAL);
        store.set_note("note", Some(b"text")).unwrap();
        assert_eq!(level(), FULL);
        store.lease("member", 0).unwrap().unwrap().advance(1).unwrap();
        assert_eq!(level(), NORMAL);
        store.begin_anew().unwrap();
        assert_eq!(level(), FULL);
    }
}
