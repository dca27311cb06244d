//! A vendor's function list, whatever its version, as the newest one with the absent functions empty.

use libloading::os::unix::{Library, Symbol};
use std::mem::size_of;
use std::ptr;
use tandem_values::ck::*;

/// The name of the standard's own interface (PKCS #11 3.2 section 5.4.5).
const INTERFACE: &[u8] = b"PKCS 11\0";

/// Versions asked for, the newest first. 3.1 has the list of 3.0, but a module may know itself by that number only.
const VERSIONS: [CK_VERSION; 3] = [
    CK_VERSION { major: 3, minor: 2 },
    CK_VERSION { major: 3, minor: 1 },
    CK_VERSION { major: 3, minor: 0 },
];

/// The newest function list of a library: by C_GetInterface, and by C_GetFunctionList where that is missing or
/// fails in any way. `None` if the library has neither: then it is no PKCS #11 module.
pub(crate) fn of(library: &Library) -> Option<CK_FUNCTION_LIST_3_2> {
    let list = by_interface(library).or_else(|| by_list(library))?;
    // SAFETY: both gave a non-null pointer to a function list that begins with its version and that lives
    // as long as the library is mapped (PKCS #11 3.2 sections 5.4.4 and 5.4.6).
    Some(unsafe { widen(list) })
}

fn by_interface(library: &Library) -> Option<*const CK_FUNCTION_LIST> {
    // SAFETY: a symbol of this name is a C_GetInterface, by the specification's reserved names.
    let found: Result<Symbol<CK_C_GetInterface>, _> = unsafe { library.get(b"C_GetInterface\0") };
    let get = (*found.ok()?)?;
    let ask = |mut version: Option<CK_VERSION>| {
        let mut interface: *mut CK_INTERFACE = ptr::null_mut();
        let version = version.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: the name ends with a zero, the version is null or valid, and the answer has a place to go.
        let rv = unsafe { get(INTERFACE.as_ptr().cast_mut(), version, &raw mut interface, 0) };
        if rv != CKR_OK {
            return None;
        }
        // SAFETY: CKR_OK means that the pointer is null or leads to a CK_INTERFACE of the library's own.
        let interface = unsafe { interface.as_ref() }?;
        let list = interface.pFunctionList.cast::<CK_FUNCTION_LIST>().cast_const();
        (!list.is_null()).then_some(list)
    };
    VERSIONS.into_iter().find_map(|version| ask(Some(version))).or_else(|| ask(None))
}

fn by_list(library: &Library) -> Option<*const CK_FUNCTION_LIST> {
    // SAFETY: a symbol of this name is a C_GetFunctionList, by the specification's reserved names.
    let found: Result<Symbol<CK_C_GetFunctionList>, _> =
        unsafe { library.get(b"C_GetFunctionList\0") };
    let get = (*found.ok()?)?;
    let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
    // SAFETY: the answer has a place to go.
    let rv = unsafe { get(&raw mut list) };
    (rv == CKR_OK && !list.is_null()).then_some(list.cast_const())
}

/// Each newer list begins with all of the older one (PKCS #11 3.2 section 3.6), and every field is an
/// `Option<fn>` whose `None` is the null pointer, so copying a prefix over an empty list is the conversion.
///
/// # Safety
/// `list` points at a function list of the version in its first field.
unsafe fn widen(list: *const CK_FUNCTION_LIST) -> CK_FUNCTION_LIST_3_2 {
    // SAFETY: every list begins with its version.
    let version = unsafe { list.cast::<CK_VERSION>().read() };
    let bytes = match (version.major, version.minor) {
        (3, 0..=1) => size_of::<CK_FUNCTION_LIST_3_0>(),
        (3.., _) => size_of::<CK_FUNCTION_LIST_3_2>(),
        _ => size_of::<CK_FUNCTION_LIST>(),
    };
    let mut wide = CK_FUNCTION_LIST_3_2::default();
    // SAFETY: the list is that long by its version, it can't overlap with a local variable, and no bytes
    // of it are invalid in a field of `Option<fn>`.
    unsafe {
        ptr::copy_nonoverlapping(list.cast::<u8>(), (&raw mut wide).cast::<u8>(), bytes);
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn refuses(_: CK_SESSION_HANDLE) -> CK_RV {
        CKR_FUNCTION_FAILED
    }
    unsafe extern "C" fn random(_: CK_SESSION_HANDLE, _: *mut CK_BYTE, _: CK_ULONG) -> CK_RV {
        CKR_RANDOM_NO_RNG
    }
    unsafe extern "C" fn judges(_: CK_SESSION_HANDLE, _: *mut CK_BYTE, _: CK_ULONG) -> CK_RV {
        CKR_SIGNATURE_INVALID
    }

    #[test]
    fn a_list_of_2_40_is_widened() {
        let list = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_Logout: Some(refuses),
            C_GenerateRandom: Some(random),
            ..CK_FUNCTION_LIST::default()
        };
        // SAFETY: a whole list of 2.40.
        let wide = unsafe { widen(&raw const list) };
        assert_eq!((wide.version.major, wide.version.minor), (2, 40));
        assert!(wide.C_Logout.is_some() && wide.C_GenerateRandom.is_some());
        assert!(wide.C_Login.is_none() && wide.C_LoginUser.is_none());
        assert!(wide.C_VerifySignature.is_none());
        // SAFETY: this function takes any arguments.
        assert_eq!(unsafe { wide.C_Logout.unwrap()(1) }, CKR_FUNCTION_FAILED);
    }

    #[test]
    fn a_list_of_3_0_or_3_1_ends_where_it_ends() {
        for minor in [0, 1] {
            let list = CK_FUNCTION_LIST_3_0 {
                version: CK_VERSION { major: 3, minor },
                C_MessageSignFinal: Some(refuses),
                ..CK_FUNCTION_LIST_3_0::default()
            };
            // SAFETY: a whole list of 3.0.
            let wide = unsafe { widen((&raw const list).cast()) };
            assert!(wide.C_MessageSignFinal.is_some() && wide.C_EncapsulateKey.is_none());
        }
    }

    #[test]
    fn a_list_of_3_2_is_taken_whole() {
        let list = CK_FUNCTION_LIST_3_2 {
            version: CK_VERSION { major: 3, minor: 2 },
            C_VerifySignature: Some(judges),
            ..CK_FUNCTION_LIST_3_2::default()
        };
        // SAFETY: a whole list of 3.2.
        let wide = unsafe { widen((&raw const list).cast()) };
        assert!(wide.C_VerifySignature.is_some());
        // SAFETY: this function takes any arguments.
        let rv = unsafe { wide.C_VerifySignature.unwrap()(1, ptr::null_mut(), 0) };
        assert_eq!(rv, CKR_SIGNATURE_INVALID);
    }
}
