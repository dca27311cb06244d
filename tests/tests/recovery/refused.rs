//! Shares and folders that won't do: each mistake is told from the others, and nothing has changed.

use super::{
    add, at, back_up, done, put_token_back, refused, refused_as, replace_token, set_of,
    share_files, shown, some, split,
};
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use tandem_tests::{
    Demo, SO_PIN, USER_PIN, Vendor, Wanted, alone, application, initialised, pin, skip,
};

use Vendor::{Kryoptic, SoftHsm};

/// Nothing of a split is there.
fn nothing_has_changed(demo: &Demo, before: (u64, u64, usize)) {
    assert_eq!(state(demo), before);
}

/// Set, position of the log, files of shares.
fn state(demo: &Demo) -> (u64, u64, usize) {
    (set_of(demo), demo.head(), share_files(demo.dir()).len())
}

#[test]
fn shares_that_are_not_enough_or_not_right_are_named() {
    alone(&Wanted::mixed(), |demo| {
        split(demo, (2, 3), &at(demo, "shares"), "three");
        let dir = tempfile::tempdir().expect("a folder");
        let theirs = Demo::make_with(&Wanted::over(&[SoftHsm]), dir.path(), |_| {});
        let fails = |some: &str, says: &[&str]| {
            let before = state(demo);
            let to = at(demo, "new");
            let said = refused(
                demo,
                &["recovery", "split", "--shares-from", some, "--shares-dir", &to],
                says,
            );
            nothing_has_changed(demo, before);
            said
        };
        let folder = some(demo, "shares", &[], "some");
        fails(&folder, &["holds no file"]);
        fails(&at(demo, "nowhere"), &["nowhere can't be read"]);
        some(demo, "shares", &[4, 1], "some");
        fails(&folder, &["2 of 3 shares", "bring 1 more"]);
        add(demo, "shares", 4, "some", "share-x.txt");
        fails(&folder, &["share-x.txt", "are the same share, number 4"]);
        fs::remove_file(demo.dir().join("some/share-x.txt")).expect("a file");

        // One word is another, two have changed places, one is none.
        let sound = fs::read_to_string(demo.dir().join("shares/share-2.txt")).expect("a share");
        let line = sound.lines().find(|line| !line.starts_with('#')).expect("words");
        let words: Vec<_> = line.split(' ').collect();
        let wrong = |edit: &dyn Fn(&mut Vec<&str>), say: &str| {
            let mut edited = words.clone();
            edit(&mut edited);
            fs::write(demo.dir().join("some/share-2.txt"), edited.join(" ")).expect("a share");
            fails(&folder, &["share-2.txt", say]);
        };
        let other = if words[6] == "zoo" { "zebra" } else { "zoo" };
        wrong(&|words| words[6] = other, "word 7 is mistyped");
        wrong(&|words| words[6] = "zzzz", "word 7 is not in the list");
        wrong(&|words| words.truncate(29), "29 words");
        let (first, second) = (0..29)
            .map(|at| (at, at + 1))
            .find(|(first, second)| words[*first] != words[*second])
            .expect("two words that differ");
        wrong(&|words| words.swap(first, second), "have changed places");

        // Of two splits, whichever way round: the one in force is told by its number.
        add(demo, "three", 2, "some", "share-2.txt");
        fails(&folder, &["comes from another split", "leave it out"]);
        // Of another ring: nothing tells before an HSM is asked.
        fs::remove_dir_all(demo.dir().join("some")).expect("a folder");
        let their_shares = theirs.dir().join("shares").display().to_string();
        let their_set = set_of(&theirs).to_string();
        fails(&their_shares, &["another ring", &their_set, &set_of(demo).to_string()]);
    });
}

#[test]
fn shares_of_another_ring_take_no_member_out() {
    alone(&Wanted::mixed(), |demo| {
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "k"]);
        let dir = tempfile::tempdir().expect("a folder");
        let theirs = Demo::make_with(&Wanted::over(&[SoftHsm]), dir.path(), |_| {});
        let shares = theirs.dir().join("shares").display().to_string();
        replace_token(demo, "a");
        let known = || (demo.head(), demo.position("a"), demo.position("b"));
        let before = known();
        for command in [&["member", "replace", "a"][..], &["recovery", "combine"]] {
            let says = ["another ring", &set_of(&theirs).to_string(), &set_of(demo).to_string()];
            refused(demo, &[command, &["--shares", &shares]].concat(), &says);
            refused(demo, command, &["--shares DIR"]);
            assert_eq!(known(), before, "{command:?} has changed the log");
        }
        let held = [Attribute::Token(true)];
        assert_eq!(demo.direct("a").find_objects(&held).expect("a search").len(), 0);
        done(demo, &["member", "replace", "a", "--shares", &at(demo, "shares")]);
    });
}

