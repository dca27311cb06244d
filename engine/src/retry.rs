//! What a member could not take is tried again: at every login and when the member is back, and in between after so many
//! new records, twice as many each time. A member that was full has room again, one that refused to delete deletes.

use crate::carry;
use crate::error::Result;
use crate::fault::Answer;
use crate::follow::{Exception, Follower, Taken, ill_or_lost};
use crate::log::{Following, Lease as Writing, Position};
use crate::object::ObjectId;
use crate::prove::{Failure, says_beyond};
use crate::station::Station;
use crate::token::Token;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_values::Template;

/// The most records that a member's exceptions wait for.
const RECORDS_MAX: Position = 1_024;

/// When a member's exceptions are due again. Nothing at first: at once.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    due: Position,
    records: Position,
}

impl Patience {
    /// True if they are to be tried with the log at this position.
    pub(crate) const fn is_over(&self, head: Position) -> bool {
        self.due <= head
    }

    /// Some are left: they wait twice as long as before.
    fn grow(&mut self, head: Position) {
        self.records = self.records.saturating_mul(2).clamp(1, RECORDS_MAX);
        self.due = head.saturating_add(self.records);
    }
}

impl Token {
    /// Has every member try again what it could not take, at its next look at the log.
    pub(crate) fn try_again(&self) {
        for station in &self.stations {
            station.try_again_at_once();
        }
    }

    /// True if a member's exceptions are due.
    pub(crate) fn is_due(&self, station: &Station, following: &Following) -> bool {
        station.patience.lock().is_over(following.position)
            && self.may_be_taken(station, following).next().is_some()
    }

    /// The exceptions of which something may come: not of what was adopted, and so is where it is for good, and not of what is
    /// still beyond the member.
    fn may_be_taken<'a>(
        &'a self,
        station: &'a Station,
        following: &'a Following,
    ) -> impl Iterator<Item = &'a (ObjectId, String)> {
        // What is told of one is so of each other of which the same is told.
        let mut beyond = BTreeMap::new();
        following.exceptions.iter().filter(move |(id, reason)| {
            let entry = || self.shelf.by_id(*id).ok().flatten();
            if let Some(why) = says_beyond(reason) {
                let is_still = || {
                    entry().is_some_and(|it| self.beyond(station, &it.object.template).is_some())
                };
                return !*beyond.entry(why).or_insert_with(is_still);
            }
            entry().is_none_or(|entry| {
                let holders = entry.object.holders.as_ref();
                holders.is_none_or(|holders| holders.iter().any(|it| it == station.name()))
            })
        })
    }

    /// Tries every exception of a member again. The inner fault is one that stops the follower.
    pub(crate) fn take_exceptions(
        &self,
        follower: &mut Follower<'_>,
        writing: &mut dyn Writing,
        exceptions: &mut Vec<Exception>,
    ) -> Result<Answer> {
        let following = writing.following()?;
        if !self.is_due(follower.station, &following) {
            return Ok(Ok(()));
        }
        follower.look_first = true;
        let mut left = false;
        let station = Arc::clone(follower.station);
        for (id, reason) in self.may_be_taken(&station, &following) {
            follower.progress.step();
            let taken = self.take_again(follower, *id, reason)?;
            if let Some(fault) = ill_or_lost(&taken)
                && !self.is_well(&follower.desk)
            {
                return Ok(Err(fault));
            }
            match taken {
                Ok(()) => {
                    writing.resolve(*id)?;
                    log::info!("member {}: object {id} is in order now", follower.station.name());
                }
                Err(failure) => {
                    writing.except(*id, &failure.to_string())?;
                    if matches!(failure, Failure::Beyond(_)) {
                        continue;
                    }
                    left = true;
                    exceptions.push(Exception { id: *id, failure });
                }
            }
        }
        let mut patience = follower.station.patience.lock();
        if left {
            patience.grow(following.position);
        }
        Ok(Ok(()))
    }

    /// Takes an object again as it now is, or its deletion.
    fn take_again(&self, follower: &Follower<'_>, id: ObjectId, reason: &str) -> Result<Taken> {
        self.shelf.refresh()?;
        if crate::prove::says_left(reason)
            && let Err(failure) = self.sweep(follower, id)?
        {
            return Ok(Err(failure));
        }
        let Some(entry) = self.shelf.by_id(id)? else {
            return self.take_destroyed(follower, id, Position::MAX);
        };
        let object = &entry.object;
        let wrapped = match object.kek {
            Some(_) => self.wrapped(object).ok(),
            None => None,
        };
        if let Err(failure) = self.bring(follower, object, wrapped.as_ref()) {
            return Ok(Err(failure));
        }
        self.take_changes_again(follower, id)
    }

    /// Sets what was changed since an object was made, where its replica shows something else.
    fn take_changes_again(&self, follower: &Follower<'_>, id: ObjectId) -> Result<Taken> {
        let seal = self.seal()?;
        let mut changes = Template::new();
        for record in self.journal.about(&seal, id)? {
            if let Some(event) = record.event()
                && let Some(template) = event.sets()
            {
                changes.merge(template);
            }
        }
        let Some(handle) = follower.station.replica(follower.desk.life, id) else {
            return Ok(Ok(()));
        };
        let shown = changes.filtered(|kind| !carry::is_catalogue_only(kind));
        match crate::prove::compare(&follower.desk, handle, &shown) {
            Ok(()) => Ok(Ok(())),
            Err(_) => self.take_changed(follower, id, &changes, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_wait_twice_as_long_each_time_and_not_for_ever() {
        let mut patience = Patience::default();
        let mut head = 7;
        assert!(patience.is_over(head));
        for records in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_024] {
            patience.grow(head);
            assert!(!patience.is_over(head + records - 1) && patience.is_over(head + records));
            head += records;
        }
    }
}
