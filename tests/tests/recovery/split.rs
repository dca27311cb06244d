//! New shares from old ones.

use super::{
    Published, add, application_of, at, back_up, done, is_whole, new_tokens, refused,
    replace_token, set_of, share_files, shown, some, split, tells,
};
use std::fs;
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, Vendor, Wanted, alone, application, kill_when};

use Vendor::{Kryoptic, SoftHsm};

#[test]
fn new_shares_and_old_ones_bring_replaced_members_back_and_no_backup_is_lost() {
    alone(&Wanted::mixed(), |demo| {
        demo.configure(|text| {
            let policy = "[token.policy]\nrequire_backup = \"enforce\"\n\n[[token.member]]";
            text.replacen("[[token.member]]", policy, 1)
        });
        let (first, session) = application();
        let published = Published::make(&session);
        let one = back_up(demo, "one.bundle");
        let first_set = set_of(demo);
        assert_eq!(shown(demo)["earlier"], serde_json::json!([]));

        // Two of three, and of two of these three of seven.
        let three = split(demo, (2, 3), &at(demo, "shares"), "three");
        let two = some(demo, "three", &[3, 1], "two-of-three");
        let seven = split(demo, (3, 7), &two, "seven");
        assert_eq!(seven["files"].as_array().map(Vec::len), Some(7), "{seven}");
        let known = shown(demo);
        assert_eq!(known["recovery"], seven["recovery"], "{known}");
        let earlier = [&known["earlier"][0]["set"], &known["earlier"][1]["set"]];
        assert_eq!(earlier, [&first_set.into(), &three["recovery"]["set"]], "{known}");
        assert_eq!(known["earlier"], seven["earlier"]);
        assert_eq!((&known["ring"]["shares"], &known["ring"]["threshold"]), (&7.into(), &3.into()));
        for file in 1..=7 {
            let file = demo.dir().join(format!("seven/share-{file}.txt"));
            let text = fs::read_to_string(file).expect("a share");
            let set = format!("of 7, set {}: recovery", seven["recovery"]["set"]);
            assert!(text.contains(&set), "people can tell the sets apart: {text}");
        }

        // What was backed up before is backed up still, in a process that signs all the while as in a new one.
        published.work(&session);
        assert_eq!(known["backups"][0]["counts"], true, "{known}");
        assert_eq!(done(demo, &["backup", "list"])["not_backed_up"], 0);
        assert!(done(demo, &["backup", "verify", &one])["verified"].as_bool().expect("a flag"));
        drop(session);
        first.finalize();

        replace_token(demo, "a");
        let new = some(demo, "seven", &[7, 2, 5], "three-of-seven");
        done(demo, &["member", "replace", "a", "--shares", &new]);
        assert!(is_whole(demo));
        published.work_on(demo, "a");
        // Until they are destroyed the first shares open it too.
        replace_token(demo, "b");
        done(demo, &["member", "replace", "b", "--shares", &at(demo, "shares")]);
        assert!(is_whole(demo));
        published.work_on(demo, "b");
        no_share_is_in_the_state(demo);
    });
}

/// No word of any share is in any file of the state folder.
fn no_share_is_in_the_state(demo: &Demo) {
    let shares = share_files(demo.dir());
    assert!(shares.len() >= 15, "{shares:?}");
    for entry in fs::read_dir(demo.dir().join("state")).expect("the state") {
        let file = entry.expect("an entry").path();
        let text = fs::read(&file).expect("a file");
        let text = String::from_utf8_lossy(&text);
        for share in &shares {
            assert!(!tells(&text, share), "{} is in {}", share.display(), file.display());
        }
    }
}

