//! The token's keys, as far as they are unused or in use.

use crate::report::hex;
use crate::show::count;
use std::collections::{BTreeMap, BTreeSet};
use tandem_engine::report::ObjectReport;
use tandem_values::ck::{CKA_ID, CKA_LABEL, CKO_PRIVATE_KEY, CKO_SECRET_KEY};
use tandem_values::keytype;

/// A key of the token: the private half of a pair, or a secret key.
pub(super) struct Key {
    pub(super) id: String,
    /// `ec:p256`, …; empty if it has no name.
    pub(super) kind: String,
    pub(super) label: String,
    pub(super) backed_up: bool,
}

/// The token's keys, and those of which somebody says that they are in use.
pub(super) struct Keys {
    /// Those that applications have.
    pub(super) all: Vec<Key>,
    /// Those in stock: whoever generates a key of their type is given one.
    pub(super) stock: Vec<Key>,
    used: Option<BTreeSet<String>>,
}

impl Keys {
    pub(super) fn of(objects: &[ObjectReport], used: Option<BTreeSet<String>>) -> Self {
        let keys = objects.iter().filter(|object| {
            matches!(object.template.class(), Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY))
        });
        let key = |object: &ObjectReport| {
            let bytes = |kind| object.template.bytes(kind).unwrap_or_default();
            Key {
                id: hex(bytes(CKA_ID)),
                kind: keytype::of(&object.template).unwrap_or_default(),
                label: String::from_utf8_lossy(bytes(CKA_LABEL)).into_owned(),
                backed_up: object.backed_up,
            }
        };
        let (stock, all): (Vec<_>, Vec<_>) = keys.partition(|object| object.stock.is_some());
        Self {
            all: all.into_iter().map(key).collect(),
            stock: stock.into_iter().map(key).collect(),
            used,
        }
    }

    /// True if `--used-ids` names it.
    pub(super) fn is_used(&self, key: &Key) -> bool {
        self.used.as_ref().is_some_and(|used| used.contains(&key.id))
    }

    /// True if somebody says which keys are in use.
    pub(super) const fn knows_used(&self) -> bool {
        self.used.is_some()
    }

    /// Whether the keys of an id are backed up, if there are any.
    pub(super) fn by_id(&self) -> BTreeMap<&str, bool> {
        let mut found = BTreeMap::new();
        for key in &self.all {
            let backed_up = found.entry(key.id.as_str()).or_insert(true);
            *backed_up = *backed_up && key.backed_up;
        }
        found
    }

    /// What is to be said of the keys in use.
    pub(super) fn notes(&self) -> Vec<String> {
        let Some(used) = &self.used else { return Vec::new() };
        let known = self.by_id();
        let bare = used.iter().filter(|id| known.get(id.as_str()) == Some(&false)).count();
        let unknown = used.iter().filter(|id| !known.contains_key(id.as_str())).count();
        let mut notes = Vec::new();
        if bare > 0 {
            notes.push(not_backed_up(bare));
        }
        if unknown > 0 {
            notes.push(format!(
                "{} of --used-ids not on the token",
                count(unknown, "id is", "ids are")
            ));
        }
        notes
    }
}

/// Keys in use that are in no backup.
pub(super) fn not_backed_up(keys: usize) -> String {
    format!("{} in use and in no backup that counts", count(keys, "key is", "keys are"))
}
