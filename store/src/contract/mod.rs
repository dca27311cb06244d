//! What every store must do, whatever it is made of. Each case runs on a fresh store:
//!
//! ```
//! use tandem_store::{SqliteStore, contract};
//! struct Temporary(tempfile::TempDir);
//! impl contract::Place for Temporary {
//!     fn open(&self) -> Box<dyn tandem_engine::log::Store> {
//!         Box::new(SqliteStore::open(self.0.path(), None).unwrap())
//!     }
//! }
//! for (_, case) in contract::CASES {
//!     case(&Temporary(tempfile::tempdir().unwrap()));
//! }
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a case fails by panicking"
)]

mod catalogue;
mod checkpoint;
mod followers;
mod log;
mod notes;

use std::sync::Arc;
use tandem_engine::event::{Hash, Head, Record};
use tandem_engine::log::{Append, Store, Stored};
use tandem_engine::object::ObjectId;

/// Where a case's store is. Dropped, it is gone.
pub trait Place: Send + Sync {
    /// Opens the store, as another process of the same host would.
    fn open(&self) -> Box<dyn Store>;
}

/// A case: fails by panicking.
pub type Case = fn(&dyn Place);

/// Every case, with its name.
pub const CASES: &[(&str, Case)] = &[
    ("a new log is empty", log::empty),
    ("records come back as they were", log::round_trip),
    ("records are read in pages", log::pages),
    ("an empty append changes nothing", log::nothing),
    ("who decides by the log is given what is new in it", log::decided),
    ("a failed build appends nothing", log::failed_build),
    ("a panic in build appends nothing", log::panic_in_build),
    ("only what follows is appended", log::follows),
    ("erased bytes leave their hash", log::erased),
    ("appending threads wait for each other", log::threads),
    ("records are found by what they are about", log::mentions),
    ("a new log begins", log::anew),
    ("a follower begins at zero", followers::unknown),
    ("a lease writes for its follower", followers::writes),
    ("one lease at a time", followers::exclusive),
    ("a lease is waited for", followers::waits),
    ("each taking is a new epoch", followers::epochs),
    ("followers are apart", followers::apart),
    ("a forgotten follower begins again", followers::forgotten),
    ("threads hand a lease on", followers::threads),
    ("a new catalogue is empty", catalogue::empty),
    ("rows keep their handles", catalogue::handles),
    ("handles are not reused", catalogue::never_reused),
    ("changed rows are found", catalogue::changed),
    ("folding twice is folding once", catalogue::once),
    ("folding threads agree", catalogue::threads),
    ("the generation tells of changes", catalogue::generation),
    ("notes are kept", notes::kept),
    ("notes are seen by all", notes::seen_by_all),
    ("a checkpoint is kept", checkpoint::kept),
    ("a checkpoint is there whole or not at all", checkpoint::whole_or_not_at_all),
    ("a checkpoint goes with its log", checkpoint::of_its_log),
];

/// A record that follows a head.
pub fn record_after(head: &Head, body: &[u8], wrapped: Option<&[u8]>) -> Record {
    let mut record = Record {
        position: head.position + 1,
        site: [7; 16],
        counter: head.counter.wrapping_add(1),
        epoch: 1,
        at_ms: 1_750_000_000_000 + head.position,
        body: body.to_vec(),
        wrapped: wrapped.map(<[u8]>::to_vec),
        wrapped_hash: Record::hash_wrapped(wrapped),
        link: [0; 32],
        mac: [9; 32],
    };
    record.link = record.link_after(&head.link);
    record
}

/// Appends one record.
pub fn append(store: &dyn Store, body: &[u8], wrapped: Option<&[u8]>) -> Stored<Head> {
    store.append(&mut |head| {
        Ok(Append { records: vec![record_after(head, body, wrapped)], erase: vec![] })
    })
}

/// Erases the wrapped bytes of a record.
pub fn erase(store: &dyn Store, position: u64) -> Stored<Head> {
    store.append(&mut |_| Ok(Append { records: vec![], erase: vec![position] }))
}

/// Reads the whole log and checks that it is one: positions in order, links and hashes right, and the head its end.
/// Nobody may be appending meanwhile.
pub fn whole_log(store: &dyn Store) -> Vec<Record> {
    let records = chain(store);
    let last = records.last().map_or((0, [0; 32]), |record| (record.position, record.link));
    let head = store.head().unwrap();
    assert_eq!((head.position, head.link), last);
    records
}

/// Reads the log as it is at one moment and checks positions, links and hashes.
pub fn chain(store: &dyn Store) -> Vec<Record> {
    let records = store.read(0, usize::MAX).unwrap();
    let mut link: Hash = [0; 32];
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.position, index as u64 + 1, "a position is missing");
        assert_eq!(record.link, record.link_after(&link), "record {}", record.position);
        if let Some(wrapped) = record.wrapped.as_deref() {
            assert_eq!(record.wrapped_hash, Record::hash_wrapped(Some(wrapped)));
        }
        link = record.link;
    }
    records
}

/// An object's identity for a number.
pub fn id(number: u64) -> ObjectId {
    ObjectId((u128::from(number) | 0x7000 << 64).to_be_bytes())
}

/// Runs `act` in several threads at once, each with its number and the store opened anew.
fn at_once(place: &dyn Place, threads: usize, act: impl Fn(usize, &dyn Store) + Sync) {
    let start = Arc::new(std::sync::Barrier::new(threads));
    std::thread::scope(|scope| {
        for number in 0..threads {
            let store = place.open();
            let (start, act) = (Arc::clone(&start), &act);
            scope.spawn(move || {
                start.wait();
                act(number, &*store);
            });
        }
    });
}
