//! PINs reach the members so that a wrong one costs one try on one member, whoever asks again.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tandem_tests::keys::Kind;
use tandem_tests::{
    Application, Demo, Direct, USER_PIN, Vendor, Wanted, alone, application, initialised, pin, rv,
};

use Vendor::{Kryoptic, SoftHsm};

/// How often the user's PIN was wrong on a Kryoptic member since it was right, as Kryoptic itself counts.
fn tries(demo: &Demo, member: &str) -> u32 {
    assert_eq!(demo.vendor(member), Kryoptic);
    let database = rusqlite::Connection::open(demo.storage(member).join("token.sql"))
        .expect("Kryoptic's storage");
    let counter = database
        .query_row(
            "SELECT data FROM meta WHERE name = 'USER COUNTER' AND value = 'USER'",
            [],
            |row| row.get::<_, Vec<u8>>(0),
        )
        .expect("Kryoptic's counter");
    u32::from_le_bytes(counter.try_into().expect("four bytes"))
}

/// Makes Kryoptic believe that there were so many wrong PINs.
fn set_tries(demo: &Demo, member: &str, tries: u32) {
    let database = rusqlite::Connection::open(demo.storage(member).join("token.sql"))
        .expect("Kryoptic's storage");
    let changed = database
        .execute(
            "UPDATE meta SET data = ?1 WHERE name = 'USER COUNTER' AND value = 'USER'",
            [tries.to_le_bytes().to_vec()],
        )
        .expect("Kryoptic's counter");
    assert_eq!(changed, 1);
}

/// Has a SoftHSM member seen a wrong user PIN since the right one? It keeps a flag, not a number.
fn warned(demo: &Demo, member: &str) -> bool {
    assert_eq!(demo.vendor(member), SoftHsm);
    // SAFETY: tests have a process each, and no other thread of it reads the environment now.
    unsafe { std::env::set_var("SOFTHSM2_CONF", demo.vendor_config(member)) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("softhsm.so");
    fs::copy(SoftHsm.module(), &copy).expect("a copy");
    let pkcs11 = Pkcs11::new(&copy).expect("SoftHSM");
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("C_Initialize");
    let infos = pkcs11.get_slots_with_initialized_token().expect("slots").into_iter();
    let flags: Vec<_> = infos
        .map(|slot| pkcs11.get_token_info(slot).expect("a token").user_pin_count_low())
        .collect();
    pkcs11.finalize().expect("C_Finalize");
    assert_eq!(flags.len(), 1, "{member} has one token");
    flags[0]
}

fn login(session: &Session, user_pin: &str) -> Result<(), Error> {
    session.login(UserType::User, Some(&pin(user_pin)))
}

/// Gives a member a PIN of its own, behind Tandem's back.
fn change_pin(demo: &Demo, member: &str, new: &str) {
    let direct: Direct = demo.direct(member);
    direct.set_pin(&pin(USER_PIN), &pin(new)).expect("C_SetPIN");
}

fn works(session: &Session) {
    let made = Kind::P256.find(session, "key").expect("a key");
    Kind::P256.work(session, made).expect("a signature");
}

fn make_key() {
    let (_application, session): (Application, Session) = application();
    Kind::P256.make(&session, "key").expect("a key");
}

#[test]
fn a_wrong_pin_costs_one_try_on_one_member() {
    alone(&Wanted::mixed(), |demo| {
        let application = initialised();
        let session = application.open(true);
        assert!(!warned(demo, "a"));
        for wrong in ["654321", "", "1234567"] {
            assert_eq!(rv(login(&session, wrong)), RvError::PinIncorrect, "{wrong}");
        }
        assert!(warned(demo, "a"), "the first member was asked");
        assert_eq!(tries(demo, "b"), 0, "and no other");
        login(&session, USER_PIN).expect("the right PIN");
        assert!(!warned(demo, "a"));
    });
}

#[test]
fn a_wrong_pin_is_never_tried_twice_by_tandem_itself() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        make_key();
        let application = initialised();
        let session = application.open(true);
        for tried in 1..4 {
            assert_eq!(rv(login(&session, "654321")), RvError::PinIncorrect);
            assert_eq!(
                (tries(demo, "a"), tries(demo, "b")),
                (tried, 0),
                "the application's tries, on one member"
            );
        }
        login(&session, USER_PIN).expect("the right PIN");
        assert_eq!((tries(demo, "a"), tries(demo, "b")), (0, 0));
        assert_eq!(rv(login(&session, "654321")), RvError::UserAlreadyLoggedIn);
        assert_eq!((tries(demo, "a"), tries(demo, "b")), (0, 0), "who is logged in tries nothing");
        works(&session);
    });
}

