//! The last member that works, which forgets us again and again while many threads call.

use crate::common::{World, again};
use cryptoki::session::Session;
use tandem_tests::keys::{Kind, Made};
use tandem_tests::{Demo, Vendor, Wanted, alone, initialised};

/// How many threads call.
const THREADS: usize = 4;
/// How often each signs.
const ROUNDS: usize = 1_000;
/// So many calls are more than a login takes with the look at what SoftHSM holds that comes after it.
const FORGETFUL: &str = "every 300 lose-sessions";

#[test]
fn no_signature_fails_when_the_last_member_forgets_us() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::SoftHsm]), |demo| {
        forgotten(demo);
    });
}

#[test]
fn nor_when_that_is_kryoptic() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]), |demo| {
        forgotten(demo);
    });
}

/// Member `a` is away for good, and `b` forgets us.
fn forgotten(demo: &Demo) {
    let world = World::around(again(demo));
    let application = initialised();
    let session = world.log_in(&application);
    let key = Kind::P256.make(&session, "p256").expect("a key");
    world.script("a", "return CKR_DEVICE_REMOVED");
    world.script("b", FORGETFUL);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|_| {
                let session = application.open(true);
                scope.spawn(move || work(&session, key))
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    });
    let forgotten = demo.log().matches("member b has forgotten us").count();
    assert!(forgotten >= 2, "it forgot us {forgotten} times");
    assert!(failed.is_empty(), "{} signatures failed: {failed:?}", failed.len());
    println!("| b forgot us {forgotten} times | no signature failed |");
}

/// Signs. Answers what failed.
fn work(session: &Session, key: Made) -> Vec<String> {
    let signed = (0..ROUNDS).map(|_| Kind::P256.work(session, key));
    signed.filter_map(Result::err).map(|error| format!("{error}")).collect()
}
