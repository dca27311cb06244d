//! A member that comes back while another is being asked.

use crate::common::{World, again};
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Wanted, alone, initialised};

/// A member that takes so long to fail that the other, which is left alone for a second, is back before.
const SLOWLY_FAILING: &str = "C_SignInit delay 3000\nC_SignInit return CKR_DEVICE_ERROR";

#[test]
fn a_call_that_began_while_a_member_was_away_is_answered_by_it_when_it_is_back() {
    alone(&Wanted::mixed(), |demo| {
        let world = World::around(again(demo));
        let application = initialised();
        let session = world.log_in(&application);
        let kind = Kind::P256;
        let key = kind.make(&session, "p256").expect("a key");
        world.script("b", "return CKR_DEVICE_ERROR");
        let until = Instant::now() + Duration::from_secs(10);
        while world.is_up("b") {
            assert!(Instant::now() < until, "nobody has noticed that b is gone");
            kind.work(&session, key).expect("a signature");
        }
        world.script("a", SLOWLY_FAILING);
        world.script("b", "");
        let signature = kind.work(&session, key).expect("a signature");
        let public = kind.public(&session, key).expect("a public key");
        assert!(public.verifies(&DIGEST, &signature), "OpenSSL doesn't verify the signature");
        assert!(world.is_up("b") && !world.is_up("a"), "it was b that signed");
    });
}
