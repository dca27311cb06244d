//! A call that is left behind in the session in which an application's session makes its keys: the next is made in another.

use crate::common::{World, again};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::Session;
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind, Made, P256};
use tandem_tests::{Demo, application};

/// For longer than this no call is waited for, in milliseconds.
const DEADLINE: u64 = 400;

/// A key pair of the session's, in one's own home on the member.
fn pair(session: &Session) -> Made {
    let public =
        [Attribute::Token(false), Attribute::Verify(true), Attribute::EcParams(P256.to_vec())];
    let private = [Attribute::Token(false), Attribute::Sign(true), Attribute::Sensitive(true)];
    let (public, key) = session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .expect("a key of the session's");
    Made { key, public: Some(public) }
}

/// With one member, whose wrapping takes too long once: when so much of the time is used up that little is said of the member by it.
pub(super) fn behind(demo: &Demo) {
    let world = World::around(again(demo));
    world.deadline_ms(DEADLINE);
    let (_application, session) = application();
    let before = pair(&session);
    world.script("a", "at C_GetAttributeValue 1 delay 250\nat C_WrapKey 1 delay 1500");
    Kind::P256.make(&session, "late").expect_err("nothing within the deadline");

    let until = Instant::now() + Duration::from_secs(20);
    while let Err(error) = Kind::P256.make(&session, "next") {
        assert!(Instant::now() < until, "no key is made in this session any more: {error}");
        thread::sleep(Duration::from_millis(100));
    }
    // What lived in the session that was left is brought to the next.
    let public = Kind::P256.public(&session, before).expect("a public key");
    let signature = Kind::P256.work(&session, before).expect("a signature");
    assert!(public.verifies(&DIGEST, &signature));
}
