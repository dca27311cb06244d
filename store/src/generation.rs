//! The generation word: a file of sixteen bytes from which every process of the host sees, without a query, whether
//! anything has changed.
//!
//! Two numbers: `begun`, written by a writer under SQLite's write lock before it commits, and `done`, written after. When
//! both are equal, that writer's change is visible and no later writer has begun, so what was read under the same number
//! is still true. When they differ, a writer is between the two (or was killed there), and a reader gets a number that
//! was never given before, so that it looks for itself. The next writer repairs.
//!
//! Two numbers and not one that is odd meanwhile: `done` is written after the write lock is free, when the next writer
//! may have begun. With a single word a late `done` would hide that; so it merely leaves the two unequal.

use crate::error;
use crate::folder::{self, Folder};
use arc_swap::ArcSwapOption;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tandem_engine::log::Stored;

/// Numbers with this bit are given once each and are in no file.
const UNSURE: u64 = 1 << 63;

pub(crate) struct Generation {
    file: ArcSwapOption<File>,
    unsure: AtomicU64,
}

/// A change that has been announced.
pub(crate) struct Announced {
    file: Arc<File>,
    number: u64,
}

impl Generation {
    pub(crate) fn new() -> Self {
        Self { file: ArcSwapOption::empty(), unsure: AtomicU64::new(UNSURE) }
    }

    /// Makes the word if there is none.
    pub(crate) fn create(folder: &Folder) -> Stored {
        let path = folder.generation();
        if !path.exists() {
            // A new word differs from one that was here before and may still be remembered.
            let number = (unpredictable() & !UNSURE) / 2;
            folder.place(&path, |path| folder::fill(path, &bytes(number, number)))?;
        }
        Ok(())
    }

    /// The number that stands for what is in the store now.
    pub(crate) fn now(&self) -> u64 {
        let quiet = || {
            let file = self.file.load();
            let file = file.as_ref()?;
            let (begun, done) = read(file)?;
            // A file that has been removed is written by nobody any more.
            (begun == done && file.metadata().ok()?.nlink() > 0).then_some(begun & !UNSURE)
        };
        quiet().unwrap_or_else(|| self.unsure.fetch_add(1, Relaxed) | UNSURE)
    }

    /// Looks for the file under its name again, after the folder's content may have been replaced.
    pub(crate) fn reopen(&self, folder: &Folder) -> Stored {
        let path = folder.generation();
        let known = self.file.load().as_ref().and_then(|file| file.metadata().ok());
        let known = known.map(|metadata| (metadata.dev(), metadata.ino()));
        if known.is_some() && known == Folder::identity(&path) {
            return Ok(());
        }
        self.file.store(None);
        Self::create(folder)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| error::io("open", &path, &error))?;
        self.file.store(Some(Arc::new(file)));
        Ok(())
    }

    /// A change comes. Only under SQLite's write lock.
    pub(crate) fn announce(&self, folder: &Folder) -> Stored<Option<Announced>> {
        self.reopen(folder)?;
        let Some(file) = self.file.load_full() else { return Ok(None) };
        let path = folder.generation();
        let said = |error| error::io("write", &path, &error);
        let number = if let Some((begun, done)) = read(&file) {
            let number = (begun.max(done) & !UNSURE) + 1;
            file.write_all_at(&number.to_le_bytes(), 0).map_err(said)?;
            number
        } else {
            let number = (unpredictable() & !UNSURE) / 2 + 1;
            file.write_all_at(&bytes(number, 0), 0).map_err(said)?;
            number
        };
        Ok(Some(Announced { file, number }))
    }
}

impl Announced {
    /// The change is visible. If this can't be written, readers go on looking for themselves.
    pub(crate) fn settle(self) {
        let _ = self.file.write_all_at(&self.number.to_le_bytes(), 8);
    }
}

fn read(file: &File) -> Option<(u64, u64)> {
    let mut bytes = [0; 16];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (begun, done) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*begun), u64::from_le_bytes(*done.first_chunk()?)))
}

fn bytes(begun: u64, done: u64) -> [u8; 16] {
    (u128::from(begun) | u128::from(done) << 64).to_le_bytes()
}

/// Unlike any other call's, in any process.
fn unpredictable() -> u64 {
    RandomState::new().build_hasher().finish()
}
