//! What operators see of the ring's keys, and the end of backups under those that were rotated out.

use crate::backup::Backup;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ring::Generation;
use crate::roll::Reign;
use crate::token::Token;
use tandem_values::ck::*;

/// Keys of the ring, and what is under them.
#[derive(Clone, Debug)]
pub struct Reigned {
    /// The keys.
    pub reign: Reign,
    /// Backups that need them, in the order in which they were begun; `None` without a login.
    pub backups: Option<Vec<Backup>>,
}

impl Token {
    /// Every generation of the ring's keys, the first first. The backups need a login. An error if the token is not paired.
    pub fn keks(&self) -> Result<Vec<Reigned>> {
        let roster = self.paired()?;
        let ledger = self.seal.read().is_some().then(|| self.ledger()).transpose()?;
        let reigned = |reign: &Reign| {
            let checks = reign.ring.checks(reign.generation);
            let needs = |backup: &&Backup| {
                backup.counting().any(|made| made.keks.iter().any(|kek| checks.contains(kek)))
            };
            let under = |all: &[Backup]| all.iter().filter(needs).cloned().collect();
            let backups = ledger.as_ref().map(|ledger| under(ledger.backups()));
            Reigned { reign: reign.clone(), backups }
        };
        Ok(roster.reigns.iter().map(reigned).collect())
    }

    /// Backups under the keys of a generation count no more. Refused for keys under which something still is wrapped. Answers false
    /// if that was said before. Needs a login.
    pub fn retire_keks(&self, generation: Generation) -> Result<bool> {
        let roster = self.paired()?;
        let known = roster.reigns.iter().find(|reign| reign.generation == generation);
        let Some(reign) = known else {
            let names: Vec<_> = roster.reigns.iter().map(|it| it.generation.to_string()).collect();
            let message = format!(
                "token {} has no KEKs of the name {generation}; it has {}",
                self.settings.label,
                names.join(", ")
            );
            return Err(Error::new(CKR_ARGUMENTS_BAD, message));
        };
        if reign.retired.is_some() {
            return Ok(false);
        }
        if reign.ended.is_none() {
            let what = if generation == roster.ring.newest() {
                format!("{generation} are in force: rotate them first with `tandem kek rotate`")
            } else {
                format!(
                    "{generation} are being rotated out: finish that first with `tandem kek rotate`"
                )
            };
            return Err(self.out_of_order(&what));
        }
        self.append(Event::Retired(generation))?;
        self.heed_roster();
        Ok(true)
    }
}
