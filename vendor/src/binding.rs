//! How a vendor's library finds the functions that it calls itself.
//!
//! A library that exports its functions, as PKCS #11 modules do, looks for them in the program first and in itself last.
//! Where libtandem.so is preloaded, or a program is linked against it, SoftHSM's own table of functions would so be filled
//! with Tandem's, and every call would come back to us.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::os::raw::c_int;

/// A function that every module exports and no ordinary program does.
const OF_MODULES: &[u8] = b"C_Initialize\0";

/// Functions that tell which sanitizer is at work. Their dlopen ends the program when it sees RTLD_DEEPBIND.
const OF_SANITIZERS: [&[u8]; 3] = [b"__asan_init\0", b"__msan_init\0", b"__tsan_init\0"];

/// Everything is bound at once, to nobody else's functions.
///
/// RTLD_DEEPBIND is asked for only where it is needed: with it a library takes malloc from the C library even where the
/// program has brought another, and then frees what it never allocated.
pub(crate) fn flags() -> c_int {
    let plain = RTLD_NOW | RTLD_LOCAL;
    let program = Library::this();
    let sanitized = || OF_SANITIZERS.iter().any(|name| has(&program, name));
    if has(&program, OF_MODULES) && !sanitized() { plain | own_names_first() } else { plain }
}

/// True if the program, or what is loaded for everybody in it, has a function of this name.
fn has(program: &Library, name: &[u8]) -> bool {
    // SAFETY: only asked whether it is there; it is neither read nor called.
    unsafe { program.get::<*mut libc::c_void>(name) }.is_ok()
}

#[cfg(target_env = "gnu")]
const fn own_names_first() -> c_int {
    libc::RTLD_DEEPBIND
}

/// Other C libraries have no such order.
#[cfg(not(target_env = "gnu"))]
const fn own_names_first() -> c_int {
    0
}
