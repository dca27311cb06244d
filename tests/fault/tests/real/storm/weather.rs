//! What befalls the members: one at a time, so that another always works.

use crate::common::World;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a member is in trouble.
const TROUBLE: Duration = Duration::from_millis(900);
/// How long a member is well at least before another is in trouble.
const RESPITE: Duration = Duration::from_millis(300);
/// By when a member must be back after its trouble: longer than any back-off that these troubles lead to.
const RECOVERY: Duration = Duration::from_secs(30);

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
        sleep(RESPITE);
        wait_for(world, member);
        blows += 1;
    }
    blows
}

/// Waits until a member that went down is up again.
fn wait_for(world: &World, member: &str) {
    let until = Instant::now() + RECOVERY;
    while is_down(&world.demo.log(), member) {
        assert!(Instant::now() < until, "member {member} does not come back");
        sleep(Duration::from_millis(20));
    }
}

fn is_down(log: &str, member: &str) -> bool {
    let about = |what: &str| log.rfind(&format!("member {member} {what}"));
    about("is down").max(about("has forgotten us")) > about("is up again")
}
