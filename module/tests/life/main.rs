//! The built `libtandem.so` over time, on two real tokens: loaded and unloaded a hundred times, finalised under threads
//! that sign, forked while they do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::multiple_unsafe_ops_per_block,
    reason = "a test that panics has failed"
)]

mod application;
#[path = "../world/mod.rs"]
mod world;

use application::{Application, check};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tandem_values::{ck::*, names};
use world::{SO_PIN, USER_PIN, World};

/// One test of three parts: the environment says where the configuration is, and a process has one.
#[test]
fn a_long_life() {
    let world = World::new();
    let module = Application::load();
    module.initialise_token(SO_PIN, USER_PIN);
    drop(module);

    loaded_and_unloaded_a_hundred_times();
    finalised_under_threads_that_sign();
    forked_under_threads_that_sign();
    assert!(!world.log().contains("internal error"), "{}", world.log());
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn loaded_and_unloaded_a_hundred_times() {
    let mut first = None;
    for round in 0..100 {
        let module = Application::load();
        check(module.initialize());
        let session = module.open();
        check(module.login(session, USER_PIN));
        let key = module.signing_key(session);
        check(module.sign(session, key));
        check(module.finalize());
        drop(module);
        // What the libraries keep after their first use is not what this is about.
        if round == 10 {
            first = Some(held());
        }
        assert!(first.is_none_or(comes_down_to), "threads, files: {first:?}, {:?}", held());
    }
}

/// Threads and open files of this process.
fn held() -> (usize, usize) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

/// A thread that was joined is listed until the kernel has taken it away, which on a machine with other work takes a while.
fn comes_down_to((threads, files): (usize, usize)) -> bool {
    let start = std::time::Instant::now();
    while held().0 > threads || held().1 > files {
        if start.elapsed() > std::time::Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    true
}

/// A call is answered, or the module is finalised.
fn answered(rv: CK_RV) -> bool {
    let over = [CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED];
    assert!(rv == CKR_OK || over.contains(&rv), "{}", names::rv(rv));
    rv == CKR_OK
}

fn finalised_under_threads_that_sign() {
    let module = Application::load();
    for _ in 0..10 {
        check(module.initialize());
        let session = module.open();
        check(module.login(session, USER_PIN));
        let key = module.signing_key(session);
        let signed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let own = module.open();
                    while answered(module.sign(own, key)) {
                        signed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while signed.load(Ordering::Relaxed) < 20 {
                std::thread::yield_now();
            }
            check(module.finalize());
        });
    }
}

fn forked_under_threads_that_sign() {
    let module = Application::load();
    check(module.initialize());
    let session = module.open();
    check(module.login(session, USER_PIN));
    let key = module.signing_key(session);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let own = module.open();
                while !over.load(Ordering::Relaxed) {
                    check(module.sign(own, key));
                }
            });
        }
        for _ in 0..10 {
            // SAFETY: the child calls the module, which is made for that, and exits.
            match unsafe { libc::fork() } {
                0 => {
                    let code = child(&module, session, key);
                    // SAFETY: ends the child without running the parent's handlers.
                    unsafe { libc::_exit(code) }
                }
                pid => {
                    let mut status = 0;
                    // SAFETY: `pid` is our child and `status` is ours.
                    unsafe { libc::waitpid(pid, &raw mut status, 0) };
                    assert_eq!(libc::WEXITSTATUS(status), 42, "status {status:#x}");
                    check(module.sign(session, key));
                }
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    check(module.finalize());
}

/// What a child sees, as the code it exits with: 42 if all is as it should be, else the number of the step that wasn't.
fn child(module: &Application, parents: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> i32 {
    if module.sign(parents, key) != CKR_CRYPTOKI_NOT_INITIALIZED {
        return 1;
    }
    if module.initialize() != CKR_OK {
        return 2;
    }
    let session = module.open();
    if module.login(session, b"654321") != CKR_PIN_INCORRECT {
        return 3;
    }
    if module.login(session, USER_PIN) != CKR_OK {
        return 4;
    }
    if module.sign(session, key) != CKR_OK {
        return 5;
    }
    if module.finalize() != CKR_OK {
        return 6;
    }
    42
}
