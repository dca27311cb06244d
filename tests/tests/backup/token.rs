//! Backup tokens: filled, away without alarm, filled again, and read when everything else is lost.

use super::keys::{application_of, make, shares, works};
use super::{argument, back_up, done, enforce, file, is_backed_up, refused, said};
use cryptoki::object::Attribute;
use serde_json::Value;
use std::fs;
use std::process::Command;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Direct, USER_PIN, Vendor, Wanted, alone, application, initialised};

use Vendor::{Kryoptic, SoftHsm};

fn with(vendor: Vendor) -> Wanted {
    Wanted::mixed().with_backup_token(vendor)
}

/// Fills the backup token and commits.
fn fill(demo: &Demo, more: &[&str]) -> Value {
    done(demo, &[&["backup", "run", "--commit", "--to", "backup"], more].concat())
}

/// The same for the first time, when it needs the key ring.
fn fill_first(demo: &Demo) -> Value {
    fill(demo, &["--shares", &shares(demo)])
}

/// Moves a backup token to another demo of the same vendor there: the HSM that was taken out of the safe.
fn hand_over(from: &Demo, to: &Demo) {
    let storage = to.storage("backup");
    fs::remove_dir_all(&storage).expect("a token");
    let mut copy = Command::new("cp");
    let copied = copy.arg("-a").arg(from.storage("backup")).arg(&storage).status();
    assert!(copied.expect("cp").success());
    let (old, new) = (from.dir().display().to_string(), to.dir().display().to_string());
    for name in ["softhsm2.conf", "kryoptic.conf", "env"] {
        let file = storage.join(name);
        if let Ok(text) = fs::read_to_string(&file) {
            fs::write(&file, text.replace(&old, &new)).expect("a file");
        }
    }
}

/// A backup token of each vendor is filled and lies in a safe: nothing misses it.
fn filled_and_away(demo: &Demo) {
    enforce(demo);
    let (application, session) = application();
    let published = make(&session);
    let p256 = Kind::P256.find(&session, "P-256").expect("it is there");
    Kind::P256.work(&session, p256).expect_err("not before it is backed up");
    let status = &done(demo, &["status"])["tokens"][0];
    assert_eq!(status["members"].as_array().map(Vec::len), Some(2), "{status}");
    assert_eq!(status["backup_tokens"][0]["filled_at"], Value::Null);
    refused(demo, &["backup", "run", "--commit", "--to", "backup"], &["--shares DIR"]);
    Kind::P256.work(&session, p256).expect_err("nothing was committed");

    let filled = fill_first(demo);
    assert_eq!(filled["backup"]["artefacts"][0]["kind"], "token", "{filled}");
    assert_eq!(
        (&filled["member"]["changed"], &filled["bundle"]["proven"]),
        (&true.into(), &4.into())
    );
    works(&session, &published);
    assert!(is_backed_up(demo, "P-256"));

    demo.take_away("backup");
    let (_, lines) = demo.logged(|| {
        works(&session, &published);
        Kind::P256.make(&session, "later").expect("a key")
    });
    assert!(lines.is_empty(), "nobody misses it: {lines:?}");
    let later = Kind::P256.find(&session, "later").expect("it is there");
    Kind::P256.work(&session, later).expect_err("it is in no backup");
    let status = &done(demo, &["status"])["tokens"][0];
    let told = &status["backup_tokens"][0];
    assert_eq!((&told["name"], &told["backup"]), (&"backup".into(), &filled["backup"]["id"]));
    assert!(
        status["members"].as_array().expect("members").iter().all(|it| it["condition"] == "up")
    );
    assert!(status["not_configured"].as_array().is_some_and(Vec::is_empty), "{status}");
    let listed = &done(demo, &["member", "list"])["tokens"][0]["members"][2];
    assert_eq!((&listed["role"], &listed["condition"]), (&"backup".into(), &Value::Null));
    assert_eq!(listed["ring"], true);
    let doctor = demo.report(&["doctor"]);
    let about =
        |it: &&Value| it["subject"].as_str().is_some_and(|it| it.ends_with("member backup"));
    let findings = doctor["findings"].as_array().expect("findings").iter();
    assert!(findings.filter(about).all(|it| it["verdict"] != "wrong"), "{doctor}");
    assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
    assert!(done(demo, &["reconcile"])["away"].as_array().is_some_and(Vec::is_empty));
    refused(demo, &["backup", "run", "--commit", "--to", "backup"], &["member backup"]);
    Kind::P256.work(&session, later).expect_err("it was not there");
    refused(demo, &["backup", "rollback"], &["tandem backup prepare"]);
    drop(session);
    application.finalize();
}

