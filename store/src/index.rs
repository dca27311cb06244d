//! The index of what records are about, so that the records of one object are found among millions. It is made of the log and can be
//! made anew; no seal speaks for it, and whoever relies on what it names checks the record.

use crate::error::Tried;
use crate::log::records;
use rusqlite::Transaction;
use tandem_engine::log::Position;
use tandem_engine::object::ObjectId;

/// How many records are read at once.
const BATCH: usize = 1_024;

/// By what the records about an object, or those about none, are found.
pub(crate) fn key(of: Option<ObjectId>) -> Vec<u8> {
    of.map(|id| id.0.to_vec()).unwrap_or_default()
}

/// Notes what a record is about. False if that is noted already.
pub(crate) fn note(
    transaction: &Transaction<'_>,
    position: Position,
    about: Option<ObjectId>,
) -> Tried<bool> {
    let noted = transaction
        .prepare_cached("INSERT OR IGNORE INTO mentions (object, position) VALUES (?1, ?2)")?
        .execute((key(about), position.cast_signed()))?;
    Ok(noted > 0)
}

/// Notes what every record is about.
pub(crate) fn fill(transaction: &Transaction<'_>) -> Tried {
    let mut after = 0;
    while let (Some(next), _) = mend(transaction, after)? {
        after = next;
    }
    Ok(())
}

/// Notes what is missing of some records after a position. Answers the last one's, `None` at the end of the log, and whether anything
/// was missing.
pub(crate) fn mend(
    transaction: &Transaction<'_>,
    after: Position,
) -> Tried<(Option<Position>, bool)> {
    let batch = records(transaction, after, BATCH)?;
    let mut missing = false;
    for record in &batch {
        missing |= note(transaction, record.position, record.about())?;
    }
    Ok((batch.last().map(|last| last.position), missing))
}
