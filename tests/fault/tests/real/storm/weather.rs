//! What befalls the members: one at a time, so that another always works.

use crate::common::{Harm, World};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a member is in trouble.
const TROUBLE: Duration = Duration::from_millis(900);
/// How long a member is well at least before another is in trouble.
const RESPITE: Duration = Duration::from_millis(300);

/// What can befall a member.
#[derive(Clone, Copy)]
pub(crate) enum Blow {
    /// It fails by this script.
    Script(&'static str),
    /// The processes that serve it are harmed.
    Harm(Harm),
}

/// What befalls a member in this process.
pub(crate) const NEAR: &[Blow] = &[
    Blow::Script("return CKR_DEVICE_ERROR"),
    Blow::Script("hang"),
    Blow::Script("every C_Sign 3 return-after CKR_GENERAL_ERROR"),
    Blow::Script("every 20 lose-sessions"),
    Blow::Script("C_Sign hang\nC_SignFinal hang"),
    Blow::Script("every 10 return CKR_DEVICE_REMOVED"),
    Blow::Script("every 40 lose-login"),
    Blow::Script(
        "C_SignUpdate return CKR_SESSION_HANDLE_INVALID\nC_EncryptUpdate return CKR_DEVICE_ERROR",
    ),
];

/// What befalls a member in another process.
pub(crate) const REMOTE: &[Blow] = &[
    Blow::Harm(Harm::Killed),
    Blow::Harm(Harm::Stopped),
    Blow::Harm(Harm::Gone),
    Blow::Harm(Harm::Deaf),
];

impl Blow {
    fn fall(self, world: &World, member: &str) {
        match self {
            Self::Script(text) => world.script(member, text),
            Self::Harm(harm) => world.server(member).harm(harm),
        }
    }

    fn pass(self, world: &World, member: &str) {
        match self {
            Self::Script(_) => world.script(member, ""),
            Self::Harm(harm) => world.server(member).mend(harm),
        }
    }
}

/// Strikes one member after the other until then, with one blow after the other. Answers how often.
pub(crate) fn until(world: &World, falls: &[Blow], until: Instant) -> usize {
    let members = world.members();
    let mut blows = 0;
    while Instant::now() < until {
        let member = members[blows % members.len()];
        let blow = falls[(blows / members.len()) % falls.len()];
        blow.fall(world, member);
        sleep(TROUBLE);
        blow.pass(world, member);
        sleep(RESPITE);
        world.wait_for(member);
        blows += 1;
    }
    blows
}
