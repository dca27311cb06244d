//! A replay limit of nothing, and the largest there is, while the member that works fails.

use crate::common::World;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::session::Session;
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::openssl::sha256;
use tandem_tests::{Demo, Wanted, alone, application};

/// Two members with a fault around each, the first of which does the work as long as it can.
fn with_limit(demo: &Demo, limit: u64, test: fn(&World)) {
    {
        let (_application, session) = application();
        Kind::Rsa(2048).make(&session, "rsa").expect("a key");
    }
    let members: Vec<_> = demo.members().into_iter().map(|(_, vendor)| vendor).collect();
    demo.configure(|text| text.replace("[[token]]", &format!("[[token]]\nreplay_max = {limit}")));
    test(&World::around(Demo::at(demo.dir(), &members)));
}

/// Begins a signature in parts, lets the member fail, and goes on.
fn in_parts(world: &World, session: &Session) -> Result<Vec<u8>, Error> {
    let made = Kind::Rsa(2048).find(session, "rsa").expect("a key");
    session.sign_init(&Mechanism::Sha256RsaPkcs, made.key)?;
    session.sign_update(&DIGEST)?;
    world.script("a", "return CKR_DEVICE_ERROR");
    session.sign_update(&DIGEST)?;
    session.sign_final()
}

/// Nothing of a multi-part operation is kept: it says so when its member is lost. What needs nothing kept moves.
fn nothing_is_kept(world: &World) {
    let (_application, session) = application();
    let made = Kind::Rsa(2048).find(&session, "rsa").expect("a key");
    let public = Kind::Rsa(2048).public(&session, made).expect("a public key");
    for round in 0..2 {
        // Without a fault both kinds are as ever.
        world.calm();
        session.sign_init(&Mechanism::Sha256RsaPkcs, made.key).expect("C_SignInit");
        session.sign_update(&DIGEST).expect("C_SignUpdate");
        let signature = session.sign_final().expect("C_SignFinal");
        assert!(public.verifies(&sha256(&DIGEST), &signature), "round {round}");
    }

    // In one part it moves between C_SignInit and C_Sign.
    world.script("a", "C_Sign return CKR_DEVICE_ERROR");
    let signature = session.sign(&Mechanism::Sha256RsaPkcs, made.key, &DIGEST);
    assert!(public.verifies(&sha256(&DIGEST), &signature.expect("it moves")));
    assert!(world.calls("a").iter().any(|call| call.function == "C_Sign"), "a was asked first");
    world.calm();

    back(world, &session);
    let (answer, log) = world.demo.logged(|| in_parts(world, &session));
    assert!(matches!(answer, Err(Error::Pkcs11(RvError::FunctionFailed, _))), "{answer:?}");
    assert!(log.iter().any(|line| line.contains("replay_max")), "{log:?}");
    let signature = session.sign(&Mechanism::Sha256RsaPkcs, made.key, &DIGEST).expect("the other");
    assert!(public.verifies(&sha256(&DIGEST), &signature));
}

/// The member that does the work is at it again.
fn back(world: &World, session: &Session) {
    let made = Kind::Rsa(2048).find(session, "rsa").expect("a key");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        world.script("a", "");
        Kind::Rsa(2048).work(session, made).expect("a signature");
        if world.calls("a").iter().any(|call| call.function == "C_Sign") {
            return;
        }
        assert!(Instant::now() < until, "member a does not come back");
        thread::sleep(Duration::from_millis(100));
    }
}

/// As much as may be is kept, and costs nothing before it is there.
fn all_is_kept(world: &World) {
    let (_application, session) = application();
    let made = Kind::Rsa(2048).find(&session, "rsa").expect("a key");
    let public = Kind::Rsa(2048).public(&session, made).expect("a public key");
    let signature = in_parts(world, &session).expect("it moves");
    assert!(public.verifies(&sha256(&[DIGEST, DIGEST].concat()), &signature));
}

#[test]
fn with_a_replay_limit_of_nothing_only_operations_in_parts_are_lost() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| {
        with_limit(demo, 0, nothing_is_kept);
    });
}

#[test]
fn with_the_largest_replay_limit_operations_in_parts_move() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| {
        with_limit(demo, 1 << 30, all_is_kept);
    });
}
