//! Calls as a C program makes them, with pointers and lengths that no Rust crate would pass.

use crate::artefacts;
use cryptoki::error::Rv;
use cryptoki_sys::*;
use libloading::Library;
use std::ffi::c_void;
use std::ops::Deref;
use std::path::Path;
use std::ptr;

/// The functions of a module.
pub struct Raw {
    list: CK_FUNCTION_LIST_3_2,
    _library: Library,
}

impl Raw {
    /// Tandem's.
    pub fn tandem() -> Self {
        Self::of(&artefacts::module())
    }

    /// A module's. Functions that are newer than the module are missing.
    pub fn of(module: &Path) -> Self {
        // SAFETY: a PKCS #11 module, whose constructors do nothing to us.
        let library = unsafe { Library::new(module) }.expect("the module can be loaded");
        let list = newest(&library).unwrap_or_else(|| oldest(&library));
        Self { list, _library: library }
    }
}

/// The list of 3.2, if the module has one.
fn newest(library: &Library) -> Option<CK_FUNCTION_LIST_3_2> {
    // SAFETY: the function has this signature by PKCS #11 3.0.
    let get = unsafe { library.get::<GetInterface>(b"C_GetInterface\0") }.ok()?;
    let (mut interface, mut version) = (ptr::null_mut(), CK_VERSION { major: 3, minor: 2 });
    // SAFETY: null asks for the interface by its usual name; version and answer have a place.
    let rv = unsafe { get(ptr::null_mut(), &raw mut version, &raw mut interface, 0) };
    if rv != CKR_OK {
        return None;
    }
    // SAFETY: the interface lives as long as the library.
    let interface = unsafe { *interface };
    // SAFETY: its list is of the version that was asked for, and lives as long.
    Some(unsafe { *interface.pFunctionList.cast::<CK_FUNCTION_LIST_3_2>() })
}

/// The list of 2.40, with nothing where later versions have more.
fn oldest(library: &Library) -> CK_FUNCTION_LIST_3_2 {
    // SAFETY: the function has this signature since PKCS #11 1.0.
    let get = unsafe { library.get::<GetFunctionList>(b"C_GetFunctionList\0") };
    let mut old = ptr::null_mut();
    // SAFETY: the answer has a place.
    let rv = unsafe { get.expect("C_GetFunctionList")(&raw mut old) };
    assert_eq!(rv, CKR_OK);
    let mut list = CK_FUNCTION_LIST_3_2::default();
    // SAFETY: a later list begins with the earlier one (PKCS #11 3.2 section 3.5), and all that follows may be null.
    unsafe { ptr::copy_nonoverlapping(old, (&raw mut list).cast::<CK_FUNCTION_LIST>(), 1) };
    list
}

type GetFunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;

type GetInterface = unsafe extern "C" fn(
    *mut CK_UTF8CHAR,
    *mut CK_VERSION,
    *mut *mut CK_INTERFACE,
    CK_FLAGS,
) -> CK_RV;

impl Deref for Raw {
    type Target = CK_FUNCTION_LIST_3_2;
    fn deref(&self) -> &CK_FUNCTION_LIST_3_2 {
        &self.list
    }
}

/// Calls a function of a [`Raw`] by its name and answers the CK_RV.
#[macro_export]
macro_rules! call {
    ($raw:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        let function = $raw.$name.expect(stringify!($name));
        // SAFETY: the arguments are what the test is about; the module must stand them.
        unsafe { function($($argument),*) }
    }};
}

/// An attribute of a C template.
pub fn attribute<T: ?Sized>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        ulValueLen: size_of_val(value) as CK_ULONG,
        pValue: ptr::from_mut(value).cast::<c_void>(),
    }
}

/// The name of a CK_RV.
pub fn name_of(rv: CK_RV) -> String {
    match Rv::from(rv) {
        Rv::Ok => "CKR_OK".to_owned(),
        Rv::Error(error) => format!("{error:?}"),
    }
}
