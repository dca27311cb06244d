//! Names: what was claimed after a backup bears its name again when that backup is restored.

use super::{argument, back_up, done, file, keep, keep_with, level, refused, rotate_keks, said};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use std::fs;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Application, Demo, Wanted, alone, application};

/// An application with another configuration.
fn application_of(demo: &Demo) -> (Application, Session) {
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    application()
}

/// The same, and nothing left of it but bundle, names and shares.
fn burnt(demo: &Demo) -> PublicKey {
    let public = named(demo);
    burn(demo);
    public
}

fn burn(demo: &Demo) {
    for gone in ["members", "state"] {
        fs::remove_dir_all(file(demo, gone)).expect("a folder");
    }
}

/// A demo with keys in a backup, of which one was claimed since.
fn named(demo: &Demo) -> PublicKey {
    named_after(demo, || {})
}

/// The same, with something else that has happened between the two.
fn named_after(demo: &Demo, happens: impl Fn()) -> PublicKey {
    let names = format!("names = \"{}\"", argument(demo, "names"));
    keep_with(demo, &names, &[("ec:p256", 4)]);
    done(demo, &["stock", "fill"]);
    back_up(demo, "one.bundle");
    happens();
    keep_with(demo, &names, &[]);
    let public = {
        let (_application, session) = application();
        let made = Kind::P256.make(&session, "zone").expect("a key");
        Kind::P256.public(&session, made).expect("a public key")
    };
    // The end of the login has them written at the latest.
    let doctor = said(&demo.tandem(&["doctor"]));
    assert!(doctor.contains("lack no claim"), "{doctor}");
    public
}

fn new(demo: &Demo) -> Demo {
    Demo::unpaired(&Wanted::mixed(), &demo.dir().join("new"))
}

#[test]
fn a_key_that_was_claimed_after_the_backup_bears_its_name_again() {
    alone(&Wanted::mixed(), |demo| {
        let public = burnt(demo);
        let new = new(demo);
        let (bundle, names) = (argument(demo, "one.bundle"), argument(demo, "names"));
        let shares = argument(demo, "shares");
        refused(&new, &["restore", &names, "--shares", &shares], 1, &["holds names alone"]);
        refused(
            &new,
            &["restore", &bundle, "--names", &bundle, "--shares", &shares],
            1,
            &["holds no names"],
        );
        let restored = done(&new, &["restore", &bundle, "--names", &names, "--shares", &shares]);
        assert_eq!(
            (&restored["named"], &restored["named_lost"]),
            (&1.into(), &0.into()),
            "{restored}"
        );
        assert_eq!(restored["held_back"], 0, "{restored}");
        keep(&new, &[]);
        assert_eq!(level(&new, "ec:p256")[0], 3);
        {
            let (_application, session) = application_of(&new);
            let made = Kind::P256.find(&session, "zone").expect("the zone's key");
            let signature = Kind::P256.work(&session, made).expect("it signs");
            assert!(public.verifies(&DIGEST, &signature), "it is another key");
        }
        assert_eq!(done(&new, &["verify"])["verified"], true);
        // Again it changes nothing.
        let again = done(&new, &["restore", &bundle, "--names", &names]);
        assert_eq!((&again["records"], &again["named"]), (&0.into(), &1.into()), "{again}");
    });
}

#[test]
fn names_from_after_a_rotation_go_with_a_backup_from_before() {
    alone(&Wanted::mixed(), |demo| {
        let public = named_after(demo, || rotate_keks(demo));
        burn(demo);
        let new = new(demo);
        let bundle = argument(demo, "one.bundle");
        let restore = ["restore", &bundle, "--names", &argument(demo, "names"), "--shares"];
        let (then, now) = (argument(demo, "shares"), argument(demo, "new-shares"));
        refused(&new, &[&restore[..], &[&now]].concat(), 1, &["don't open this ring"]);
        let restored = done(&new, &[&restore[..], &[&then]].concat());
        assert_eq!((&restored["named"], &restored["held_back"]), (&1.into(), &0.into()));
        let (_application, session) = application_of(&new);
        let made = Kind::P256.find(&session, "zone").expect("the zone's key");
        let signature = Kind::P256.work(&session, made).expect("it signs");
        assert!(public.verifies(&DIGEST, &signature), "it is another key");
    });
}

#[test]
fn members_that_lived_know_the_key_by_its_name() {
    alone(&Wanted::mixed(), |demo| {
        let public = named(demo);
        fs::remove_dir_all(file(demo, "state")).expect("a folder");
        let (bundle, names) = (argument(demo, "one.bundle"), argument(demo, "names"));
        let restored = done(demo, &["restore", &bundle, "--names", &names]);
        assert_eq!(restored["named"], 1, "{restored}");
        assert_eq!(restored["newer"].as_array().map(Vec::len), Some(0), "{restored}");
        assert_eq!(done(demo, &["verify"])["verified"], true);
        for member in ["a", "b"] {
            let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
            let there = demo.direct(member).find_objects(&wanted).expect("a search").len();
            assert_eq!(there, 4, "none twice on {member}");
        }
        let (_application, session) = application();
        let made = Kind::P256.find(&session, "zone").expect("the zone's key");
        let signature = Kind::P256.work(&session, made).expect("it signs");
        assert!(public.verifies(&DIGEST, &signature), "it is another key");
    });
}

