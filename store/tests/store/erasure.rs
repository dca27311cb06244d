//! Erased bytes are in no file of the folder, wherever SQLite may have put them.

use std::collections::HashSet;
use std::path::Path;
use tandem_engine::log::{Append, Log};
use tandem_store::SqliteStore;
use tandem_store::contract::{append, erase, record_after, whole_log};

/// The names of the files in which some bytes are.
pub(crate) fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| {
            let content = std::fs::read(entry.path()).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Bytes of which each eight are found nowhere else.
    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let whole = std::iter::repeat_with(|| self.next().to_be_bytes()).flatten();
        whole.take(usize::try_from(len).unwrap()).collect()
    }
}

type Block = [u8; 8];

fn blocks(bytes: &[u8]) -> impl Iterator<Item = Block> {
    bytes.chunks_exact(8).map(|block| block.try_into().unwrap())
}

/// How many of these blocks are anywhere in the folder's files.
fn found(folder: &Path, wanted: &HashSet<Block>) -> usize {
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        let blocks = content.windows(8).map(|window| Block::try_from(window).unwrap());
        found.extend(blocks.filter(|block| wanted.contains(block)));
    }
    found.len()
}

#[test]
fn erased_bytes_are_in_no_file() {
    for seed in 1..=4 {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), None).unwrap();
        let mut numbers = Numbers(seed);
        let mut kept: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut erased = HashSet::new();
        for _ in 0..150 {
            store
                .append(&mut |head| {
                    let mut head = *head;
                    let mut records = Vec::new();
                    for _ in 0..numbers.below(6) {
                        // From keys of a few bytes to ones of several pages.
                        let most =
                            [60, 200, 1500, 12_000][usize::try_from(numbers.below(4)).unwrap()];
                        let len = 8 + numbers.below(most);
                        let wrapped = numbers.bytes(len);
                        let len = numbers.below(400);
                        let record = record_after(&head, &numbers.bytes(len), Some(&wrapped));
                        head.position = record.position;
                        head.counter = record.counter;
                        head.link = record.link;
                        kept.push((record.position, wrapped));
                        records.push(record);
                    }
                    let mut gone = Vec::new();
                    for _ in 0..numbers.below(5) {
                        // Mostly what is new, as rows beside each other, and sometimes anything.
                        let among = [8, u64::MAX][usize::from(numbers.below(3) == 0)];
                        let among = among.min(kept.len() as u64);
                        if among > 0 {
                            let back = usize::try_from(numbers.below(among)).unwrap();
                            let (position, wrapped) = kept.remove(kept.len() - 1 - back);
                            erased.extend(blocks(&wrapped));
                            gone.push(position);
                        }
                    }
                    Ok(Append { records, erase: gone })
                })
                .unwrap();
        }
        assert_eq!(found(folder.path(), &erased), 0, "seed {seed}");
        // What is kept is found, and more so than what lies across two pages is missed.
        let kept: HashSet<Block> = kept.iter().flat_map(|(_, wrapped)| blocks(wrapped)).collect();
        assert!(found(folder.path(), &kept) * 10 > kept.len() * 9);
        assert!(erased.len() > 1000 && kept.len() > 1000);
        whole_log(&store);
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
    }
}

/// Why records are overwritten in place: when rows go, SQLite moves others together, and sometimes leaves bytes of these
/// where they were, to be there still when they go in turn.
#[test]
fn sqlite_alone_leaves_moved_bytes_behind() {
    let left_behind = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let connection = rusqlite::Connection::open(folder.path().join("naive.sqlite")).unwrap();
        connection
            .execute_batch(
                "PRAGMA secure_delete = ON;
                 PRAGMA synchronous = OFF;
                 PRAGMA journal_mode = WAL;
                 CREATE TABLE records (position INTEGER PRIMARY KEY, wrapped BLOB);",
            )
            .unwrap();
        let mut numbers = Numbers(seed);
        let mut kept = Vec::new();
        for position in 0..3000 {
            let len = 8 + numbers.below(600);
            let wrapped = numbers.bytes(len);
            connection
                .execute("INSERT INTO records VALUES (?1, ?2)", (position, &wrapped))
                .unwrap();
            kept.push((position, wrapped));
        }
        let mut erased = HashSet::new();
        for _ in 0..kept.len() / 2 {
            let any = usize::try_from(numbers.below(kept.len() as u64)).unwrap();
            let (position, wrapped) = kept.remove(any);
            connection.execute("DELETE FROM records WHERE position = ?1", [position]).unwrap();
            erased.extend(blocks(&wrapped));
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
        found(folder.path(), &erased)
    };
    let left_behind: Vec<usize> = (1..=8).map(left_behind).collect();
    println!("blocks of eight bytes left behind: {left_behind:?}");
    assert!(left_behind.iter().any(|count| *count > 0), "SQLite wipes moved rows now");
}

#[test]
fn a_reader_in_the_way_only_delays() {
    let folder = tempfile::tempdir().unwrap();
    let secret = [0x5a; 64];
    let store = SqliteStore::open(folder.path(), None).unwrap();
    append(&store, b"one", Some(&secret)).unwrap();
    append(&store, b"two", Some(b"other")).unwrap();
    let reader = rusqlite::Connection::open(folder.path().join("tandem.sqlite")).unwrap();
    let read = || {
        reader.execute_batch("BEGIN").unwrap();
        reader.query_row("SELECT count(*) FROM records", (), |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(read(), 2);
    erase(&store, 1).unwrap();
    assert_eq!(whole_log(&store)[0].wrapped, None);
    assert!(!store.tidy().unwrap(), "the reader is still there");
    assert_ne!(files_with(folder.path(), &secret), Vec::<String>::new());
    reader.execute_batch("COMMIT").unwrap();
    assert!(store.tidy().unwrap());
    assert_eq!(files_with(folder.path(), &secret), Vec::<String>::new());
    assert!(store.tidy().unwrap());

    // The same, and another process's next transaction finds that it is due.
    append(&store, b"three", Some(&[0xa5; 64])).unwrap();
    read();
    erase(&store, 3).unwrap();
    assert_ne!(files_with(folder.path(), &[0xa5; 64]), Vec::<String>::new());
    reader.execute_batch("COMMIT").unwrap();
    let other = SqliteStore::open(folder.path(), None).unwrap();
    append(&other, b"four", None).unwrap();
    assert_eq!(files_with(folder.path(), &[0xa5; 64]), Vec::<String>::new());
}

#[test]
fn a_new_log_holds_nothing_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), None).unwrap();
    let mut numbers = Numbers(3);
    let mut erased = HashSet::new();
    for _ in 0..60 {
        let len = 8 + numbers.below(3000);
        let wrapped = numbers.bytes(len);
        append(&store, &numbers.bytes(100), Some(&wrapped)).unwrap();
        erased.extend(blocks(&wrapped));
    }
    assert!(found(folder.path(), &erased) > 0);
    store.begin_anew().unwrap();
    assert_eq!(found(folder.path(), &erased), 0);
}
