//! Pairing: the key ring of a virtual token (design.md section 6).
//!
//! [`make`] makes the five keys of a ring once, as session objects of one member, carries each to every member (its
//! maker too) under an RSA key made *there*, and unwraps it there as a hidden token object that is locked from its first
//! moment: it can't be read, wrapped out, copied or changed, and what a closed key opens is locked alike. Before the keys
//! are gone from the session they are wrapped to the recovery key, whose private half opens only with shares that
//! people keep. [`open`] brings the ring to another member with those shares, and both install it by the same code; [`split`]
//! makes new shares of old ones.
//!
//! [`rotate`] makes a further generation of the keys that wrap, by the code that made the first, under a recovery of its own;
//! [`Bench`] opens what the ones before them wrap, by the recovery's shares, so that it can be wrapped again.
//!
//! Nothing of a pairing counts until the log's first event names the ring. What an interrupted one leaves behind is
//! found by its label and removed by [`tidy`].

mod at;
mod attack;
mod bench;
mod chance;
mod check;
mod find;
mod install;
mod kind;
mod make;
mod open;
mod probe;
mod recipe;
mod recovery;
mod rotate;
mod scratch;
mod transport;
mod trial;

pub use attack::attack;
pub use bench::Bench;
pub use check::CHECK_IV;
pub use find::{
    RingId, find, find_all, find_key, is_ring_label, leftover, look, missing, named, remove,
    remove_leftover, remove_older, rings, tidy, to_hold, verify,
};
pub use make::{Pairing, make, new_id};
pub use open::open;
pub use probe::{Place, probe};
pub(crate) use recipe::close;
pub use recovery::{opens, prove, split};
pub use rotate::{Alone, Rotating, rotate};
pub use trial::{join, links_of};
