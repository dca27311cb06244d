//! The log as the engine sees it, its followers' positions and leases, and the catalogue.
//!
//! `store` implements these traits over SQLite (and, later, PostgreSQL); `simulation` in memory.

use crate::event::{Head, Record};
use crate::object::ObjectId;
use tandem_values::Handle;

/// A place in a log: the number of the last record that is meant. Zero is before the first.
pub type Position = u64;

/// Why the store can't do what was asked. The message says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the file's quota, is full.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store can't be reached, read or written now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is in the store is not what Tandem wrote there.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Another process has taken the lease meanwhile.
    #[error("the lease on {0} has passed to another process")]
    Fenced(String),
}

/// What the store answers.
pub type Stored<T = ()> = Result<T, StoreError>;

/// What one transaction adds to the log and takes out of it.
#[derive(Default)]
pub struct Append {
    /// The records, in order, positions following the head's.
    pub records: Vec<Record>,
    /// Positions of records whose wrapped bytes are erased, from the file and its write-ahead file.
    pub erase: Vec<Position>,
}

/// What a transaction appends, given the head, and the records after a position.
pub type Decide<'a> = dyn FnMut(&Head, &[Record]) -> Stored<Append> + 'a;

/// The log: append-only, ordered, durable.
pub trait Log: Send + Sync {
    /// Where the log ends.
    fn head(&self) -> Stored<Head>;
    /// Runs `build` on the head inside one durable transaction and appends what it returns. When this
    /// returns, the records are on disk. If `build` returns an error nothing was appended.
    fn append(&self, build: &mut dyn FnMut(&Head) -> Stored<Append>) -> Stored<Head> {
        self.append_after(Position::MAX, &mut |head, _| build(head))
    }
    /// The same for who decides by what the log says: `build` is also given every record after a position, as they are when
    /// nobody else can append any more.
    fn append_after(&self, seen: Position, build: &mut Decide<'_>) -> Stored<Head>;
    /// At most `limit` records after a position, in order.
    fn read(&self, after: Position, limit: usize) -> Stored<Vec<Record>>;
    /// Positions after another of the records about an object, or of those about none, in order. An index of the log, and no
    /// part of it: no seal speaks for it.
    fn mentions(&self, of: Option<ObjectId>, after: Position) -> Stored<Vec<Position>>;
    /// Every object that a record is about, in the order of their identities.
    fn mentioned(&self) -> Stored<Vec<ObjectId>>;
    /// Puts into that index what is missing there.
    fn mend_index(&self) -> Stored;
    /// Empties log, catalogue, followers and notes: a new log begins (C_InitToken). Handles are not reused.
    fn begin_anew(&self) -> Stored;
}

/// A follower's state, read without a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// Everything up to here has been taken over, but for the exceptions.
    pub position: Position,
    /// Objects it could not take, with the reason, in the order of their identities.
    pub exceptions: Vec<(ObjectId, String)>,
}

impl Following {
    /// True if this object is one that the member could not take.
    pub fn excepts(&self, id: ObjectId) -> bool {
        self.exception(id).is_some()
    }

    /// Why the member could not take this object, if it could not.
    pub fn exception(&self, id: ObjectId) -> Option<&str> {
        let at = self.exceptions.binary_search_by_key(&id, |(excepted, _)| *excepted).ok()?;
        self.exceptions.get(at).map(|(_, reason)| reason.as_str())
    }
}

/// The right to write for one follower. Dropping it hands it on.
pub trait Lease: Send {
    /// Grows by one each time the lease is taken, by whichever process.
    fn epoch(&self) -> u64;
    /// Where the follower is.
    fn following(&self) -> Stored<Following>;
    /// Moves the position on. [`StoreError::Fenced`] if another holder has come since.
    fn advance(&mut self, position: Position) -> Stored;
    /// Notes that the follower could not take an object.
    fn except(&mut self, object: ObjectId, reason: &str) -> Stored;
    /// The follower has taken an object after all.
    fn resolve(&mut self, object: ObjectId) -> Stored;
}

