//! A member with a session open on it: where the engine's own work on a member is done.

use crate::fault::Answer;
use crate::member::{Member, SessionId};

/// A member and a session of ours with it, logged in as the user unless said otherwise.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The member.
    pub member: &'a dyn Member,
    /// The session.
    pub session: SessionId,
}

impl<'a> Desk<'a> {
    /// A desk at this member.
    pub fn new(member: &'a dyn Member, session: SessionId) -> Self {
        Self { member, session }
    }

    /// Opens a session of its own; [`Desk::leave`] closes it.
    pub fn open(member: &'a dyn Member, writes: bool) -> Answer<Self> {
        Ok(Self { member, session: member.open(writes)? })
    }

    /// Closes the session. Its session objects go with it; that it may be gone already is no matter.
    pub fn leave(self) {
        let _ = self.member.close(self.session);
    }

    /// The member's name.
    pub fn name(&self) -> &str {
        self.member.name()
    }
}
