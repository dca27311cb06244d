//! `libtandem.so`: the C face of Tandem, all 104 functions of PKCS #11 3.2.
//!
//! A call comes in through [`abi`], where the application's pointers become owned values, goes through [`guard`], which
//! lets no panic and no uninitialised call past, and is served by a plain function of [`api`], which asks the engine.
//! Unsafe code is in [`abi`] and [`fork`] only.

#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, clippy::enum_glob_use, reason = "the names of C are many")
)]

pub mod abi;
pub mod api;
pub mod fork;
pub mod guard;
pub mod limits;
mod outside;
pub mod state;
