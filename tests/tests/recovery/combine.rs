//! The key ring back on new HSMs.

use super::{
    Published, add, application_of, at, back_up, done, is_whole, new_tokens, refused,
    replace_token, some, split,
};
use cryptoki::object::Attribute;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, Vendor, Wanted, alone, application, kill_when};

use Vendor::{Kryoptic, SoftHsm};

/// What each member of a report was given.
fn given(report: &Value) -> Vec<(String, bool, bool)> {
    let members = report["members"].as_array().expect("members").iter();
    let line = |it: &Value| {
        let flag = |name: &str| it[name].as_bool().expect("a flag");
        (it["member"].as_str().expect("a name").to_owned(), flag("given_ring"), flag("counts"))
    };
    members.map(line).collect()
}

fn each(given_ring: bool, counts: bool) -> Vec<(String, bool, bool)> {
    ["a", "b"].map(|name| (name.to_owned(), given_ring, counts)).to_vec()
}

#[test]
fn new_tokens_of_the_other_vendor_each_take_the_ring_and_a_restore_needs_no_shares() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| {
        let published = Published::by_an_application();
        let bundle = back_up(demo, "one.bundle");
        let fingerprint = done(demo, &["status"])["tokens"][0]["ring"]["fingerprint"].clone();
        split(demo, (3, 5), &at(demo, "shares"), "five");
        let three = some(demo, "five", &[1, 4, 5], "three");
        for gone in ["members", "state", "shares"] {
            fs::remove_dir_all(demo.dir().join(gone)).expect("a folder");
        }

        let new = new_tokens(demo, &[Kryoptic, SoftHsm], "new");
        refused(&new, &["recovery", "combine", "--shares", &three], &["--from FILE"]);
        let from = ["recovery", "combine", "--from", &bundle];
        refused(&new, &from, &["--shares DIR"]);
        let combined = done(&new, &[&from[..], &["--shares", &three]].concat());
        assert_eq!(given(&combined), each(true, false), "{combined}");
        assert_eq!(combined["fingerprint"], fingerprint, "it is the ring that people know");
        assert_eq!(combined["told_by"], "bundle");
        assert_eq!(combined["next"], json!([format!("tandem restore {bundle}")]));
        assert_eq!(combined["away"], json!([]));
        // Nothing but the ring has come: the token is still to be restored.
        assert_eq!(done(&new, &["status"])["tokens"][0]["paired"], false);
        for member in ["a", "b"] {
            let direct = new.direct(member);
            assert!(Kind::P256.find(&direct, "P-256").is_none(), "no key is on {member}");
        }
        // Again it changes nothing, and asks for no shares.
        assert_eq!(given(&done(&new, &from)), each(false, false));
        // Nobody makes another ring over this one by mistake.
        let other = at(&new, "other");
        refused(
            &new,
            &["pair", "--shares-dir", &other],
            &["holds the key ring", "before its state"],
        );

        done(&new, &["restore", &bundle]);
        assert!(is_whole(&new));
        let (application, session) = application_of(&new);
        published.work(&session);
        drop(session);
        application.finalize();
        let after = done(&new, &["recovery", "combine"]);
        assert_eq!((given(&after), &after["next"]), (each(false, true), &json!([])));
        assert_eq!(after["told_by"], "log");
    });
}

