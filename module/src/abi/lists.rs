//! The function lists and interfaces that applications ask for (PKCS #11 3.2 section 5.4).

use super::*;
use std::ptr;

macro_rules! lists {
    (v2_40 { $($a:ident($($_a:tt)*) => $_ah:path $([$($_af:ident),*])?;)* }
     v3_0 { $($b:ident($($_b:tt)*) => $_bh:path $([$($_bf:ident),*])?;)* }
     v3_2 { $($c:ident($($_c:tt)*) => $_ch:path $([$($_cf:ident),*])?;)* }) => {
        /// The 68 functions of 2.40: what C_GetFunctionList has always answered.
        pub static LIST_2_40: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $($a: Some($a),)*
        };
        /// The 92 functions of 3.0.
        pub static LIST_3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: CK_VERSION { major: 3, minor: 0 },
            $($a: Some($a),)* $($b: Some($b),)*
        };
        /// All 104 functions of 3.2.
        pub static LIST_3_2: CK_FUNCTION_LIST_3_2 = CK_FUNCTION_LIST_3_2 {
            version: CK_VERSION { major: 3, minor: 2 },
            $($a: Some($a),)* $($b: Some($b),)* $($c: Some($c),)*
        };
    };
}
table::table!(lists);

/// The interfaces, the default first. CKF_INTERFACE_FORK_SAFE stays clear: a child must call C_Initialize itself.
pub struct Interfaces([CK_INTERFACE; 3]);

// SAFETY: the pointers lead to statics that nobody writes.
unsafe impl Sync for Interfaces {}

static INTERFACES: Interfaces = Interfaces([
    interface((&raw const LIST_3_2).cast()),
    interface((&raw const LIST_3_0).cast()),
    interface((&raw const LIST_2_40).cast()),
]);

/// The versions of these interfaces.
const VERSIONS: [(u8, u8); 3] = [(3, 2), (3, 0), (2, 40)];

const NAME: &std::ffi::CStr = c"PKCS 11";

const fn interface(list: *const c_void) -> CK_INTERFACE {
    CK_INTERFACE {
        pInterfaceName: NAME.as_ptr().cast_mut().cast(),
        pFunctionList: list.cast_mut(),
        flags: 0,
    }
}

/// All of them.
pub fn interfaces() -> &'static [CK_INTERFACE] {
    &INTERFACES.0
}

/// The first interface of this name and version that has these flags.
pub fn find(
    name: Option<&[u8]>,
    version: Option<(u8, u8)>,
    flags: CK_FLAGS,
) -> Option<*mut CK_INTERFACE> {
    let named = name.is_none_or(|name| name == NAME.to_bytes());
    let (interface, _) = INTERFACES.0.iter().zip(VERSIONS).find(|(interface, its)| {
        named && version.is_none_or(|version| version == *its) && interface.flags & flags == flags
    })?;
    Some(ptr::from_ref(interface).cast_mut())
}