#[test]
fn splits_that_make_no_sense_are_wrong_usage() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        let before = state(demo);
        let (old, new) = (at(demo, "shares"), at(demo, "new"));
        for (shares, threshold, says) in [
            ("5", "0", "0 is not in 2..=32"),
            ("5", "1", "1 is not in 2..=32"),
            ("5", "6", "6 of 5 shares"),
            ("1", "1", "1 is not in 2..=32"),
            ("256", "3", "256 is not in 2..=32"),
            ("-1", "3", "-1"),
            ("five", "3", "five"),
        ] {
            let terms = ["recovery", "split", "--shares", shares, "--threshold", threshold];
            let folders = ["--shares-from", &old, "--shares-dir", &new];
            refused_as(demo, &[&terms[..], &folders].concat(), 2, &[says]);
        }
        let split = ["recovery", "split", "--shares", "5", "--threshold", "3"];
        refused_as(demo, &split, 2, &["--shares-from"]);
        nothing_has_changed(demo, before);
        // What isn't said is as the configuration has it.
        demo.configure(|text| {
            text.replacen("shares_dir", "shares = 4\nthreshold = 4\nshares_dir", 1)
        });
        done(demo, &["recovery", "split", "--shares-from", &old, "--shares-dir", &new]);
        let known = shown(demo);
        assert_eq!(
            (&known["recovery"]["shares"], &known["recovery"]["threshold"]),
            (&4.into(), &4.into())
        );
        let (newer, two) = (at(demo, "newer"), "2");
        let two =
            ["recovery", "split", "--shares", two, "--shares-from", &new, "--shares-dir", &newer];
        assert_eq!(done(demo, &two)["recovery"]["threshold"], 2);
    });
}

#[test]
fn folders_that_are_not_empty_or_cannot_be_written_are_refused() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| {
        let before = state(demo);
        let old = at(demo, "shares");
        let into = |folder: &str, says: &[&str]| {
            let arguments = ["recovery", "split", "--shares-from", &old, "--shares-dir", folder];
            refused(demo, &arguments, says);
            nothing_has_changed(demo, before);
        };
        // Where the old ones are, also when the configuration says so.
        let first = fs::read(demo.dir().join("shares/share-1.txt")).expect("a share");
        into(&old, &["is not empty", "nothing is written over"]);
        refused(demo, &["recovery", "split", "--shares-from", &old], &["is not empty", "shares"]);
        assert_eq!(fs::read(demo.dir().join("shares/share-1.txt")).expect("a share"), first);
        fs::create_dir(demo.dir().join("full")).expect("a folder");
        fs::write(demo.dir().join("full/mine"), "of somebody").expect("a file");
        into(&at(demo, "full"), &["is not empty", "full/mine"]);
        into(&at(demo, "full/mine"), &["is no folder"]);
        into(&at(demo, "nowhere/new"), &["can't be made", "mkdir"]);
        into("/proc", &["/proc"]);
        // Nobody is there to be shown them.
        demo.configure(|text| {
            let lines = text.lines().filter(|line| !line.contains("shares_dir"));
            lines.collect::<Vec<_>>().join("\n")
        });
        let nowhere = ["recovery", "split", "--shares-from", &old];
        refused(demo, &nowhere, &["shown once and kept nowhere", "--shares-dir DIR"]);
        nothing_has_changed(demo, before);
    });
}

/// Bytes of a disk with room for three files.
const DISK: &str = "size=12k";

#[test]
fn a_disk_that_is_full_while_shares_are_written_leaves_none() {
    alone(&Wanted::mixed(), |demo| {
        let (before, new) = (state(demo), demo.dir().join("new"));
        fs::create_dir(&new).expect("a folder");
        if !small_disk(&new) {
            skip("mounts are for root only");
            return;
        }
        let (from, to) = (at(demo, "shares"), at(demo, "new"));
        let arguments = ["recovery", "split", "--shares-from", &from, "--shares-dir", &to];
        refused(demo, &arguments, &["the share", "can't be written", "No space left"]);
        assert_eq!(fs::read_dir(&new).expect("a folder").count(), 0, "no share is left");
        nothing_has_changed(demo, before);
        // Two fit.
        let three = ["--shares", "2", "--threshold", "2"];
        done(demo, &[&arguments[..], &three].concat());
        assert_ne!(set_of(demo), before.0);
    });
}

