//! The fixture of the tests in `tests/`: libtandem.so and tandem as they were built, over real tokens, seen as an
//! application, an operator or a thief sees them. Nothing here knows how Tandem works inside.
//!
//! * [`alone`] runs a test in a process and with a token of its own: [`Demo`].
//! * [`application`] and [`Raw`] are applications; [`Direct`] is one that uses a member without Tandem.
//! * [`openssl`] judges what keys have done.

mod application;
pub mod artefacts;
mod bare;
mod broken;
mod demo;
mod direct;
mod held;
pub mod keys;
pub mod openssl;
mod process;
mod raw;
mod rounds;

pub use application::{
    Application, SO_PIN, USER_PIN, application, initialised, labelled, number, pin, refused, rv,
    value, verbose,
};
pub use bare::Bare;
pub use broken::Broken;
pub use demo::{Demo, Vendor, Wanted};
pub use direct::Direct;
pub use held::{Holdings, open_files};
pub use process::{alone, child, kill_when, skip};
pub use raw::{Raw, attribute, name_of};
pub use rounds::Rounds;