#[test]
fn without_the_names_nothing_of_the_stock_is_given_out_until_somebody_says_so() {
    alone(&Wanted::mixed(), |demo| {
        let public = burnt(demo);
        let new = new(demo);
        let (bundle, shares) = (argument(demo, "one.bundle"), argument(demo, "shares"));
        let restored = done(&new, &["restore", &bundle, "--shares", &shares]);
        assert_eq!(
            (&restored["named"], &restored["held_back"]),
            (&serde_json::Value::Null, &4.into())
        );
        keep(&new, &[]);
        let shows = |session: &Session, name: &str| {
            let made = Kind::P256.make(session, name).expect("a key");
            let signature = Kind::P256.work(session, made).expect("it signs");
            public.verifies(&DIGEST, &signature)
        };
        {
            let (_application, session) = application_of(&new);
            for number in 0..5 {
                assert!(!shows(&session, &format!("other zone {number}")), "one key for two zones");
            }
        }
        assert_eq!(level(&new, "ec:p256")[..3], [4, 4, 4]);
        assert_eq!(done(&new, &["stock", "release"])["levels"][0]["held_back"], 0);
        let (_application, session) = application_of(&new);
        assert!((0..4).any(|number| shows(&session, &format!("as said {number}"))));
    });
}

#[test]
fn names_are_written_by_hand_too_and_never_over_a_backup() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("ec:p256", 2)]);
        done(demo, &["stock", "fill"]);
        back_up(demo, "one.bundle");
        {
            let (_application, session) = application();
            Kind::P256.make(&session, "zone").expect("a key");
        }
        let names = argument(demo, "by-hand");
        let report = done(demo, &["backup", "names", "--out", &names]);
        assert_eq!(report["claims"], 1, "{report}");
        assert!(report["bytes"].as_u64().expect("bytes") < 100_000);
        let bundle = argument(demo, "one.bundle");
        refused(demo, &["backup", "names", "--out", &bundle], 1, &["not written over"]);
        // What happens between claims takes no room.
        done(demo, &["keys", "generate", "--type", "aes:256", "--count", "30", "--label", "other"]);
        let again = done(demo, &["backup", "names", "--out", &names]);
        let longer =
            again["bytes"].as_u64().expect("bytes") - report["bytes"].as_u64().expect("bytes");
        assert!(again["claims"] == 1 && longer < 400, "{report} {again}");
        // It holds no key, wrapped or not.
        let known = done(demo, &["backup", "verify", &bundle]);
        assert_eq!(known["verified"], true, "{known}");
        // Backed up with its name, it needs none any more.
        back_up(demo, "two.bundle");
        assert_eq!(done(demo, &["backup", "names", "--out", &names])["claims"], 0);
    });
}

#[test]
fn a_key_that_was_destroyed_by_mistake_comes_back_from_a_backup_in_which_it_was_in_stock() {
    alone(&Wanted::mixed(), |demo| {
        let public = named(demo);
        {
            let (_application, session) = application();
            let made = Kind::P256.find(&session, "zone").expect("the zone's key");
            for object in [Some(made.key), made.public].into_iter().flatten() {
                session.destroy_object(object).expect("it goes");
            }
        }
        let bundle = argument(demo, "one.bundle");
        let restored = done(demo, &["restore", &bundle, "--label", "zone"]);
        assert_eq!(restored["restored"].as_array().map(Vec::len), Some(2), "{restored}");
        assert_eq!(level(demo, "ec:p256")[0], 3, "nothing else was touched");
        let (_application, session) = application();
        let made = Kind::P256.find(&session, "zone").expect("the zone's key");
        let signature = Kind::P256.work(&session, made).expect("it signs");
        assert!(public.verifies(&DIGEST, &signature), "it is another key");
    });
}

#[test]
fn a_file_that_can_not_be_written_is_told_and_keeps_nobody_from_a_key() {
    alone(&Wanted::mixed(), |demo| {
        keep_with(demo, "names = \"/nowhere/at/all\"", &[("ec:p256", 1)]);
        done(demo, &["stock", "fill"]);
        {
            let (_application, session) = application();
            let made = Kind::P256.make(&session, "zone").expect("a key");
            Kind::P256.work(&session, made).expect("it signs");
        }
        assert!(demo.log().contains("/nowhere/at/all can't be written"), "{}", demo.log());
        let doctor = said(&demo.tandem(&["doctor"]));
        assert!(doctor.contains("the names of claimed keys"), "{doctor}");
        assert_eq!(level(demo, "ec:p256")[3], 1);
    });
}
