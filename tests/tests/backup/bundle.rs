//! Bundles that are not as they were written, or not ours: each is noticed, and counts for nothing.

use super::{argument, back_up, done, file, is_backed_up, refused};
use std::fs;
use tandem_tests::{Demo, Wanted, alone};

fn with_keys(demo: &Demo) -> Vec<u8> {
    for (kind, label) in
        [("ec:p256", "p"), ("rsa:2048", "r"), ("aes:256", "a"), ("generic:20", "g")]
    {
        done(demo, &["keys", "generate", "--type", kind, "--label", label]);
    }
    back_up(demo, "one.bundle");
    fs::read(file(demo, "one.bundle")).expect("a bundle")
}

#[test]
fn a_bundle_is_read_back_key_by_key() {
    alone(&Wanted::mixed(), |demo| {
        with_keys(demo);
        let verified = done(demo, &["backup", "verify", &argument(demo, "one.bundle")]);
        assert_eq!((&verified["verified"], &verified["proven"]), (&true.into(), &4.into()));
        // It is the file that sha256sum knows.
        let sum = std::process::Command::new("sha256sum")
            .arg(file(demo, "one.bundle"))
            .output()
            .expect("sha256sum");
        let sum = String::from_utf8(sum.stdout).expect("text");
        assert!(sum.starts_with(verified["sha256"].as_str().expect("digits")), "{sum}");
    });
}

#[test]
fn whatever_is_changed_in_a_bundle_is_noticed() {
    alone(&Wanted::mixed(), |demo| {
        let sound = with_keys(demo);
        let bad = argument(demo, "bad.bundle");
        let verify = |bytes: &[u8], says: &[&str]| {
            fs::write(file(demo, "bad.bundle"), bytes).expect("a file");
            refused(demo, &["backup", "verify", &bad], says);
        };
        // Near its beginning, where it may not even say which backup it is, and then anywhere.
        verify(b"", &["no bundle"]);
        verify(&sound[..10], &["no bundle"]);
        verify(&sound[..sound.len() / 2], &["cut short"]);
        verify(&sound[..sound.len() - 1], &["cut short"]);
        verify(&[&sound[..], b"x"].concat(), &["more after its end"]);
        verify(&[b"tandem-bundle 9\n", &sound[16..]].concat(), &["later version"]);
        verify(&[&sound[..16], &[0xff; 400][..]].concat(), &["beyond all bounds"]);
        let step = sound.len() / 40;
        for at in (17..sound.len()).step_by(step) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            verify(&bytes, &["can't be used"]);
        }
        let list = done(demo, &["backup", "list"]);
        assert_eq!(list["backups"][0]["state"], "withdrawn", "it failed, so it counts no more");
        assert!(!is_backed_up(demo, "p"));
        back_up(demo, "two.bundle");
        assert!(is_backed_up(demo, "p"), "another heals that");
    });
}

#[test]
fn a_bundle_of_another_ring_is_refused() {
    alone(&Wanted::mixed(), |demo| {
        with_keys(demo);
        let dir = tempfile::tempdir().expect("a folder");
        let other = Demo::make_with(&Wanted::mixed(), dir.path(), |_| {});
        back_up(&other, "theirs.bundle");
        let theirs = argument(&other, "theirs.bundle");
        refused(demo, &["backup", "verify", &theirs], &["another key ring"]);
        refused(demo, &["restore", &theirs], &["another key ring"]);
        assert!(is_backed_up(demo, "p"), "somebody else's bundle says nothing of ours");
    });
}

#[test]
fn a_log_that_was_cut_short_is_known_by_the_last_bundle_and_comes_back() {
    alone(&Wanted::mixed(), |demo| {
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "early"]);
        // An older copy of the state folder, as somebody might put it back.
        let old = demo.dir().join("old");
        let copied =
            std::process::Command::new("cp").arg("-a").arg(file(demo, "state")).arg(&old).status();
        assert!(copied.expect("cp").success());
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "late"]);
        back_up(demo, "one.bundle");
        let bundle = argument(demo, "one.bundle");
        assert_eq!(done(demo, &["log", "check", &bundle])["sound"], true);
        fs::remove_dir_all(file(demo, "state")).expect("a folder");
        fs::rename(&old, file(demo, "state")).expect("a folder");
        refused(demo, &["log", "check", &bundle], &["cut short"]);
        done(demo, &["restore", &bundle]);
        assert_eq!(done(demo, &["log", "check", &bundle])["sound"], true);
        assert!(is_backed_up(demo, "late"));
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
    });
}

#[test]
fn a_wrapped_key_that_is_gone_from_the_log_is_put_back_from_a_bundle() {
    alone(&Wanted::mixed(), |demo| {
        with_keys(demo);
        let bundle = argument(demo, "one.bundle");
        let store = rusqlite::Connection::open(demo.database()).expect("the log");
        let wiped = "UPDATE records SET erased = 1, wrapped = zeroblob(length(wrapped)) WHERE wrapped IS NOT NULL";
        assert_eq!(store.execute(wiped, []).expect("a change"), 4);
        drop(store);
        let said = refused(demo, &["log", "check"], &["is gone from record", "tandem restore"]);
        assert_eq!(said.matches("the wrapped key of").count(), 4, "{said}");
        for label in ["p", "r", "a", "g"] {
            done(demo, &["restore", &bundle, "--label", label]);
        }
        assert_eq!(done(demo, &["log", "check"])["sound"], true);
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
    });
}
