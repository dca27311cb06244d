//! The last backup of everything: the one from which the schedule of backups counts.

use super::cover::stands;
use super::ledger::{Backup, Moment};
use super::words::Made;
use crate::error::{Error, Result};
use crate::token::Token;
use tandem_values::ck::CKR_USER_NOT_LOGGED_IN;

impl Token {
    /// The last committed backup that counts and is of all objects, with when it was committed. A backup of chosen keys is
    /// none of these. Needs a login.
    pub fn last_backup(&self) -> Result<Option<(Backup, Moment)>> {
        let (ledger, ring) = (self.ledger()?, self.known_ring()?);
        let ring = ring.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        let counts = |backup: &Backup, made: &Made| {
            made.selection.is_none() && stands(&ledger, &ring, backup, made).is_ok()
        };
        let found = ledger.backups().iter().rev().find_map(|backup| {
            let committed = backup.committed?;
            let whole = backup.counting().any(|made| counts(backup, made));
            whole.then(|| (backup.clone(), committed))
        });
        Ok(found)
    }
}
