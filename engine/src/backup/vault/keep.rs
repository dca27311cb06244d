//! Which bundles a backup token keeps, and which of them bring back the most.

use super::super::bundle::{Bundle, Header, broken};
use super::super::cover::{Standing, stands};
use super::super::ledger::{Backup, Ledger, State};
use super::super::source::Source;
use super::super::words::{Artefact, BackupId, Made};
use super::Vault;
use super::sheet::Pieces;
use crate::error::{Error, Result};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

impl Vault {
    /// The bundles that bring back the most: the last complete one and those that build on it, oldest first; or one backup, if
    /// it is named, with what it builds on. Where the log is there, none of a backup that has ended.
    pub fn chain(&self, wanted: Option<BackupId>) -> Result<Vec<Header>> {
        let mut last = self.headers()?;
        last.sort_by_key(|header| header.to);
        let all = last.clone();
        match wanted {
            None => last.retain(|header| header.whole && !self.has_ended(header.id)),
            Some(id) => last.retain(|header| header.id == id),
        }
        if let Some(chain) = last.iter().rev().find_map(|last| chain(last, &all)) {
            return Ok(chain);
        }
        let what = wanted.map_or_else(
            || "a complete bundle that could be restored".to_owned(),
            |id| format!("the bundle of backup {id} with all that it builds on"),
        );
        Err(Error::new(
            CKR_ARGUMENTS_BAD,
            format!(
                "the backup token {} (serial {}) does not hold {what}",
                self.name(),
                self.serial
            ),
        ))
    }

    /// What should be on it: bundles that it holds, and those that the log says count there, of backups that have not ended.
    pub fn expected(&self) -> Result<Vec<BackupId>> {
        let (ledger, artefact) = (self.token.ledger()?, self.artefact());
        let there = self.bundles()?.into_iter().filter(|(_, it)| it.has_index());
        let mut ids: Vec<BackupId> = there.map(|(id, _)| id).collect();
        let counting = ledger.backups().iter().filter(|backup| {
            backup.state() == State::Committed
                && backup.counting().any(|made| made.artefact == artefact)
        });
        ids.extend(counting.map(|backup| backup.id));
        ids.retain(|id| !self.has_ended(*id));
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The headers of the bundles that were written to their end. One that can't be read is told and passed over.
    fn headers(&self) -> Result<Vec<Header>> {
        let mut headers = Vec::new();
        for (id, pieces) in self.bundles()? {
            if !pieces.has_index() {
                continue;
            }
            let source = self.bundle(id);
            let header = source.open().and_then(|mut from| {
                let header = Bundle::open(&mut *from)?.header().clone();
                if header.id == id { Ok(header) } else { Err(broken("it is of another backup")) }
            });
            match header {
                Ok(header) => headers.push(header),
                Err(error) if error.rv.0 == CKR_DATA_INVALID => {
                    log::error!("backup token {}, backup {id}: {error}", self.name());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(headers)
    }

    fn has_ended(&self, id: BackupId) -> bool {
        let ledger = self.token.ledger();
        ledger.is_ok_and(|ledger| ledger.backup(id).is_some_and(|backup| backup.ended.is_some()))
    }

    /// Removes what interrupted runs left, what was given up, and bundles whose place a newer complete one has taken. A backup
    /// whose only bundle goes counts no more, and the log says so first.
    ///
    /// What the log doesn't know stays: it may be newer than a log that was restored.
    pub fn tidy(&self) -> Result {
        let ledger = self.token.ledger()?;
        let newest = self.newest(&ledger)?;
        for (id, pieces) in self.bundles()? {
            let newest = newest.as_ref().map(|(backup, made)| (backup, made));
            if !self.is_done_with(&ledger, id, &pieces, newest) {
                continue;
            }
            let name = self.name();
            let why = match newest {
                Some((newer, _)) if pieces.has_index() => {
                    format!("its bundle on {name} made room for that of backup {}", newer.id)
                }
                _ => format!("its bundle on {name} is not whole any more"),
            };
            self.token.end_where_only(&self.artefact(), Some(id), &why)?;
            self.clear(id)?;
        }
        Ok(())
    }

    /// The newest complete backup on it that counts.
    fn newest(&self, ledger: &Ledger) -> Result<Option<(Backup, Made)>> {
        let (ring, artefact) = (self.token.paired()?, self.artefact());
        let held = self.bundles()?;
        let complete = |backup: &Backup| {
            let made = backup.counting().find(|made| {
                made.artefact == artefact
                    && made.since == 0
                    && made.selection.is_none()
                    && stands(ledger, &ring.ring, backup, made).is_ok()
            })?;
            held.get(&backup.id).is_some_and(Pieces::has_index).then(|| made.clone())
        };
        let found = ledger
            .backups()
            .iter()
            .rev()
            .find_map(|backup| Some((backup.clone(), complete(backup)?)));
        Ok(found)
    }

    /// True if nobody needs a bundle any more.
    fn is_done_with(
        &self,
        ledger: &Ledger,
        id: BackupId,
        pieces: &Pieces,
        newest: Option<(&Backup, &Made)>,
    ) -> bool {
        let Some(backup) = ledger.backup(id) else { return !pieces.has_index() };
        if !pieces.has_index() || backup.ended.is_some() {
            return true;
        }
        let (Some(committed), Some((newest, made))) = (backup.committed, newest) else {
            return false;
        };
        // What the newer one had to leave out the older one may hold.
        let holds = |older: &Made| {
            let standing = Standing::of(backup, committed, older);
            made.left_out.iter().any(|(id, _)| {
                // What can't be told now is kept.
                self.token
                    .shelf
                    .by_id(*id)
                    .map_or(true, |known| known.is_some_and(|it| standing.has(*id, it.object.born)))
            })
        };
        let artefact = self.artefact();
        backup.prepared.position < newest.prepared.position
            && !backup.made.iter().filter(|made| made.artefact == artefact).any(holds)
    }
}

impl Token {
    /// Ends committed backups that nothing but a token holds, one or all: what is on it goes.
    fn end_where_only(&self, on: &Artefact, id: Option<BackupId>, why: &str) -> Result {
        let ledger = self.ledger()?;
        let only = |backup: &&Backup| {
            backup.state() == State::Committed
                && id.is_none_or(|id| backup.id == id)
                && backup.counting().next().is_some()
                && backup.counting().all(|made| made.artefact == *on)
        };
        ledger
            .backups()
            .iter()
            .filter(only)
            .try_for_each(|backup| self.end_backup(backup, why).map(drop))
    }

    /// Before a backup token is wiped: an error if it can't be reached, and what only it holds counts no more.
    pub(crate) fn part_with_vault(self: &Arc<Self>, name: &str, pin: &Secret) -> Result {
        if !self.is_vault(name) {
            return Ok(());
        }
        let vault = self.open_vault(Some(pin), name)?;
        let _turn = self.backup_turn()?;
        self.end_where_only(&vault.artefact(), None, &format!("its bundle on {name} was wiped"))
    }
}

/// A bundle and those that it builds on, oldest first; `None` if one of them is not there.
fn chain(last: &Header, all: &[Header]) -> Option<Vec<Header>> {
    let mut chain = vec![last.clone()];
    let mut first = last;
    while first.since > 0 {
        let base = first.base?;
        // A base is older than what is built on it, so this ends.
        first = all.iter().find(|it| it.id == base && it.to < first.to && it.whole)?;
        chain.push(first.clone());
    }
    chain.reverse();
    Some(chain)
}