#[test]
fn a_bundle_made_before_a_split_opens_with_the_new_shares_and_with_the_old_ones() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        let bundle = back_up(demo, "one.bundle");
        split(demo, (2, 4), &at(demo, "shares"), "four");
        let two = some(demo, "four", &[4, 2], "two");
        let mixed = some(demo, "shares", &[1, 2], "mixed");
        add(demo, "four", 3, "mixed", "share-3.txt");

        let with_new = new_tokens(demo, &[Kryoptic, SoftHsm], "with-new");
        let said =
            refused(&with_new, &["restore", &bundle, "--shares", &mixed], &["another split"]);
        assert!(said.contains("mixed/share-3.txt"), "the one that is not the bundle's: {said}");
        done(&with_new, &["restore", &bundle, "--shares", &two]);
        let with_old = new_tokens(demo, &[SoftHsm, Kryoptic], "with-old");
        done(&with_old, &["restore", &bundle, "--shares", &at(demo, "shares")]);
        for new in [&with_new, &with_old] {
            assert!(is_whole(new));
            for member in ["a", "b"] {
                published.work_on(new, member);
            }
        }
        // The backup didn't know of the split; whoever has restored it can tell the log.
        assert_ne!(set_of(&with_new), set_of(demo));
        let used = fs::read_to_string(demo.dir().join("two/share-2.txt")).expect("a share");
        let again = split(&with_new, (2, 2), &two, "again");
        let destroy = again["destroy"].as_array().expect("sets");
        assert!(used.contains(&format!("set {}:", destroy[1])), "{again}: {used}");
        assert_eq!(destroy[0], again["earlier"][0]["set"], "{again}");
        assert_eq!(destroy.len(), 2, "{again}");
        let (_application, session) = application_of(&with_new);
        published.work(&session);
    });
}

#[test]
fn a_split_needs_one_member_that_is_there() {
    alone(&Wanted::mixed(), |demo| {
        demo.take_away("a");
        split(demo, (2, 2), &at(demo, "shares"), "by-b");
        demo.bring_back("a");
        demo.take_away("b");
        split(demo, (3, 5), &at(demo, "by-b"), "by-a");
        demo.take_away("a");
        let before = demo.head();
        let arguments = ["--shares-from", &at(demo, "by-a"), "--shares-dir", &at(demo, "none")];
        refused(
            demo,
            &[&["recovery", "split"], &arguments[..]].concat(),
            &["no member let us log in"],
        );
        assert_eq!(demo.head(), before);
        assert_eq!(share_files(demo.dir()).len(), 5 + 2 + 5, "no share was made");
        // How many shares are needed is told with all HSMs gone.
        let output = demo.tandem(&["recovery", "show", "--json"]);
        let known: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(known["recovery"]["threshold"], 3, "{known}");
        assert!(known["backups"].is_null() && known["reason"] != "", "{known}");
        assert_eq!(output.status.code(), Some(1));
    });
}

/// Shares enough that a split can be killed while they are written.
const MANY: u8 = 32;

#[test]
fn a_split_that_is_killed_leaves_the_old_shares_in_force() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        let (set, head) = (set_of(demo), demo.head());
        let (old, new) = (at(demo, "shares"), at(demo, "new"));
        let many = MANY.to_string();
        let terms = ["recovery", "split", "--shares", &many, "--threshold", "2"];
        let arguments = [&terms[..], &["--shares-from", &old, "--shares-dir", &new]].concat();
        let written = |number: u8| demo.dir().join(format!("new/share-{number}.txt")).exists();
        kill_when(demo.command(&arguments), || written(3));
        assert!(!written(MANY), "it was killed while it wrote");
        assert_eq!((set_of(demo), demo.head()), (set, head), "the log tells of no split");

        // The same folder is not used again before somebody has looked: what is there opens the ring.
        refused(demo, &arguments, &["is not empty", "share-1.txt"]);
        replace_token(demo, "a");
        let three = some(demo, "shares", &[5, 3, 1], "three");
        done(demo, &["member", "replace", "a", "--shares", &three]);
        assert!(is_whole(demo));
        let two = some(demo, "new", &[1, 2], "two");
        replace_token(demo, "b");
        done(demo, &["member", "replace", "b", "--shares", &two]);
        assert!(is_whole(demo));

        fs::remove_dir_all(demo.dir().join("new")).expect("the files of the split that was killed");
        done(demo, &arguments);
        assert_ne!(set_of(demo), set);
        let (_application, session) = application();
        published.work(&session);
        Kind::P256.make(&session, "later").expect("a key");
    });
}

#[test]
fn members_hold_nothing_of_a_split() {
    for vendor in [SoftHsm, Kryoptic] {
        let dir = tempfile::tempdir().expect("a folder");
        let demo = Demo::make_with(&Wanted::over(&[vendor]), dir.path(), |_| {});
        let held = |demo: &Demo| demo.direct("a").find_objects(&[]).expect("a search").len();
        let before = held(&demo);
        split(&demo, (2, 3), &at(&demo, "shares"), "new");
        assert_eq!(held(&demo), before, "on {vendor}");
    }
}