#[test]
fn a_member_that_refuses_the_others_pin_is_asked_once_by_all_processes_together() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        make_key();
        change_pin(demo, "b", "999999");
        let application = initialised();
        let session = application.open(true);
        let (entered, told) = demo.logged(|| login(&session, USER_PIN));
        entered.expect("a login: the first member takes the PIN");
        assert_eq!(tries(demo, "b"), 1, "the second was asked once");
        assert_eq!(told.iter().filter(|line| line.contains("member b")).count(), 1, "{told:?}");
        works(&session);
        // Again and again, here and in other processes.
        for _ in 0..3 {
            session.logout().expect("C_Logout");
            login(&session, USER_PIN).expect("a login");
        }
        works(&session);
        drop(session);
        application.finalize();
        for _ in 0..2 {
            let (application, session) = tandem_tests::application();
            works(&session);
            drop(session);
            application.finalize();
            assert!(demo.tandem(&["keys"]).status.success());
        }
        assert_eq!(tries(demo, "b"), 1, "nobody has asked it again");
        // The application brings another PIN, which both have now: it is tried, and good.
        let both = |old: &str, member: &str| {
            let direct = Direct::new(Kryoptic, &demo.vendor_config(member), member, old);
            direct.set_pin(&pin(old), &pin("7777777")).expect("C_SetPIN");
        };
        both(USER_PIN, "a");
        both("999999", "b");
        let application = initialised();
        let session = application.open(true);
        login(&session, "7777777").expect("a login");
        Kind::P256.make(&session, "another").expect("a key");
        drop(session);
        application.finalize();
        assert_eq!((tries(demo, "a"), tries(demo, "b")), (0, 0));
        let direct = Direct::new(Kryoptic, &demo.vendor_config("b"), "b", "7777777");
        assert!(Kind::P256.find(&direct, "another").is_some(), "the member serves again");
    });
}

#[test]
fn a_member_that_is_locked_leaves_the_login_to_the_others() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        make_key();
        set_tries(demo, "a", 10);
        let (_application, session) = application();
        works(&session);
        Kind::P256.make(&session, "another").expect("a key on the member that is left");
        assert_eq!((tries(demo, "a"), tries(demo, "b")), (10, 0));
    });
}

#[test]
fn a_pin_of_its_own_is_a_members_only_pin() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        make_key();
        change_pin(demo, "b", "999999");
        let file = demo.dir().join("b.pin");
        fs::write(&file, "999999\n").expect("a PIN file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        demo.configure(|text| {
            let member = "name = \"b\"\n";
            assert!(text.contains(member), "{text}");
            text.replace(member, &format!("{member}pin_source = \"file:{}\"\n", file.display()))
        });
        let application = initialised();
        let session = application.open(true);
        assert_eq!(rv(login(&session, "654321")), RvError::PinIncorrect);
        // Its own PIN opens nothing for an application.
        assert_eq!(rv(login(&session, "999999")), RvError::PinIncorrect);
        assert_eq!((tries(demo, "a"), tries(demo, "b")), (2, 0));
        login(&session, USER_PIN).expect("the application's PIN");
        Kind::P256.make(&session, "another").expect("a key");
        drop(session);
        application.finalize();
        // Both hold it.
        for (member, user_pin) in [("a", USER_PIN), ("b", "999999")] {
            let direct = Direct::new(Kryoptic, &demo.vendor_config(member), member, user_pin);
            assert!(Kind::P256.find(&direct, "another").is_some(), "{member}");
        }
        // And a login with that member alone is refused: nothing would check the application's PIN.
        demo.take_away("a");
        let application = initialised();
        let session = application.open(true);
        assert!(login(&session, "654321").is_err(), "a wrong PIN let somebody in");
    });
}
