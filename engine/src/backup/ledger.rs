//! The ledger: every backup that was ever begun, folded from the log.

use super::words::{BackupId, Made};
use crate::event::{Event, Record};
use crate::log::Position;

/// When something was written, and where in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The record's position.
    pub position: Position,
    /// Its time, in milliseconds since the Unix epoch; for people.
    pub at_ms: u64,
}

impl Moment {
    pub(crate) fn of(record: &Record) -> Self {
        Self { position: record.position, at_ms: record.at_ms }
    }
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its position is frozen.
    Prepared,
    /// It has artefacts.
    Made,
    /// It counts.
    Committed,
    /// It was given up before it counted.
    RolledBack,
    /// It counted, and does no longer.
    Withdrawn,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its identity.
    pub id: BackupId,
    /// Where it was begun: everything up to there is meant.
    pub prepared: Moment,
    /// What it was put on.
    pub made: Vec<Made>,
    /// Where it was committed.
    pub committed: Option<Moment>,
    /// Where it was rolled back or withdrawn, and why.
    pub ended: Option<(Moment, String)>,
}

impl Backup {
    /// How far it is.
    pub fn state(&self) -> State {
        match (&self.ended, &self.committed) {
            (Some(_), Some(_)) => State::Withdrawn,
            (Some(_), None) => State::RolledBack,
            (None, Some(_)) => State::Committed,
            (None, None) if self.made.is_empty() => State::Prepared,
            (None, None) => State::Made,
        }
    }

    /// True while it may be made, committed or rolled back.
    pub fn is_open(&self) -> bool {
        matches!(self.state(), State::Prepared | State::Made)
    }

    /// Its artefacts that count once it is committed: verified, or on the operator's word.
    pub fn counting(&self) -> impl Iterator<Item = &Made> {
        self.made.iter().filter(|made| made.verified || made.is_on_word())
    }
}

/// Every backup, in the order in which they were begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    backups: Vec<Backup>,
    /// The last record that somebody has changed: it may have withdrawn any backup before it.
    broken: Position,
    /// How often the log was taken for the true one against what members knew.
    era: u64,
}

impl Ledger {
    /// Takes in what a sound record says.
    pub(crate) fn take(&mut self, record: &Record, event: &Event) {
        let moment = Moment::of(record);
        match event {
            Event::BackupPrepared(id) => self.backups.push(Backup {
                id: *id,
                prepared: moment,
                made: Vec::new(),
                committed: None,
                ended: None,
            }),
            Event::BackupMade(made) => {
                if let Some(backup) = self.open_mut(made.id) {
                    backup.made.push((**made).clone());
                }
            }
            Event::BackupCommitted(id) => {
                if let Some(backup) = self.open_mut(*id) {
                    backup.committed = Some(moment);
                }
            }
            Event::BackupEnded { id, reason } => {
                let found = self.backups.iter_mut().find(|backup| backup.id == *id);
                if let Some(backup) = found.filter(|backup| backup.ended.is_none()) {
                    backup.ended = Some((moment, reason.clone()));
                }
            }
            Event::Accepted(era) => self.era = self.era.max(*era),
            _ => {}
        }
    }

    /// Takes in that a record was changed by somebody.
    pub(crate) fn distrust(&mut self, position: Position) {
        self.broken = self.broken.max(position);
    }

    /// Takes in that the log may not be the whole log, or may be another: records that are not in it may have withdrawn any
    /// backup.
    pub(crate) fn distrust_all(&mut self) {
        self.distrust(Position::MAX);
    }

    /// The era of the log: head records of an earlier one are void.
    pub(crate) fn era(&self) -> u64 {
        self.era
    }

    fn open_mut(&mut self, id: BackupId) -> Option<&mut Backup> {
        self.backups.iter_mut().find(|backup| backup.id == id && backup.is_open())
    }

    /// Every backup, in the order in which they were begun.
    pub fn backups(&self) -> &[Backup] {
        &self.backups
    }

    /// A backup.
    pub fn backup(&self, id: BackupId) -> Option<&Backup> {
        self.backups.iter().find(|backup| backup.id == id)
    }

    /// The backup that is prepared and neither committed nor rolled back.
    pub fn open(&self) -> Option<&Backup> {
        self.backups.iter().rev().find(|backup| backup.is_open())
    }

    /// Why it can't be told from the log whether a backup was withdrawn; `Ok` if it can.
    pub(crate) fn is_trusted(&self, backup: &Backup) -> Result<(), String> {
        if backup.committed.is_some_and(|committed| committed.position > self.broken) {
            return Ok(());
        }
        Err(match self.broken {
            Position::MAX => "a member knows of another log than this, which may have withdrawn it",
            _ => "a record of the log after it was changed by somebody, and may have withdrawn it",
        }
        .into())
    }
}
