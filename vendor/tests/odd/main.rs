//! Members on a module that behaves in odd ways, one at a time.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a test is the world outside")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tandem_engine::fault::Class;
use tandem_engine::member::{Member, SessionId};
use tandem_engine::step::{Room, Step, Verb};
use tandem_values::ck::*;
use tandem_vendor::{
    Deadlined, Deadlines, Initialise, LoadError, MemberConfig, TokenSelector, VendorMember,
};

/// The module, compiled once.
fn module() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/odd/module.c");
        let done = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", source, "-o"])
            .arg(folder.path().join("odd.so"))
            .status();
        assert!(done.unwrap().success(), "cc compiles the module");
        folder
    });
    folder.path().join("odd.so")
}

/// A member on an instance of its own that was asked to behave so.
fn odd(name: &str, behaviour: &str) -> MemberConfig {
    let mut config = MemberConfig::new(name, module(), TokenSelector::Slot(7));
    config.initialise = Initialise::Reserved(behaviour.into());
    config.quirks.private_copy = Some(true);
    config
}

fn started(config: MemberConfig) -> (VendorMember, SessionId) {
    let member = VendorMember::new(config);
    member.try_start().unwrap();
    let session = member.open(true).unwrap();
    (member, session)
}

/// How many of some calls at once found themselves alone.
fn alone(member: &VendorMember, session: SessionId) -> usize {
    thread::scope(|scope| {
        let calls: Vec<_> =
            (0..4).map(|_| scope.spawn(|| member.random(session, 8).is_ok())).collect();
        calls.into_iter().filter_map(|call| call.join().ok()).filter(|alone| *alone).count()
    })
}

#[test]
fn calls_overlap_unless_they_are_serialised() {
    let (member, session) = started(odd("freely", "slow"));
    assert!(alone(&member, session) < 4, "the module notices when calls overlap");
    let (member, session) = started(MemberConfig { serialize: true, ..odd("one-by-one", "slow") });
    assert_eq!(alone(&member, session), 4);
}

#[test]
fn a_module_that_can_not_lock_is_called_by_one_thread_at_a_time() {
    let (member, session) = started(odd("locks-not", "slow locks-not"));
    assert_eq!(alone(&member, session), 4);
}

#[test]
fn a_broken_interface_and_missing_functions() {
    let (member, session) = started(odd("broken", ""));
    assert_eq!(member.library().unwrap().interface, (2, 40));
    let missing = [
        member.state(session).map(drop),
        member.destroy(session, 1),
        member.mechanisms().map(drop),
        member.step(session, &Step::Last(Verb::Sign), Room::Query).map(drop),
        member.step(session, &Step::MessageFinal(Verb::MessageSign), Room::Query).map(drop),
        member.cancel(session, Verb::Sign),
    ];
    for answer in missing {
        let fault = answer.unwrap_err();
        assert_eq!((fault.rv.0, fault.class), (CKR_FUNCTION_NOT_SUPPORTED, Class::Unable));
    }
}

#[test]
fn nss_takes_its_string_before_the_reserved_field() {
    let mut config = odd("nss", "");
    config.initialise = Initialise::Nss("slow is-nss".into());
    let (member, session) = started(config);
    let began = Instant::now();
    member.random(session, 8).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(20), "the string has arrived");
}

#[test]
fn a_string_with_a_zero_in_it_is_refused() {
    let member = VendorMember::new(odd("zero", "a\0b"));
    let error = member.try_start().unwrap_err();
    assert!(error.to_string().contains("CKR_ARGUMENTS_BAD"), "{error}");
}

#[test]
fn a_start_that_failed_half_way_is_begun_anew() {
    let member = VendorMember::new(odd("half-way", "half-way"));
    let error = member.try_start().unwrap_err();
    assert!(matches!(*error, LoadError::Initialise { .. }), "{error}");
    member.try_start().unwrap();
    assert!(member.problem().is_none());
}

