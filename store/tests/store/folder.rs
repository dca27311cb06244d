//! Modes, groups, users, and what is refused.

use crate::helper::{Helper, say, told};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use tandem_engine::log::{Followers, Log, Notes, StoreError};
use tandem_store::SqliteStore;
use tandem_store::contract::{append, erase, whole_log};

/// A group of nobody else's on any machine.
const GROUP: u32 = 54_321;

fn is_root(folder: &Path) -> bool {
    fs::metadata(folder).unwrap().uid() == 0
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Every file of the store is 0660 and of the folder's group. Answers how many there are.
fn modes_are_right(folder: &Path, group: u32) -> usize {
    let own = fs::metadata(folder).unwrap();
    assert_eq!((own.mode() & 0o7777, own.gid()), (0o2770, group));
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let name = entry.path();
        let name = name.display();
        assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o660, group), "{name}");
        count += 1;
    }
    count
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["000", "022", "027", "077"] {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("new").join("state");
        fs::create_dir(above.path().join("new")).unwrap();
        let helper = Helper::start_under(&format!("umask {umask}"), &[], "lease member", &folder);
        helper.finish();
        let group = fs::metadata(above.path()).unwrap().gid();
        // Database, write-ahead file and its index, generation, lease: SQLite's own are there too.
        assert_eq!(modes_are_right(&folder, group), 5, "umask {umask}");
    }
}

/// Signer and operator: different users with different groups of their own, umask 022, one group in common.
#[test]
fn two_users_share_a_state() {
    let above = tempfile::tempdir().unwrap();
    if !is_root(above.path()) {
        println!("skipped: only root can be other users");
        return;
    }
    chmod(above.path(), 0o755);
    let folder = above.path().join("state");
    drop(SqliteStore::open(&folder, Some(GROUP)).unwrap());
    modes_are_right(&folder, GROUP);
    let user = |id: u32, groups: &str| {
        let (user, groups) = (format!("--reuid={id}"), format!("--groups={groups}"));
        let through = ["setpriv", &user, &format!("--regid={id}"), &groups];
        Helper::start_under("umask 022", &through, &format!("user {GROUP}"), &folder)
    };
    let group = GROUP.to_string();
    let (mut signer, mut operator) = (user(54_001, &group), user(54_002, &group));
    for turn in 0..6_u64 {
        let helper = if turn % 2 == 0 { &mut signer } else { &mut operator };
        helper.tell("write");
        assert_eq!(helper.hear(), (turn + 1).to_string());
        modes_are_right(&folder, GROUP);
    }
    signer.kill();
    operator.tell("write");
    assert_eq!(operator.hear(), "7");
    operator.finish();
    modes_are_right(&folder, GROUP);

    let mut stranger = user(54_003, "54003");
    stranger.tell("write");
    let said = stranger.hear();
    assert!(said.starts_with("the store is unavailable: ") && said.contains("state"), "{said}");
    // Root may write too, and leaves files that the others can still use.
    let root = SqliteStore::open(&folder, Some(GROUP)).unwrap();
    assert_eq!(append(&root, b"root", None).unwrap().position, 8);
    drop(root);
    let mut operator = user(54_002, &group);
    operator.tell("write");
    assert_eq!(operator.hear(), "9");
    modes_are_right(&folder, GROUP);
}

/// In a helper: everything that a user of the group does, whenever the test tells it to.
pub(crate) fn be_a_user(folder: &Path, group: u32) {
    while told().is_some() {
        let once = || {
            let store = SqliteStore::open(folder, Some(group))?;
            let position = append(&store, b"user", Some(b"wrapped"))?.position;
            erase(&store, position)?;
            let mut lease = store.lease("member", 5_000)?.unwrap();
            lease.advance(position)?;
            store.set_note("note", Some(b"text"))?;
            Ok::<_, StoreError>(position)
        };
        match once() {
            Ok(position) => say(position),
            Err(error) => say(error),
        }
    }
}

/// Opening is refused, and the message names the path and what to do.
fn refused(folder: &Path, group: Option<u32>, about: &Path, remedy: &str) {
    for opened in [SqliteStore::open(folder, group), SqliteStore::open_existing(folder, group)] {
        let Err(StoreError::Unavailable(said)) = opened.map(drop) else { panic!("not refused") };
        assert!(said.contains(about.to_str().unwrap()) && said.contains(remedy), "{said}");
    }
}

