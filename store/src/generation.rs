//! The generation word: a file of a few bytes from which every process of the host sees, without a query, whether
//! anything has changed.
//!
//! Two numbers: `begun`, written by a writer under SQLite's write lock before it commits, and `done`, written after. When
//! both are equal, that writer's change is visible and no later writer has begun, so what was read under the same number
//! is still true. When they differ, a writer is between the two (or was killed there), and a reader gets a number that
//! was never given before, so that it looks for itself. The next writer repairs.
//!
//! Two numbers and not one that is odd meanwhile: `done` is written after the write lock is free, when the next writer
//! may have begun. With a single word a late `done` would hide that; so it merely leaves the two unequal.
//!
//! A third number, `noted`, is that of the last writer that changed notes; it is written after `begun`, and before the commit.

use crate::error;
use crate::folder::{self, Folder};
use arc_swap::ArcSwapOption;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tandem_engine::log::Stored;

/// Numbers with this bit are given once each and are in no file.
const UNSURE: u64 = 1 << 63;

pub(crate) struct Generation {
    word: ArcSwapOption<Word>,
    unsure: AtomicU64,
}

/// How long the file is, in bytes. An earlier one lacks `noted`.
const LEN: usize = 24;

/// How long a file may have been removed before that is noticed.
const REMOVED: Duration = Duration::from_millis(100);

struct Word {
    file: File,
    /// When it was last seen to be in its folder, in nanoseconds after `since`.
    seen: AtomicU64,
    since: Instant,
    /// Added to the numbers, so that those of another file, perhaps an older copy of the same, are others.
    salt: u64,
}

/// A change that has been announced.
pub(crate) struct Announced {
    word: Arc<Word>,
    number: u64,
}

impl Generation {
    pub(crate) fn new() -> Self {
        Self { word: ArcSwapOption::empty(), unsure: AtomicU64::new(UNSURE) }
    }

    /// Makes the word if there is none.
    pub(crate) fn create(folder: &Folder) -> Stored {
        let path = folder.generation();
        if !path.exists() {
            folder.place(&path, |path| folder::fill(path, &[0; LEN]))?;
        }
        Ok(())
    }

    /// The number that stands for what is in the store now.
    pub(crate) fn now(&self) -> u64 {
        let quiet = || {
            let word = self.word.load();
            let word = word.as_deref()?;
            let (begun, done) = read(&word.file)?;
            (begun == done && word.is_there()).then_some(begun.wrapping_add(word.salt) & !UNSURE)
        };
        quiet().unwrap_or_else(|| self.unsure.fetch_add(1, Relaxed) | UNSURE)
    }

    /// The number of the last writer that changed notes; `None` while one is at work, and where that can't be told. Whoever keeps
    /// what was read under it asks for it again afterwards: one may have come while the numbers were read.
    pub(crate) fn noted(&self) -> Option<u64> {
        let word = self.word.load();
        let word = word.as_deref()?;
        let mut bytes = [0; LEN];
        word.file.read_exact_at(&mut bytes, 0).ok()?;
        let [begun, done, noted] = numbers(&bytes)?;
        // One who is at work and did not change notes has another number.
        let is_quiet = begun == done || begun != noted;
        (is_quiet && word.is_there()).then_some(noted.wrapping_add(word.salt))
    }

    /// False while a writer is between announcing and settling, or was killed there.
    pub(crate) fn is_settled(&self) -> bool {
        let word = self.word.load();
        let read = word.as_ref().and_then(|word| read(&word.file));
        // What can't be read can't be settled either.
        read.is_none_or(|(begun, done)| begun == done)
    }

    /// Settles what a dead writer announced. Only under SQLite's write lock.
    pub(crate) fn settle(&self) {
        if let Some(word) = self.word.load_full()
            && let Some((begun, _)) = read(&word.file)
        {
            Announced { word, number: begun }.settle();
        }
    }

    /// Looks for the file under its name again, after the folder's content may have been replaced.
    pub(crate) fn reopen(&self, folder: &Folder) -> Stored {
        let path = folder.generation();
        let known = self.word.load().as_ref().and_then(|word| word.file.metadata().ok());
        let known = known.map(|metadata| (metadata.dev(), metadata.ino()));
        if known.is_some() && known == Folder::identity(&path) {
            return Ok(());
        }
        self.word.store(None);
        Self::create(folder)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| error::io("open", &path, &error))?;
        self.word.store(Some(Arc::new(Word::new(file))));
        Ok(())
    }

    /// A change comes, of notes or of other things. Only under SQLite's write lock.
    pub(crate) fn announce(&self, folder: &Folder, notes: bool) -> Stored<Option<Announced>> {
        self.reopen(folder)?;
        let Some(word) = self.word.load_full() else { return Ok(None) };
        let number = match read(&word.file) {
            Some((begun, done)) => begun.max(done).wrapping_add(1),
            // Cut short by somebody: what it held before is not to come again.
            None => unpredictable(),
        };
        let mut bytes = number.to_le_bytes().to_vec();
        let len = word.file.metadata().map_or(0, |metadata| metadata.len());
        if len < 16 {
            bytes.extend(number.wrapping_sub(1).to_le_bytes());
        }
        let write = |bytes: &[u8], at| {
            let written = word.file.write_all_at(bytes, at);
            written.map_err(|error| error::io("write", &folder.generation(), &error))
        };
        write(&bytes, 0)?;
        if notes || len < LEN as u64 {
            write(&number.to_le_bytes(), 16)?;
        }
        Ok(Some(Announced { word, number }))
    }
}

impl Word {
    fn new(file: File) -> Self {
        let since = Instant::now();
        Self { file, seen: AtomicU64::new(0), since, salt: unpredictable() }
    }

    /// True unless the file has been removed: then nobody writes it any more.
    fn is_there(&self) -> bool {
        let now = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let seen = self.seen.load(Relaxed);
        if seen > 0 && u128::from(now.saturating_sub(seen)) < REMOVED.as_nanos() {
            return true;
        }
        let is_there = self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0);
        if is_there {
            self.seen.store(now.max(1), Relaxed);
        }
        is_there
    }
}

impl Announced {
    /// The change is visible. If this can't be written, readers go on looking for themselves.
    pub(crate) fn settle(self) {
        let _ = self.word.file.write_all_at(&self.number.to_le_bytes(), 8);
    }
}

fn read(file: &File) -> Option<(u64, u64)> {
    let mut bytes = [0; 16];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let [begun, done] = numbers(&bytes)?;
    Some((begun, done))
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (numbers, _) = bytes.as_chunks::<8>();
    let numbers: &[[u8; 8]; N] = numbers.try_into().ok()?;
    Some(numbers.map(u64::from_le_bytes))
}

/// Unlike any other call's, in any process.
fn unpredictable() -> u64 {
    RandomState::new().build_hasher().finish()
}
