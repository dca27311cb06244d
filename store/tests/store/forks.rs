//! Forks with the handlers that the module registers, and without.

#![expect(unsafe_code, reason = "fork is unsafe everywhere")]

use crate::helper::{Helper, say, told};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tandem_engine::log::{Append, Followers, Log, StoreError};
use tandem_store::contract::{append, chain, record_after, whole_log};
use tandem_store::{SqliteStore, park, unpark};

extern "C" fn before_fork() {
    park();
}

extern "C" fn after_fork() {
    unpark();
}

/// In a helper.
fn register() {
    // SAFETY: both functions stay for as long as the process does.
    let registered =
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork)) };
    assert_eq!(registered, 0);
}

/// Runs `act` in a child and leaves it there. Answers the child's number.
fn fork(act: impl FnOnce()) -> i32 {
    // SAFETY: the child uses only what the store says it may.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child > 0 {
        return child;
    }
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    // SAFETY: ends the child without running what the parent's threads left behind.
    unsafe { libc::_exit(i32::from(done.is_err())) }
}

/// True if the child ended well within the time.
fn ended_well(child: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut status = 0;
    while Instant::now() < deadline {
        // SAFETY: `status` is a live integer.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return status == 0;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: a child of this process that wasn't waited for.
    unsafe { libc::kill(child, libc::SIGKILL) };
    false
}

#[test]
fn forks_while_threads_write_hurt_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let said = Helper::start("fork-storm", folder.path()).finish();
    let [appended, longest_ms] = said[0].split(' ').collect::<Vec<_>>().try_into().unwrap();
    println!("{appended} records by parent and children, longest fork {longest_ms} ms");
    let store = SqliteStore::open(folder.path(), None).unwrap();
    assert_eq!(whole_log(&store).len().to_string(), appended);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

pub(crate) fn storm(folder: &Path) {
    const FORKS: usize = 25;
    register();
    let store = SqliteStore::open(folder, None).unwrap();
    let stop = AtomicBool::new(false);
    let (mut appended, mut longest, mut failed) = (0, Duration::ZERO, Vec::new());
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let (store, stop) = (store.clone(), &stop);
                scope.spawn(move || {
                    let mut count = 0;
                    while !stop.load(SeqCst) {
                        append(&store, b"thread", Some(b"wrapped")).unwrap();
                        count += 1;
                        std::thread::sleep(Duration::from_millis(1));
                        if number == 0 {
                            let mut lease = store.lease("member", 30_000).unwrap().unwrap();
                            lease.advance(count).unwrap();
                        }
                    }
                    count
                })
            })
            .collect();
        for number in 0..FORKS {
            let began = Instant::now();
            let child = fork(|| {
                // What the parent had open, and what the child opens itself.
                append(&store, b"child", None).unwrap();
                let own = SqliteStore::open(folder, None).unwrap();
                append(&own, b"child", None).unwrap();
                own.lease("member", 30_000).unwrap().unwrap().advance(0).unwrap();
                chain(&store);
            });
            longest = longest.max(began.elapsed());
            if !ended_well(child) {
                failed.push(number);
            }
            appended += 2;
        }
        stop.store(true, SeqCst);
        for writer in writers {
            appended += writer.join().unwrap();
        }
    });
    assert_eq!(failed, Vec::<usize>::new(), "children that failed");
    assert!(appended > 2 * FORKS as u64 + 4);
    say(format!("{appended} {}", longest.as_millis()));
}

/// A child of the holder must not hold its lease on.
#[test]
fn a_lease_dies_with_its_holder_and_not_with_its_child() {
    // Without handlers the child's copy of the file keeps it: what the handlers are for.
    for (how, freed) in [("with", true), ("without", false), ("dropping", true)] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), None).unwrap();
        let mut helper = Helper::start(&format!("fork-lease {how}"), folder.path());
        let mut said = [helper.hear(), helper.hear()];
        said.sort();
        assert_eq!(said[1], "fenced", "what the child has is no lease");
        let child: i32 = said[0].parse().unwrap();
        assert!(store.lease("member", 50).unwrap().is_none(), "it is still the parent's");
        helper.tell("advance");
        assert_eq!(helper.hear(), "advanced");
        helper.kill();
        let taken = store.lease("member", 1_000).unwrap().is_some();
        // SAFETY: the helper's child, which sleeps for ever.
        unsafe { libc::kill(child, libc::SIGKILL) };
        assert_eq!(taken, freed, "{how}");
        assert!(store.lease("member", 10_000).unwrap().is_some());
    }
}

