//! The recovery of a token that is paired: what is known of it, new shares from old ones, and the key ring brought back by
//! them.
//!
//! The secret that the shares make stays the same for as long as the ring lives, however often it is split: every backup
//! opens with it. So a split hands the secret to other people, and takes it from nobody (`docs/decisions/0031`).

mod carry;
mod combine;
mod split;

pub use crate::roll::{Reign, Splitting};
pub use combine::{Carried, Combined, Told};
pub use split::Dealt;

pub(crate) use carry::{Lost, Reached};

use crate::backup::{Backup, needs_recovery};
use crate::error::Result;
use crate::ring::Ring;
use crate::token::Token;
use std::sync::Arc;

/// What is known of a token's recovery.
#[derive(Clone, Debug)]
pub struct Known {
    /// The key ring that it brings back.
    pub ring: Arc<Ring>,
    /// How it was split, first by the pairing or the last rotation; the last is the one in force. None without a recovery.
    pub splits: Vec<Splitting>,
    /// The sets of shares that there ever were, those of earlier recoveries too.
    pub sets: Vec<u16>,
    /// The keys that were rotated out or are being, with the shares that open backups under them.
    pub before: Vec<Reign>,
}

impl Token {
    /// What is known of the recovery. Needs no login; with one only sealed records count. An error if the token is not
    /// paired.
    pub fn recovery(&self) -> Result<Known> {
        let roster = self.paired()?;
        let newest = roster.ring.newest();
        let before = roster.reigns.iter().filter(|reign| reign.generation < newest);
        Ok(Known {
            ring: Arc::clone(&roster.ring),
            splits: roster.splits.clone(),
            sets: roster.sets(),
            before: before.cloned().collect(),
        })
    }

    /// The committed backups that new HSMs can open by this recovery only. Needs a login.
    pub fn backups_needing_recovery(&self) -> Result<Vec<Backup>> {
        let (ledger, known) = (self.ledger()?, self.recovery()?);
        let needing = ledger.backups().iter().filter(|backup| needs_recovery(backup, &known.ring));
        Ok(needing.cloned().collect())
    }
}
