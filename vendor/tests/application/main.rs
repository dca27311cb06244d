//! An application that uses a vendor's module itself, beside Tandem.
//!
//! Alone in its program: the module's own file is loaded only once in a process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]
#![expect(clippy::disallowed_methods, reason = "the application's module reads the environment")]

#[expect(dead_code, reason = "shared with other tests")]
#[path = "../real/token.rs"]
mod token;

use libloading::os::unix::{Library, Symbol};
use std::ptr;
use tandem_engine::member::Member;
use tandem_values::ck::*;
use token::{Kind, TestToken, session};

type Call = unsafe extern "C" fn(*mut std::ffi::c_void) -> CK_RV;

/// Calls a function of the application's module with a null pointer or a place to write to.
fn call(module: &Library, name: &[u8], argument: *mut std::ffi::c_void) -> CK_RV {
    // SAFETY: C_Initialize, C_Finalize and C_GetInfo all take one pointer.
    let function: Symbol<Call> = unsafe { module.get(name) }.unwrap();
    // SAFETY: null for the first two, a CK_INFO for the third.
    unsafe { function(argument) }
}

fn is_up(module: &Library) -> bool {
    let mut info = CK_INFO::default();
    call(module, b"C_GetInfo\0", ptr::from_mut(&mut info).cast()) == CKR_OK
}

/// How many sessions there are: SoftHSM doesn't say, but its handles are small numbers.
fn sessions(module: &Library) -> usize {
    type Look = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_SESSION_INFO) -> CK_RV;
    // SAFETY: C_GetSessionInfo has this type.
    let look: Symbol<Look> = unsafe { module.get(b"C_GetSessionInfo\0") }.unwrap();
    let is_open = |session: &CK_SESSION_HANDLE| {
        let mut info = CK_SESSION_INFO::default();
        // SAFETY: the answer has a place to go.
        unsafe { look(*session, &raw mut info) == CKR_OK }
    };
    (1..1000).filter(is_open).count()
}

#[test]
fn what_the_application_initialised_it_finalises() {
    let mut token = TestToken::new(Kind::SoftHsm, "application");
    token.config.quirks.private_copy = Some(false);
    let conf = &token.config.environment[0];
    // SAFETY: no other thread reads the environment here.
    unsafe { std::env::set_var(&conf.0, &conf.1) };
    // SAFETY: SoftHSM's constructors are trusted here.
    let module = unsafe { Library::new(&token.config.module) }.unwrap();
    assert_eq!(call(&module, b"C_Initialize\0", ptr::null_mut()), CKR_OK);

    let member = token.member();
    assert!(!member.is_private());
    let open = session(&member);
    member.restart().unwrap();
    assert!(is_up(&module), "a restart is not ours to make");
    assert!(member.state(open).is_err(), "but our own sessions are new");
    let again = member.open(true).unwrap();
    assert_eq!(member.state(again).unwrap(), CKS_RW_PUBLIC_SESSION, "the login went with the last");
    assert_eq!(sessions(&module), 1, "a restart closes what we had open");
    member.stop().unwrap();
    assert_eq!(sessions(&module), 0, "and so does a stop");
    assert!(is_up(&module), "it is the application's to finalise");
    drop(member);
    assert!(is_up(&module));

    // With a private copy the two have nothing to do with each other.
    token.config.quirks.private_copy = None;
    let apart = token.member();
    session(&apart);
    assert_eq!(call(&module, b"C_Finalize\0", ptr::null_mut()), CKR_OK);
    assert!(apart.token().is_ok());

    // When the application finalises a library that we share, we hear of it and can begin anew ourselves.
    drop(apart);
    token.config.quirks.private_copy = Some(false);
    assert_eq!(call(&module, b"C_Initialize\0", ptr::null_mut()), CKR_OK);
    let member = token.member();
    let open = session(&member);
    assert_eq!(call(&module, b"C_Finalize\0", ptr::null_mut()), CKR_OK);
    assert_eq!(member.state(open).unwrap_err().rv.0, CKR_CRYPTOKI_NOT_INITIALIZED);
    session(&member);
    member.stop().unwrap();
    assert!(!is_up(&module), "what we initialised, we finalise");
}
