//! What Tandem keeps, on disk: the log, its followers' positions and leases, the catalogue and the notes, in one SQLite
//! file of the state folder, shared by all processes of the host.
//!
//! [`SqliteStore`] implements the traits of [`tandem_engine::log`]. Beside the database the folder holds the
//! `generation` word ([`generation`] says how it works) and one lock file for each follower's lease.
//!
//! **Fork.** No SQLite connection crosses a fork. Whoever can register `pthread_atfork` handlers calls [`park`] in the
//! prepare handler and [`unpark`] in both others; the module `park` says what they do and what a child may rely on.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "the store is the outside world: it waits for locks"
)]

mod catalogue;
mod checkpoint;
#[cfg(feature = "contract")]
pub mod contract;
mod error;
mod folder;
mod followers;
mod generation;
mod index;
mod lease;
mod log;
mod notes;
mod park;
mod schema;
mod sqlite;
mod step;
mod store;
mod transaction;

pub use followers::Known;
pub use park::{park, unpark};
pub use step::Step;
#[cfg(feature = "steps")]
pub use step::watch;
pub use store::SqliteStore;