/// The followers of the log.
pub trait Followers: Send + Sync {
    /// A follower's state; position 0 if it never followed.
    fn following(&self, follower: &str) -> Stored<Following>;
    /// Takes the lease of a follower, waiting up to `wait_ms` for another process or thread that holds it;
    /// `None` if it is still held then. Freed at once when its holder dies.
    fn lease(&self, follower: &str, wait_ms: u64) -> Stored<Option<Box<dyn Lease>>>;
    /// Forgets a follower.
    fn forget(&self, follower: &str) -> Stored;
}

/// One row of the catalogue: an object as it now is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's number, which is the object's handle. Never reused.
    pub handle: Handle,
    /// The object's identity.
    pub id: ObjectId,
    /// Position of the last event that changed the row.
    pub position: Position,
    /// The object in CBOR (`crate::object::Object`); `None` once destroyed.
    pub body: Option<Vec<u8>>,
}

/// The catalogue: events folded into rows that answer reads, shared by the processes of one host.
pub trait Catalogue: Send + Sync {
    /// Everything up to here is folded in.
    fn position(&self) -> Stored<Position>;
    /// Writes rows (made if their id is new, otherwise replaced; `None` marks a destroyed object) and moves the
    /// position from `from` to `to`, in one transaction. If the position is no longer `from`, another
    /// process has folded these events, and nothing is written.
    fn fold(
        &self,
        from: Position,
        to: Position,
        rows: &[(ObjectId, Position, Option<Vec<u8>>)],
    ) -> Stored;
    /// The rows last changed after a position and up to another, in order of handle.
    fn changed(&self, after: Position, to: Position) -> Stored<Vec<Row>>;
    /// The row of an object.
    fn row(&self, id: ObjectId) -> Stored<Option<Row>>;
    /// The rows of these handles, those that are there, in their order; as of one moment.
    fn rows_at(&self, handles: &[Handle]) -> Stored<Vec<Row>>;
    /// A number that changes whenever any process changes the log or the catalogue. Costs no query. When it
    /// can't be read it answers a number that was never answered before, so the caller looks for itself.
    fn generation(&self) -> u64;
}

/// Small facts kept beside the log, by name: pairings' leftovers, refused PINs, label after C_InitToken.
pub trait Notes: Send + Sync {
    /// A note.
    fn note(&self, name: &str) -> Stored<Option<Vec<u8>>>;
    /// A number that is another whenever any process has changed a note. Costs no query. `None` while that can't be told. What was
    /// read is as of this number if it is the same afterwards.
    fn noted(&self) -> Option<u64>;
    /// Writes a note durably, or removes it.
    fn set_note(&self, name: &str, value: Option<&[u8]>) -> Stored;
}

/// A file that was written once and is only read.
pub trait Pages: Send + Sync {
    /// How many bytes it has.
    fn size(&self) -> Stored<u64>;
    /// Bytes from a place on: as many as asked for, or those that there are.
    fn read(&self, at: u64, len: usize) -> Stored<Vec<u8>>;
}

/// Takes what is written, piece by piece.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Stored + 'a;

/// Where a checkpoint of the catalogue is kept ([`crate::shelf`]). It can be made anew from the log at any time.
pub trait Checkpoints: Send + Sync {
    /// The last one. What was opened stays readable when another takes its place.
    fn checkpoint(&self) -> Stored<Option<Box<dyn Pages>>>;
    /// Writes another, which takes the last one's place when `write` has come to its end, and not before.
    fn set_checkpoint(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored;
    /// Writes one for oneself, which takes no other's place and goes when it is dropped.
    fn scratch(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored<Box<dyn Pages>>;
    /// From now on there is none.
    fn drop_checkpoint(&self) -> Stored;
}

/// Everything that is kept: one store implements it all.
pub trait Store: Log + Followers + Catalogue + Notes + Checkpoints {}
impl<T: Log + Followers + Catalogue + Notes + Checkpoints> Store for T {}
