use super::*;
use crate::abi::lists::{LIST_2_40, LIST_3_0, LIST_3_2};
use std::ffi::CStr;
use std::mem::{MaybeUninit, zeroed};
use std::ptr;

/// Calls every function with nothing but zeroes.
macro_rules! sweep {
    ($($version:ident { $(
        $name:ident($($head:ident $(+ $tail:ident)?: $kind:ty),*)
            => $handler:path $([$($fixed:ident),*])?;
    )* })*) => {
        pub(crate) fn with_zeroes(skip: &[Function]) -> Vec<(Function, CK_RV)> {
            let mut answers = Vec::new();
            $($(if !skip.contains(&Function::$name) {
                // SAFETY: null pointers and zeroes are what the functions must take.
                let answer = unsafe { $name($(
                    zeroed::<<$kind as Wire>::Head>(),
                    $({ let $tail: <$kind as Wire>::Tail = zeroed(); $tail },)?
                )*) };
                answers.push((Function::$name, answer));
            })*)*
            answers
        }
    };
}
table::table!(sweep);

/// The functions as pointers, in the order of a list.
fn pointers<T, const N: usize>(list: &T) -> [*const (); N] {
    assert_eq!(size_of::<T>(), (N + 1) * size_of::<*const ()>());
    let first = ptr::from_ref(list).cast::<*const ()>().wrapping_add(1);
    // SAFETY: a list is a version, padded to a word, and N pointers.
    unsafe { first.cast::<[*const (); N]>().read() }
}

#[test]
fn each_list_begins_with_the_older_one_and_has_no_hole() {
    let oldest: [_; 68] = pointers(&LIST_2_40);
    let older: [_; 92] = pointers(&LIST_3_0);
    let newest: [_; 104] = pointers(&LIST_3_2);
    assert!(newest.starts_with(&older) && older.starts_with(&oldest));
    assert!(newest.iter().all(|function| !function.is_null()));
    assert_eq!(Function::ALL.len(), 104);
}

#[test]
fn the_lists_say_their_versions() {
    let version = |version: CK_VERSION| (version.major, version.minor);
    assert_eq!(version(LIST_2_40.version), (2, 40));
    assert_eq!(version(LIST_3_0.version), (3, 0));
    assert_eq!(version(LIST_3_2.version), (3, 2));
    let mut list = ptr::null_mut();
    // SAFETY: room for a pointer.
    assert_eq!(unsafe { C_GetFunctionList(&raw mut list) }, CKR_OK);
    assert_eq!(list.cast_const(), &raw const LIST_2_40);
}

fn interface(name: Option<&CStr>, version: Option<(u8, u8)>, flags: CK_FLAGS) -> (CK_RV, (u8, u8)) {
    let name = name.map_or(ptr::null_mut(), |name| name.as_ptr().cast_mut().cast());
    let mut wanted = version.map(|(major, minor)| CK_VERSION { major, minor });
    let wanted = wanted.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let mut found = ptr::null_mut();
    // SAFETY: a name, a version or null, and room for a pointer.
    let rv = unsafe { C_GetInterface(name, wanted, &raw mut found, flags) };
    if rv != CKR_OK {
        return (rv, (0, 0));
    }
    // SAFETY: an interface of ours, whose list begins with its version.
    let (flags, version) =
        unsafe { ((*found).flags, (*found).pFunctionList.cast::<CK_VERSION>().read()) };
    assert_eq!(flags & CKF_INTERFACE_FORK_SAFE, 0);
    (rv, (version.major, version.minor))
}

#[test]
fn an_interface_is_found_by_name_version_and_flags() {
    let name = Some(c"PKCS 11");
    assert_eq!(interface(None, None, 0), (CKR_OK, (3, 2)));
    assert_eq!(interface(name, None, 0), (CKR_OK, (3, 2)));
    for version in [(3, 2), (3, 0), (2, 40)] {
        assert_eq!(interface(name, Some(version), 0), (CKR_OK, version));
        assert_eq!(interface(None, Some(version), 0), (CKR_OK, version));
    }
    assert_eq!(interface(name, Some((3, 1)), 0).0, CKR_ARGUMENTS_BAD);
    assert_eq!(interface(Some(c"PKCS 11 "), None, 0).0, CKR_ARGUMENTS_BAD);
    assert_eq!(interface(None, None, CKF_INTERFACE_FORK_SAFE).0, CKR_ARGUMENTS_BAD);
}

#[test]
fn interfaces_are_listed_the_default_first() {
    let mut count = 0;
    // SAFETY: a length query.
    assert_eq!(unsafe { C_GetInterfaceList(ptr::null_mut(), &raw mut count) }, CKR_OK);
    assert_eq!(count, 3);
    let mut list = [MaybeUninit::<CK_INTERFACE>::zeroed(); 3];
    count = 2;
    let place = list.as_mut_ptr().cast();
    // SAFETY: room for three, and two are told.
    assert_eq!(unsafe { C_GetInterfaceList(place, &raw mut count) }, CKR_BUFFER_TOO_SMALL);
    assert_eq!(count, 3);
    // SAFETY: room for three.
    assert_eq!(unsafe { C_GetInterfaceList(place, &raw mut count) }, CKR_OK);
    for interface in list {
        // SAFETY: zeroed, then written.
        let interface = unsafe { interface.assume_init() };
        // SAFETY: a name that ends with a zero.
        let name = unsafe { CStr::from_ptr(interface.pInterfaceName.cast()) };
        assert_eq!(name, c"PKCS 11");
    }
    // SAFETY: zeroed, then written.
    let first = unsafe { list[0].assume_init() };
    assert_eq!(first.pFunctionList.cast_const(), (&raw const LIST_3_2).cast());
}
