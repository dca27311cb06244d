//! tandem.toml: first as it was typed ([`typed`]), then as it is meant ([`Config`]).
//!
//! Everything that can be known without touching an HSM is decided here, once, so that nobody after it has to doubt
//! a value: paths are absolute, names are unique and fit to be file names, groups are resolved. An
//! [`Error`] names the file, the line and the key, and says what to write instead.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the host's environment is read"
)]

mod document;
mod error;
mod keys;
mod load;
pub mod meant;
pub mod permission;
pub mod typed;

pub use error::{Error, Warning};
pub use keys::keys;
pub use load::{HOME_FILE, SYSTEM_FILE, VARIABLE, load, locate, parse, text};
pub use meant::Config;
