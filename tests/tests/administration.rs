//! C_InitToken, C_InitPIN and C_SetPIN: on all members or on none.

use cryptoki::error::RvError::{
    DeviceRemoved, PinIncorrect, PinLenRange, TokenWriteProtected, UserNotLoggedIn,
};
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use std::fs;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{
    Demo, Direct, SO_PIN, USER_PIN, Wanted, alone, application, initialised, labelled, pin, refused,
};

const NEW_PIN: &str = "7777777";

fn user(session: &Session, user_pin: &str) -> cryptoki::error::Result<()> {
    session.login(UserType::User, Some(&pin(user_pin)))
}

fn officer(session: &Session, so_pin: &str) -> cryptoki::error::Result<()> {
    session.login(UserType::So, Some(&pin(so_pin)))
}

fn make_key() {
    let (_application, session) = application();
    Kind::P256.make(&session, "key").expect("a key");
}

/// The key works, for whoever has this PIN.
fn nothing_is_lost(user_pin: &str) {
    let application = initialised();
    let session = application.open(true);
    user(&session, user_pin).expect("a login");
    let made = Kind::P256.find(&session, "key").expect("the key");
    Kind::P256.work(&session, made).expect("a signature");
}

/// Each member lets in whoever has this PIN, and holds the key.
fn every_member_takes(demo: &Demo, user_pin: &str) {
    for (member, vendor) in demo.members() {
        let direct = Direct::new(vendor, &demo.vendor_config(member), member, user_pin);
        assert!(Kind::P256.find(&direct, "key").is_some(), "{member}");
    }
}

#[test]
fn without_allow_init_nothing_of_it_is_done() {
    alone(&Wanted::mixed().with("allow_init=false"), |demo| {
        make_key();
        let application = initialised();
        let no = [TokenWriteProtected];
        let init = application.init_token(application.slot, &pin(SO_PIN), "mine");
        refused("C_InitToken", init, &no);
        let session = application.open(true);
        officer(&session, SO_PIN).expect("a login");
        refused("C_InitPIN", session.init_pin(&pin(NEW_PIN)), &no);
        session.logout().expect("C_Logout");
        user(&session, USER_PIN).expect("a login");
        refused("C_SetPIN", session.set_pin(&pin(USER_PIN), &pin(NEW_PIN)), &no);
        drop(session);
        application.finalize();
        assert!(demo.log().contains("allow_init"), "the log says what to do");
        nothing_is_lost(USER_PIN);
        every_member_takes(demo, USER_PIN);
    });
}

#[test]
fn a_pin_is_changed_on_every_member() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let application = initialised();
        let session = application.open(true);
        // By nobody who is logged in: it is the user's (PKCS #11 3.2 section 5.5.9).
        session.set_pin(&pin(USER_PIN), &pin("888888")).expect("C_SetPIN");
        refused("the old PIN", user(&session, USER_PIN), &[PinIncorrect]);
        user(&session, "888888").expect("the new PIN");
        // By the user.
        session.set_pin(&pin("888888"), &pin(NEW_PIN)).expect("C_SetPIN");
        Kind::Aes(32).make(&session, "while logged in").expect("a key");
        session.logout().expect("C_Logout");
        refused("the old PIN", user(&session, "888888"), &[PinIncorrect]);
        // The officer's own.
        officer(&session, SO_PIN).expect("a login");
        session.set_pin(&pin(SO_PIN), &pin("87654321")).expect("C_SetPIN");
        session.logout().expect("C_Logout");
        refused("the old SO PIN", officer(&session, SO_PIN), &[PinIncorrect]);
        officer(&session, "87654321").expect("the new SO PIN");
        // And the officer's word on the user's.
        session.init_pin(&pin("4444444")).expect("C_InitPIN");
        session.logout().expect("C_Logout");
        drop(session);
        application.finalize();
        nothing_is_lost("4444444");
        every_member_takes(demo, "4444444");
    });
}

#[test]
fn a_pin_that_one_member_refuses_is_changed_on_none() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let application = initialised();
        let session = application.log_in();
        refused("a wrong old PIN", session.set_pin(&pin("654321"), &pin(NEW_PIN)), &[PinIncorrect]);
        refused("a short new PIN", session.set_pin(&pin(USER_PIN), &pin("1")), &[PinLenRange]);
        drop(session);
        let session = application.open(true);
        refused("C_InitPIN by nobody", session.init_pin(&pin(NEW_PIN)), &[UserNotLoggedIn]);
        drop(session);
        application.finalize();
        nothing_is_lost(USER_PIN);
        every_member_takes(demo, USER_PIN);
    });
}