#[test]
fn a_private_copy_that_does_not_finalise_is_replaced() {
    let (member, session) = started(odd("never-ends", "never-ends"));
    let before = member.token().unwrap().serial;
    for _ in 0..2 {
        // It may finalise the next time it is asked.
        assert!(member.restart().is_err());
        assert_eq!(member.token().unwrap().serial, before, "the same instance");
    }
    member.restart().unwrap();
    assert_ne!(member.token().unwrap().serial, before, "another instance");
    assert_eq!(member.random(session, 8).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
    member.open(true).unwrap();
    assert!(member.stop().is_err());
    member.try_start().unwrap();
    // But not without end: each stays mapped.
    let ended = (0..20).find_map(|_| {
        let _ = member.stop();
        member.try_start().err()
    });
    assert!(ended.unwrap().to_string().contains("did not finalise"));
}

#[test]
fn what_says_that_it_is_tandem_is_refused() {
    let member = VendorMember::new(odd("tandem", "tandem"));
    assert_eq!(*member.try_start().unwrap_err(), LoadError::Own(module()));
}

#[test]
fn a_stale_session_never_reaches_the_module() {
    let (member, stale) = started(odd("stale", ""));
    member.restart().unwrap();
    // The module would take any handle.
    assert_eq!(member.random(stale, 8).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
    let fresh = member.open(true).unwrap();
    // The module gave the same handle again: closing the stale one must not close it.
    assert_eq!(member.close(stale).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
    member.random(fresh, 8).unwrap();
    assert_ne!(stale, fresh);
}

#[test]
fn a_session_whose_handle_is_given_to_another_is_gone() {
    let (member, lost) = started(odd("one-handle", "one-handle"));
    member.random(lost, 8).unwrap();
    let fresh = member.open(true).unwrap();
    assert_eq!(member.random(lost, 8).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
    // The module would close it under the new number.
    member.close(lost).unwrap_err();
    member.random(fresh, 8).unwrap();
}

#[test]
fn a_module_is_not_finalised_under_a_call() {
    let (member, session) = started(odd("waits", "slow"));
    thread::scope(|scope| {
        let call = scope.spawn(|| member.random(session, 8));
        thread::sleep(Duration::from_millis(5));
        member.restart().unwrap();
        // The module would have noticed.
        assert!(call.join().is_ok_and(|answer| answer.is_ok()));
    });
    let session = member.open(true).unwrap();
    member.random(session, 8).unwrap();
}

#[test]
fn a_call_that_hangs_does_not_make_the_others_hang() {
    let (member, session) = started(odd("hangs", "hangs"));
    thread::scope(|scope| {
        let hanging = scope.spawn(|| member.random(session, 8));
        // Long enough for the call to have begun, however busy the machine.
        thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        let busy = member.restart().unwrap_err();
        assert_eq!(busy.class, Class::Ill);
        assert!(matches!(*member.problem().unwrap(), LoadError::Busy(_)));
        assert!(began.elapsed() < Duration::from_secs(8));
        // Nothing was ended, so the call ends well once the module goes on.
        member.seed(session, b"go on").unwrap();
        assert!(hanging.join().is_ok_and(|answer| answer.is_ok()));
    });
    member.restart().unwrap();
    member.open(true).unwrap();
}

#[test]
fn no_session_is_closed_under_a_call_that_was_left_behind() {
    let deadlines =
        Deadlines { call: Duration::from_millis(200), long: Duration::from_secs(5), stuck_max: 4 };
    let vendor = Arc::new(VendorMember::new(odd("left", "hangs")));
    let member = Deadlined::new(vendor, deadlines);
    member.start().unwrap();
    let (left, other) = (member.open(true).unwrap(), member.open(true).unwrap());
    member.random(left, 8).unwrap_err();
    assert_eq!(member.stuck(), 1, "the call hangs");
    // Given up, and never to be used again; the module would have noticed if it had been asked to close it.
    assert_eq!(member.seed(left, b"no way in").unwrap_err().rv.0, CKR_SESSION_CLOSED);
    member.close(left).unwrap();
    member.seed(other, b"go on").unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while member.stuck() > 0 {
        assert!(Instant::now() < until, "the call comes back");
        thread::sleep(Duration::from_millis(5));
    }
    member.random(other, 8).unwrap();
}
