//! Keys held on demand while members have no room, fail, or are asked for one key by many at once.

use crate::common::{World, again};
use cryptoki::error::RvError;
use cryptoki::session::Session;
use std::sync::Barrier;
use std::thread;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Application, Demo, Vendor, Wanted, alone, application, refused};

/// How many keys are loaded when a member fails; `TANDEM_LOADED_KEYS` says otherwise.
fn loaded_keys() -> usize {
    std::env::var("TANDEM_LOADED_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

/// Two members that hold keys on demand.
fn wanted() -> Wanted {
    Wanted::mixed().with("hold=on-demand")
}

/// Keys that are made by one process, for another that has loaded none of them.
fn with_keys(demo: &Demo, count: usize, test: fn(&World, &Application, &Session, &[Made])) {
    let name = |number: usize| format!("key-{number}");
    {
        let (_application, session) = application();
        (0..count).for_each(|number| {
            Kind::P256.make(&session, &name(number)).expect("a key");
        });
    }
    let world = World::around(again(demo));
    let (application, session) = application();
    let keys: Vec<_> =
        (0..count).map(|number| Kind::P256.find(&session, &name(number)).expect("a key")).collect();
    test(&world, &application, &session, &keys);
}

/// How often a member was asked for a function since its script was changed.
fn asked(world: &World, member: &str, function: &str) -> usize {
    world.calls(member).iter().filter(|call| call.function == function).count()
}

/// How many keys it was asked to unwrap.
fn unwrapped(world: &World, member: &str) -> usize {
    asked(world, member, "C_UnwrapKey")
}

/// A signature, verified with the public key that the token gives out.
fn works(session: &Session, made: Made) {
    let public: PublicKey = Kind::P256.public(session, made).expect("a public key");
    let signature = Kind::P256.work(session, made).expect("a signature");
    assert!(public.verifies(&DIGEST, &signature));
}

fn all_work(session: &Session, keys: &[Made]) {
    for key in keys {
        works(session, *key);
    }
}

#[test]
fn a_key_that_many_use_for_the_first_time_is_loaded_once() {
    alone(&wanted(), |demo| {
        with_keys(demo, 2, |world, application, session, keys| {
            // The ring is opened, and this member is asked alone, with time for all to come.
            works(session, keys[0]);
            world.script("b", "return CKR_DEVICE_ERROR");
            world.script("a", "C_UnwrapKey delay 200");
            let together = Barrier::new(8);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let session = application.open(true);
                        together.wait();
                        works(&session, keys[1]);
                    });
                }
            });
            assert_eq!(unwrapped(world, "a"), 1);
        });
    });
}

/// Equal members behind a network, so that both get work.
#[test]
fn members_without_room_share_the_keys_between_them() {
    const ROOM: usize = 8;
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]).with("hold=on-demand");
    alone(&wanted, |demo| {
        demo.configure(|text| {
            text.replace("[[token.member]]\n", &format!("[[token.member]]\nloaded_max = {ROOM}\n"))
        });
        with_keys(demo, 2 * ROOM - 4, |world, application, _, keys| {
            const ROUNDS: usize = 12;
            for member in world.members() {
                world.script(member, "every delay 2\nlanes 4");
            }
            thread::scope(|scope| {
                for thread in 0..4 {
                    let session = application.open(true);
                    scope.spawn(move || {
                        for turn in 0..ROUNDS {
                            let mut keys = keys.to_vec();
                            let first = (7 * turn + 3 * thread) % keys.len();
                            keys.rotate_left(first);
                            all_work(&session, &keys);
                        }
                    });
                }
            });
            let of = |function| -> Vec<_> {
                world.members().into_iter().map(|member| asked(world, member, function)).collect()
            };
            let (loads, signatures) = (of("C_UnwrapKey"), of("C_Sign"));
            println!("| loads {loads:?} | signatures {signatures:?} |");
            assert!(signatures.iter().all(|count| *count > 0), "both have worked: {signatures:?}");
            let (loads, used): (usize, usize) = (loads.iter().sum(), 4 * ROUNDS * keys.len());
            assert!(5 * loads <= used, "{loads} loads for {used} signatures");
        });
    });
}

#[test]
fn a_member_without_room_gives_up_other_keys() {
    alone(&wanted(), |demo| {
        with_keys(demo, 8, |world, _, session, keys| {
            world.script("b", "return CKR_DEVICE_ERROR");
            // Some that come find no room, and more than these two are asked for again.
            let full = |call: u8| format!("at C_UnwrapKey {call} return CKR_DEVICE_MEMORY\n");
            world.script("a", &[full(5), full(9)].concat());
            all_work(session, keys);
            all_work(session, keys);
            assert!(unwrapped(world, "a") > keys.len(), "some were asked for again");
        });
    });
}

#[test]
fn where_no_key_fits_the_application_is_told_so_and_nothing_is_lost() {
    alone(&wanted(), |demo| {
        with_keys(demo, 2, |world, _, session, keys| {
            for member in world.members() {
                world.script(member, "C_UnwrapKey return CKR_DEVICE_MEMORY");
            }
            let answer = Kind::P256.work(session, keys[0]);
            refused("a key that fits nowhere", answer, &[RvError::DeviceMemory]);
            assert!(
                world.members().iter().all(|member| world.is_up(member)),
                "it is no fault of theirs"
            );
            world.calm();
            all_work(session, keys);
        });
    });
}

#[test]
fn what_one_member_has_loaded_the_other_loads_when_it_fails() {
    alone(&wanted(), |demo| {
        let (count, room) = (loaded_keys(), format!("loaded_max = {}\n", loaded_keys() + 16));
        demo.configure(|text| {
            text.replace("[[token.member]]\n", &format!("[[token.member]]\n{room}"))
        });
        with_keys(demo, count, |world, _, session, keys| {
            for round in 0..4 {
                all_work(session, keys);
                let (struck, other) =
                    (world.members()[round % 2], world.members()[(round + 1) % 2]);
                let before = unwrapped(world, other);
                world.script(struck, "return CKR_DEVICE_REMOVED");
                all_work(session, keys);
                let loaded = unwrapped(world, other) - before;
                println!("| {} keys loaded, {struck} fails: {other} loads {loaded} |", keys.len());
                world.calm();
                world.wait_for(struck);
            }
        });
    });
}
