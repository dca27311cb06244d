//! Every use of the database: one read, or one transaction that writes, at a time.

use crate::error::{Tried, Trouble, told};
use crate::park;
use crate::sqlite::Open;
use crate::step::{Step, reach};
use crate::store::{Inner, Slot, abandon};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::cell::RefCell;
use tandem_engine::log::{StoreError, Stored};

/// How long a transaction that has erased bytes waits for readers to let it truncate the write-ahead file.
const TRUNCATE_MS: u64 = 250;

thread_local! {
    /// What this thread is using: a transaction can't begin another one on its own store.
    static USED: RefCell<Vec<*const Slot>> = const { RefCell::new(Vec::new()) };
}

/// How a transaction is written.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// It is on disk when it returns. What isn't is lost by a power cut only, and never apart from what was before it.
    pub(crate) durable: bool,
    /// The generation word tells other processes.
    pub(crate) announced: bool,
    /// It changes notes.
    pub(crate) notes: bool,
}

/// What a transaction did.
pub(crate) enum Done<T> {
    /// Nothing: it is rolled back.
    Nothing(T),
    Changed(T),
    /// It overwrote bytes that must be in no file afterwards.
    Erased(T),
}

impl Inner {
    /// Reads. `act` may run more than once.
    pub(crate) fn read<T>(&self, act: impl Fn(&Connection) -> Tried<T>) -> Stored<T> {
        let answer = self.with(&self.reader, |open| match act(&open.connection) {
            Err(trouble) if trouble.is_busy() && park::is_wanted() => Err(Trouble::Parking),
            answer => answer,
        });
        if answer.is_ok() && !self.generation.is_settled() {
            self.settle_for_the_dead();
        }
        answer
    }

    /// Settles the generation word if the writer that announced a change is no more; otherwise nobody could rely on it
    /// until the next change. Waits for nobody.
    fn settle_for_the_dead(&self) {
        let Ok(_inside) = park::enter() else { return };
        let Some(mut slot) = self.writer.try_lock() else { return };
        let Ok(open) = self.ready(&mut slot) else { return };
        let _ = open.impatiently(|connection| {
            // A living one would hold this lock, or would have committed and be about to settle.
            let _lock = Transaction::new(connection, TransactionBehavior::Immediate)?;
            self.generation.settle();
            Ok(())
        });
    }

    /// Reads several things as of one moment. `act` may run more than once.
    pub(crate) fn read_at_once<T>(&self, act: impl Fn(&Connection) -> Tried<T>) -> Stored<T> {
        self.read(|connection| {
            let moment = connection.unchecked_transaction()?;
            let answer = act(&moment)?;
            moment.commit()?;
            Ok(answer)
        })
    }

