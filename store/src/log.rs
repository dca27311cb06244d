//! The log.

use crate::error::{Tried, damaged};
use crate::index;
use crate::store::{Inner, SqliteStore};
use crate::transaction::{Done, Manner, forked};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use tandem_engine::event::{Head, Record};
use tandem_engine::log::{Checkpoints, Decide, Log, Position, StoreError, Stored};
use tandem_engine::object::ObjectId;

/// What the log is for: when it says so, it is on disk.
const MANNER: Manner = Manner { durable: true, announced: true, notes: false };

impl Log for SqliteStore {
    fn head(&self) -> Stored<Head> {
        self.inner.read(head)
    }

    fn append_after(&self, seen: Position, build: &mut Decide<'_>) -> Stored<Head> {
        self.inner.write(MANNER, |transaction| {
            let mut head = head(transaction)?;
            let news = if seen < head.position {
                records(transaction, seen, usize::MAX)?
            } else {
                Vec::new()
            };
            let process = std::process::id();
            let built = build(&head, &news);
            if process != std::process::id() {
                return Err(forked().into());
            }
            let append = built?;
            for record in &append.records {
                insert(transaction, &head, record)?;
                head =
                    Head { position: record.position, counter: record.counter, link: record.link };
            }
            for position in &append.erase {
                self.inner.erase(transaction, *position)?;
            }
            Ok(if !append.erase.is_empty() {
                Done::Erased(head)
            } else if !append.records.is_empty() {
                Done::Changed(head)
            } else {
                Done::Nothing(head)
            })
        })
    }

    fn read(&self, after: Position, limit: usize) -> Stored<Vec<Record>> {
        self.inner.read(|connection| records(connection, after, limit))
    }

    fn mentions(&self, of: Option<ObjectId>, after: Position) -> Stored<Vec<Position>> {
        self.inner.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT position FROM mentions WHERE object = ?1 AND position > ?2 ORDER BY position",
            )?;
            let positions = statement.query_map((index::key(of), after.cast_signed()), |row| {
                Ok(row.get::<_, i64>(0)?.cast_unsigned())
            })?;
            Ok(positions.collect::<Result<_, _>>()?)
        })
    }

    fn mentioned(&self) -> Stored<Vec<ObjectId>> {
        self.inner.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT object FROM mentions WHERE length(object) = 16 ORDER BY object",
            )?;
            let objects = statement.query_map((), |row| Ok(ObjectId(row.get(0)?)))?;
            Ok(objects.collect::<Result<_, _>>()?)
        })
    }

    fn mend_index(&self) -> Stored {
        let mut after = 0;
        // In small transactions: others write meanwhile.
        while let Some(next) = self.inner.write(MANNER, |transaction| {
            let (next, missing) = index::mend(transaction, after)?;
            Ok(if missing { Done::Changed(next) } else { Done::Nothing(next) })
        })? {
            after = next;
        }
        Ok(())
    }

    fn begin_anew(&self) -> Stored {
        self.inner.write(Manner { notes: true, ..MANNER }, |transaction| {
            // Epochs stay, so that no old lease counts; and `sqlite_sequence`, so that no handle comes again.
            transaction.execute_batch(
                "DELETE FROM exceptions;
                 UPDATE followers SET position = 0, epoch = epoch + 1, holder = NULL;
                 DELETE FROM records;
                 DELETE FROM mentions;
                 DELETE FROM objects;
                 DELETE FROM notes;
                 UPDATE state SET folded = 0;",
            )?;
            Ok(Done::Erased(()))
        })?;
        // After it: nobody can write one of the old log any more. Its handles are not those of the next.
        self.drop_checkpoint()
    }
}

impl Inner {
    /// Overwrites wrapped bytes where they are: the row keeps its length, so SQLite neither moves it nor its neighbours.
    fn erase(&self, transaction: &Transaction<'_>, position: Position) -> Tried {
        let erased = transaction
            .prepare_cached(
                "UPDATE records SET erased = 1, wrapped = zeroblob(length(wrapped))
                 WHERE position = ?1 AND erased = 0 AND wrapped IS NOT NULL",
            )?
            .execute([position.cast_signed()])?;
        let is_there = erased > 0
            || transaction
                .prepare_cached("SELECT 1 FROM records WHERE position = ?1")?
                .exists([position.cast_signed()])?;
        if is_there {
            Ok(())
        } else {
            Err(damaged(&self.folder, &format!("record {position}, to be erased, is missing"))
                .into())
        }
    }
}

fn head(connection: &Connection) -> Tried<Head> {
    let head = connection
        .prepare_cached(
            "SELECT position, counter, link FROM records ORDER BY position DESC LIMIT 1",
        )?
        .query_row((), |row| {
            Ok(Head {
                position: row.get::<_, i64>(0)?.cast_unsigned(),
                counter: row.get::<_, i64>(1)?.cast_unsigned(),
                link: row.get(2)?,
            })
        })
        .optional()?;
    Ok(head.unwrap_or_default())
}

/// At most `limit` records after a position.
pub(crate) fn records(
    connection: &Connection,
    after: Position,
    limit: usize,
) -> Tried<Vec<Record>> {
    let mut statement = connection.prepare_cached(
        "SELECT position, site, counter, epoch, at_ms, wrapped_hash, link, mac, body,
                CASE erased WHEN 0 THEN wrapped END
         FROM records WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let records = statement.query_map((after.cast_signed(), limit), record)?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// Writes a record that follows the head; nothing else gets in, whoever made it.
fn insert(transaction: &Transaction<'_>, head: &Head, record: &Record) -> Tried {
    let follows =
        record.position == head.position + 1 && record.link == record.link_after(&head.link);
    let wrapped = record.wrapped.as_deref();
    if !follows || wrapped.is_some_and(|_| record.wrapped_hash != Record::hash_wrapped(wrapped)) {
        return Err(StoreError::Unavailable(format!(
            "record {} doesn't follow record {} of this log: nothing was written",
            record.position, head.position
        ))
        .into());
    }
    transaction
        .prepare_cached(
            "INSERT INTO records
             (position, site, counter, epoch, at_ms, wrapped_hash, link, mac, body, wrapped)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            record.position.cast_signed(),
            record.site,
            record.counter.cast_signed(),
            record.epoch.cast_signed(),
            record.at_ms.cast_signed(),
            record.wrapped_hash,
            record.link,
            record.mac,
            &record.body,
            wrapped,
        ))?;
    index::note(transaction, record.position, record.about())?;
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        position: row.get::<_, i64>(0)?.cast_unsigned(),
        site: row.get(1)?,
        counter: row.get::<_, i64>(2)?.cast_unsigned(),
        epoch: row.get::<_, i64>(3)?.cast_unsigned(),
        at_ms: row.get::<_, i64>(4)?.cast_unsigned(),
        wrapped_hash: row.get(5)?,
        link: row.get(6)?,
        mac: row.get(7)?,
        body: row.get(8)?,
        wrapped: row.get(9)?,
    })
}
