//! C_Initialize's argument (PKCS #11 3.2 section 5.4.1), as each vendor takes it.

use crate::config::Initialise;
use crate::functions::Functions;
use std::ffi::{CString, c_char, c_void};
use std::ptr;
use tandem_values::ck::*;
use tandem_values::{Rv, rv::Result};

/// NSS's CK_C_INITIALIZE_ARGS: one field more, before `pReserved`.
#[repr(C)]
struct NssArguments {
    mutexes: [*mut c_void; 4],
    flags: CK_FLAGS,
    library_parameters: *mut c_char,
    reserved: *mut c_void,
}

/// The string that an argument points at, ended with a zero. CKR_ARGUMENTS_BAD if there is a zero in it.
pub(crate) fn text_of(initialise: &Initialise) -> Result<CString> {
    let text = match initialise {
        Initialise::Standard => "",
        Initialise::Reserved(text) | Initialise::Nss(text) => text.as_str(),
    };
    CString::new(text).map_err(|_| Rv(CKR_ARGUMENTS_BAD))
}

/// Calls C_Initialize. `text` is from [`text_of`] and is to be kept as long as the library is initialised: nobody says
/// that a vendor copies it.
pub(crate) fn initialise(
    functions: &Functions,
    initialise: &Initialise,
    text: &CString,
    flags: CK_FLAGS,
) -> Result {
    let text = text.as_ptr().cast_mut();
    if matches!(initialise, Initialise::Nss(_)) {
        let mut arguments = NssArguments {
            mutexes: [ptr::null_mut(); 4],
            flags,
            library_parameters: text,
            reserved: ptr::null_mut(),
        };
        // SAFETY: NSS's own structure, since the configuration says that the module is NSS's; no mutex functions;
        // the caller keeps the string.
        return unsafe { functions.initialise((&raw mut arguments).cast()) };
    }
    let reserved = match initialise {
        Initialise::Reserved(_) => text.cast(),
        _ => ptr::null_mut(),
    };
    let mut arguments =
        CK_C_INITIALIZE_ARGS { flags, pReserved: reserved, ..CK_C_INITIALIZE_ARGS::default() };
    // SAFETY: the standard's structure, without mutex functions; `pReserved` is null unless the configuration says
    // that this vendor takes a string there, which the caller keeps.
    unsafe { functions.initialise((&raw mut arguments).cast()) }
}
