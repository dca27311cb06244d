//! The tables, and how a database comes from one version to the next.

use crate::error::{Tried, damaged};
use crate::folder::Folder;
use crate::index;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tandem_engine::log::StoreError;

/// Says that a SQLite file is Tandem's ("Tndm").
const APPLICATION: i64 = 0x546e_646d;

/// What leads to version 1, 2, … from the one before. Never changed once released.
///
/// `records`: bytes are erased by overwriting them where they are, which SQLite does when a row keeps its length; so rows
/// are never removed one by one and never change their length. (When rows go or shrink SQLite moves others between pages,
/// and `secure_delete` doesn't always wipe where those were: measured, see `tests/store/erasure.rs`.) `wrapped` is last, so
/// that the rest of a long row is read without it.
const STEPS: [&str; 2] = ["
    CREATE TABLE records (
        position INTEGER PRIMARY KEY CHECK (position > 0),
        site BLOB NOT NULL CHECK (length(site) = 16),
        counter INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        wrapped_hash BLOB NOT NULL CHECK (length(wrapped_hash) = 32),
        link BLOB NOT NULL CHECK (length(link) = 32),
        mac BLOB NOT NULL CHECK (length(mac) = 32),
        erased INTEGER NOT NULL DEFAULT 0 CHECK (erased IN (0, 1)),
        body BLOB NOT NULL,
        wrapped BLOB
    ) STRICT;
    CREATE TABLE followers (
        name TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        holder TEXT
    ) STRICT;
    CREATE TABLE exceptions (
        follower TEXT NOT NULL REFERENCES followers (name),
        object BLOB NOT NULL CHECK (length(object) = 16),
        reason TEXT NOT NULL,
        PRIMARY KEY (follower, object)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE objects (
        handle INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
        position INTEGER NOT NULL,
        body BLOB
    ) STRICT;
    CREATE INDEX objects_position ON objects (position);
    CREATE TABLE notes (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT;
    -- folded: the catalogue's position. erased: how many transactions have erased bytes; truncated: how many of them are
    -- known to be out of the write-ahead file.
    CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        folded INTEGER NOT NULL,
        erased INTEGER NOT NULL,
        truncated INTEGER NOT NULL
    ) STRICT;
    INSERT INTO state VALUES (1, 0, 0, 0);
", "
    -- Which records are about an object; about none: the empty one. Filled from the records (`index.rs`).
    CREATE TABLE mentions (
        object BLOB NOT NULL CHECK (length(object) IN (0, 16)),
        position INTEGER NOT NULL,
        PRIMARY KEY (object, position)
    ) STRICT, WITHOUT ROWID;
"];

/// The step after which the index is filled from what records there are.
const INDEXED: usize = 1;

/// The version that this program writes.
const VERSION: usize = STEPS.len();

/// Makes the tables in an empty database.
pub(crate) fn create(connection: &mut Connection) -> Tried {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    climb(&transaction)?;
    Ok(transaction.commit()?)
}

/// Makes sure that the database is Tandem's and of this version; brings an older one there.
pub(crate) fn check(connection: &mut Connection, folder: &Folder) -> Tried {
    let number = |connection: &Connection, name| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
    };
    if number(connection, "application_id")? != APPLICATION {
        return Err(damaged(folder, &"it isn't a database of Tandem's").into());
    }
    let version = number(connection, "user_version")?;
    match usize::try_from(version) {
        Ok(version) if version == VERSION => Ok(()),
        Ok(version) if version > VERSION => Err(StoreError::Unavailable(format!(
            "{} was written by a newer Tandem (schema {version}, this one knows {VERSION}): install that version or a later one here",
            folder.database().display()
        ))
        .into()),
        Ok(version) if version > 0 => {
            let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
            climb(&transaction)?;
            Ok(transaction.commit()?)
        }
        _ => Err(damaged(folder, &format!("schema version {version}")).into()),
    }
}

/// Takes the steps that are left. Under the write lock, so only one process does.
fn climb(transaction: &Transaction<'_>) -> Tried {
    let version = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let from = transaction.pragma_query_value(None, "user_version", version)?;
    let from = usize::try_from(from).unwrap_or_default();
    for (number, step) in STEPS.iter().enumerate().skip(from) {
        transaction.execute_batch(step)?;
        if number == INDEXED {
            index::fill(transaction)?;
        }
    }
    transaction.pragma_update(None, "user_version", i64::try_from(VERSION).unwrap_or_default())?;
    Ok(())
}