#[test]
fn a_member_with_a_new_token_is_brought_in_afterwards_while_others_work() {
    alone(&Wanted::mixed(), |demo| {
        let (first, session) = application();
        let published = Published::make(&session);
        drop(session);
        first.finalize();
        replace_token(demo, "a");
        let (first, session) = application();
        let before = Kind::P256.make(&session, "while a is new").expect("a key");
        let head = demo.head();
        refused(demo, &["recovery", "combine"], &["--shares DIR"]);
        assert_eq!(demo.head(), head, "nothing has changed without shares");
        let shares = at(demo, "shares");
        let combined = done(demo, &["recovery", "combine", "--shares", &shares]);
        let expected = [("a".to_owned(), true, false), ("b".to_owned(), false, true)];
        assert_eq!(given(&combined), expected, "{combined}");
        assert_eq!(combined["next"], json!(["tandem member replace a"]));
        // Nobody takes what the old token held for what the new one holds.
        let status = done(demo, &["status"]);
        assert_eq!(status["tokens"][0]["ring"]["members"], json!(["b"]), "{status}");
        for _ in 0..8 {
            published.work(&session);
            Kind::P256.work(&session, before).expect("a signature");
        }
        Kind::P256.make(&session, "later").expect("a key");
        assert!(is_whole(demo), "a is not waited for");
        assert!(!given(&done(demo, &["recovery", "combine"]))[0].1, "a has it");

        done(demo, &["member", "replace", "a"]);
        assert!(is_whole(demo));
        published.work_on(demo, "a");
        assert!(Kind::P256.find(&demo.direct("a"), "later").is_some());
        drop(session);
        first.finalize();
    });
}

#[test]
fn with_every_token_new_the_log_is_enough() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        for member in ["a", "b"] {
            replace_token(demo, member);
        }
        let shares = ["--shares", &at(demo, "shares")];
        let combined = done(demo, &[&["recovery", "combine"], &shares[..]].concat());
        assert_eq!(given(&combined), each(true, false), "{combined}");
        assert_eq!(combined["next"], json!(["tandem member replace a", "tandem member replace b"]));
        for next in combined["next"].as_array().expect("commands") {
            let words: Vec<_> = next.as_str().expect("a command").split(' ').skip(1).collect();
            done(demo, &words);
        }
        assert!(is_whole(demo));
        for member in ["a", "b"] {
            published.work_on(demo, member);
        }
        let (_application, session) = application();
        published.work(&session);
        let objects = session.find_objects(&[Attribute::Token(true)]).expect("a search");
        assert_eq!(objects.len(), 6, "each once");
    });
}

#[test]
fn a_member_that_is_away_takes_it_later() {
    alone(&Wanted::mixed(), |demo| {
        let bundle = back_up(demo, "one.bundle");
        let new = new_tokens(demo, &[SoftHsm, Kryoptic], "new");
        let shares = at(demo, "shares");
        let combine = ["recovery", "combine", "--from", &bundle, "--shares", &shares, "--json"];
        new.take_away("b");
        let output = new.tandem(&combine);
        assert_eq!(output.status.code(), Some(1), "not all of it is done");
        let combined: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(given(&combined), [("a".to_owned(), true, false)], "{combined}");
        assert_eq!(combined["away"][0]["member"], "b", "{combined}");
        new.bring_back("b");
        let combined = done(&new, &combine[..6]);
        let expected = [("a".to_owned(), false, false), ("b".to_owned(), true, false)];
        assert_eq!(given(&combined), expected, "{combined}");
    });
}

#[test]
fn what_was_killed_on_the_way_is_combined_by_running_it_again() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        for member in ["a", "b"] {
            replace_token(demo, member);
        }
        let head = demo.head();
        let combine = ["recovery", "combine", "--shares", &at(demo, "shares")];
        // When the log has said that one has left, and the other not yet.
        kill_when(demo.command(combine), || demo.head() > head);
        done(demo, &combine);
        for member in ["a", "b"] {
            done(demo, &["member", "replace", member]);
        }
        assert!(is_whole(demo));
        for member in ["a", "b"] {
            published.work_on(demo, member);
        }
    });
}

