//! Why the engine did not do what was asked: the CK_RV the application hears, and a sentence for people.
//!
//! A plain refusal that the specification names needs no sentence; whatever an operator can act on has one that says
//! what happened, where, and what to do next.

use crate::fault::Fault;
use crate::log::StoreError;
use std::borrow::Cow;
use std::fmt;
use tandem_values::{Rv, ck::*};

/// An error of the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    /// What the application hears.
    pub rv: Rv,
    /// What people read; empty for a refusal that speaks for itself.
    pub message: Cow<'static, str>,
}

/// What the engine answers.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a sentence.
    pub fn new(rv: CK_RV, message: impl Into<Cow<'static, str>>) -> Self {
        Self { rv: Rv(rv), message: message.into() }
    }
}

impl From<CK_RV> for Error {
    fn from(rv: CK_RV) -> Self {
        Self { rv: Rv(rv), message: Cow::Borrowed("") }
    }
}

impl From<Rv> for Error {
    fn from(rv: Rv) -> Self {
        rv.0.into()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let rv = match error {
            StoreError::Full(_) => CKR_DEVICE_MEMORY,
            StoreError::Unavailable(_) | StoreError::Damaged(_) | StoreError::Fenced(_) => {
                CKR_DEVICE_ERROR
            }
        };
        Self::new(rv, error.to_string())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.heard().into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            self.rv.fmt(f)
        } else {
            write!(f, "{} ({})", self.message, self.rv)
        }
    }
}
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl std::error::Error for Error {}
