//! The contract of every store, on the one in memory.

#![expect(clippy::disallowed_methods, reason = "the contract is about waiting, too")]

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tandem_engine::log::Store;
use tandem_simulation::store::{Books, MemoryStore, Pause};
use tandem_store::contract::{CASES, Place};

struct Sleep;
impl Pause for Sleep {
    fn pause(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
}

#[derive(Default)]
struct InMemory(Arc<Mutex<Books>>);
impl Place for InMemory {
    fn open(&self) -> Box<dyn Store> {
        Box::new(MemoryStore::open(Arc::clone(&self.0), 1, Arc::new(Sleep)))
    }
}

#[test]
fn a_store_in_memory_keeps_the_contract() {
    for (name, case) in CASES {
        println!("{name}");
        case(&InMemory::default());
    }
}
