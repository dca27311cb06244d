//! The lock file of a lease: `flock`, which the kernel lets go of when its holder dies.

use crate::error;
use crate::folder::{self, Folder};
use crate::park::{self, Guest};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tandem_engine::log::Stored;

/// The longest pause between two looks at a lease that another process holds.
const PAUSE_MS_MAX: u64 = 5;

/// Threads of this process that wait for a lease: woken when one is released here. Locked inside the gate of [`park`] only.
static WAITING: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

fn waiting() -> MutexGuard<'static, Vec<Thread>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This thread waits, until this is dropped.
struct Waiter(());

impl Waiter {
    fn begin() -> Stored<Self> {
        let _inside = park::enter()?;
        waiting().push(thread::current());
        Ok(Self(()))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Whoever is refused in the middle of a fork is woken once too often, which does no harm.
        if let Ok(_inside) = park::enter() {
            let own = thread::current().id();
            waiting().retain(|thread| thread.id() != own);
        }
    }
}

/// A lock file that is locked, until it is released. Each lease opens the file anew, so that threads of one process keep
/// each other out like processes do.
pub(crate) struct LeaseFile {
    /// Locked inside the gate of [`park`] only.
    file: Mutex<Option<File>>,
    process: u32,
}

impl LeaseFile {
    /// Locks the file of a follower's lease; `None` if another holds it all the time.
    pub(crate) fn take(folder: &Folder, follower: &str, wait_ms: u64) -> Stored<Option<Arc<Self>>> {
        let path = folder.lease(follower);
        let deadline = Instant::now().checked_add(Duration::from_millis(wait_ms));
        let mut pause = Duration::from_micros(50);
        let mut waiter = None;
        loop {
            if let Some(held) = Self::try_take(folder, &path)? {
                return Ok(Some(held));
            }
            // Known as waiting before the next look, so that no release falls between the look and the pause.
            if wait_ms > 0 && waiter.is_none() {
                waiter = Some(Waiter::begin()?);
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            thread::park_timeout(left.map_or(pause, |left| left.min(pause)));
            pause = (pause * 2).min(Duration::from_millis(PAUSE_MS_MAX));
        }
    }

    /// Inside from opening to registering, so that a child of a fork always knows of the file.
    fn try_take(folder: &Folder, path: &Path) -> Stored<Option<Arc<Self>>> {
        let inside = park::enter()?;
        let said = |error| error::io("lock", path, &error);
        if !path.exists() {
            folder.place(path, |path| folder::fill(path, &[]))?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(said)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(said(error)),
        }
        let metadata = file.metadata().map_err(said)?;
        if Folder::identity(path) != Some((metadata.dev(), metadata.ino())) {
            // Removed or replaced meanwhile: this lock keeps nobody out.
            return Ok(None);
        }
        let held = Arc::new(Self { file: Mutex::new(Some(file)), process: std::process::id() });
        let guest: Weak<Self> = Arc::downgrade(&held);
        park::register(&inside, guest);
        Ok(Some(held))
    }

    /// True in the process that took it, until it is released.
    pub(crate) fn is_held(&self) -> bool {
        self.process == std::process::id()
            && park::enter().is_ok_and(|_inside| self.lock().is_some())
    }

    /// Hands the lease on. In a child of the process that took it, only closes the child's copy.
    pub(crate) fn release(&self) {
        // Refused in the middle of this thread's own fork, when nobody else is inside.
        let inside = park::enter();
        if let Some(file) = self.lock().take()
            && self.process == std::process::id()
        {
            // Closing is not enough while a child without handlers has a copy.
            let _ = file.unlock();
            if inside.is_ok() {
                waiting().iter().for_each(Thread::unpark);
            }
        }
        drop(inside);
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest for LeaseFile {
    fn park(&self) {}

    fn in_child(&self) {
        if let Ok(mut file) = self.file.try_lock() {
            *file = None;
        }
    }
}
