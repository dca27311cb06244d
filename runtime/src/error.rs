//! Why nothing could be started.

use std::fmt;
use tandem_engine::log::StoreError;
use tandem_values::Rv;
use tandem_values::ck::{CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR};

/// Why nothing could be started: the CK_RV that C_Initialize answers, and a sentence that says what happened, where,
/// and what to do next.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    rv: Rv,
    message: String,
}

impl Error {
    pub(crate) fn new(rv: u64, message: impl Into<String>) -> Self {
        Self { rv: Rv(rv), message: message.into() }
    }

    /// What C_Initialize answers.
    pub const fn rv(&self) -> Rv {
        self.rv
    }

    /// What people read.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Nothing can work before the operator has mended the file (PKCS #11 3.2 section 5.1.1: CKR_GENERAL_ERROR).
impl From<tandem_config::Error> for Error {
    fn from(error: tandem_config::Error) -> Self {
        Self::new(CKR_GENERAL_ERROR, error.to_string())
    }
}

/// The state may be back when the application tries again (section 5.1.1: CKR_FUNCTION_FAILED).
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::new(CKR_FUNCTION_FAILED, error.to_string())
    }
}

impl From<Error> for tandem_engine::error::Error {
    fn from(error: Error) -> Self {
        Self::new(error.rv.0, error.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.rv)
    }
}

impl std::error::Error for Error {}
