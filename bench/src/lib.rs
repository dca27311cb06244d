//! How fast PKCS #11 modules are, side by side.
//!
//! Each contender (a vendor's module, p11-kit's proxy over it, Tandem over one or more members) runs in a process of its own, is asked
//! for short slices of work in turn, and is held against the first one in the same round.

#![expect(clippy::disallowed_methods, reason = "a stopwatch reads the clock")]

pub mod case;
pub mod contender;
pub mod module;
pub mod pair;
pub mod race;
pub mod shown;
pub mod worker;
