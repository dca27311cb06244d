//! Followers and their leases, in memory.

use super::{Books, Follower, MemoryStore};
use crate::toy::Life;
use parking_lot::Mutex;
use std::sync::Arc;
use tandem_engine::log::{Followers, Following, Lease, Position, StoreError, Stored};
use tandem_engine::object::ObjectId;

/// How long one waits between two looks at a lease that another holds.
const PAUSE_MS: u64 = 10;

impl Books {
    fn following(&self, follower: &str) -> Following {
        self.followers.get(follower).map_or_else(Following::default, |follower| Following {
            position: follower.position,
            exceptions: follower.exceptions.iter().map(|(id, why)| (*id, why.clone())).collect(),
        })
    }
}

impl MemoryStore {
    fn try_lease(&self, follower: &str) -> Option<MemoryLease> {
        let mut books = self.books.lock();
        if books.leases.contains_key(follower) {
            return None;
        }
        books.leases.insert(follower.to_owned(), self.life);
        let entry = books.followers.entry(follower.to_owned()).or_default();
        entry.epoch += 1;
        let epoch = entry.epoch;
        Some(MemoryLease::of(&self.books, follower, epoch, self.life))
    }
}

impl Followers for MemoryStore {
    fn following(&self, follower: &str) -> Stored<Following> {
        Ok(self.books.lock().following(follower))
    }

    fn lease(&self, follower: &str, wait_ms: u64) -> Stored<Option<Box<dyn Lease>>> {
        let mut left = wait_ms;
        loop {
            if let Some(lease) = self.try_lease(follower) {
                return Ok(Some(Box::new(lease)));
            }
            if left == 0 {
                return Ok(None);
            }
            let pause = left.min(PAUSE_MS);
            self.pause.pause(pause);
            left -= pause;
        }
    }

    fn forget(&self, follower: &str) -> Stored {
        let mut books = self.books.lock();
        if let Some(entry) = books.followers.get_mut(follower) {
            *entry = Follower { epoch: entry.epoch + 1, ..Default::default() };
            books.changed();
        }
        Ok(())
    }
}

/// A lease that a process took. A process that is dead holds none.
pub(crate) struct MemoryLease {
    books: Arc<Mutex<Books>>,
    follower: String,
    epoch: u64,
    life: Life,
}

impl MemoryLease {
    pub(super) fn of(books: &Arc<Mutex<Books>>, follower: &str, epoch: u64, life: Life) -> Self {
        Self { books: Arc::clone(books), follower: follower.to_owned(), epoch, life }
    }

    fn write(&self, act: impl FnOnce(&mut Follower) -> bool) -> Stored {
        let mut books = self.books.lock();
        let holds = books.leases.get(&self.follower) == Some(&self.life);
        let entry = books.followers.get_mut(&self.follower);
        let Some(entry) = entry.filter(|entry| holds && entry.epoch == self.epoch) else {
            return Err(StoreError::Fenced(self.follower.clone()));
        };
        if act(entry) {
            books.changed();
        }
        Ok(())
    }
}

impl Lease for MemoryLease {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn following(&self) -> Stored<Following> {
        Ok(self.books.lock().following(&self.follower))
    }

    fn advance(&mut self, position: Position) -> Stored {
        self.write(|entry| std::mem::replace(&mut entry.position, position) != position)
    }

    fn except(&mut self, object: ObjectId, reason: &str) -> Stored {
        self.write(|entry| {
            let before = entry.exceptions.insert(object, reason.to_owned());
            before.as_deref() != Some(reason)
        })
    }

    fn resolve(&mut self, object: ObjectId) -> Stored {
        self.write(|entry| entry.exceptions.remove(&object).is_some())
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let mut books = self.books.lock();
        let mine = books.followers.get(&self.follower).is_none_or(|now| now.epoch >= self.epoch);
        if mine && books.leases.get(&self.follower) == Some(&self.life) {
            books.leases.remove(&self.follower);
        }
    }
}
