//! Full disks, damaged files, files that are gone, files of other programs and of other versions.

use crate::helper::{Helper, say, told};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tandem_engine::log::{Append, Catalogue, Followers, Log, Notes, StoreError, Stored};
use tandem_store::SqliteStore;
use tandem_store::contract::{append, id, record_after, whole_log};

const DATABASE: &str = "tandem.sqlite";
/// Longer than a removed file may go unnoticed.
const REMOVED: Duration = Duration::from_millis(150);

/// Fills a store until it says that it is full, and lets it go on when there is room again.
fn fill_until_full(store: &SqliteStore, mut make_room: impl FnMut()) {
    let wrapped = vec![7; 10_000];
    let mut last = store.head().unwrap();
    let full = loop {
        match append(store, b"body", Some(&wrapped)) {
            Ok(head) => last = head,
            Err(error) => break error,
        }
        assert!(last.position < 10_000, "it never gets full");
    };
    assert!(matches!(&full, StoreError::Full(said) if said.contains("free some space")), "{full}");
    // Again, all else that writes, and reading.
    for _ in 0..5 {
        let more = vec![7; 200_000];
        assert!(matches!(append(store, b"body", Some(&more)), Err(StoreError::Full(_))));
        assert_eq!(whole_log(store).len() as u64, last.position);
    }
    let note = store.set_note("note", Some(&vec![1; 400_000]));
    assert!(matches!(note, Err(StoreError::Full(_))), "{note:?}");
    make_room();
    assert_eq!(append(store, b"body", Some(&wrapped)).unwrap().position, last.position + 1);
    store.set_note("note", Some(b"text")).unwrap();
    drop(store.lease("member", 0).unwrap().unwrap());
    whole_log(store);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let mount = tempfile::tempdir().unwrap();
    let shell = |line: &str| Command::new("sh").args(["-c", line]).arg(mount.path()).status();
    if !shell("mount -t tmpfs -o size=2m tmpfs \"$0\" 2>/dev/null")
        .is_ok_and(|status| status.success())
    {
        println!("skipped: can't mount a small disk; the limit on files is tried all the same");
        return;
    }
    let tried = std::panic::catch_unwind(|| {
        let store = SqliteStore::open(&mount.path().join("state"), None).unwrap();
        fill_until_full(&store, || {
            shell("mount -o remount,size=16m \"$0\"").unwrap();
        });
        // And one that can't even be made.
        shell("head -c 20m /dev/zero > \"$0/rest\" 2>/dev/null").unwrap();
        let made = SqliteStore::open(&mount.path().join("other"), None).map(drop);
        assert!(matches!(made, Err(StoreError::Full(_))), "{made:?}");
    });
    shell("umount \"$0\"").unwrap();
    tried.unwrap();
}

/// The limit stands for a quota: SQLite calls both an error of input or output.
#[test]
fn a_limit_on_files_is_said_to_be_full() {
    let folder = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes: 1 MiB.
    let setup = "trap '' XFSZ; ulimit -S -f 2048";
    let mut helper = Helper::start_under(setup, &[], "fill", folder.path());
    assert_eq!(helper.hear(), "full");
    let unlimited = format!("prlimit --pid {} --fsize=unlimited:unlimited", helper.id());
    assert!(Command::new("sh").args(["-c", &unlimited]).status().unwrap().success());
    helper.tell("");
    helper.finish();
}

/// In a helper.
pub(crate) fn fill(folder: &Path) {
    let store = SqliteStore::open(folder, None).unwrap();
    fill_until_full(&store, || {
        say("full");
        told();
    });
}