#[test]
fn a_softhsm_is_filled_and_nobody_misses_it_afterwards() {
    alone(&with(SoftHsm), |demo| {
        filled_and_away(demo);
    });
}

#[test]
fn a_kryoptic_is_filled_and_nobody_misses_it_afterwards() {
    alone(&with(Kryoptic), |demo| {
        filled_and_away(demo);
    });
}

/// The configuration of the backup token's vendor.
fn vendor_config(demo: &Demo, vendor: Vendor) -> String {
    let name = match vendor {
        SoftHsm => "softhsm2.conf",
        Kryoptic => "kryoptic.conf",
    };
    demo.storage("backup").join(name).display().to_string()
}

/// What the backup token shows to somebody who uses it without Tandem.
fn labels_on_it(demo: &Demo, vendor: Vendor) -> Vec<String> {
    let direct = Direct::new(vendor, &vendor_config(demo, vendor), "backup", USER_PIN);
    let found = direct.find_objects(&[Attribute::Token(true)]).expect("a search");
    let label = |object| {
        let read = direct.get_attributes(object, &[cryptoki::object::AttributeType::Label]);
        match read.expect("attributes").first() {
            Some(Attribute::Label(label)) => String::from_utf8_lossy(label).into_owned(),
            _ => String::new(),
        }
    };
    found.into_iter().map(label).collect()
}

fn bundles_on_it(demo: &Demo, vendor: Vendor) -> usize {
    labels_on_it(demo, vendor).iter().filter(|it| it.ends_with(":index")).count()
}

/// Everything but the backup token is lost, which holds a complete bundle and two that build on it.
fn everything_else_lost(demo: &Demo, vendor: Vendor) {
    enforce(demo);
    let (first, session) = application();
    let published = make(&session);
    fill_first(demo);
    let gone = Kind::P256.make(&session, "gone").expect("a key");
    let kept = Kind::P256.make(&session, "kept").expect("a key");
    let public = Kind::P256.public(&session, kept).expect("a public key");
    assert!(!is_backed_up(demo, "kept"));
    let second = fill(demo, &["--incremental"]);
    assert!(second["backup"]["artefacts"][0]["base"].is_string(), "{second}");
    assert!(is_backed_up(demo, "kept"));
    assert!(labels_on_it(demo, vendor).iter().any(|label| label == "gone"));
    session.destroy_object(gone.key).expect("destroyed");
    session.destroy_object(gone.public.expect("a pair")).expect("destroyed");
    fill(demo, &["--incremental"]);
    let labels = labels_on_it(demo, vendor);
    assert!(labels.iter().any(|label| label == "kept"));
    assert!(labels.iter().all(|label| label != "gone"), "what was destroyed went there as well");
    // No application sees the sheets, not even of a member that holds them.
    let verified = done(demo, &["backup", "verify", "--from", "backup"]);
    assert_eq!(verified["bundles"].as_array().map(Vec::len), Some(3), "{verified}");
    assert_eq!(done(demo, &["log", "check", "--from", "backup"])["sound"], true);
    let shares = shares(demo);
    for from in [&["--from", "backup"][..], &[]] {
        let drill = done(demo, &[&["backup", "drill", "--shares", &shares][..], from].concat());
        assert_eq!((&drill["recovered"], &drill["proven"]), (&true.into(), &5.into()), "{drill}");
        assert_eq!(drill["files"].as_array().map(Vec::len), Some(3), "{drill}");
    }
    drop(session);
    first.finalize();
    for gone in ["members/a", "members/b", "state"] {
        fs::remove_dir_all(file(demo, gone)).expect("a folder");
    }

    let dir = demo.dir().join("new");
    let wanted = Wanted::over(&[Kryoptic, SoftHsm]).with_backup_token(vendor);
    let new = Demo::unpaired(&wanted, &dir);
    enforce(&new);
    hand_over(demo, &new);
    let restore = ["restore", "--from", "backup"];
    refused(&new, &restore, &["--shares DIR"]);
    let restored = done(&new, &[&restore[..], &["--shares", &shares]].concat());
    assert_eq!(restored["members"].as_array().map(Vec::len), Some(2), "{restored}");
    assert!(is_backed_up(&new, "P-256") && is_backed_up(&new, "kept"));
    assert!(done(&new, &["verify"])["verified"].as_bool().expect("a flag"));
    let (second, session) = application_of(&new);
    works(&session, &published);
    let kept = Kind::P256.find(&session, "kept").expect("it is there");
    let signature = Kind::P256.work(&session, kept).expect("a signature");
    assert!(public.verifies(&DIGEST, &signature));
    assert!(Kind::P256.find(&session, "gone").is_none(), "nothing comes back from the dead");
    let mut shown = session.find_objects(&[Attribute::Token(true)]).expect("a search");
    shown.dedup();
    assert_eq!(shown.len(), 8, "four pairs and secrets, and one pair more: nothing else is shown");
    // It is filled again, by the ring that it holds; what it kept before has made room.
    assert_eq!(bundles_on_it(&new, vendor), 3);
    fill(&new, &[]);
    assert_eq!(bundles_on_it(&new, vendor), 1);
    assert!(is_backed_up(&new, "P-256") && is_backed_up(&new, "kept"));
    assert_eq!(done(&new, &["backup", "verify", "--from", "backup"])["verified"], true);
    works(&session, &published);
    drop(session);
    second.finalize();
}

