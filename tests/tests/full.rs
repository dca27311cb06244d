//! A disk that is full under the state folder: what would be new is refused, and nothing else is any different.

use cryptoki::error::RvError::DeviceMemory;
use cryptoki::object::Attribute;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::ptr;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Wanted, alone, application, refused, skip};

/// Bytes of the disk.
const DISK: &str = "size=2m";

/// A disk of its own in place of a folder, seen by this process alone and gone with it. False where that isn't allowed.
fn small_disk(at: &Path) -> bool {
    let path = CString::new(at.as_os_str().as_bytes()).expect("a path");
    // SAFETY: this thread, and those that it starts, get mounts of their own.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let mount = |kind: &str, from: &str, to: &CString, flags, data: &str| {
        let [kind, from, data] = [kind, from, data].map(|text| CString::new(text).expect("a text"));
        // SAFETY: every text ends with a zero and outlives the call.
        let done = unsafe {
            libc::mount(from.as_ptr(), to.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast())
        };
        done == 0
    };
    let root = CString::new("/").expect("a path");
    // SAFETY: as above; nothing but the propagation of mounts is changed.
    let own = unsafe {
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        libc::mount(ptr::null(), root.as_ptr(), ptr::null(), flags, ptr::null())
    };
    own == 0 && mount("tmpfs", "tandem-test", &path, 0, DISK)
}

/// Puts the state folder on a small disk.
fn move_state(demo: &Demo) -> bool {
    let (state, aside) = (demo.dir().join("state"), demo.dir().join("aside"));
    let mode = state.metadata().expect("the state folder").mode();
    fs::rename(&state, &aside).expect("a rename");
    fs::create_dir(&state).expect("a folder");
    if !small_disk(&state) {
        return false;
    }
    fs::set_permissions(&state, fs::Permissions::from_mode(mode & 0o7777)).expect("a mode");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(format!("{}/.", aside.display()))
        .arg(&state)
        .status()
        .expect("cp");
    assert!(copied.success());
    true
}

/// Writes a file until there is no room for a byte more.
fn fill(file: &Path) {
    let mut filler = File::create(file).expect("a file");
    for size in [4096, 1] {
        loop {
            match filler.write_all(&vec![1; size]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn labels(session: &cryptoki::session::Session) -> usize {
    session.find_objects(&[Attribute::Token(true)]).expect("a search").len()
}

#[test]
fn a_full_disk_refuses_what_is_new_and_signing_goes_on() {
    alone(&Wanted::mixed(), |demo| {
        if !move_state(demo) {
            skip("mounts are for root only");
            return;
        }
        let filler = demo.dir().join("state/filler");
        let (application_, session) = application();
        let made = Kind::P256.make(&session, "before").expect("a key");
        let public = Kind::P256.public(&session, made).expect("a public key");
        let before = labels(&session);
        fill(&filler);
        // What room is left in the files themselves is used up first.
        let mut refused_with = None;
        for round in 0..200 {
            match Kind::P256.make(&session, &format!("round {round}")) {
                Ok(made) => {
                    Kind::P256.work(&session, made).expect("a key that was returned works");
                }
                Err(error) => {
                    refused_with = Some((round, error));
                    break;
                }
            }
        }
        let (rounds, error) = refused_with.expect("the disk is full at last");
        refused("a key on a full disk", Err::<(), _>(error), &[DeviceMemory]);
        let whole = before + 2 * rounds;
        assert_eq!(labels(&session), whole, "nothing half-made is seen");
        refused(
            "a change on a full disk",
            session.update_attributes(made.key, &[Attribute::Label(b"else".to_vec())]),
            &[DeviceMemory],
        );
        refused("a deletion on a full disk", session.destroy_object(made.key), &[DeviceMemory]);
        for _ in 0..10 {
            let signature = Kind::P256.work(&session, made).expect("signing goes on");
            assert!(public.verifies(&DIGEST, &signature));
        }
        drop((session, application_));

        // Another process comes to the full disk.
        let (application_, session) = application();
        let made = Kind::P256.find(&session, "before").expect("the key");
        Kind::P256.work(&session, made).expect("signing goes on in a process that is new");
        refused("a key", Kind::P256.make(&session, "full"), &[DeviceMemory]);

        // There is room again: everything is there, and nothing else.
        fs::remove_file(&filler).expect("the filler");
        let made = Kind::P256.make(&session, "after").expect("a key");
        Kind::P256.work(&session, made).expect("a signature");
        assert_eq!(labels(&session), whole + 2);
        drop((session, application_));
        let verified = demo.report(&["verify"]);
        assert_eq!(verified["verified"], true, "{verified:#}");
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            assert!(Kind::P256.find(&direct, "full").is_none(), "an orphan on {member}");
            assert!(Kind::P256.find(&direct, "after").is_some(), "{member}");
        }
    });
}

/// Enough that not all of them can be wrapped anew in what room a full disk has left.
const MANY: &str = "30";

#[test]
fn keks_stay_as_they_are_on_a_full_disk_and_are_rotated_when_there_is_room() {
    alone(&Wanted::mixed(), |demo| {
        if !move_state(demo) {
            skip("mounts are for root only");
            return;
        }
        let at = |name: &str| demo.dir().join(name).display().to_string();
        demo.report(&["keys", "generate", "--count", MANY, "--type", "ec:p256", "--label", "key"]);
        // The virtual token's serial number is drawn when it is first asked for, and noted.
        demo.report(&["status"]);
        let filler = demo.dir().join("state/filler");
        fill(&filler);
        let rotate = ["kek", "rotate", "--shares", &at("shares"), "--shares-dir", &at("new")];
        let output = demo.tandem(&rotate);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("full"), "{said}");
        // Shares are there if, and only if, the log tells of what they open.
        let status = demo.report(&["status"]);
        let begun = !status["tokens"][0]["rotation"].is_null();
        let files = fs::read_dir(at("new")).map_or(0, Iterator::count);
        assert_eq!(files, if begun { 5 } else { 0 }, "{status:#}");
        let (application_, session) = application();
        let key = session.find_objects(&[
            Attribute::Class(cryptoki::object::ObjectClass::PRIVATE_KEY),
            Attribute::Label(format!("key-{MANY}").into_bytes()),
        ]);
        let key = tandem_tests::keys::Made { key: key.expect("a search")[0], public: None };
        Kind::P256.work(&session, key).expect("signing goes on");
        drop((session, application_));

        fs::remove_file(&filler).expect("the filler");
        let rotated = demo.report(&rotate);
        assert_eq!(rotated["finished"], true, "{rotated:#}");
        assert_eq!(demo.report(&["verify"])["verified"], true);
    });
}
