//! What members know of the log's end, for operators.

use super::doubt::Doubt;
use super::record::HeadRecord;
use crate::backup::Anchor;
use crate::error::Result;
use crate::joining::unwell;
use crate::station::Station;
use crate::token::{Token, note};
use std::sync::Arc;

/// How the log stands to a member's head record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The log bears it out.
    Holds,
    /// The log ends before.
    CutShort,
    /// The log has another record at its position.
    OtherHistory,
    /// It is of an earlier era, and is written anew.
    Overruled,
    /// Nobody has told the member yet.
    None,
    /// The member holds something under its label that somebody has changed.
    Broken,
    /// The member can't hold one: why.
    Unable(String),
    /// The member can't be asked: why.
    Away(String),
}

impl Head {
    /// True if it says that the log is not the whole log, or another.
    pub const fn is_against(&self) -> bool {
        matches!(self, Self::CutShort | Self::OtherHistory)
    }
}

/// A member's head record, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadReport {
    /// The member.
    pub member: String,
    /// How the log stands to it.
    pub head: Head,
    /// What it says, if there is one.
    pub record: Option<HeadRecord>,
}

impl Token {
    /// Every member's head record, read anew and held against the log. Needs a login.
    pub fn heads(&self) -> Result<Vec<HeadReport>> {
        self.seal()?;
        self.members().map(|station| self.report_head(station)).collect()
    }

    fn report_head(&self, station: &Arc<Station>) -> Result<HeadReport> {
        let report = |head, record| HeadReport { member: station.name().to_owned(), head, record };
        if !station.is_ready() {
            return Ok(report(Head::Away(station.condition().1), None));
        }
        let ring = self.paired()?.ring.id;
        let shelved = match self.shelved(station, &ring) {
            Ok((_, shelved)) => shelved,
            Err(fault) => {
                station.judge(fault);
                return Ok(report(Head::Away(unwell(station.name(), fault).to_string()), None));
            }
        };
        let Some(record) = shelved.last() else {
            let why = self.store.note(&note::member(station.name(), note::HEADLESS))?;
            return Ok(report(
                match why {
                    _ if !shelved.broken.is_empty() => Head::Broken,
                    Some(why) => Head::Unable(String::from_utf8_lossy(&why).into_owned()),
                    None => Head::None,
                },
                None,
            ));
        };
        let doubt = self.weigh(station.name(), record)?;
        if let Some(doubt) = &doubt {
            self.raise(doubt);
        }
        Ok(report(self.stands(&record, doubt.as_ref()), Some(record)))
    }

    fn stands(&self, record: &HeadRecord, doubt: Option<&Doubt>) -> Head {
        match doubt.map(Doubt::anchor) {
            Some(Anchor::CutShort(_)) => Head::CutShort,
            Some(_) => Head::OtherHistory,
            None if record.era < self.shelf.ledger().era() => Head::Overruled,
            None => Head::Holds,
        }
    }
}
