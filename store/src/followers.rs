//! The followers: where each is, what it could not take, and who may write for it.

use crate::error::{Tried, Trouble};
use crate::lease::LeaseFile;
use crate::store::{Inner, SqliteStore};
use crate::transaction::{Done, Manner};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::sync::Arc;
use tandem_engine::log::{Followers, Following, Lease, Position, StoreError, Stored};
use tandem_engine::object::ObjectId;

/// A step that a power cut takes back is taken again.
const MANNER: Manner = Manner { durable: false, announced: true, notes: false };
/// Taking a lease changes nothing that others read.
const QUIETLY: Manner = Manner { durable: false, announced: false, notes: false };

/// A follower, and who held its lease last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub position: Position,
    /// How often its lease was taken.
    pub epoch: u64,
    /// The process that took it last, for people: its number and program.
    pub holder: String,
}

impl SqliteStore {
    /// Every follower that ever had a lease and wasn't forgotten, by name.
    pub fn known(&self) -> Stored<Vec<Known>> {
        self.inner.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, position, epoch, holder FROM followers
                 WHERE holder IS NOT NULL ORDER BY name",
            )?;
            let known = statement.query_map((), |row| {
                Ok(Known {
                    name: row.get(0)?,
                    position: row.get::<_, i64>(1)?.cast_unsigned(),
                    epoch: row.get::<_, i64>(2)?.cast_unsigned(),
                    holder: row.get(3)?,
                })
            })?;
            Ok(known.collect::<Result<_, _>>()?)
        })
    }
}

impl Followers for SqliteStore {
    fn following(&self, follower: &str) -> Stored<Following> {
        self.inner.read_at_once(|connection| following(connection, follower))
    }

    fn lease(&self, follower: &str, wait_ms: u64) -> Stored<Option<Box<dyn Lease>>> {
        let Some(file) = LeaseFile::take(&self.inner.folder, follower, wait_ms)? else {
            return Ok(None);
        };
        let taken = self.inner.write(QUIETLY, |transaction| {
            let epoch = transaction
                .prepare_cached(
                    "INSERT INTO followers (name, position, epoch, holder) VALUES (?1, 0, 1, ?2)
                     ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1, holder = excluded.holder
                     RETURNING epoch",
                )?
                .query_row((follower, holder()), |row| row.get::<_, i64>(0))?;
            Ok(Done::Changed(epoch))
        });
        let epoch = taken.inspect_err(|_| file.release())?;
        Ok(Some(Box::new(Held {
            inner: Arc::clone(&self.inner),
            follower: follower.to_owned(),
            epoch,
            file,
        })))
    }

    fn forget(&self, follower: &str) -> Stored {
        self.inner.write(MANNER, |transaction| {
            transaction
                .prepare_cached("DELETE FROM exceptions WHERE follower = ?1")?
                .execute([follower])?;
            // The row stays for its epoch: an old lease must not count again.
            let forgotten = transaction
                .prepare_cached(
                    "UPDATE followers SET position = 0, epoch = epoch + 1, holder = NULL
                     WHERE name = ?1",
                )?
                .execute([follower])?;
            Ok(if forgotten == 0 { Done::Nothing(()) } else { Done::Changed(()) })
        })
    }
}

/// A lease that this process took.
struct Held {
    inner: Arc<Inner>,
    follower: String,
    epoch: i64,
    file: Arc<LeaseFile>,
}

impl Held {
    /// Writes for the follower, if this is still its lease.
    fn write(&self, act: impl FnOnce(&Transaction<'_>) -> Tried<usize>) -> Stored {
        if !self.file.is_held() {
            return Err(StoreError::Fenced(self.follower.clone()));
        }
        self.inner.write(MANNER, |transaction| {
            let epoch = transaction
                .prepare_cached("SELECT epoch FROM followers WHERE name = ?1")?
                .query_row([&self.follower], |row| row.get::<_, i64>(0))
                .optional()?;
            if epoch != Some(self.epoch) {
                return Err(Trouble::Told(StoreError::Fenced(self.follower.clone())));
            }
            Ok(if act(transaction)? == 0 { Done::Nothing(()) } else { Done::Changed(()) })
        })
    }
}

impl Lease for Held {
    fn epoch(&self) -> u64 {
        self.epoch.cast_unsigned()
    }

    fn following(&self) -> Stored<Following> {
        self.inner.read_at_once(|connection| following(connection, &self.follower))
    }

    fn advance(&mut self, position: Position) -> Stored {
        self.write(|transaction| {
            Ok(transaction
                .prepare_cached(
                    "UPDATE followers SET position = ?2 WHERE name = ?1 AND position <> ?2",
                )?
                .execute((&self.follower, position.cast_signed()))?)
        })
    }

    fn except(&mut self, object: ObjectId, reason: &str) -> Stored {
        self.write(|transaction| {
            Ok(transaction
                .prepare_cached(
                    "INSERT INTO exceptions (follower, object, reason) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET reason = excluded.reason
                     WHERE reason <> excluded.reason",
                )?
                .execute((&self.follower, object.0, reason))?)
        })
    }

    fn resolve(&mut self, object: ObjectId) -> Stored {
        self.write(|transaction| {
            Ok(transaction
                .prepare_cached("DELETE FROM exceptions WHERE follower = ?1 AND object = ?2")?
                .execute((&self.follower, object.0))?)
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.file.release();
    }
}

fn following(connection: &Connection, follower: &str) -> Tried<Following> {
    let position = connection
        .prepare_cached("SELECT position FROM followers WHERE name = ?1")?
        .query_row([follower], |row| row.get::<_, i64>(0))
        .optional()?;
    let mut statement = connection.prepare_cached(
        "SELECT object, reason FROM exceptions WHERE follower = ?1 ORDER BY object",
    )?;
    let exceptions =
        statement.query_map([follower], |row| Ok((ObjectId(row.get(0)?), row.get(1)?)))?;
    Ok(Following {
        position: position.unwrap_or_default().cast_unsigned(),
        exceptions: exceptions.collect::<Result<_, _>>()?,
    })
}

/// This process, for people.
fn holder() -> String {
    let program = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    format!("{} {}", std::process::id(), program.trim_end()).trim_end().to_owned()
}
