//! General-purpose functions (PKCS #11 3.2 section 5.4).

use super::text::padded;
use crate::abi::lists;
use crate::abi::wire::{InitArguments, Output, Place};
use crate::{outside, state};
use std::ptr;
use tandem_engine::error::{Error, Result};
use tandem_values::ck::*;

/// C_Initialize. Tandem locks with the operating system's primitives, so an application that insists on its own mutexes
/// is refused with CKR_CANT_LOCK.
pub fn initialize(arguments: InitArguments) -> Result {
    if let Err(error) = check(arguments) {
        // No configuration has said where messages go, and this one is worth reading.
        if !state::is_running() {
            outside::listen();
        }
        return Err(error);
    }
    state::initialize(arguments.flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS != 0)
}

fn check(arguments: InitArguments) -> Result {
    let InitArguments { callbacks, flags, reserved } = arguments;
    if reserved {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "pReserved is not null"));
    }
    match callbacks {
        0 => Ok(()),
        4 if flags & CKF_OS_LOCKING_OK != 0 => Ok(()),
        4 => Err(Error::new(CKR_CANT_LOCK, "CKF_OS_LOCKING_OK is not set")),
        _ => Err(Error::new(CKR_ARGUMENTS_BAD, "some of the mutex functions are null")),
    }
}

/// C_Finalize.
pub fn finalize((): ()) -> Result {
    state::finalize()
}

/// C_GetInfo.
pub fn info(info: Place<'_, CK_INFO>) -> Result {
    info.set(CK_INFO {
        cryptokiVersion: CK_VERSION { major: 3, minor: 2 },
        manufacturerID: padded(MANUFACTURER),
        flags: 0,
        libraryDescription: padded("Tandem"),
        libraryVersion: VERSION,
    });
    Ok(())
}

/// Who makes the library and its slots.
pub(super) const MANUFACTURER: &str = "Tandem";

/// The version in Cargo.toml.
pub(super) const VERSION: CK_VERSION = CK_VERSION {
    major: number(env!("CARGO_PKG_VERSION_MAJOR")),
    minor: number(env!("CARGO_PKG_VERSION_MINOR")),
};

const fn number(text: &str) -> u8 {
    match u8::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => u8::MAX,
    }
}

/// C_GetFunctionList: the list of 2.40, whose callers know no other.
pub fn function_list(list: Place<'_, *mut CK_FUNCTION_LIST>) -> Result {
    list.set(ptr::from_ref(&lists::LIST_2_40).cast_mut());
    Ok(())
}

/// C_GetInterfaceList.
pub fn interfaces(list: Output<'_, CK_INTERFACE>) -> Result {
    list.put(lists::interfaces())
}

/// C_GetInterface: CKR_ARGUMENTS_BAD if there is none like that.
pub fn interface(
    name: Option<Vec<u8>>,
    version: Option<(u8, u8)>,
    interface: Place<'_, *mut CK_INTERFACE>,
    flags: CK_FLAGS,
) -> Result {
    interface.set(lists::find(name.as_deref(), version, flags).ok_or(CKR_ARGUMENTS_BAD)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_initialize_are_judged_to_the_letter() {
        let judge = |callbacks, flags, reserved| {
            check(InitArguments { callbacks, flags, reserved }).err().map(|error| error.rv.0)
        };
        assert_eq!(judge(0, 0, false), None);
        assert_eq!(judge(0, CKF_OS_LOCKING_OK, false), None);
        assert_eq!(judge(0, CKF_LIBRARY_CANT_CREATE_OS_THREADS, false), None);
        assert_eq!(judge(4, CKF_OS_LOCKING_OK, false), None);
        assert_eq!(judge(4, 0, false), Some(CKR_CANT_LOCK));
        for some in 1..4 {
            assert_eq!(judge(some, CKF_OS_LOCKING_OK, false), Some(CKR_ARGUMENTS_BAD));
        }
        assert_eq!(judge(0, 0, true), Some(CKR_ARGUMENTS_BAD));
    }

    #[test]
    fn the_version_is_the_one_of_cargo() {
        let version = format!("{}.{}.", VERSION.major, VERSION.minor);
        assert!(env!("CARGO_PKG_VERSION").starts_with(&version));
    }
}