/// A store with a few records and objects, closed.
fn some(folder: &Path) {
    let store = SqliteStore::open(folder, None).unwrap();
    for number in 0..50_u8 {
        append(&store, &[number; 100], Some(&[number; 300])).unwrap();
    }
    let rows: Vec<_> = (1..=50).map(|number| (id(number), number, Some(vec![1; 200]))).collect();
    store.fold(0, 50, &rows).unwrap();
    store.set_note("note", Some(b"text")).unwrap();
    drop(store);
    // All of it into the database itself.
    let connection = rusqlite::Connection::open(folder.join(DATABASE)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
}

/// Everything that reads and writes. Panics at nothing that is in the file.
fn use_all(folder: &Path) -> Stored {
    let store = SqliteStore::open(folder, None)?;
    let head = store.head()?;
    store.read(0, usize::MAX)?;
    store.changed(0, u64::MAX)?;
    store.changed(20, u64::MAX)?;
    store.row(id(30))?;
    store.note("note")?;
    store.following("member")?;
    store.append(&mut |head| {
        Ok(Append { records: vec![record_after(head, b"more", None)], erase: vec![] })
    })?;
    store.fold(store.position()?, head.position + 1, &[(id(30), 51, None)])?;
    store.set_note("note", None)?;
    store.lease("member", 0)?.unwrap().advance(1)?;
    match store.check()?.first() {
        Some(found) => Err(StoreError::Damaged(found.clone())),
        None => Ok(()),
    }
}

fn damaged(folder: &Path, answer: Stored) {
    let Err(StoreError::Damaged(said)) = answer else { panic!("{answer:?}") };
    let database = folder.canonicalize().unwrap().join(DATABASE);
    assert!(said.contains(database.to_str().unwrap()), "{said}");
    assert!(said.contains("from a copy"), "{said}");
}

/// A way to damage a file, with its name.
type Spoiler = (&'static str, fn(&mut Vec<u8>));

#[test]
fn a_damaged_database_is_said_to_be_damaged() {
    let spoilers: [Spoiler; 6] = [
        ("empty", Vec::clear),
        ("cut", |bytes| bytes.truncate(bytes.len() / 3 / 4096 * 4096)),
        ("cut in its header", |bytes| bytes.truncate(50)),
        ("another header", |bytes| bytes[..16].copy_from_slice(b"SQLite format 4\0")),
        ("overwritten", |bytes| bytes[4096..].fill(0x55)),
        ("zeroes", |bytes| bytes[100..].fill(0)),
    ];
    for (name, spoil) in spoilers {
        let folder = tempfile::tempdir().unwrap();
        some(folder.path());
        use_all(folder.path()).unwrap();
        let database = folder.path().join(DATABASE);
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
        drop(connection);
        let mut bytes = fs::read(&database).unwrap();
        spoil(&mut bytes);
        fs::write(&database, bytes).unwrap();
        println!("{name}");
        damaged(folder.path(), use_all(folder.path()));
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let database = folder.path().join(DATABASE);
    let good = fs::read(&database).unwrap();
    let mut noticed = 0;
    for round in 0..300_usize {
        let mut bytes = good.clone();
        for flip in 0..=round % 8 {
            let place = (round * 7919 + flip * 104_729) % bytes.len();
            // Structure is at the head of pages: every other flip goes there.
            let place = if flip % 2 == 0 { place / 4096 * 4096 + place % 100 } else { place };
            bytes[place] ^= 1 << (round % 8);
        }
        for name in ["tandem.sqlite-wal", "tandem.sqlite-shm"] {
            let _ = fs::remove_file(folder.path().join(name));
        }
        fs::write(&database, bytes).unwrap();
        if use_all(folder.path()).is_err() {
            noticed += 1;
        }
    }
    println!("{noticed} of 300 noticed by the store; the rest is the chain's and the MAC's");
    assert!(noticed > 50);
}

#[test]
fn a_damaged_write_ahead_file_loses_only_what_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let store = SqliteStore::open(folder.path(), None).unwrap();
    append(&store, b"more", None).unwrap();
    drop(store);
    let wal = folder.path().join("tandem.sqlite-wal");
    let mut bytes = fs::read(&wal).unwrap();
    assert!(bytes.len() > 4096, "the last record is in the write-ahead file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&wal, bytes).unwrap();
    // As after a power cut: nobody has it open, so the file is read anew.
    assert_eq!(whole_log(&SqliteStore::open(folder.path(), None).unwrap()).len(), 50);
}

#[test]
fn other_versions_and_other_programs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let database = folder.path().join(DATABASE);
    let set = |name: &str, value: i64| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.pragma_update(None, name, value).unwrap();
    };
    set("user_version", 3);
    let Err(StoreError::Unavailable(said)) = use_all(folder.path()) else { panic!("opened") };
    assert!(said.contains("newer Tandem (schema 3, this one knows 2)"), "{said}");
    for version in [0, -1] {
        set("user_version", version);
        damaged(folder.path(), use_all(folder.path()));
    }
    set("user_version", 2);
    use_all(folder.path()).unwrap();
    set("application_id", 0);
    damaged(folder.path(), use_all(folder.path()));
}

#[test]
fn a_write_ahead_file_without_its_database_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    append(&store, b"one", None).unwrap();
    drop(store);
    fs::remove_file(folder.path().join(DATABASE)).unwrap();
    let Err(StoreError::Damaged(said)) = use_all(folder.path()) else { panic!("opened") };
    assert!(said.contains("tandem.sqlite-wal is there"), "{said}");
    assert!(!folder.path().join(DATABASE).exists());
}