/// A disk of its own in place of a folder, seen by this process alone and gone with it. False where that isn't allowed.
fn small_disk(at: &Path) -> bool {
    let text = |text: &[u8]| CString::new(text).expect("a text");
    let (path, root, kind, data) =
        (text(at.as_os_str().as_bytes()), text(b"/"), text(b"tmpfs"), text(DISK.as_bytes()));
    // SAFETY: this thread, and those that it starts, get mounts of their own.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: every text ends with a zero and outlives the call; only the propagation of mounts is changed.
    let own = unsafe { libc::mount(ptr::null(), root.as_ptr(), ptr::null(), flags, ptr::null()) };
    // SAFETY: as above.
    own == 0
        && unsafe {
            libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, data.as_ptr().cast()) == 0
        }
}

#[test]
fn a_token_without_a_recovery_says_so() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        demo.configure(|text| {
            let lines = text.lines().filter(|line| !line.contains("shares_dir"));
            lines.collect::<Vec<_>>().join("\n")
        });
        let application = initialised();
        application.init_token(application.slot, &pin(SO_PIN), "demo").expect("C_InitToken");
        let session = application.open(true);
        session.login(UserType::So, Some(&pin(SO_PIN))).expect("a login");
        session.init_pin(&pin(USER_PIN)).expect("C_InitPIN");
        session.logout().expect("C_Logout");
        session.login(UserType::User, Some(&pin(USER_PIN))).expect("a login, which pairs it");
        drop(session);
        application.finalize();
        let known = shown(demo);
        assert!(known["recovery"].is_null(), "{known}");
        assert_eq!(
            (&known["earlier"], &known["backups"]),
            (&serde_json::json!([]), &serde_json::json!([]))
        );
        let output = demo.tandem(&["recovery", "show"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("paired without a recovery"), "{said}");
        let split = ["--shares-from", &at(demo, "shares"), "--shares-dir", &at(demo, "new")];
        let split = [&["recovery", "split"], &split[..]].concat();
        refused(demo, &split, &["paired without a recovery"]);
        assert!(!demo.dir().join("new").exists());
        let spare = replace_token(demo, "a");
        for command in [&["member", "replace", "a"][..], &["recovery", "combine"]] {
            refused(demo, command, &["paired without a recovery", "no shares open it"]);
        }
        put_token_back(demo, "a", &spare);
        // A backup of it is no backup, and no share brings its ring back.
        back_up(demo, "one.bundle");
        assert_eq!(shown(demo)["backups"], serde_json::json!([]));
    });
}

#[test]
fn what_is_not_paired_has_no_recovery() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        let new = super::new_tokens(demo, &[SoftHsm], "new");
        refused(&new, &["recovery", "show"], &["is not paired", "tandem pair"]);
        let split = ["--shares-from", &at(demo, "shares"), "--shares-dir", &at(demo, "none")];
        refused(&new, &[&["recovery", "split"], &split[..]].concat(), &["is not paired"]);
        fs::remove_dir_all(new.dir().join("state")).expect("a folder");
        refused(&new, &["recovery", "combine"], &["does not exist", "--from FILE"]);
        assert!(!new.dir().join("state").exists(), "nothing is made by asking");
        // A wrong PIN costs one try and tells nothing of shares.
        let mut wrong = demo.command(["recovery", "show", "--json"]);
        let output = wrong.env("TANDEM_PIN", "87654321").output().expect("tandem runs");
        assert_eq!(output.status.code(), Some(1));
        let known: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(
            known["reason"].as_str().is_some_and(|why| why.contains("CKR_PIN_INCORRECT")),
            "{known}"
        );
        let mut without = demo.command(["recovery", "show", "--json"]);
        let output = without.env_remove("TANDEM_PIN").output().expect("tandem runs");
        assert!(output.status.success(), "no PIN is needed to see who can bring it back");
        let (_application, _session) = application();
    });
}
