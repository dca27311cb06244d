//! Everything is lost, or half of it, and comes back.

use super::keys::{application_of, make, shares, works};
use super::{argument, back_up, done, enforce, file, is_backed_up, refused};
use std::fs;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Vendor, Wanted, alone, application, initialised};

use Vendor::{Kryoptic, SoftHsm};

/// What is left of a demo after a fire: bundle and shares.
fn burn(demo: &Demo) {
    for gone in ["members", "state"] {
        fs::remove_dir_all(file(demo, gone)).expect("a folder");
    }
}

#[test]
fn new_tokens_of_the_other_vendor_each_sign_under_the_same_public_keys() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| {
        enforce(demo);
        let (first, session) = application();
        let published = make(&session);
        back_up(demo, "one.bundle");
        works(&session, &published);
        let serial = first.get_token_info(first.slot).expect("a token").serial_number().to_owned();
        drop(session);
        first.finalize();
        burn(demo);

        let dir = demo.dir().join("new");
        let new = Demo::unpaired(&Wanted::over(&[Kryoptic, SoftHsm]), &dir);
        enforce(&new);
        let bundle = argument(demo, "one.bundle");
        refused(&new, &["restore", &bundle], &["--shares DIR"]);
        let restored = done(&new, &["restore", &bundle, "--shares", &shares(demo)]);
        assert_eq!(restored["members"].as_array().map(Vec::len), Some(2), "{restored}");
        assert!(restored["newer"].as_array().is_some_and(Vec::is_empty), "{restored}");
        assert!(done(&new, &["verify"])["verified"].as_bool().expect("a flag"));
        // What was restored from a verified bundle is backed up by it.
        assert!(is_backed_up(&new, "P-256"));
        let (second, session) = application_of(&new);
        works(&session, &published);
        let info = second.get_token_info(second.slot).expect("a token");
        assert_eq!(info.serial_number(), serial, "applications find the token they knew");
        drop(session);
        second.finalize();
        // Again it changes nothing.
        let again = done(&new, &["restore", &bundle]);
        assert_eq!(again["records"], 0, "{again}");
        assert!(done(&new, &["verify"])["verified"].as_bool().expect("a flag"));
    });
}

#[test]
fn a_complete_bundle_and_what_builds_on_it_come_back_in_order() {
    alone(&Wanted::mixed(), |demo| {
        let (first, session) = application();
        let published = make(&session);
        back_up(demo, "one.bundle");
        let gone = Kind::P256.make(&session, "gone").expect("a key");
        let kept = Kind::P256.make(&session, "kept").expect("a key");
        let public = Kind::P256.public(&session, kept).expect("a public key");
        let two = argument(demo, "two.bundle");
        done(demo, &["backup", "run", "--commit", "--incremental", "--out", &two]);
        session.destroy_object(gone.key).expect("destroyed");
        session.destroy_object(gone.public.expect("a pair")).expect("destroyed");
        let three = argument(demo, "three.bundle");
        done(demo, &["backup", "run", "--commit", "--incremental", "--out", &three]);
        drop(session);
        first.finalize();
        burn(demo);

        let dir = demo.dir().join("new");
        let new = Demo::unpaired(&Wanted::over(&[SoftHsm, SoftHsm]), &dir);
        let (one, shares) = (argument(demo, "one.bundle"), shares(demo));
        refused(&new, &["restore", &two, "--shares", &shares], &["complete backup"]);
        refused(&new, &["restore", &one, &three, "--shares", &shares], &["the bundle between"]);
        let restored = done(&new, &["restore", &one, &two, &three, "--shares", &shares]);
        assert!(restored["records"].as_u64() > Some(0), "{restored}");
        let (second, session) = application_of(&new);
        works(&session, &published);
        let kept = Kind::P256.find(&session, "kept").expect("it is there");
        let signature = Kind::P256.work(&session, kept).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature));
        assert!(Kind::P256.find(&session, "gone").is_none(), "nothing comes back from the dead");
        drop(session);
        second.finalize();
    });
}

#[test]
fn a_lost_state_folder_comes_back_and_newer_keys_stay_where_they_stand() {
    alone(&Wanted::mixed(), |demo| {
        enforce(demo);
        let (first, session) = application();
        let published = make(&session);
        back_up(demo, "one.bundle");
        let newer = Kind::P256.make(&session, "newer").expect("a key");
        let public = Kind::P256.public(&session, newer).expect("a public key");
        drop(session);
        first.finalize();
        fs::remove_dir_all(file(demo, "state")).expect("a folder");

        // The members hold the ring: no shares are needed.
        let restored = done(demo, &["restore", &argument(demo, "one.bundle")]);
        let told: Vec<_> = restored["newer"].as_array().expect("objects").iter().collect();
        assert!(told.iter().any(|object| object["label"] == "newer"), "{restored}");
        assert!(is_backed_up(demo, "P-256") && !is_backed_up(demo, "newer"));
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
        let second = initialised();
        let session = second.log_in();
        works(&session, &published);
        let key = Kind::P256.find(&session, "newer").expect("it is there");
        // It is in no backup, and no bundle can hold it.
        Kind::P256.work(&session, key).expect_err("not before it is backed up");
        let two = argument(demo, "two.bundle");
        let said = refused(demo, &["backup", "run", "--commit", "--out", &two], &["newer"]);
        assert!(said.contains("can't be copied off"), "{said}");
        Kind::P256.work(&session, key).expect_err("still not");
        done(demo, &["backup", "run", "--commit", "--vendor", "both HSMs' own"]);
        let signature = Kind::P256.work(&session, key).expect("on the operator's word");
        assert!(public.verifies(&DIGEST, &signature));
        drop(session);
        second.finalize();
    });
}

