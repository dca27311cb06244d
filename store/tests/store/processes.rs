//! Several processes on one store, some of them killed.

use crate::erasure::files_with;
use crate::helper::Helper;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tandem_engine::log::{Catalogue, Followers};
use tandem_store::contract::{append, id, whole_log};
use tandem_store::{SqliteStore, Step};

/// The word's numbers that are given once each.
const UNSURE: u64 = 1 << 63;

#[test]
fn processes_append_to_one_log() {
    const PROCESSES: usize = 3;
    const EACH: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    // They also race for making it.
    let helpers: Vec<Helper> =
        (0..PROCESSES).map(|_| Helper::start(&format!("append {EACH}"), folder.path())).collect();
    let mut seen = HashSet::new();
    for helper in helpers {
        let positions: Vec<u64> =
            helper.finish().iter().map(|said| said.parse().unwrap()).collect();
        assert!(positions.len() == EACH && positions.is_sorted());
        seen.extend(positions);
    }
    assert_eq!(seen.len(), PROCESSES * EACH, "a position was acknowledged twice");
    let store = SqliteStore::open_existing(folder.path(), None).unwrap();
    assert_eq!(whole_log(&store).len(), PROCESSES * EACH);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

/// Kills a writer at every step of a transaction. Prints the table of steps and outcomes.
#[test]
fn a_writer_is_killed_at_every_step() {
    println!(
        "{:10} {:9} {:10} {:>9} erased bytes",
        "killed at", "record", "generation", "next (ms)"
    );
    for step in [
        Step::Begun,
        Step::Written,
        Step::Announced,
        Step::Committed,
        Step::Settled,
        Step::Truncated,
    ] {
        println!("{}", killed_at(step));
    }
}

/// Kills a writer at a step, checks what is left, and answers the row of the table.
fn killed_at(step: Step) -> String {
    let folder = tempfile::tempdir().unwrap();
    let secret = [0x5a; 64];
    let store = SqliteStore::open(folder.path(), None).unwrap();
    append(&store, b"one", Some(&secret)).unwrap();
    append(&store, b"two", Some(b"other")).unwrap();
    let before = store.generation();
    assert!(before & UNSURE == 0 && store.generation() == before);

    let mut helper = Helper::start(&format!("kill-at {step:?}"), folder.path());
    assert_eq!(helper.hear(), "stopped");
    let committed = matches!(step, Step::Committed | Step::Settled | Step::Truncated);
    let generation = seen(step, &store, before);
    if step != Step::Committed {
        assert_eq!(whole_log(&store).len(), if committed { 3 } else { 2 }, "reads don't wait");
        assert_eq!(seen(step, &store, before), generation, "what a living one announced stands");
    }
    helper.kill();
    assert_eq!(seen(step, &store, before), generation, "the dead change nothing");
    // Whoever then looks for himself settles it for all.
    assert_eq!(whole_log(&store).len(), if committed { 3 } else { 2 });
    let settled = store.generation();
    assert!(settled & UNSURE == 0 && settled == store.generation());
    assert_eq!(settled == before, matches!(step, Step::Begun | Step::Written));

    let began = Instant::now();
    let other = SqliteStore::open(folder.path(), None).unwrap();
    if committed {
        assert_eq!(files_with(folder.path(), &secret), Vec::<String>::new(), "opening tidies");
    }
    let head = append(&other, b"next", None).unwrap();
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(5), "its locks went with it: {waited:?}");
    let log = whole_log(&store);
    assert_eq!(log.len() as u64, head.position);
    assert_eq!(log.iter().any(|record| record.body == b"killed"), committed);
    assert_eq!(log.first().is_some_and(|first| first.wrapped.is_none()), committed);
    assert_eq!(files_with(folder.path(), &secret).is_empty(), committed);
    let after = store.generation();
    assert!(after & UNSURE == 0 && after != before && after == store.generation());
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    let record = if committed { "there" } else { "never was" };
    let erased = if committed { "in no file" } else { "not erased" };
    let (step, waited) = (format!("{step:?}"), waited.as_millis());
    format!("{step:10} {record:9} {generation:10} {waited:9} {erased}")
}

