//! The chain of a bundle's records: none may be missing, changed, or of another log.

use super::bundle::{Header, Part, broken};
use crate::error::Result;
use crate::event::Hash;
use crate::log::Position;
use crate::seal::Seal;

/// Follows the chain of a bundle's records.
pub(crate) struct Chain<'a> {
    seal: &'a Seal,
    at: Position,
    link: Hash,
    to: Position,
    /// A stub stands for all that is before it.
    skips: bool,
}

impl<'a> Chain<'a> {
    /// From where a bundle begins.
    pub(crate) fn of(header: &Header, seal: &'a Seal) -> Self {
        Self { seal, at: header.since, link: header.link, to: header.to, skips: header.names }
    }

    /// The next part must be the next record, or stand for it. Answers its position and link.
    pub(crate) fn follow(&mut self, part: &Part) -> Result<(Position, Hash)> {
        let may_skip = self.skips && matches!(part, Part::Stub { .. });
        let (position, link, holds) = match part {
            Part::Record(record) => {
                (record.position, record.link, self.seal.holds(record, &self.link))
            }
            Part::Stub { position, link, mac } => (*position, *link, self.seal.sign(link) == *mac),
            Part::Header(_) | Part::Trailer(_) => return Err(broken("its parts are out of order")),
        };
        let next = self.at.saturating_add(1);
        let follows = position == next || (may_skip && position > next);
        if !follows || position > self.to {
            return Err(broken(&format!("record {next} is missing in it")));
        }
        if !holds {
            return Err(broken(&format!(
                "record {position} in it is not as it was written, or another key ring's"
            )));
        }
        (self.at, self.link) = (position, link);
        Ok((position, link))
    }

    /// Nothing may be missing at the end.
    pub(crate) fn end(&self) -> Result {
        if self.at == self.to {
            return Ok(());
        }
        Err(broken(&format!("its last records are missing, from {}", self.at.saturating_add(1))))
    }
}
