//! A login that ends and comes again: what members are asked for it.

use crate::common::World;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, USER_PIN, Vendor, Wanted, alone, application, pin};

/// So long a login rests, and a round of whoever tends the members more.
const REST: Duration = Duration::from_secs(7);

fn asked(world: &World, function: &str) -> usize {
    let of = |member| world.calls(member).iter().filter(|call| call.function == function).count();
    world.members().into_iter().map(of).sum()
}

fn log_in(session: &Session, text: &str) -> Result<(), Error> {
    session.login(UserType::User, Some(&pin(text)))
}

fn works(session: &Session) {
    let made = Kind::P256.find(session, "key").expect("a key");
    let public = Kind::P256.public(session, made).expect("a public key");
    let signature = Kind::P256.work(session, made).expect("a signature");
    assert!(public.verifies(&DIGEST, &signature));
}

fn a_world(demo: &Demo) -> World {
    {
        let (_application, session) = application();
        Kind::P256.make(&session, "key").expect("a key");
    }
    let members: Vec<_> = demo.members().into_iter().map(|(_, vendor)| vendor).collect();
    World::around(Demo::at(demo.dir(), &members))
}

#[test]
fn a_login_that_comes_again_asks_no_member_and_a_wrong_pin_does() {
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]).with("balance=primary");
    alone(&wanted, |demo| {
        let world = a_world(demo);
        let (_application, session) = application();
        works(&session);
        world.calm();
        for _ in 0..5 {
            session.logout().expect("C_Logout");
            assert!(Kind::P256.find(&session, "key").is_none(), "nothing private is seen");
            log_in(&session, USER_PIN).expect("C_Login");
            works(&session);
        }
        assert_eq!((asked(&world, "C_Login"), asked(&world, "C_Logout")), (0, 0));
        assert_eq!(asked(&world, "C_FindObjectsInit"), 0, "neither ring nor key is looked for");

        // Another PIN is for a member to judge, one try on one of them; and then the right one too.
        session.logout().expect("C_Logout");
        let refused = log_in(&session, "987654");
        assert!(matches!(refused, Err(Error::Pkcs11(RvError::PinIncorrect, _))), "{refused:?}");
        assert_eq!((asked(&world, "C_Login"), asked(&world, "C_Logout")), (1, 2));
        log_in(&session, USER_PIN).expect("C_Login");
        assert_eq!(asked(&world, "C_Login"), 3);
        works(&session);
    });
}

#[test]
fn a_login_that_does_not_come_again_ends_on_the_members() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]), |demo| {
        let world = a_world(demo);
        let (_application, session) = application();
        works(&session);
        world.calm();
        session.logout().expect("C_Logout");
        let until = Instant::now() + REST;
        while asked(&world, "C_Logout") < 2 && Instant::now() < until {
            sleep(Duration::from_millis(100));
        }
        assert_eq!(asked(&world, "C_Logout"), 2);
        log_in(&session, USER_PIN).expect("C_Login");
        assert_eq!(asked(&world, "C_Login"), 2);
        works(&session);
    });
}

/// The last session's end is a logout like any other; the end of the application ends what rests.
#[test]
fn sessions_that_come_and_go_ask_no_member() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::SoftHsm]), |demo| {
        let world = a_world(demo);
        let (application, session) = application();
        works(&session);
        drop(session);
        world.calm();
        for _ in 0..5 {
            works(&application.log_in());
        }
        assert_eq!((asked(&world, "C_Login"), asked(&world, "C_Logout")), (0, 0));
        application.finalize();
        assert_eq!(asked(&world, "C_Logout"), 2);
    });
}

/// So many calls a member gets from a program that starts, logs in and signs once with a key that is there, and one that only stands by.
const CALLS_MAX: [usize; 2] = [26, 16];

/// What a start costs each member is what makes it slow over a network. No KEK is looked for, since none is used; that the ring is
/// there says its log key, by which the log is checked.
#[test]
fn a_start_and_a_first_signature_ask_little_of_members() {
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]).with("balance=primary");
    alone(&wanted, |demo| {
        let world = a_world(demo);
        let (_application, session) = application();
        works(&session);
        for (member, most) in world.members().into_iter().zip(CALLS_MAX) {
            let calls: Vec<_> = world.calls(member).into_iter().map(|call| call.function).collect();
            println!("| {member} | {} calls | {} |", calls.len(), calls.join(", "));
            assert!(calls.len() <= most, "member {member}: {calls:?}");
        }
        let of_keks = ["C_WrapKey", "C_EncryptInit", "C_CreateObject"];
        assert_eq!(of_keks.map(|function| asked(&world, function)), [0; 3], "no KEK is tried");
    });
}

/// Many applications ask before each signature how long it will be, which a member is asked once in a session; from the second on
/// each costs it two calls.
#[test]
fn a_signature_made_again_asks_a_member_for_nothing_else() {
    const SIGNATURES: usize = 10;
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]).with("balance=primary");
    alone(&wanted, |demo| {
        let world = a_world(demo);
        let (_application, session) = application();
        works(&session);
        let made = Kind::P256.find(&session, "key").expect("a key");
        world.calm();
        for _ in 0..SIGNATURES {
            Kind::P256.work(&session, made).expect("a signature");
        }
        let calls = ["C_SignInit", "C_Sign"].map(|function| asked(&world, function));
        assert_eq!(calls, [SIGNATURES; 2], "the crate asks for each length");
    });
}
