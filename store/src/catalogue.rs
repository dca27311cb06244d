//! The catalogue.

use crate::error::Tried;
use crate::store::SqliteStore;
use crate::transaction::{Done, Manner};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use tandem_engine::log::{Catalogue, Position, Row, Stored};
use tandem_engine::object::ObjectId;
use tandem_values::Handle;

/// A fold that a power cut takes back is folded again.
const MANNER: Manner = Manner { durable: false, announced: true, notes: false };

impl Catalogue for SqliteStore {
    fn position(&self) -> Stored<Position> {
        self.inner.read(position)
    }

    fn fold(
        &self,
        from: Position,
        to: Position,
        rows: &[(ObjectId, Position, Option<Vec<u8>>)],
    ) -> Stored {
        self.inner.write(MANNER, |transaction| {
            if position(transaction)? != from || (from == to && rows.is_empty()) {
                return Ok(Done::Nothing(()));
            }
            // Not an upsert: one that updates still uses up a handle.
            let mut update = transaction
                .prepare_cached("UPDATE objects SET position = ?2, body = ?3 WHERE id = ?1")?;
            let mut insert = transaction
                .prepare_cached("INSERT INTO objects (id, position, body) VALUES (?1, ?2, ?3)")?;
            for (id, position, body) in rows {
                let values = (id.0, position.cast_signed(), body.as_deref());
                if update.execute(values)? == 0 {
                    insert.execute(values)?;
                }
            }
            transaction
                .prepare_cached("UPDATE state SET folded = ?1")?
                .execute([to.cast_signed()])?;
            Ok(Done::Changed(()))
        })
    }

    fn changed(&self, after: Position, to: Position) -> Stored<Vec<Row>> {
        self.inner.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT handle, id, position, body FROM objects WHERE position > ?1 AND position <= ?2
                 ORDER BY handle",
            )?;
            let to = i64::try_from(to).unwrap_or(i64::MAX);
            let rows = statement.query_map((after.cast_signed(), to), row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn row(&self, id: ObjectId) -> Stored<Option<Row>> {
        self.inner.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT handle, id, position, body FROM objects WHERE id = ?1")?;
            Ok(statement.query_row([id.0], row).optional()?)
        })
    }

    fn rows_at(&self, handles: &[Handle]) -> Stored<Vec<Row>> {
        let each = |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT handle, id, position, body FROM objects WHERE handle = ?1",
            )?;
            let mut rows = Vec::with_capacity(handles.len());
            for handle in handles {
                rows.extend(statement.query_row([handle.cast_signed()], row).optional()?);
            }
            Ok(rows)
        };
        // One by itself is of one moment anyway.
        if handles.len() > 1 { self.inner.read_at_once(each) } else { self.inner.read(each) }
    }

    fn generation(&self) -> u64 {
        self.inner.generation.now()
    }
}

fn position(connection: &Connection) -> Tried<Position> {
    let mut statement = connection.prepare_cached("SELECT folded FROM state")?;
    Ok(statement.query_row((), |row| row.get::<_, i64>(0))?.cast_unsigned())
}

fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        handle: row.get::<_, i64>(0)?.cast_unsigned(),
        id: ObjectId(row.get(1)?),
        position: row.get::<_, i64>(2)?.cast_unsigned(),
        body: row.get(3)?,
    })
}