/// In a helper. The child inherits a lease with handlers, without them, or without them and drops it.
pub(crate) fn lease(folder: &Path, how: &str) {
    if how == "with" {
        register();
    }
    let store = SqliteStore::open(folder, None).unwrap();
    let mut lease = store.lease("member", 0).unwrap();
    let child = fork(|| {
        let mut lease = lease.take().unwrap();
        let refused = lease.advance(1);
        assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
        if how == "dropping" {
            drop(lease);
        } else {
            Box::leak(Box::new(lease));
        }
        say("fenced");
        // Longer than its test needs it, and no orphan for ever if that fails.
        std::thread::sleep(Duration::from_secs(20));
    });
    say(child);
    told();
    let mut lease = lease.unwrap();
    lease.advance(2).unwrap();
    say("advanced");
    told();
    drop(lease);
}

#[test]
fn a_fork_inside_a_transaction_leaves_it_to_the_parent() {
    let folder = tempfile::tempdir().unwrap();
    let said = Helper::start("fork-inside", folder.path()).finish();
    assert_eq!(said, ["child: refused", "parent: 1", "parent: 2"]);
    let store = SqliteStore::open(folder.path(), None).unwrap();
    assert_eq!(whole_log(&store).len(), 2);
}

pub(crate) fn inside(folder: &Path) {
    register();
    let store = SqliteStore::open(folder, None).unwrap();
    let mut pid = 1;
    let appended = store.append(&mut |head| {
        // SAFETY: the child uses only what the store says it may.
        pid = unsafe { libc::fork() };
        Ok(Append { records: vec![record_after(head, b"parent", None)], erase: vec![] })
    });
    if pid == 0 {
        assert!(matches!(appended, Err(StoreError::Unavailable(said)) if said.contains("forked")));
        refused_before_exec(&store, folder);
        say("child: refused");
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    let position = appended.unwrap().position;
    assert!(ended_well(pid));
    say(format!("parent: {position}"));
    say(format!("parent: {}", append(&store, b"more", None).unwrap().position));
}

/// In a child that has its parent's connection: neither the inherited store nor a new one may be used.
fn refused_before_exec(store: &SqliteStore, folder: &Path) {
    for refused in [
        store.head().map(drop),
        append(store, b"child", None).map(drop),
        SqliteStore::open(folder, None).map(drop),
        store.lease("member", 0).map(drop),
    ] {
        let Err(StoreError::Unavailable(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("before exec"), "{said}");
    }
}

#[test]
fn a_fork_without_handlers_is_seen_by_the_process_id() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Helper::start("fork-bare", folder.path()).finish(), ["1", "3"]);
}

pub(crate) fn bare(folder: &Path) {
    // Nothing is open yet, so nothing is inherited.
    let child = fork(|| {
        let store = SqliteStore::open(folder, None).unwrap();
        say(append(&store, b"child", None).unwrap().position);
    });
    assert!(ended_well(child));
    let store = SqliteStore::open(folder, None).unwrap();
    append(&store, b"parent", None).unwrap();
    let child = fork(|| {
        refused_before_exec(&store, folder);
        drop(store.clone());
    });
    assert!(ended_well(child));
    say(append(&store, b"parent", None).unwrap().position);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn threads_that_come_first_at_the_same_time_all_come_in() {
    let folder = tempfile::tempdir().unwrap();
    Helper::start("fork-first", folder.path()).finish();
}

/// Bare children without connections: each begins anew, with all its threads at once.
pub(crate) fn first(folder: &Path) {
    drop(SqliteStore::open(folder, None).unwrap());
    for _ in 0..100 {
        let child = fork(|| {
            let together = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        together.wait();
                        SqliteStore::open(folder, None).map(drop).unwrap();
                    });
                }
            });
        });
        assert!(ended_well(child));
    }
}

#[test]
fn the_store_waits_for_a_fork_and_the_forking_thread_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut lease = store.lease("member", 0).unwrap();
    park();
    park();
    unpark();
    let refused = store.head();
    assert!(matches!(refused, Err(StoreError::Unavailable(said)) if said.contains("a fork")));
    lease.take();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (store.head().unwrap(), Instant::now()));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished());
        let unparked = Instant::now();
        unpark();
        let (_, came) = waiting.join().unwrap();
        assert!(came > unparked);
    });
    // Once too often is nothing.
    unpark();
    store.head().unwrap();
    assert!(store.lease("member", 0).unwrap().is_some());
}
