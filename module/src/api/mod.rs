//! What each function does, by the chapters of PKCS #11 3.2 section 5: decoded values in, the engine asked, output written.

#![expect(clippy::needless_pass_by_value, reason = "the arguments of a call are its own")]

pub mod crypto;
pub mod find;
pub mod general;
pub mod key;
pub mod legacy;
pub mod message;
pub mod object;
pub mod pin;
pub mod random;
mod sealing;
pub mod session;
pub mod slot;
mod text;
