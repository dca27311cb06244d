//! Every call of a vendor's function, in safe Rust: slices in, values out. One method for each function or for
//! each shape that several functions share. A function that the vendor leaves out is CKR_FUNCTION_NOT_SUPPORTED.
//!
//! What all the `unsafe` blocks below rely on is the one promise that a PKCS #11 module makes: it reads as many
//! bytes as it is told, writes no more than it is told, and keeps no pointer after it has returned. The crate's
//! part is that each pointer is null or valid for the length beside it. Input is never written to, although
//! the C types say `CK_BYTE *`.

mod crypto;
mod general;
mod message;
mod objects;

pub(crate) use crypto::Sink;

use tandem_values::ck::*;
use tandem_values::{Rv, rv::Result};

/// A vendor's functions.
pub(crate) struct Functions {
    list: Box<CK_FUNCTION_LIST_3_2>,
}

impl Functions {
    /// The functions of a list that was widened.
    pub(crate) const fn new(list: Box<CK_FUNCTION_LIST_3_2>) -> Self {
        Self { list }
    }

    /// The version of PKCS #11 that is spoken: major, minor.
    pub(crate) const fn version(&self) -> (u8, u8) {
        (self.list.version.major, self.list.version.minor)
    }
}

/// A function if the vendor has it.
fn have<F>(function: Option<F>) -> Result<F> {
    function.ok_or(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

/// Input as C takes it: never null, since some vendors refuse a null pointer even of no bytes.
const fn input(bytes: &[u8]) -> *mut CK_BYTE {
    bytes.as_ptr().cast_mut()
}

/// A handle that a vendor gave. Zero is no object and no session: a module that gives it has failed.
const fn handle(handle: CK_ULONG) -> Result<CK_ULONG> {
    if handle == CK_INVALID_HANDLE { Err(Rv(CKR_GENERAL_ERROR)) } else { Ok(handle) }
}
