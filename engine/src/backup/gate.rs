//! The gate: with `require_backup`, keys that no backup holds don't sign, decrypt, derive or unwrap, or not in silence.
//!
//! Session objects pass: they end with their session, and nobody will ever miss one. Whether a key passes costs no read of
//! the store: the shelf is as fresh as the generation word, which every call looks at anyway.

use super::cover::{Cover, Standing};
use super::ledger::Ledger;
use super::words::BackupId;
use crate::error::{Error, Result};
use crate::held::Held;
use crate::object::ObjectId;
use crate::ring::Ring;
use crate::settings::RequireBackup;
use crate::shelf::Entry;
use crate::step::Verb;
use crate::token::Token;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_values::ck::*;

/// What the gate keeps.
#[derive(Default)]
pub(crate) struct Gate {
    /// The cover as it was last made.
    made: Mutex<Option<Made>>,
    /// Keys of which it was said that they are not backed up: a signer tries again and again.
    told: Mutex<BTreeSet<ObjectId>>,
}

/// A cover, and what it was made of.
struct Made {
    of: Arc<Ledger>,
    with: Arc<Ring>,
    cover: Arc<Cover>,
}

/// True for uses of a key that make something others rely on, or open what only it opens.
pub(crate) const fn is_gated(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Sign | Verb::MessageSign | Verb::SignRecover | Verb::Decrypt | Verb::MessageDecrypt
    )
}

impl Token {
    /// What is backed up now. Nothing while nobody is logged in: the log can't be checked then.
    pub(crate) fn cover(&self) -> Arc<Cover> {
        if self.seal.read().is_none() {
            return Arc::default();
        }
        // Unless the members bear it out the log tells of no backup.
        self.look_at_heads();
        let ledger = self.shelf.ledger();
        let mut made = self.gate.made.lock();
        let ring = match self.known_ring() {
            Ok(Some(ring)) => ring,
            Ok(None) => return Arc::default(),
            // The store is away: what was known of the ring still holds.
            Err(_) => match &*made {
                Some(made) => Arc::clone(&made.with),
                None => return Arc::default(),
            },
        };
        if let Some(made) = &*made
            && Arc::ptr_eq(&made.of, &ledger)
            && Arc::ptr_eq(&made.with, &ring)
        {
            return Arc::clone(&made.cover);
        }
        let cover = Arc::new(Cover::of(&ledger, &ring));
        *made = Some(Made { of: ledger, with: ring, cover: Arc::clone(&cover) });
        cover
    }

    /// The backup that holds an object: its identity, and when it was committed, in milliseconds since the Unix epoch.
    pub(crate) fn backed_up(&self, held: &Held) -> Option<(BackupId, u64)> {
        let Held::Token(entry) = held else { return None };
        let cover = self.cover();
        let standing = Self::covers(&cover, entry)?;
        Some((standing.id, standing.committed.at_ms))
    }

    fn covers<'a>(cover: &'a Cover, entry: &Entry) -> Option<&'a Standing> {
        cover.over(&entry.object, entry.position)
    }

    /// May this key be used, as far as backups go? CKR_KEY_FUNCTION_NOT_PERMITTED if it must be backed up first.
    pub(crate) fn admit(&self, held: &Held) -> Result {
        let rule = self.settings.require_backup;
        let Held::Token(entry) = held else { return Ok(()) };
        if rule == RequireBackup::Off || Self::covers(&self.cover(), entry).is_some() {
            return Ok(());
        }
        let first = self.gate.told.lock().insert(entry.object.id);
        let message = || {
            if let Ok(Some(doubt)) = self.doubt() {
                return format!(
                    "token {}: nothing counts as backed up, since {doubt}",
                    self.settings.label
                );
            }
            let label = entry.object.template.bytes(CKA_LABEL).unwrap_or_default();
            format!(
                "token {}: key {:?} (CKA_TANDEM_OBJECT_ID {}) is in no committed backup; run `tandem backup run --commit --out \
                 FILE`, or see `tandem backup list`",
                self.settings.label,
                String::from_utf8_lossy(label),
                entry.object.id
            )
        };
        match rule {
            RequireBackup::Enforce if first => {
                log::warn!("{}; it is not used", message());
                Err(CKR_KEY_FUNCTION_NOT_PERMITTED.into())
            }
            RequireBackup::Enforce => Err(CKR_KEY_FUNCTION_NOT_PERMITTED.into()),
            RequireBackup::Warn if first => {
                log::warn!("{}; it is used all the same (require_backup = \"warn\")", message());
                Ok(())
            }
            RequireBackup::Warn | RequireBackup::Off => Ok(()),
        }
    }

    /// The error of an operator who is too early or too late.
    pub(crate) fn out_of_order(&self, what: &str) -> Error {
        Error::new(CKR_ACTION_PROHIBITED, format!("token {}: {what}", self.settings.label))
    }
}