#[test]
fn with_a_member_away_no_pin_is_changed_and_nothing_initialised() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        for (away, _) in demo.members() {
            demo.take_away(away);
            let application = initialised();
            let gone = [DeviceRemoved];
            let (init, said) =
                demo.logged(|| application.init_token(application.slot, &pin(SO_PIN), "mine"));
            refused("C_InitToken", init, &gone);
            assert!(said.iter().any(|line| line.contains(&format!("member {away}"))), "{said:?}");
            let session = application.open(true);
            refused("C_SetPIN", session.set_pin(&pin(USER_PIN), &pin(NEW_PIN)), &gone);
            officer(&session, SO_PIN).expect("a login on the other");
            refused("C_InitPIN", session.init_pin(&pin(NEW_PIN)), &gone);
            drop(session);
            application.finalize();
            demo.bring_back(away);
            nothing_is_lost(USER_PIN);
            every_member_takes(demo, USER_PIN);
        }
    });
}

#[test]
fn initialising_with_a_wrong_pin_destroys_nothing() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let application = initialised();
        let wrong = application.init_token(application.slot, &pin("87654321"), "mine");
        refused("C_InitToken", wrong, &[PinIncorrect]);
        application.finalize();
        nothing_is_lost(USER_PIN);
        every_member_takes(demo, USER_PIN);
    });
}

#[test]
fn a_token_that_is_initialised_begins_anew_on_every_member() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let shares = demo.dir().join("shares");
        fs::remove_dir_all(&shares).expect("the old shares");
        let application = initialised();
        let before = application.get_token_info(application.slot).expect("a token");
        application.init_token(application.slot, &pin(SO_PIN), "fresh").expect("C_InitToken");
        let after = application.get_token_info(application.slot).expect("a token");
        assert_eq!(after.label(), "fresh");
        assert_eq!(after.serial_number(), before.serial_number(), "it is the same slot");
        assert!(!after.user_pin_initialized(), "nobody has a PIN yet");
        // The user has no PIN; the officer gives one.
        let session = application.open(true);
        assert!(user(&session, USER_PIN).is_err(), "a PIN that was not given opens nothing");
        officer(&session, SO_PIN).expect("a login");
        session.init_pin(&pin(NEW_PIN)).expect("C_InitPIN");
        session.logout().expect("C_Logout");
        assert!(
            application.get_token_info(application.slot).expect("a token").user_pin_initialized()
        );
        // The first login pairs the members anew.
        user(&session, NEW_PIN).expect("the first login");
        assert!(session.find_objects(&[]).expect("a search").is_empty(), "what was there is gone");
        let made = Kind::P256.make(&session, "key").expect("a key");
        let public = Kind::P256.public(&session, made).expect("a public key");
        drop(session);
        application.finalize();
        every_member_takes(demo, NEW_PIN);
        let left: Vec<_> = fs::read_dir(&shares).expect("the new shares").collect();
        assert_eq!(left.len(), 5, "the recovery's shares are where the configuration says");
        // It works on each member alone, in another process's life.
        for (away, _) in demo.members() {
            demo.take_away(away);
            let application = labelled("fresh");
            let session = application.open(true);
            user(&session, NEW_PIN).expect("a login");
            let made = Kind::P256.find(&session, "key").expect("the key");
            let signature = Kind::P256.work(&session, made).expect("a signature");
            assert!(public.verifies(&DIGEST, &signature));
            drop(session);
            application.finalize();
            demo.bring_back(away);
        }
        // Nothing of before is on the members: two keys and the new ring.
        for (member, vendor) in demo.members() {
            let direct = Direct::new(vendor, &demo.vendor_config(member), member, NEW_PIN);
            let named = direct.find_objects(&[Attribute::Id(b"key".to_vec())]).expect("a search");
            assert_eq!(named.len(), 2, "{member}");
            let ring = [Attribute::Id(b"tandem key ring".to_vec())];
            assert_eq!(direct.find_objects(&ring).expect("a search").len(), 5, "{member}");
        }
    });
}
