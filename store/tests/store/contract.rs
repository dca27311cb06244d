//! The contract of every store, on SQLite.

use tandem_engine::log::Store;
use tandem_store::SqliteStore;
use tandem_store::contract::{CASES, Place};

struct Temporary(tempfile::TempDir);

impl Place for Temporary {
    fn open(&self) -> Box<dyn Store> {
        Box::new(SqliteStore::open(self.0.path(), None).unwrap())
    }
}

#[test]
fn a_store_on_sqlite_keeps_the_contract() {
    for (name, case) in CASES {
        println!("{name}");
        case(&Temporary(tempfile::tempdir().unwrap()));
    }
}
