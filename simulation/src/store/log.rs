//! The log and the notes, in memory.

use super::{Books, MemoryStore};
use std::collections::BTreeSet;
use tandem_engine::event::{Head, Record};
use tandem_engine::log::{Decide, Log, Notes, Position, StoreError, Stored};
use tandem_engine::object::ObjectId;

impl Books {
    pub(crate) fn head(&self) -> Head {
        self.records.last().map_or_else(Head::default, head_of)
    }
}

fn head_of(last: &Record) -> Head {
    Head { position: last.position, counter: last.counter, link: last.link }
}

fn follows(head: &Head, record: &Record) -> bool {
    record.position == head.position + 1
        && record.link == record.link_after(&head.link)
        && record
            .wrapped
            .as_deref()
            .is_none_or(|wrapped| record.wrapped_hash == Record::hash_wrapped(Some(wrapped)))
}

fn index(position: Position) -> Option<usize> {
    usize::try_from(position).ok()?.checked_sub(1)
}

impl Log for MemoryStore {
    fn head(&self) -> Stored<Head> {
        Ok(self.books.lock().head())
    }

    fn append_after(&self, seen: Position, build: &mut Decide<'_>) -> Stored<Head> {
        let mut books = self.books.lock();
        let from = usize::try_from(seen).unwrap_or(usize::MAX);
        let append = build(&books.head(), books.records.get(from..).unwrap_or_default())?;
        let mut head = books.head();
        for record in &append.records {
            if !follows(&head, record) {
                return Err(StoreError::Unavailable(format!(
                    "record {} doesn't follow record {}",
                    record.position, head.position
                )));
            }
            head = head_of(record);
        }
        if let Some(missing) = append.erase.iter().find(|at| **at == 0 || **at > head.position) {
            return Err(StoreError::Damaged(format!("no record {missing}")));
        }
        let mut changed = !append.records.is_empty();
        books.records.extend(append.records);
        for position in append.erase {
            let record = index(position).and_then(|index| books.records.get_mut(index));
            changed |= record.is_some_and(|record| record.wrapped.take().is_some());
        }
        if changed {
            books.changed();
        }
        Ok(books.head())
    }

    fn read(&self, after: Position, limit: usize) -> Stored<Vec<Record>> {
        let books = self.books.lock();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(books.records.len());
        Ok(books.records.iter().skip(from).take(limit).cloned().collect())
    }

    fn mentions(&self, of: Option<ObjectId>, after: Position) -> Stored<Vec<Position>> {
        let books = self.books.lock();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(books.records.len());
        let about = books.records.iter().skip(from).filter(|record| record.about() == of);
        Ok(about.map(|record| record.position).collect())
    }

    fn mentioned(&self) -> Stored<Vec<ObjectId>> {
        let books = self.books.lock();
        let ids: BTreeSet<_> = books.records.iter().filter_map(Record::about).collect();
        Ok(ids.into_iter().collect())
    }

    fn mend_index(&self) -> Stored {
        Ok(())
    }

    fn begin_anew(&self) -> Stored {
        let mut books = self.books.lock();
        let (handles_given, generation) = (books.handles_given, books.generation);
        let followers = std::mem::take(&mut books.followers)
            .into_iter()
            .map(|(name, follower)| {
                (name, super::Follower { epoch: follower.epoch + 1, ..Default::default() })
            })
            .collect();
        let leases = std::mem::take(&mut books.leases);
        *books = Books { followers, leases, handles_given, generation, ..Default::default() };
        books.changed_note();
        Ok(())
    }
}

impl Notes for MemoryStore {
    fn note(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.books.lock().notes.get(name).cloned())
    }

    fn noted(&self) -> Option<u64> {
        Some(self.books.lock().noted)
    }

    fn set_note(&self, name: &str, value: Option<&[u8]>) -> Stored {
        let mut books = self.books.lock();
        let changed = match value {
            Some(value) => {
                books.notes.insert(name.to_owned(), value.to_vec());
                true
            }
            None => books.notes.remove(name).is_some(),
        };
        if changed {
            books.changed_note();
        }
        Ok(())
    }
}