#[test]
fn a_softhsm_brings_everything_back_onto_the_other_vendors() {
    alone(&with(SoftHsm), |demo| everything_else_lost(demo, SoftHsm));
}

#[test]
fn a_kryoptic_brings_everything_back_onto_the_other_vendors() {
    alone(&with(Kryoptic), |demo| everything_else_lost(demo, Kryoptic));
}

#[test]
fn a_lost_state_folder_and_single_keys_come_back_from_it() {
    alone(&with(Kryoptic), |demo| {
        let (first, session) = application();
        let published = make(&session);
        let one = Kind::P256.make(&session, "one").expect("a key");
        let public = Kind::P256.public(&session, one).expect("a public key");
        fill_first(demo);
        session.destroy_object(one.key).expect("destroyed");
        session.destroy_object(one.public.expect("a pair")).expect("destroyed");
        let picked = done(demo, &["restore", "--from", "backup", "--label", "one"]);
        assert_eq!(picked["restored"].as_array().map(Vec::len), Some(2), "{picked}");
        let one = Kind::P256.find(&session, "one").expect("it is there, once");
        let signature = Kind::P256.work(&session, one).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature));
        assert!(!is_backed_up(demo, "one"), "it is another object than the one that was");
        drop(session);
        first.finalize();

        fs::remove_dir_all(file(demo, "state")).expect("a folder");
        let restored = done(demo, &["restore", "--from", "backup"]);
        assert!(restored["records"].as_u64() > Some(0), "{restored}");
        assert!(is_backed_up(demo, "P-256"));
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
        let second = initialised();
        let session = second.log_in();
        works(&session, &published);
        fill(demo, &[]);
        drop(session);
        second.finalize();
    });
}

#[test]
fn what_is_on_a_token_and_what_is_in_files_are_chains_of_their_own() {
    alone(&with(SoftHsm), |demo| {
        let make = |label| {
            done(demo, &["keys", "generate", "--type", "ec:p256", "--label", label]);
        };
        make("one");
        let more = ["backup", "run", "--commit", "--incremental", "--to", "backup"];
        let shares = shares(demo);
        refused(
            demo,
            &[&more[..], &["--shares", &shares]].concat(),
            &["on backup", "complete one"],
        );
        let list = done(demo, &["backup", "list"]);
        assert_eq!(list["backups"][0]["state"], "prepared", "{list}");
        back_up(demo, "one.bundle");
        refused(
            demo,
            &[&more[..], &["--shares", &shares]].concat(),
            &["on backup", "complete one"],
        );
        let filled = fill_first(demo);
        make("two");
        let increment = fill(demo, &["--incremental"]);
        assert_eq!(increment["backup"]["artefacts"][0]["base"], filled["backup"]["id"]);
        let two = argument(demo, "two.bundle");
        let increment = done(demo, &["backup", "run", "--commit", "--incremental", "--out", &two]);
        assert_ne!(increment["backup"]["artefacts"][0]["base"], filled["backup"]["id"]);
        // A prepared backup may be put on both.
        done(demo, &["backup", "prepare"]);
        make("late");
        done(demo, &["backup", "run", "--to", "backup"]);
        refused(demo, &["backup", "run", "--to", "backup"], &["is on backup already"]);
        done(demo, &["backup", "run", "--out", &argument(demo, "three.bundle")]);
        done(demo, &["backup", "commit"]);
        assert!(is_backed_up(demo, "two") && !is_backed_up(demo, "late"));
        done(demo, &["backup", "prepare"]);
        done(demo, &["backup", "run", "--to", "backup"]);
        done(demo, &["backup", "rollback"]);
        assert!(!is_backed_up(demo, "late"));
        let chosen = fill(demo, &["--label", "late"]);
        assert_eq!(chosen["backup"]["artefacts"][0]["selected"], 2, "{chosen}");
        assert!(is_backed_up(demo, "late"));
        let id = chosen["backup"]["id"].as_str().expect("an identity");
        let one = done(demo, &["backup", "verify", "--from", "backup", "--backup", id]);
        assert_eq!(one["bundles"].as_array().map(Vec::len), Some(1), "{one}");
    });
}