#[test]
fn a_token_in_use_is_not_replaced_by_a_backup() {
    alone(&Wanted::mixed(), |demo| {
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "k"]);
        back_up(demo, "one.bundle");
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "later"]);
        let restored = done(demo, &["restore", &argument(demo, "one.bundle")]);
        assert_eq!(restored["records"], 0, "the log has all of it");
        assert!(!is_backed_up(demo, "later") && is_backed_up(demo, "k"));
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
    });
}

#[test]
fn one_key_comes_back_and_a_destroyed_one_only_by_name() {
    alone(&Wanted::mixed(), |demo| {
        let (first, session) = application();
        let made: Vec<_> = ["one", "two", "three"]
            .map(|name| (name, Kind::P256.make(&session, name).expect("a key")))
            .to_vec();
        let secret = Kind::Generic(20).make(&session, "secret").expect("a key");
        let published: Vec<_> = made
            .iter()
            .map(|(_, made)| Kind::P256.public(&session, *made).expect("a public key"))
            .collect();
        let mac = Kind::Generic(20).work(&session, secret).expect("a MAC");
        back_up(demo, "one.bundle");
        for (_, made) in &made[..2] {
            session.destroy_object(made.key).expect("destroyed");
            session.destroy_object(made.public.expect("a pair")).expect("destroyed");
        }
        session.destroy_object(secret.key).expect("destroyed");
        let bundle = argument(demo, "one.bundle");
        // Nothing was never here.
        let missing = demo.tandem(&["restore", &bundle, "--missing"]);
        assert_eq!(missing.status.code(), Some(1), "the destroyed ones are told");
        assert!(Kind::P256.find(&session, "one").is_none());

        let picked = done(demo, &["restore", &bundle, "--label", "one", "--label", "three"]);
        assert_eq!(picked["restored"].as_array().map(Vec::len), Some(2), "{picked}");
        assert_eq!(picked["present"].as_array().map(Vec::len), Some(2), "{picked}");
        done(demo, &["restore", &bundle, "--label", "secret"]);
        for (name, public) in [("one", &published[0]), ("three", &published[2])] {
            let key = Kind::P256.find(&session, name).expect("it is there, once");
            let signature = Kind::P256.work(&session, key).expect("a signature");
            assert!(public.verifies(&DIGEST, &signature), "{name} is another key");
        }
        let back = Kind::Generic(20).find(&session, "secret").expect("it is there, once");
        assert_eq!(Kind::Generic(20).work(&session, back).expect("a MAC"), mac);
        assert!(Kind::P256.find(&session, "two").is_none(), "nobody asked for it");
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
        refused(demo, &["restore", &bundle, "--label", "nobody"], &["nothing in the backup"]);
        // What came back after the backup is not in it.
        assert!(!is_backed_up(demo, "one") && is_backed_up(demo, "three"));
        drop(session);
        first.finalize();
    });
}

#[test]
fn a_drill_says_what_would_come_back_and_what_would_be_lost() {
    alone(&Wanted::mixed(), |demo| {
        let (first, session) = application();
        make(&session);
        let shares = shares(demo);
        let drill = |more: &[&str]| {
            demo.tandem(&[&["backup", "drill", "--shares", &shares, "--json"][..], more].concat())
        };
        assert_eq!(drill(&[]).status.code(), Some(1), "there is nothing to restore");
        back_up(demo, "one.bundle");
        Kind::P256.make(&session, "late").expect("a key");
        drop(session);
        first.finalize();
        let before = done(demo, &["status"])["tokens"][0]["head"].clone();
        for module in ["softhsm", "kryoptic"] {
            let output = drill(&["--module", module]);
            assert!(output.status.success(), "{}", super::said(&output));
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!((&told["recovered"], &told["proven"]), (&true.into(), &4.into()), "{told}");
            assert_eq!(told["newer"][0]["label"], "late", "{told}");
            println!("| drill on {module} | 4 keys | {} s |", told["seconds"]);
        }
        assert_eq!(done(demo, &["status"])["tokens"][0]["head"], before, "nothing was changed");
        fs::rename(file(demo, "one.bundle"), file(demo, "elsewhere.bundle")).expect("a file");
        let moved = drill(&[]);
        assert!(super::said(&moved).contains("--from"), "{}", super::said(&moved));
        assert!(drill(&["--from", &argument(demo, "elsewhere.bundle")]).status.success());
    });
}