/// What another process sees of the generation while a writer is stopped at a step.
fn seen(step: Step, store: &SqliteStore, before: u64) -> &'static str {
    let (one, other) = (store.generation(), store.generation());
    match step {
        Step::Begun | Step::Written => {
            assert_eq!((one, other), (before, before), "nothing has happened yet");
            "as before"
        }
        Step::Announced | Step::Committed => {
            assert!(one & UNSURE != 0 && one != other, "everyone looks for himself");
            "unsure"
        }
        Step::Settled | Step::Truncated => {
            assert!(one == other && one != before && one & UNSURE == 0);
            "new"
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kills_at_any_time() {
    const KILLS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let mut helper = Helper::start("churn", folder.path());
        helper.hear();
        // Spread over several transactions' time, at no multiple of it.
        std::thread::sleep(Duration::from_micros(round * 733 % 30_000));
        helper.kill();
        let last: Option<u64> = helper.rest().last().map(|said| said.parse().unwrap());
        acknowledged = acknowledged.max(last.unwrap_or(0));
        let log = whole_log(&store);
        assert!(log.len() as u64 >= acknowledged, "round {round}: an acknowledged record is gone");
        for record in &log {
            let erased = record.position + 10 <= log.len() as u64;
            assert_eq!(record.wrapped.is_none(), erased, "round {round}: {}", record.position);
        }
    }
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    println!("{KILLS} kills, {acknowledged} records acknowledged");
}

#[test]
fn a_killed_holder_frees_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut helper = Helper::start("lease member", folder.path());
    let epoch: u64 = helper.hear().parse().unwrap();
    assert!(store.lease("member", 50).unwrap().is_none(), "another process holds it");
    assert!(store.lease("other", 0).unwrap().is_some());
    let known = store.known().unwrap();
    assert_eq!(known[0].name, "member");
    assert!(known[0].holder.starts_with(&helper_id(&helper)), "{known:?}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let lease = store.lease("member", 30_000).unwrap().unwrap();
            (Instant::now(), lease.epoch())
        });
        std::thread::sleep(Duration::from_millis(100));
        helper.kill();
        let killed = Instant::now();
        let (got, next) = waiting.join().unwrap();
        assert_eq!(next, epoch + 1);
        let waited = got.saturating_duration_since(killed);
        assert!(waited < Duration::from_millis(500), "{waited:?} after the kill");
    });
}

fn helper_id(helper: &Helper) -> String {
    format!("{} ", helper.id())
}

#[test]
fn a_holder_in_another_process_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut helper = Helper::start("lease member", folder.path());
    helper.hear();
    helper.tell("5");
    assert_eq!(helper.hear(), "advanced");
    assert_eq!(store.following("member").unwrap().position, 5);
    store.forget("member").unwrap();
    helper.tell("6");
    assert_eq!(helper.hear(), "the lease on member has passed to another process");
    assert_eq!(store.following("member").unwrap().position, 0);
    helper.finish();
    assert!(store.lease("member", 5_000).unwrap().is_some());
}

/// What the lock file can't say, the epoch does: somebody has removed the file of a lease that is held.
#[test]
fn a_lost_lock_file_does_not_make_two_writers() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut old = store.lease("member", 0).unwrap().unwrap();
    std::fs::remove_file(folder.path().join("lease-member")).unwrap();
    let mut new = store.lease("member", 0).unwrap().unwrap();
    old.advance(1).unwrap_err();
    old.except(id(1), "reason").unwrap_err();
    new.advance(2).unwrap();
    drop(old);
    assert!(store.lease("member", 0).unwrap().is_none(), "the old one freed its own lock only");
    assert_eq!(store.following("member").unwrap().position, 2);
}

#[test]
fn processes_hand_a_lease_on() {
    const PROCESSES: u64 = 3;
    const EACH: u64 = 25;
    let folder = tempfile::tempdir().unwrap();
    let helpers: Vec<Helper> =
        (0..PROCESSES).map(|_| Helper::start(&format!("count {EACH}"), folder.path())).collect();
    for helper in helpers {
        helper.finish();
    }
    let store = SqliteStore::open(folder.path(), None).unwrap();
    assert_eq!(store.following("counter").unwrap().position, PROCESSES * EACH);
    assert_eq!(store.known().unwrap()[0].epoch, PROCESSES * EACH);
}

#[test]
fn another_processs_change_is_seen_in_the_generation() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut helper = Helper::start("generation", folder.path());
    let mut last = helper.hear();
    for number in 0..5 {
        helper.tell("");
        assert_eq!(helper.hear(), last, "nothing has changed");
        if number % 2 == 0 {
            append(&store, b"one", None).unwrap();
        } else {
            let from = store.position().unwrap();
            store.fold(from, from + 1, &[]).unwrap();
        }
        helper.tell("");
        let now = helper.hear();
        assert_ne!(now, last);
        last = now;
    }
}
