//! What befalls the members: one at a time, so that another always works.

use crate::common::World;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a member is in trouble, and then well.
const TROUBLE: Duration = Duration::from_millis(900);
/// After which a member that was in trouble is surely back: the first back-off is a second and a tenth at most.
const RECOVERY: Duration = Duration::from_millis(1_500);

/// What can befall a member.
const BLOWS: [&str; 8] = [
    "return CKR_DEVICE_ERROR",
    "hang",
    "every C_Sign 3 return-after CKR_GENERAL_ERROR",
    "every 20 lose-sessions",
    "C_Sign hang\nC_SignFinal hang",
    "every 10 return CKR_DEVICE_REMOVED",
    "every 40 lose-login",
    "C_SignUpdate return CKR_SESSION_HANDLE_INVALID\nC_EncryptUpdate return CKR_DEVICE_ERROR",
];

/// Strikes one member after the other until then. Answers how often.
pub(crate) fn until(world: &World, until: Instant) -> usize {
    let members = world.members();
    let mut blows = 0;
    while Instant::now() < until {
        let member = members[blows % members.len()];
        world.script(member, BLOWS[(blows / members.len()) % BLOWS.len()]);
        sleep(TROUBLE);
        world.script(member, "");
        sleep(RECOVERY);
        blows += 1;
    }
    blows
}
