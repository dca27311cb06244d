//! Copies that failed their proof: never used, and not left lying about under the key's name.

use crate::carry;
use crate::desk::Desk;
use crate::error::Result;
use crate::fault::{Answer, Call, Fault};
use crate::follow::{Follower, Taken, destroy_surely};
use crate::log::Position;
use crate::object::{Object, ObjectId};
use crate::prove::Failure;
use crate::replica::is_hidden;
use crate::token::Token;
use tandem_values::{Handle, ck::*};

impl Token {
    /// Removes a copy that has just failed its proof. Answers what is to be told: that it failed, and that it is still there.
    pub(crate) fn discard(
        follower: &Follower<'_>,
        object: &Object,
        handle: Handle,
        failure: Failure,
    ) -> Failure {
        let station = follower.station;
        match destroy_surely(&follower.desk, handle, Some(object)) {
            Ok(()) => {
                station.set_stray(follower.desk.life, object.id, None);
                failure
            }
            Err(fault) => {
                station.set_stray(follower.desk.life, object.id, Some(handle));
                Failure::Left(Box::new(failure), fault)
            }
        }
    }

    /// Removes the copy that an exception says was left.
    pub(crate) fn sweep(&self, follower: &Follower<'_>, id: ObjectId) -> Result<Taken> {
        let Some(object) = self.last_known(id, Position::MAX)? else { return Ok(Ok(())) };
        let found = match follower.station.stray(follower.desk.life, id) {
            Some(handle) => Ok(Some(handle)),
            None => self.find_stray(follower, &object),
        };
        let swept = found.and_then(|stray| match stray {
            Some(handle) => destroy_surely(&follower.desk, handle, Some(&object)),
            None => Ok(()),
        });
        Ok(match swept {
            Ok(()) => {
                follower.station.set_stray(follower.desk.life, id, None);
                Ok(())
            }
            Err(fault) => Err(Failure::Left(
                Box::new(Failure::Different("the copy of it there failed its proof".into())),
                fault,
            )),
        })
    }

    /// The copy that another process left: the one object of this name and class that is no object of the log.
    fn find_stray(&self, follower: &Follower<'_>, object: &Object) -> Answer<Option<Handle>> {
        let desk = &follower.desk;
        let search = carry::search(object);
        // Which copy is nobody's can't be told now.
        let Ok(namesakes) = self.shelf.find(&search) else { return Ok(None) };
        let mut strays = Vec::new();
        for candidate in desk.member.find(desk.session, &search)? {
            let ours = is_hidden(desk, candidate)?
                || follower.station.is_replica(desk.spot(candidate))
                || self.is_one_of(desk, candidate, object, &namesakes)?;
            if !ours {
                strays.push(candidate);
            }
        }
        match strays.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(*only)),
            // Which of them is ours nobody can tell, and the others may be somebody's keys.
            _ => Err(Fault::new(Call::Find, CKR_ACTION_PROHIBITED)),
        }
    }

    fn is_one_of(
        &self,
        desk: &Desk<'_>,
        candidate: Handle,
        object: &Object,
        namesakes: &[std::sync::Arc<crate::shelf::Entry>],
    ) -> Answer<bool> {
        let others = namesakes.iter().map(|entry| &entry.object);
        for known in std::iter::once(object).chain(others) {
            match self.prove_in_place(desk, candidate, known) {
                Ok(()) => return Ok(true),
                // It can't be told: then it is left alone.
                Err(Failure::Fault(fault)) if fault.class != crate::fault::Class::Refused => {
                    return Err(fault);
                }
                Err(_) => {}
            }
        }
        Ok(false)
    }
}
