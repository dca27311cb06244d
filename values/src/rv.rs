//! Return values (CK_RV, PKCS #11 3.2 section 5.1).

use crate::names;
use cryptoki_sys::{CK_RV, CKR_OK};
use std::fmt;

/// A CK_RV that is not CKR_OK: why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rv(pub CK_RV);

/// What a call answers: a value, or the CK_RV that the application hears.
pub type Result<T = (), E = Rv> = std::result::Result<T, E>;

impl Rv {
    /// CKR_OK is success, everything else a failure.
    pub const fn check(rv: CK_RV) -> Result {
        if rv == CKR_OK { Ok(()) } else { Err(Self(rv)) }
    }
}

impl From<CK_RV> for Rv {
    fn from(rv: CK_RV) -> Self {
        Self(rv)
    }
}

impl fmt::Display for Rv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names::rv(self.0))
    }
}

impl fmt::Debug for Rv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Rv {}
