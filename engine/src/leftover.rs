//! Wrapped bytes that are in the log still though they should be gone. A process erases what it takes for the last ones of
//! an object; another may have put new ones there, or destroyed the object, of which it could not know yet.

use crate::error::Result;
use crate::event::Event;
use crate::log::Position;
use crate::object::ObjectId;
use crate::token::Token;

impl Token {
    /// Erases an object's wrapped bytes but for the last ones, and those too if it is destroyed. Whoever wrote what makes
    /// them superfluous does so at once, and every follower that comes there again: the writer may have died.
    pub(crate) fn erase_superseded(&self, id: ObjectId) -> Result {
        let left = self.superseded(id)?;
        if left.is_empty() { Ok(()) } else { self.journal.erase(&left) }
    }

    /// The same, where what was asked is done already and what is left now goes later.
    pub(crate) fn erase_superseded_now(&self, id: ObjectId) {
        if let Err(error) = self.erase_superseded(id) {
            log::warn!("object {id}: earlier wrapped bytes are not erased yet: {error}");
        }
    }

    /// The records that hold wrapped bytes of an object in vain, by the sealed ones.
    fn superseded(&self, id: ObjectId) -> Result<Vec<Position>> {
        let records = self.journal.about(&self.seal()?, id)?;
        let (mut holding, mut last, mut gone) = (Vec::new(), None, false);
        for record in records {
            let at = record.position;
            gone |= matches!(record.event(), Some(Event::Destroyed(_)));
            if record.wrapped.is_some() {
                holding.push(at);
                last = Some(at);
            }
        }
        Ok(holding.into_iter().filter(|at| gone || Some(*at) != last).collect())
    }
}