    /// Runs `act` once in a transaction and commits what it did. If `act` or the commit fails nothing has changed.
    pub(crate) fn write<T>(
        &self,
        manner: Manner,
        act: impl FnOnce(&Transaction<'_>) -> Tried<Done<T>>,
    ) -> Stored<T> {
        let mut act = Some(act);
        self.with(&self.writer, |open| {
            open.set_durable(manner.durable)?;
            let transaction =
                match Transaction::new(&mut open.connection, TransactionBehavior::Immediate) {
                    Ok(transaction) => transaction,
                    Err(error) => {
                        let trouble = Trouble::from(error);
                        let parking = trouble.is_busy() && park::is_wanted();
                        return Err(if parking { Trouble::Parking } else { trouble });
                    }
                };
            reach(Step::Begun);
            let Some(act) = act.take() else {
                return Err(StoreError::Unavailable("a transaction began twice".into()).into());
            };
            let done = act(&transaction);
            if open.process != std::process::id() {
                // Not even rolled back: the parent goes on with it.
                Box::leak(Box::new(transaction));
                return Err(Trouble::Told(forked()));
            }
            let done = done?;
            reach(Step::Written);
            let (answer, erased) = match done {
                Done::Nothing(answer) => return Ok(answer),
                Done::Changed(answer) => (answer, false),
                Done::Erased(answer) => (answer, true),
            };
            if erased {
                transaction.execute("UPDATE state SET erased = erased + 1", ())?;
            }
            let due = note_truncated(&transaction, open.truncated)?;
            let announce = || self.generation.announce(&self.folder, manner.notes);
            let announced = if manner.announced { announce()? } else { None };
            reach(Step::Announced);
            // If this fails the word stays as it is, and readers look for themselves until the next change.
            transaction.commit()?;
            reach(Step::Committed);
            if let Some(announced) = announced {
                announced.settle();
            }
            reach(Step::Settled);
            if let Some(due) = due {
                // The change stands, whatever comes of this.
                if !truncate(open, due, if erased { TRUNCATE_MS } else { 0 }).unwrap_or(false) {
                    log::debug!(
                        "erased bytes stay in the write-ahead file until its readers are done"
                    );
                }
            }
            reach(Step::Truncated);
            Ok(answer)
        })
    }

    /// Truncates the write-ahead file if that is due. False if readers are in the way.
    pub(crate) fn tidy(&self) -> Stored<bool> {
        self.with(&self.writer, |open| {
            let (erased, truncated) = erasures(&open.connection)?;
            if erased <= truncated.max(open.truncated) {
                return Ok(true);
            }
            truncate(open, erased, TRUNCATE_MS)
        })
    }

    /// Goes inside, uses the connection and comes out. Begins again after a fork that was in the way.
    pub(crate) fn with<T>(
        &self,
        slot: &Slot,
        mut act: impl FnMut(&mut Open) -> Tried<T>,
    ) -> Stored<T> {
        let _used = Used::begin(slot)?;
        loop {
            let inside = park::enter()?;
            let mut slot = slot.lock();
            let answer = if park::is_wanted() {
                Err(Trouble::Parking)
            } else {
                match self.ready(&mut slot) {
                    Ok(open) => act(open),
                    Err(trouble) if trouble.is_busy() && park::is_wanted() => Err(Trouble::Parking),
                    Err(trouble) => Err(trouble),
                }
            };
            if slot.as_ref().is_some_and(|open| open.process != std::process::id()) {
                // `act` forked, and this is the child.
                abandon(&mut slot);
                return Err(forked());
            }
            match answer {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Parking) => {
                    drop(slot);
                    drop(inside);
                }
                Err(trouble) => {
                    if matches!(trouble, Trouble::Sql(_)) && !trouble.is_busy() {
                        // Whatever ails the connection, the next one begins afresh.
                        *slot = None;
                    }
                    return Err(told(&self.folder, trouble));
                }
            }
        }
    }
}

/// How many transactions have erased bytes, and how many of them are known to be out of the write-ahead file.
fn erasures(connection: &Connection) -> Tried<(u64, u64)> {
    let counts = connection
        .prepare_cached("SELECT erased, truncated FROM state")?
        .query_row((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    Ok((counts.0.cast_unsigned(), counts.1.cast_unsigned()))
}

/// Writes down what this connection knows of truncations. Answers up to which erasure one is due.
fn note_truncated(transaction: &Transaction<'_>, known: u64) -> Tried<Option<u64>> {
    let (erased, truncated) = erasures(transaction)?;
    let known = known.min(erased);
    if known > truncated {
        transaction
            .prepare_cached("UPDATE state SET truncated = ?1")?
            .execute([known.cast_signed()])?;
    }
    Ok((erased > known.max(truncated)).then_some(erased))
}

fn truncate(open: &mut Open, erasure: u64, patience_ms: u64) -> Tried<bool> {
    let truncated = open.truncate_write_ahead(patience_ms)?;
    if truncated {
        open.truncated = open.truncated.max(erasure);
    }
    Ok(truncated)
}

/// What a child hears of a transaction that its parent began.
pub(crate) fn forked() -> StoreError {
    StoreError::Unavailable(
        "this process was forked inside the transaction, which is its parent's".into(),
    )
}

/// This thread uses a slot.
struct Used(*const Slot);

impl Used {
    fn begin(slot: &Slot) -> Stored<Self> {
        let slot = std::ptr::from_ref(slot);
        USED.with_borrow_mut(|used| {
            if used.contains(&slot) {
                return Err(StoreError::Unavailable(
                    "a transaction can't begin another one on its own store".into(),
                ));
            }
            used.push(slot);
            Ok(Self(slot))
        })
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        USED.with_borrow_mut(|used| used.retain(|slot| *slot != self.0));
    }
}
