//! The only code that calls vendors' modules: loads them, turns values into C and back, and keeps what a vendor
//! does from reaching further than its member.
//!
//! A [`VendorMember`] is what the engine sees, through [`Deadlined`] where its calls have a deadline. Below it, from the outside in: `life` (start, restart, stop), `world`
//! (what the members of a process share), `library` (one instance of a module, and the gate through which every
//! call goes), `functions` (every C call), and the translations: `encode` and `parameter` to C, `decode`, `read` and
//! `output` back.
//!
//! A vendor's answers are never trusted: lengths are checked against the room they were given, handles against
//! zero, and what can't be a value is none. What can't be checked is a vendor's code itself: it runs in this
//! process, so its file must be writable by nobody but those who are trusted anyway (see [`LoadError::Writable`]).

#![expect(
    clippy::disallowed_methods,
    reason = "vendors read the environment, and this crate is the world outside the engine"
)]

mod awake;
mod binding;
mod budget;
mod buffer;
mod config;
mod deadlined;
mod decode;
mod encode;
mod environ;
mod environment;
mod error;
mod file;
mod function_list;
mod functions;
mod gate;
mod handover;
mod hands;
mod image;
mod initialise;
mod library;
mod life;
mod member;
mod messages;
mod objects;
mod output;
mod own;
mod parameter;
mod quirks;
mod read;
mod rest;
mod sessions;
mod shield;
mod step;
mod sync;
mod tokens;
mod workers;
mod world;

pub use budget::Serving;
pub use config::{AfterFork, Initialise, MemberConfig, Overrides, TokenSelector};
pub use deadlined::{Deadlined, Deadlines};
pub use error::LoadError;
pub use hands::HostHands;
pub use member::VendorMember;
pub use quirks::{Known, known_quirks};
pub use rest::{Busy, after_fork, before_fork, in_child};
pub use shield::hold_off_signals;
pub use world::forget_after_fork;

/// Everything about a member's module that can be checked without running its code: that the path is absolute, the file
/// is there, nobody else may write to it, and it is not Tandem itself.
pub fn check(config: &MemberConfig) -> Result<(), LoadError> {
    file::Module::open(config).map(drop)
}
