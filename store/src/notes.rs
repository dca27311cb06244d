//! The notes.

use crate::store::SqliteStore;
use crate::transaction::{Done, Manner};
use rusqlite::OptionalExtension;
use tandem_engine::log::{Notes, Stored};

const MANNER: Manner = Manner { durable: true, announced: true };

impl Notes for SqliteStore {
    fn note(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        self.inner.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT value FROM notes WHERE name = ?1")?;
            Ok(statement.query_row([name], |row| row.get(0)).optional()?)
        })
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
