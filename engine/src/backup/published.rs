//! What everybody knows of the token's keys: against this, what comes out of a backup is held.

use crate::error::Result;
use crate::event::Hash;
use crate::log::Position;
use crate::object::ObjectId;
use crate::token::Token;
use std::collections::BTreeMap;
use tandem_values::{Template, ck::*};

/// By what a key is known: its public half, or, of a secret one, what the log's key makes of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// CKA_LABEL.
    pub label: String,
    /// The public half of a private key.
    pub public: Option<Template>,
    /// The fingerprint of a secret key or a private value.
    pub fingerprint: Option<Hash>,
    /// Where its secret part came into the log.
    pub born: Position,
}

impl Known {
    /// True if the other is the same key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.public == other.public && self.fingerprint == other.fingerprint
    }
}

impl Token {
    /// Every private and secret key, and every private value. Needs a login.
    pub fn known_keys(&self) -> Result<BTreeMap<ObjectId, Known>> {
        self.seal()?;
        self.shelf.refresh()?;
        let keyed = |class| matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY);
        Ok(self
            .shelf
            .find(&Template::new())?
            .into_iter()
            .filter(|entry| keyed(entry.object.class()) || entry.object.kek.is_some())
            .map(|entry| {
                let object = &entry.object;
                let label = object.template.bytes(CKA_LABEL).unwrap_or_default();
                let known = Known {
                    label: String::from_utf8_lossy(label).into_owned(),
                    public: object.public.clone(),
                    fingerprint: object.fingerprint,
                    born: object.born,
                };
                (object.id, known)
            })
            .collect())
    }

    /// Where the bundle of a backup was put, as the operator who made it said.
    pub fn bundle_place(&self, id: super::BackupId) -> Result<Option<String>> {
        let place = self.store.note(&place_of(id))?;
        Ok(place.and_then(|place| String::from_utf8(place).ok()))
    }

    /// Remembers where the bundle of a backup was put.
    pub fn set_bundle_place(&self, id: super::BackupId, place: &str) -> Result {
        Ok(self.store.set_note(&place_of(id), Some(place.as_bytes()))?)
    }
}

fn place_of(id: super::BackupId) -> String {
    format!("backup/{id}/place")
}
