//! Where bundles come from, and how several of them make one log.

use super::bundle::{Bundle, Header, Part, broken};
use super::chain::Chain;
use crate::error::Result;
use crate::event::Record;
use crate::ring::Ring;
use crate::seal::Seal;
use std::io::Read;

/// Something that holds a bundle.
pub trait Source {
    /// The bundle's bytes, each time from their beginning.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
}

/// A complete bundle and what builds on it, in order.
pub(crate) struct Sources<'a> {
    sources: &'a [&'a dyn Source],
    headers: Vec<Header>,
}

impl<'a> Sources<'a> {
    /// Reads the headers of some bundles, which must come one after the other.
    pub(crate) fn of(sources: &'a [&'a dyn Source]) -> Result<Self> {
        let mut headers: Vec<Header> = Vec::with_capacity(sources.len());
        for source in sources {
            let mut from = source.open()?;
            let header = Bundle::open(&mut *from)?.header().clone();
            if let Some(before) = headers.last() {
                if before.ring.id != header.ring.id {
                    return Err(broken("the bundles are of two key rings"));
                }
                if header.since > before.to || header.to <= before.to {
                    return Err(broken(&format!(
                        "backup {} begins after position {} and the one before it ends at {}: give the bundle between them, oldest first",
                        header.id, header.since, before.to
                    )));
                }
            }
            headers.push(header);
        }
        Ok(Self { sources, headers })
    }

    /// The first bundle's header. CKR_DATA_INVALID if there is none.
    pub(crate) fn first(&self) -> Result<&Header> {
        self.headers.first().ok_or_else(|| broken("there is none"))
    }

    /// The last bundle's header: how far they reach.
    pub(crate) fn last(&self) -> Result<&Header> {
        self.headers.last().ok_or_else(|| broken("there is none"))
    }

    /// The ring, as each of them tells of it.
    pub(crate) fn rings(&self) -> Vec<&Ring> {
        self.headers.iter().map(|header| &*header.ring).collect()
    }

    /// True if they hold all records from the log's beginning.
    pub(crate) fn are_whole(&self) -> bool {
        self.headers.first().is_some_and(|first| first.since == 0)
            && self.headers.iter().all(|header| header.whole)
    }

    /// Visits every record, in order and each once, with the bundles held against their seals.
    pub(crate) fn each(&self, seal: &Seal, visit: &mut dyn FnMut(Record) -> Result) -> Result {
        // Up to where records were visited, and the link where the next bundle begins, as the ones before have it.
        let (mut reached, mut joint) = (0, None);
        for (at, (source, header)) in self.sources.iter().zip(&self.headers).enumerate() {
            let next = self.headers.get(at.saturating_add(1)).map(|next| next.since);
            if joint.is_some_and(|link| link != header.link) {
                return Err(broken(&format!(
                    "backup {} is of another history of this log than the one before it",
                    header.id
                )));
            }
            joint = None;
            let mut from = source.open()?;
            let mut bundle = Bundle::open(&mut *from)?;
            if bundle.header() != header {
                return Err(broken("it changed while it was read"));
            }
            let mut chain = Chain::of(header, seal);
            while let Some(part) = bundle.advance()? {
                let (position, link) = chain.follow(&part)?;
                if next == Some(position) {
                    joint = Some(link);
                }
                if let Part::Record(record) = part
                    && position > reached
                {
                    visit(*record)?;
                }
            }
            chain.end()?;
            if !bundle.is_witnessed(seal) {
                return Err(broken("its seal is not ours"));
            }
            reached = header.to;
        }
        Ok(())
    }
}
