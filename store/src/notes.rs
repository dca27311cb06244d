//! The notes.
//!
//! They are read far more often than they are written: whoever looks whether anything has changed in the log looks whether a member was
//! drained, too. What was read is remembered for as long as the generation word says that no note has changed.

use crate::store::SqliteStore;
use crate::transaction::{Done, Manner};
use arc_swap::ArcSwapOption;
use rusqlite::OptionalExtension;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_engine::log::{Notes, Stored};

const MANNER: Manner = Manner { durable: true, announced: true, notes: true };

/// A note's value, if there is such a note.
#[derive(Clone)]
struct Value(Option<Arc<[u8]>>);

/// Notes that were read, as of one number of the word's.
#[derive(Clone)]
struct Known {
    number: u64,
    values: BTreeMap<String, Value>,
}

/// Notes as they were read last. Without a lock, which a fork might find taken.
#[derive(Default)]
pub(crate) struct Remembered(ArcSwapOption<Known>);

impl Remembered {
    fn get(&self, name: &str, noted: u64) -> Option<Value> {
        let known = self.0.load();
        let known = known.as_deref().filter(|known| known.number == noted)?;
        known.values.get(name).cloned()
    }

    /// Two threads that remember at once may lose what one of them has read: then it is read again.
    fn put(&self, name: &str, value: Option<&[u8]>, noted: u64) {
        let known = self.0.load();
        let known = known.as_deref().filter(|known| known.number == noted).cloned();
        let mut known = known.unwrap_or(Known { number: noted, values: BTreeMap::new() });
        known.values.insert(name.to_owned(), Value(value.map(Arc::from)));
        self.0.store(Some(Arc::new(known)));
    }
}

impl SqliteStore {
    fn read_note(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        self.inner.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT value FROM notes WHERE name = ?1")?;
            Ok(statement.query_row([name], |row| row.get(0)).optional()?)
        })
    }
}

impl Notes for SqliteStore {
    fn noted(&self) -> Option<u64> {
        self.inner.generation.noted()
    }

    fn note(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        let before = self.inner.generation.noted();
        if let Some(Value(value)) = before.and_then(|noted| self.inner.remembered.get(name, noted))
        {
            return Ok(value.map(|value| value.to_vec()));
        }
        let value = self.read_note(name)?;
        // What a writer that came meanwhile has done may or may not have been read.
        if let Some(noted) = before.filter(|_| self.inner.generation.noted() == before) {
            self.inner.remembered.put(name, value.as_deref(), noted);
        }
        Ok(value)
    }

    fn set_note(&self, name: &str, value: Option<&[u8]>) -> Stored {
        self.inner.write(MANNER, |transaction| {
            let changed = match value {
                Some(value) => transaction
                    .prepare_cached(
                        "INSERT INTO notes (name, value) VALUES (?1, ?2)
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    )?
                    .execute((name, value))?,
                None => transaction
                    .prepare_cached("DELETE FROM notes WHERE name = ?1")?
                    .execute([name])?,
            };
            Ok(if changed == 0 { Done::Nothing(()) } else { Done::Changed(()) })
        })
    }
}