#[test]
fn what_does_not_open_the_ring_changes_nothing() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        let bundle = back_up(demo, "one.bundle");
        let dir = demo.dir().join("theirs");
        let theirs = Demo::make_with(&Wanted::over(&[SoftHsm]), &dir, |_| {});
        let their_bundle = back_up(&theirs, "one.bundle");
        let new = new_tokens(demo, &[SoftHsm, Kryoptic], "new");
        let ours = at(demo, "shares");
        let none = |says: &[&str], arguments: &[&str]| {
            refused(&new, &[&["recovery", "combine"], arguments].concat(), says);
            for member in ["a", "b"] {
                assert_eq!(held_by(&new, member), 0, "nothing is on {member} after {arguments:?}");
            }
        };
        let their_shares = at(&theirs, "shares");
        none(&["another ring"], &["--from", &bundle, "--shares", &their_shares]);
        let two = some(demo, "shares", &[1, 2], "two");
        none(&["2 of 3 shares"], &["--from", &bundle, "--shares", &two]);
        add(demo, "shares", 2, "two", "share-9.txt");
        none(&["the same share"], &["--from", &bundle, "--shares", &two]);
        none(&["can't be read"], &["--from", &at(demo, "no.bundle"), "--shares", &ours]);
        let sound = fs::read(&bundle).expect("a bundle");
        for (cut, says) in [(sound.len() / 2, "cut short"), (8, "no bundle")] {
            fs::write(demo.dir().join("bad.bundle"), &sound[..cut]).expect("a file");
            none(&[says], &["--from", &at(demo, "bad.bundle"), "--shares", &ours]);
        }
        // A bundle whose ring was exchanged, and whose digest was made to fit, is not sealed by the ring that it tells of.
        let forged = forged(&sound);
        fs::write(demo.dir().join("bad.bundle"), forged).expect("a file");
        none(&["its seal is not ours"], &["--from", &at(demo, "bad.bundle"), "--shares", &ours]);

        // Where there is a log it says which ring it is.
        let says = ["another key ring", "state folder"];
        refused(demo, &["recovery", "combine", "--from", &their_bundle], &says);
        // A token with somebody's keys is not Tandem's to write to.
        let foreign = new.direct("a");
        Kind::P256.make(&foreign, "somebody's").expect("a key");
        drop(foreign);
        let combine = ["recovery", "combine", "--from", &bundle, "--shares", &ours];
        let output = new.tandem(&[&combine[..], &["--json"]].concat());
        let combined: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(given(&combined), [("b".to_owned(), true, false)], "{combined}");
        let why = combined["away"][0]["reason"].as_str().expect("a reason");
        assert!(why.contains("somebody's") && why.contains("--keep-foreign"), "{why}");
        assert_eq!(held_by(&new, "a"), 2, "their pair alone");
        let kept = done(&new, &[&combine[..], &["--keep-foreign"]].concat());
        assert_eq!(kept["away"], json!([]), "{kept}");
    });
}

/// How many objects a member holds.
fn held_by(demo: &Demo, member: &str) -> usize {
    let own = [Attribute::Token(true)];
    demo.direct(member).find_objects(&own).expect("a search").len()
}

/// A bundle with another label in its header, whose digest is right again.
fn forged(sound: &[u8]) -> Vec<u8> {
    let mut forged = sound.to_vec();
    replace(&mut forged, b"demo", b"evil");
    let trailer = trailer(sound);
    let (was, is) = (sha256(&sound[..trailer]), sha256(&forged[..trailer]));
    replace(&mut forged[trailer..], &was, &is);
    forged
}

/// Where a bundle's last frame begins: after its first line each frame says how long it is.
fn trailer(bundle: &[u8]) -> usize {
    let (mut last, mut at) = (0, b"tandem-bundle 1\n".len());
    while at < bundle.len() {
        let len = u32::from_be_bytes(bundle[at..at + 4].try_into().expect("a length"));
        (last, at) = (at, at + 4 + usize::try_from(len).expect("a length"));
    }
    last
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|some| some == old).expect("it is there");
    bytes[at..at + new.len()].copy_from_slice(new);
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum");
    sum.stdin.take().expect("a pipe").write_all(bytes).expect("it reads all");
    let output = sum.wait_with_output().expect("sha256sum");
    let hex = String::from_utf8(output.stdout).expect("digits");
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
    (0..64).step_by(2).map(byte).collect()
}
