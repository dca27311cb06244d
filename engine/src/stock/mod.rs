//! Stock: keys that are made ahead of need, without a name. They are objects of the log like any others, followed, proven and
//! backed up, but no application sees them: whoever generates a key is given one that fits, by an event that names it.
//!
//! The stock has a follower of its own. Its position says up to where keys in stock were proven on as many members as the
//! operator asks for; what is beyond, or among its exceptions, nobody is given. Who holds its lease makes the keys.

mod claim;
mod fill;
mod fit;
mod level;
mod reduce;

pub use level::Level;

use crate::event::{Event, Record};
use crate::object::{Hold, ObjectId};
use crate::settings::StockSettings;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use tandem_values::keytype::KeyType;

/// The follower of the stock; no member can have its name.
const KEEPER: &str = "stock/keys";

/// What a key in stock is called on members, where somebody may see it: this, and which stock it is in.
const LABEL: &str = "tandem stock ";

/// What the keeping of the stock remembers from one round to the next.
#[derive(Default)]
pub(crate) struct Stocking {
    /// When the user's login was first seen, on the steady clock; `None` while there is none.
    since_ms: Mutex<Option<u64>>,
    /// How often making keys has failed since it last went well.
    failures: Mutex<u32>,
    /// When making keys, and writing names, may be tried again that has failed.
    due_ms: Mutex<[u64; 2]>,
    /// What failed last, of the stock and of its names: it is said once.
    told: Mutex<[Option<String>; 2]>,
}

/// How long after a first failure it is tried again, in milliseconds: twice as long after each further one.
pub(crate) const RETRY_MS: u64 = 60_000;
/// So often the time doubles: to an hour and some minutes.
const DOUBLINGS_MAX: u32 = 6;

/// Of what a failure is said.
#[derive(Clone, Copy)]
pub(crate) enum About {
    /// The making of keys.
    Keys = 0,
    /// The writing of names.
    Names = 1,
}

impl Stocking {
    /// When something is due that has failed; zero if it hasn't.
    pub(crate) fn due_ms(&self, about: About) -> u64 {
        self.due_ms.lock().get(about as usize).copied().unwrap_or(0)
    }

    /// It is not tried again before so long after now.
    pub(crate) fn put_off(&self, about: About, now_ms: u64, wait_ms: u64) {
        if let Some(due_ms) = self.due_ms.lock().get_mut(about as usize) {
            *due_ms = now_ms.saturating_add(wait_ms);
        }
    }

    /// True if the last keys that were to be made could not be.
    fn has_failed(&self) -> bool {
        *self.failures.lock() > 0
    }

    /// Making keys has failed: each time costs records of the log, so it is tried less and less often.
    fn fail(&self, now_ms: u64) {
        let mut failures = self.failures.lock();
        let wait_ms = RETRY_MS.saturating_mul(1 << (*failures).min(DOUBLINGS_MAX));
        *failures = failures.saturating_add(1);
        self.put_off(About::Keys, now_ms, wait_ms);
    }

    /// Says what failed, unless it is what was said last.
    pub(crate) fn tell(&self, about: About, message: String) {
        let mut told = self.told.lock();
        let Some(last) = told.get_mut(about as usize) else { return };
        if last.as_ref() != Some(&message) {
            log::warn!("{message}");
        }
        *last = Some(message);
    }

    /// It has gone well, and the next failure is news.
    pub(crate) fn is_well(&self, about: About) {
        if let Some(last) = self.told.lock().get_mut(about as usize) {
            *last = None;
        }
        self.put_off(about, 0, 0);
        if matches!(about, About::Keys) {
            *self.failures.lock() = 0;
        }
    }
}

/// The stock of a type of key that lives so, by name.
pub fn name(kind: &KeyType, hold: Hold) -> String {
    name_of(&kind.to_string(), hold)
}

fn name_of(kind: &str, hold: Hold) -> String {
    match hold {
        Hold::Resident => kind.to_owned(),
        Hold::OnDemand => format!("{kind} on-demand"),
    }
}

/// CKA_LABEL of the keys in a stock, as members have it.
fn label(name: &str) -> String {
    format!("{LABEL}{name}")
}

impl StockSettings {
    /// What the stock is called.
    pub fn name(&self) -> String {
        name(&self.kind, self.hold)
    }
}

/// What is no longer in stock by these records: it was claimed or destroyed.
fn gone(news: &[Record]) -> BTreeSet<ObjectId> {
    let gone = |record: &Record| match record.event() {
        Some(Event::Claimed { id, .. } | Event::Destroyed(id)) => Some(id),
        _ => None,
    };
    news.iter().filter_map(gone).collect()
}
