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
    /// When something may be tried again that has failed.
    due_ms: Mutex<u64>,
    /// What failed last, of the stock and of its names: it is said once.
    told: Mutex<[Option<String>; 2]>,
}

/// Of what a failure is said.
#[derive(Clone, Copy)]
pub(crate) enum About {
    /// The making of keys.
    Keys = 0,
    /// The writing of names.
    Names = 1,
}

impl Stocking {
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
