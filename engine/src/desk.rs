//! A member with a session open on it: where the engine's own work on a member is done.

use crate::fault::{Answer, Call, Fault};
use crate::found::{Life, Spot};
use crate::member::{Member, SessionId};
use crate::step::{Bytes, Output, Room, Step, Verb};
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_values::{Handle, Mechanism, ck::*};

/// A member and a session of ours with it, logged in as the user unless said otherwise.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The member.
    pub member: &'a dyn Member,
    /// The session.
    pub session: SessionId,
    /// The life of the handles that are found in it.
    pub life: Life,
    /// Where it is noted that something was left in the session, if others may get it afterwards.
    left: Option<&'a AtomicBool>,
}

impl<'a> Desk<'a> {
    /// A desk at this member.
    pub fn new(member: &'a dyn Member, session: SessionId) -> Self {
        Self { member, session, life: Life::default(), left: None }
    }

    /// Opens a session of its own; [`Desk::leave`] closes it.
    pub fn open(member: &'a dyn Member, writes: bool) -> Answer<Self> {
        Ok(Self::new(member, member.open(writes)?))
    }

    /// The same in a life of the member that is known.
    pub(crate) fn in_life(self, life: Life) -> Self {
        Self { life, ..self }
    }

    /// The desk of a session that is lent to others afterwards, unless something is left in it.
    pub(crate) fn lent(self, life: Life, left: &'a AtomicBool) -> Self {
        Self { left: Some(left), ..self.in_life(life) }
    }

    /// An operation in one part, with at most so many bytes of output.
    pub fn operate(
        &self,
        verb: Verb,
        mechanism: Mechanism,
        key: Handle,
        data: &[u8],
        room: usize,
    ) -> Answer<Bytes> {
        let init = Step::Init { verb, mechanism, key: Some(key), signature: None };
        let whole = Step::Whole(verb, data.into());
        let step = |step: &Step, room| self.member.step(self.session, step, room);
        match step(&init, Room::Query).and_then(|_| step(&whole, Room::Bytes(room))) {
            Ok(Output::Bytes(bytes)) => Ok(bytes),
            other => {
                self.end(verb);
                Err(other.err().unwrap_or_else(|| Fault::new(Call::Step, CKR_GENERAL_ERROR)))
            }
        }
    }

    /// Ends an operation that failed. It may have begun, and not ended: if it can't be ended either the session is not lent
    /// again, where it would be in the way of the next.
    pub fn end(&self, verb: Verb) {
        if self.member.cancel(self.session, verb).is_err() {
            self.leaves_something();
        }
    }

    /// Destroys an object that is of no use any more. A session object that stays goes with its session, which is not lent
    /// again.
    pub fn discard(&self, object: Handle) {
        if self.member.destroy(self.session, object).is_err() {
            self.leaves_something();
        }
    }

    fn leaves_something(&self) {
        if let Some(left) = self.left {
            left.store(true, Ordering::Relaxed);
        }
    }

    /// Closes the session. Its session objects go with it; that it may be gone already is no matter.
    pub fn leave(self) {
        let _ = self.member.close(self.session);
    }

    /// Asks whether the user is logged in there. A member that has forgotten our login finds nothing private, and one in
    /// whose place another token stands takes public objects: neither says so.
    pub fn check_login(&self) -> Answer {
        match self.member.state(self.session)? {
            CKS_RW_USER_FUNCTIONS | CKS_RO_USER_FUNCTIONS => Ok(()),
            _ => Err(Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN)),
        }
    }

    /// Where something stands that was found here.
    pub fn spot(&self, handle: Handle) -> Spot {
        Spot { life: self.life, handle }
    }

    /// The member's name.
    pub fn name(&self) -> &str {
        self.member.name()
    }
}
