//! The three functions by which a module is asked for its lists. They answer before C_Initialize, and never fail.

use crate::face::Face;
use crate::gate::argument;
use crate::table::Function;
use std::ffi::{CStr, c_char};
use tandem_values::ck::*;

/// `C_GetFunctionList` of PKCS #11.
///
/// # Safety
/// `list` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: the application's word for it.
    unsafe { list.write(Face::own().list()) };
    CKR_OK
}

/// `C_GetInterfaceList` of PKCS #11.
///
/// # Safety
/// `list` is null or a place for as many interfaces as `count` leads to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterfaceList(
    list: *mut CK_INTERFACE,
    count: *mut CK_ULONG,
) -> CK_RV {
    if count.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let own = Face::own().interfaces();
    let all = CK_ULONG::try_from(own.len()).unwrap_or(0);
    // SAFETY: the application's word for it.
    let room = unsafe { count.replace(all) };
    if list.is_null() {
        return CKR_OK;
    }
    if room < all {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: the application's word for it.
    unsafe { std::ptr::copy_nonoverlapping(own.as_ptr(), list, own.len()) };
    CKR_OK
}

/// `C_GetInterface` of PKCS #11.
///
/// # Safety
/// The name is null or ends with a zero, the version is null or one, and `interface` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> CK_RV {
    if interface.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: the application's word for it.
    let named = name.is_null() || Face::is_name(unsafe { CStr::from_ptr(name.cast::<c_char>()) });
    // SAFETY: the application's word for it.
    let version = unsafe { version.as_ref() }.map(|version| (version.major, version.minor));
    match Face::own().interface(version) {
        Some(own) if named && flags == 0 => {
            // SAFETY: the application's word for it.
            unsafe { interface.write(own) };
            CKR_OK
        }
        _ => CKR_FUNCTION_FAILED,
    }
}

/// The answers of these functions when they are called by way of a list.
pub(crate) fn own(function: Function, words: &[CK_ULONG]) -> Option<CK_RV> {
    match function {
        // SAFETY: the arguments are what the application gave.
        Function::C_GetFunctionList => Some(unsafe { C_GetFunctionList(argument(words, 0)?) }),
        Function::C_GetInterfaceList => {
            // SAFETY: as above.
            Some(unsafe { C_GetInterfaceList(argument(words, 0)?, argument(words, 1)?) })
        }
        Function::C_GetInterface => {
            let (name, version) = (argument(words, 0)?, argument(words, 1)?);
            // SAFETY: as above.
            Some(unsafe { C_GetInterface(name, version, argument(words, 2)?, argument(words, 3)?) })
        }
        _ => None,
    }
}
