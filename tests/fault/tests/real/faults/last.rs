//! The last member that works, which forgets us again and again while many threads call.

use crate::common::{World, again};
use cryptoki::session::Session;
use tandem_tests::keys::{Kind, Made};
use tandem_tests::{Demo, Vendor, Wanted, alone, initialised};

/// How many threads call.
const THREADS: usize = 4;
/// How often each signs, and makes a key.
const ROUNDS: usize = 25;
/// So many calls are more than all threads take to make a key each, after a login: so each gets somewhere in between.
const FORGETFUL: &str = "every 300 lose-sessions";

#[test]
fn no_call_fails_when_the_last_member_forgets_us() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]), |demo| {
        forgotten(demo);
    });
}

#[test]
fn nor_where_that_is_softhsm() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::SoftHsm]), |demo| {
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
            .map(|number| {
                let session = application.open(true);
                scope.spawn(move || work(&session, key, number))
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    });
    let forgotten = demo.log().matches("member b has forgotten us").count();
    assert!(forgotten >= 3, "it forgot us {forgotten} times");
    assert!(failed.is_empty(), "{} calls failed: {failed:?}", failed.len());
    println!("| b forgot us {forgotten} times | no call failed |");
}

/// Signs and makes keys. Answers what failed.
fn work(session: &Session, key: Made, number: usize) -> Vec<String> {
    let mut failed = Vec::new();
    for round in 0..ROUNDS {
        if let Err(error) = Kind::P256.work(session, key) {
            failed.push(format!("sign: {error}"));
        }
        if let Err(error) = Kind::Aes(32).make(session, &format!("{number}-{round}")) {
            failed.push(format!("make: {error}"));
        }
    }
    failed
}
