//! Modules that take longer to start than a call may take: they read thousands of keys, or an HSM far away.

use crate::common::{World, again};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Vendor, Wanted, alone, application};

fn count(world: &World, member: &str, function: &str) -> usize {
    world.calls(member).iter().filter(|call| call.function == function).count()
}

/// A demo with a key, where calls have this deadline from now on, in milliseconds, and these members this script.
fn slow(demo: &Demo, deadline: u64, members: &[&str], script: &str) -> World {
    {
        let (_application, session) = application();
        Kind::P256.make(&session, "key").expect("a key");
    }
    let world = World::around(again(demo));
    world.deadline_ms(deadline);
    world.calm();
    for member in members {
        world.script(member, script);
    }
    world
}

fn signs() {
    // A login at once, as programs do.
    let (_application, session) = application();
    let made = Kind::P256.find(&session, "key").expect("a key");
    let public = Kind::P256.public(&session, made).expect("a public key");
    let signature = Kind::P256.work(&session, made).expect("a signature");
    assert!(public.verifies(&DIGEST, &signature));
}

fn two() -> Wanted {
    Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic])
}

#[test]
fn where_all_start_slowly_the_application_waits_for_one() {
    alone(&two(), |demo| {
        let world = slow(demo, 400, &["a", "b"], "C_Initialize delay 1500");
        for _ in 0..3 {
            signs();
        }
        let log = world.demo.log();
        assert!(log.contains("it is waited for, since no other serves"), "{log}");
        for member in world.members() {
            let starts = count(&world, member, "C_Initialize");
            assert!(starts <= 3, "{member} was started {starts} times in three processes' lives");
        }
    });
}

#[test]
fn where_one_starts_slowly_another_serves_and_it_comes_in_later() {
    alone(&two(), |demo| {
        // After C_Initialize, when another member may already start.
        let world = slow(demo, 2_000, &["a"], "C_GetSlotList delay 3000");
        let (_application, session) = application();
        let made = Kind::P256.find(&session, "key").expect("a key");
        Kind::P256.work(&session, made).expect("a signature");
        world.wait_for("a");
        assert_eq!(count(&world, "a", "C_Initialize"), 1, "one start, which was waited for");
        Kind::P256.make(&session, "another").expect("a key on both");
        assert!(count(&world, "a", "C_Login") > 0);
    });
}