#[test]
fn a_token_of_another_ring_or_of_a_member_is_refused() {
    alone(&with(SoftHsm), |demo| {
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "k"]);
        back_up(demo, "one.bundle");
        let dir = tempfile::tempdir().expect("a folder");
        let other = Demo::make_with(&with(SoftHsm), dir.path(), |_| {});
        done(&other, &["keys", "generate", "--type", "ec:p256", "--label", "theirs"]);
        fill_first(&other);
        let theirs = bundles_on_it(&other, SoftHsm);
        let own = file(demo, "members/own");
        fs::rename(demo.storage("backup"), &own).expect("a folder");
        fs::create_dir(demo.storage("backup")).expect("a folder");
        hand_over(&other, demo);
        let shares = shares(demo);
        let run = ["backup", "run", "--commit", "--to", "backup", "--shares", &shares];
        refused(demo, &run, &["another Tandem"]);
        refused(demo, &["restore", "--from", "backup"], &["another key ring"]);
        refused(demo, &["backup", "verify", "--from", "backup"], &["another key ring"]);
        assert_eq!(bundles_on_it(demo, SoftHsm), theirs, "it is left as it was");
        assert!(is_backed_up(demo, "k"), "the earlier backup counts");
        done(demo, &["backup", "rollback"]);
        fs::remove_dir_all(demo.storage("backup")).expect("a folder");
        fs::rename(&own, demo.storage("backup")).expect("a folder");
        fill_first(demo);

        let serial = done(demo, &["status"])["tokens"][0]["members"][0]["token"]["serial"].clone();
        demo.configure(|text| {
            text.replace("members/backup/softhsm2.conf", "members/a/softhsm2.conf").replace(
                "label = \"backup\"",
                &format!("serial = \"{}\"", serial.as_str().expect("a serial number")),
            )
        });
        refused(demo, &run, &["already member \"a\""]);
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
    });
}

#[test]
fn a_backup_token_is_no_member_that_works() {
    alone(&with(Kryoptic), |demo| {
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "k"]);
        refused(demo, &["member", "drain", "backup"], &["is a backup token"]);
        refused(demo, &["backup", "run", "--to", "a"], &["no backup token"]);
        refused(demo, &["backup", "run", "--to", "nobody"], &["it has backup"]);
        fill_first(demo);
        done(demo, &["member", "remove", "b"]);
        // It does not stand in for one.
        refused(demo, &["member", "remove", "a"], &["its last member"]);
        assert!(is_backed_up(demo, "k"));
        // What it alone holds counts no more when it is wiped.
        let left = done(demo, &["member", "remove", "backup", "--wipe"]);
        assert!(left["wiped"].as_u64() > Some(5), "{left}");
        assert_eq!(labels_on_it(demo, Kryoptic), Vec::<String>::new());
        assert!(!is_backed_up(demo, "k"));
        fill_first(demo);
        assert!(is_backed_up(demo, "k"));
        // A bundle that is gone, or changed, is noticed, and counts no more.
        let direct = Direct::new(Kryoptic, &vendor_config(demo, Kryoptic), "backup", USER_PIN);
        let found = direct.find_objects(&[Attribute::Application(b"tandem backup".to_vec())]);
        direct.destroy_object(found.expect("a search")[0]).expect("destroyed");
        drop(direct);
        let failed = demo.tandem(&["backup", "verify", "--from", "backup"]);
        assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
        assert!(!is_backed_up(demo, "k"));
    });
}
