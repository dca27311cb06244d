//! The way out of a doubt: the log as it stands is the true one. A restore says so of a log that it has filled, and an
//! operator of one that nothing else is left of.

use super::report::HeadReport;
use super::shelved::Shelved;
use crate::error::Result;
use crate::event::Event;
use crate::journal::{ALWAYS, Entry};
use crate::recovery::Reached;
use crate::ring::Ring;
use crate::seal::Seal;
use crate::token::{Token, note};

/// What accepting a log came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// False if no member knew of another log: nothing was changed.
    pub changed: bool,
    /// The members' head records as they are now.
    pub heads: Vec<HeadReport>,
}

impl Token {
    /// Takes the log as it is for the true one, whatever the members know: their head records are written anew. Needs a
    /// login.
    pub fn accept_log(&self) -> Result<Accepted> {
        let heads = self.heads()?;
        let changed = self.review()?.is_some();
        if changed {
            let known = heads.iter().filter_map(|report| report.record).map(|record| record.era);
            // What is missing at the log's end may be claims.
            self.doubt_stock(self.store.head()?.position)?;
            self.overrule(known.max().unwrap_or_default())?;
            self.catch_up();
        }
        self.look_at_heads();
        self.tell_heads(true);
        Ok(Accepted { changed, heads: self.heads()? })
    }

    /// Ends a restore: if the log was filled, or members knew another, it is the true one from here on.
    pub(crate) fn settle_heads(&self, reached: &[Reached], ring: &Ring, seal: &Seal) -> Result {
        *self.seal.write() = Some(seal.clone());
        self.take_in_log()?;
        let mut era = 0;
        let mut is_other = self.store.note(note::RESTORING)?.is_some() || self.review()?.is_some();
        for member in reached {
            // One that doesn't answer is brought in later, or not at all.
            let Ok(shelved) = Shelved::read(&member.lease.desk(), seal, &ring.id) else {
                continue;
            };
            if let Some(record) = shelved.last() {
                era = era.max(record.era);
                is_other |= self.weigh(member.station.name(), record)?.is_some();
            }
        }
        if is_other {
            self.overrule(era)?;
        }
        Ok(self.store.set_note(note::RESTORING, None)?)
    }

    /// Begins a new era of the log, after this one that members know.
    fn overrule(&self, known: u64) -> Result {
        self.shelf.refresh()?;
        let doubted = self.review()?.map_or(0, |doubt| doubt.record.era);
        let era = self.shelf.ledger().era().max(known).max(doubted).saturating_add(1);
        self.draw_back()?;
        let entry = Entry::from(Event::Accepted(era));
        // The one record that is put into a log in doubt.
        let append = (&[entry][..], &[][..]);
        self.journal.append(&self.seal()?, self.site()?, append, ALWAYS)?;
        self.shelf.refresh()?;
        self.dispel()
    }

    /// Followers that were further than the log reaches go on from its end: what comes next is new to them.
    fn draw_back(&self) -> Result {
        let head = self.store.head()?.position;
        for station in &self.stations {
            let name = station.name();
            if self.store.following(name)?.position <= head {
                continue;
            }
            let mut writing = self.alone_at(name)?;
            writing.advance(head)?;
        }
        Ok(())
    }
}