/// A state folder in a folder of its own.
fn made() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("state");
    let store = SqliteStore::open(&folder, None).unwrap();
    drop(store.lease("member", 0).unwrap().unwrap());
    (above, folder)
}

#[test]
fn what_strangers_may_write_to_is_refused() {
    let (above, folder) = made();
    let files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3);
    for path in files.iter().chain([&folder]) {
        let mode = fs::metadata(path).unwrap().mode() & 0o7777;
        chmod(path, mode | 0o002);
        refused(&folder, None, path, "chmod o-w");
        chmod(path, mode);
    }
    chmod(above.path(), 0o777);
    refused(&folder, None, above.path(), "chmod o-w");
    chmod(above.path(), 0o1777);
    SqliteStore::open(&folder, None).unwrap();
}

#[test]
fn another_groups_files_are_refused() {
    let (_above, folder) = made();
    refused(&folder, Some(GROUP), &folder, "chgrp 54321");
    if !is_root(&folder) {
        println!("the rest skipped: only root can give files to other groups");
        return;
    }
    let database = folder.join("tandem.sqlite");
    chown(&database, None, Some(GROUP)).unwrap();
    refused(&folder, None, &database, "group 54321 may write");
}

#[test]
fn a_folder_that_keeps_its_group_to_itself_is_refused() {
    let (_above, folder) = made();
    chmod(&folder, 0o770);
    refused(&folder, None, &folder, "chmod g+s");
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let (above, folder) = made();
    for name in ["tandem.sqlite", "generation", "lease-member"] {
        let (path, elsewhere) = (folder.join(name), above.path().join(name));
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        refused(&folder, None, &path, "not a plain file");
        fs::remove_file(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
    }
    refused(&folder.join("generation"), None, &folder.join("generation"), "not a folder");
    // The folder itself may be reached by a link.
    symlink(&folder, above.path().join("link")).unwrap();
    let store = SqliteStore::open(&above.path().join("link"), None).unwrap();
    assert_eq!(store.folder(), folder.canonicalize().unwrap());
}

#[test]
fn what_was_never_finished_is_cleared_away() {
    let (_above, folder) = made();
    let (old, new) = (folder.join(".new-1-0"), folder.join(".new-1-1"));
    for path in [&old, &new] {
        fs::write(path, "").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    SqliteStore::open(&folder, None).unwrap();
    assert!(!old.exists() && new.exists());
}

#[test]
fn an_existing_store_is_not_made() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("state");
    let Err(StoreError::Unavailable(said)) = SqliteStore::open_existing(&folder, None).map(drop)
    else {
        panic!("opened")
    };
    assert!(said.contains("state"), "{said}");
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    let Err(StoreError::Unavailable(said)) = SqliteStore::open_existing(&folder, None).map(drop)
    else {
        panic!("opened")
    };
    assert!(said.contains("tandem.sqlite is gone"), "{said}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    append(&SqliteStore::open(&folder, None).unwrap(), b"one", None).unwrap();
    let store = SqliteStore::open_existing(&folder, None).unwrap();
    assert_eq!(whole_log(&store).len(), 1);
    assert_eq!(store.head().unwrap().position, 1);
}

/// A folder that the operator has made beforehand is given to the configured group, while it is new.
#[test]
fn an_empty_folder_is_given_to_the_group() {
    let above = tempfile::tempdir().unwrap();
    if !is_root(above.path()) {
        println!("skipped: only root can give folders to other groups");
        return;
    }
    let folder = above.path().join("state");
    fs::create_dir(&folder).unwrap();
    drop(SqliteStore::open(&folder, Some(GROUP)).unwrap());
    assert_eq!(modes_are_right(&folder, GROUP), 4);
    // Without a configured group its mode is the operator's business.
    let private = above.path().join("private");
    fs::create_dir(&private).unwrap();
    chmod(&private, 0o700);
    drop(SqliteStore::open(&private, None).unwrap());
    assert_eq!(fs::metadata(&private).unwrap().mode() & 0o7777, 0o700);
    // Where the kernel doesn't hand the folder's group on, the store does.
    let unshared = above.path().join("unshared");
    fs::create_dir(&unshared).unwrap();
    chown(&unshared, None, Some(GROUP)).unwrap();
    drop(SqliteStore::open(&unshared, None).unwrap());
    for name in ["tandem.sqlite", "generation"] {
        assert_eq!(fs::metadata(unshared.join(name)).unwrap().gid(), GROUP, "{name}");
    }
}
