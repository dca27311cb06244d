//! A member with a session open on it: where the engine's own work on a member is done.

use crate::fault::{Answer, Call, Fault};
use crate::found::{Life, Spot};
use crate::member::{Member, SessionId};
use tandem_values::{Handle, ck::*};

/// A member and a session of ours with it, logged in as the user unless said otherwise.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The member.
    pub member: &'a dyn Member,
    /// The session.
    pub session: SessionId,
    /// The life of the handles that are found in it.
    pub life: Life,
}

impl<'a> Desk<'a> {
    /// A desk at this member.
    pub fn new(member: &'a dyn Member, session: SessionId) -> Self {
        Self { member, session, life: Life::default() }
    }

    /// Opens a session of its own; [`Desk::leave`] closes it.
    pub fn open(member: &'a dyn Member, writes: bool) -> Answer<Self> {
        Ok(Self::new(member, member.open(writes)?))
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
