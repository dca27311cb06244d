//! C_Initialize, C_Finalize and what happens between, across threads and forks, with a runtime of no tokens.

use crate::abi::tests::faces::with_zeroes;
use crate::abi::*;
use crate::fork;
use crate::outside::toy::STOPPED;
use crate::state;
use parking_lot::{Mutex, MutexGuard};
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use tandem_values::ck::*;

/// One test at a time has the module: there is one in a process.
fn module() -> MutexGuard<'static, ()> {
    static MODULE: Mutex<()> = Mutex::new(());
    MODULE.lock()
}

fn initialize() -> CK_RV {
    // SAFETY: null asks for nothing.
    unsafe { C_Initialize(ptr::null_mut()) }
}

fn finalize() -> CK_RV {
    // SAFETY: null, as it must be.
    unsafe { C_Finalize(ptr::null_mut()) }
}

fn info() -> CK_RV {
    let mut info = CK_INFO::default();
    // SAFETY: room for a CK_INFO.
    unsafe { C_GetInfo(&raw mut info) }
}

/// The functions that need no C_Initialize, and refuse null pointers.
const ALWAYS: [Function; 3] =
    [Function::C_GetFunctionList, Function::C_GetInterfaceList, Function::C_GetInterface];

#[test]
fn before_initialize_no_function_does_anything() {
    let _module = module();
    for (function, answer) in with_zeroes(&[Function::C_Initialize]) {
        let expected = if ALWAYS.contains(&function) {
            CKR_ARGUMENTS_BAD
        } else {
            CKR_CRYPTOKI_NOT_INITIALIZED
        };
        assert_eq!(answer, expected, "{function}");
    }
}

#[test]
fn after_initialize_every_function_takes_zeroes() {
    let _module = module();
    assert_eq!(initialize(), CKR_OK);
    for (function, answer) in with_zeroes(&[Function::C_Initialize, Function::C_Finalize]) {
        let refused =
            [CKR_SESSION_HANDLE_INVALID, CKR_SLOT_ID_INVALID, CKR_ARGUMENTS_BAD].contains(&answer);
        assert!(refused, "{function}: {answer:#x}");
    }
    assert_eq!(finalize(), CKR_OK);
}

#[test]
fn initialize_and_finalize_take_turns() {
    let _module = module();
    let stopped = STOPPED.load(Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!((initialize(), initialize()), (CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED));
        assert_eq!(info(), CKR_OK);
        // SAFETY: any pointer that is not null is refused and never followed.
        let reserved = unsafe { C_Finalize(ptr::without_provenance_mut(1)) };
        assert_eq!(reserved, CKR_ARGUMENTS_BAD);
        assert_eq!((finalize(), finalize()), (CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED));
        assert_eq!(info(), CKR_CRYPTOKI_NOT_INITIALIZED);
    }
    assert_eq!(STOPPED.load(Ordering::SeqCst), stopped + 100);
}

#[test]
fn who_waits_for_an_event_is_woken_by_finalize() {
    let _module = module();
    initialize();
    let wait = |flags| {
        let mut slot = 0;
        // SAFETY: room for a slot id.
        unsafe { C_WaitForSlotEvent(flags, &raw mut slot, ptr::null_mut()) }
    };
    assert_eq!(wait(CKF_DONT_BLOCK), CKR_NO_EVENT);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || sender.send(wait(0)));
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err());
        assert_eq!(finalize(), CKR_OK);
        assert_eq!(receiver.recv(), Ok(CKR_CRYPTOKI_NOT_INITIALIZED));
    });
}

#[test]
fn finalize_waits_for_calls_that_began_before_it() {
    let _module = module();
    initialize();
    let stopped = STOPPED.load(Ordering::SeqCst);
    let call = state::enter().unwrap();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || sender.send(finalize()));
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err());
        // New calls are refused, and what the old one uses is still there.
        assert_eq!(info(), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(STOPPED.load(Ordering::SeqCst), stopped);
        assert!(call.tokens().is_empty());
        drop(call);
        assert_eq!(receiver.recv(), Ok(CKR_OK));
    });
    assert_eq!(STOPPED.load(Ordering::SeqCst), stopped + 1);
}

#[test]
fn threads_that_race_see_one_initialize() {
    let _module = module();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(initialize)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| **answer == CKR_OK).count(), 1);
    let others = answers.iter().filter(|answer| **answer == CKR_CRYPTOKI_ALREADY_INITIALIZED);
    assert_eq!(others.count(), 7);
    finalize();
}

#[test]
fn calls_initialize_and_finalize_may_all_race() {
    let _module = module();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    initialize();
                    finalize();
                }
            });
            scope.spawn(|| {
                for _ in 0..2000 {
                    let answer = info();
                    assert!([CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED].contains(&answer));
                }
            });
        }
    });
    finalize();
}

#[test]
#[cfg_attr(miri, ignore = "forks")]
fn a_child_is_not_initialised_and_may_become_so() {
    let _module = module();
    initialize();
    let generation = fork::generation();
    // A lock that a thread of the parent holds would be held in the child for ever.
    let call = state::enter().unwrap();
    // SAFETY: the child uses what the module makes for it, and exits.
    match unsafe { libc::fork() } {
        0 => {
            let refused = with_zeroes(&[Function::C_Initialize])
                .iter()
                .filter(|(function, _)| !ALWAYS.contains(function))
                .all(|(_, answer)| *answer == CKR_CRYPTOKI_NOT_INITIALIZED);
            let lives = [initialize(), info(), finalize()] == [CKR_OK; 3];
            let newer = fork::generation() == generation + 1;
            // SAFETY: ends the child without running the parent's handlers.
            unsafe { libc::_exit(if refused && lives && newer { 42 } else { 1 }) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: `pid` is our child and `status` is ours.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(libc::WEXITSTATUS(status), 42);
        }
    }
    assert_eq!(info(), CKR_OK);
    drop(call);
    assert_eq!(finalize(), CKR_OK);
}