/// The state folder is lost under a running signer, and brought back from a copy.
#[test]
fn a_lost_state_is_noticed_and_a_restored_one_is_used() {
    let above = tempfile::tempdir().unwrap();
    let (folder, copy) = (above.path().join("state"), above.path().join("copy"));
    some(&folder);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let store = SqliteStore::open(&folder, None).unwrap();
    append(&store, b"lost", None).unwrap();
    let mut lease = store.lease("member", 0).unwrap().unwrap();
    let before = store.generation();
    assert_eq!(store.generation(), before);

    fs::remove_dir_all(&folder).unwrap();
    thread::sleep(REMOVED);
    let (one, other) = (store.generation(), store.generation());
    assert!(one != other && one != before, "whoever asks looks for himself");
    for refused in [
        append(&store, b"nowhere", None).map(drop),
        store.head().map(drop),
        lease.advance(1),
        store.lease("other", 0).map(drop),
    ] {
        let Err(StoreError::Unavailable(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains(folder.to_str().unwrap()), "{said}");
    }
    assert!(!folder.exists(), "nothing is made anew behind the operator's back");

    fs::rename(&copy, &folder).unwrap();
    assert_eq!(store.head().unwrap().position, 50);
    assert_eq!(append(&store, b"again", None).unwrap().position, 51);
    assert!(matches!(lease.advance(1), Err(StoreError::Fenced(_))), "its row is gone");
    let other = SqliteStore::open(&folder, None).unwrap();
    assert_eq!(whole_log(&other).len(), 51);
    // The copy's word is as old as the copy, and has now come to the same number of changes.
    let now = store.generation();
    assert!(now != before && now == store.generation());
}

#[test]
fn a_lost_generation_word_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (
        SqliteStore::open(folder.path(), None).unwrap(),
        SqliteStore::open(folder.path(), None).unwrap(),
    );
    let word = folder.path().join("generation");
    let before = one.generation();
    fs::remove_file(&word).unwrap();
    thread::sleep(REMOVED);
    assert_ne!(one.generation(), one.generation());
    append(&other, b"one", None).unwrap();
    let now = other.generation();
    assert!(now != before && now == other.generation());
    // The first one looks for itself, which is when it finds the new file.
    one.head().unwrap();
    let mut last = one.generation();
    assert_eq!(one.generation(), last);
    for content in [&b""[..], b"short", &[0xff; 16], &[0; 16]] {
        fs::write(&word, content).unwrap();
        append(&other, b"more", None).unwrap();
        let now = one.generation();
        assert!(now != last && now == one.generation(), "{content:?}");
        last = now;
    }
}

#[test]
fn a_folder_that_may_only_be_read_is_unavailable() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("state");
    some(&folder);
    let shell = |line: &str| {
        let status = Command::new("sh").args(["-c", line]).arg(&folder).status();
        status.is_ok_and(|status| status.success())
    };
    let mounted = shell("mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"");
    if !mounted && fs::write(folder.join("probe"), "").is_ok() {
        println!("skipped: can't make a folder read-only for this user");
        return;
    }
    let tried = std::panic::catch_unwind(|| {
        for refused in [use_all(&folder), SqliteStore::open(&folder, None).map(drop)] {
            let Err(StoreError::Unavailable(said)) = refused else { panic!("{refused:?}") };
            assert!(said.contains(folder.canonicalize().unwrap().to_str().unwrap()), "{said}");
        }
    });
    shell("umount \"$0\"");
    tried.unwrap();
    use_all(&folder).unwrap();
}

#[test]
fn another_process_that_never_ends_is_named_as_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    append(&store, b"one", None).unwrap();
    let other = rusqlite::Connection::open(folder.path().join(DATABASE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let answer = append(&store, b"two", None);
    let waited = began.elapsed();
    assert!(
        matches!(&answer, Err(StoreError::Unavailable(said)) if said.contains("another process has held it")),
        "{answer:?}"
    );
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(20), "{waited:?}");
    assert_eq!(whole_log(&store).len(), 1, "reading never waits");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(append(&store, b"two", None).unwrap().position, 2);
}

#[test]
fn a_transaction_does_not_wait_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let same = store.clone();
    let failed = store.append(&mut |_| append(&same, b"two", None).map(|_| Append::default()));
    assert!(matches!(failed, Err(StoreError::Unavailable(said)) if said.contains("another one")));
    // Reading is as it was before, and another store is nobody's business.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = SqliteStore::open(elsewhere.path(), None).unwrap();
    let appended = store.append(&mut |head| {
        assert_eq!(same.head()?.position, 0);
        append(&other, b"one", None)?;
        Ok(Append { records: vec![record_after(head, b"one", None)], erase: vec![] })
    });
    assert_eq!((appended.unwrap().position, other.head().unwrap().position), (1, 1));
}

/// While something is on its way to the disk, others read what was before.
#[test]
fn reading_does_not_wait_for_writing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    append(&store, b"one", None).unwrap();
    let (begun, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            store.append(&mut |head| {
                begun.wait();
                wait.wait();
                Ok(Append { records: vec![record_after(head, b"two", None)], erase: vec![] })
            })
        });
        begun.wait();
        assert_eq!(whole_log(&store).len(), 1);
        assert_eq!(store.position().unwrap(), 0);
        wait.wait();
    });
    assert_eq!(whole_log(&store).len(), 2);
}
