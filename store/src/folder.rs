//! The state folder: made with the right group and modes whatever the umask, refused if strangers may write to it.

use crate::error::{self, is_full};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tandem_engine::log::{StoreError, Stored};

/// The folder's mode: owner and group, and what is made in it has the folder's group.
const FOLDER_MODE: u32 = 0o2770;
/// A file's mode: owner and group.
const FILE_MODE: u32 = 0o660;
/// The database's name. SQLite adds `-wal` and `-shm`.
const DATABASE: &str = "tandem.sqlite";
/// The generation word's name.
const GENERATION: &str = "generation";
/// The checkpoint's name.
const CHECKPOINT: &str = "checkpoint";
/// Lock files of leases begin so.
const LEASE: &str = "lease-";
/// Files that are not complete yet begin so.
const UNFINISHED: &str = ".new-";
/// Nobody takes so long to make one.
const UNFINISHED_MAX: Duration = Duration::from_secs(3600);

/// Which file it is, whatever its name.
pub(crate) type Identity = (u64, u64);

/// A state folder that has been checked.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    group: u32,
}

impl Folder {
    /// The folder, made if it is missing.
    pub(crate) fn make(path: &Path, group: Option<u32>) -> Stored<Self> {
        match fs::symlink_metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, group)?,
            Err(error) => return Err(error::io("look at", path, &error)),
        }
        let folder = Self::at(path, group)?;
        if group.is_some() && !folder.database().exists() {
            folder.share()?;
        }
        folder.check()?;
        Ok(folder)
    }

    /// The folder, which must be there.
    pub(crate) fn existing(path: &Path, group: Option<u32>) -> Stored<Self> {
        let folder = Self::at(path, group)?;
        folder.check()?;
        Ok(folder)
    }

    fn at(path: &Path, group: Option<u32>) -> Stored<Self> {
        let path = path.canonicalize().map_err(|error| error::io("find", path, &error))?;
        let metadata = metadata(&path)?;
        if !metadata.is_dir() {
            return Err(StoreError::Unavailable(format!(
                "{} is not a folder: name a folder of its own as the token's state",
                path.display()
            )));
        }
        Ok(Self { group: group.unwrap_or_else(|| metadata.gid()), path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(crate) fn generation(&self) -> PathBuf {
        self.path.join(GENERATION)
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// The lock file of a follower's lease. Different names have different files.
    pub(crate) fn lease(&self, follower: &str) -> PathBuf {
        let mut name = String::from(LEASE);
        for byte in follower.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' {
                name.push(char::from(byte));
            } else {
                let _ = write!(name, "_{byte:02x}");
            }
        }
        self.path.join(name)
    }

    /// What SQLite keeps beside the database: the write-ahead file and its index.
    pub(crate) fn write_ahead(&self) -> [PathBuf; 2] {
        ["-wal", "-shm"].map(|end| self.path.join(format!("{DATABASE}{end}")))
    }

    /// Which file has this name now; `None` if none has.
    pub(crate) fn identity(path: &Path) -> Option<Identity> {
        fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    /// A name for a file that is not complete yet.
    fn unfinished(&self) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        self.path.join(format!("{UNFINISHED}{}-{count}", std::process::id()))
    }

    /// Makes a file that is complete, with the right group and mode, when it takes the place of the one of its name, if any.
    pub(crate) fn replace(&self, path: &Path, fill: impl FnOnce(&Path) -> Stored) -> Stored {
        let unfinished = self.unfinished();
        let placed = self.new_file(&unfinished).and_then(|()| fill(&unfinished)).and_then(|()| {
            fs::rename(&unfinished, path).map_err(|error| error::io("make", path, &error))
        });
        if placed.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        placed
    }

    /// Makes a file that has no name any more when it is in use.
    pub(crate) fn unnamed<T>(&self, make: impl FnOnce(&Path) -> Stored<T>) -> Stored<T> {
        let unfinished = self.unfinished();
        let made = self.new_file(&unfinished).and_then(|()| make(&unfinished));
        let _ = fs::remove_file(&unfinished);
        made
    }

    /// Makes a file that is complete, with the right group and mode, when it appears under its name. False if there is
    /// one already.
    pub(crate) fn place(&self, path: &Path, fill: impl FnOnce(&Path) -> Stored) -> Stored<bool> {
        let unfinished = self.unfinished();
        let placed = self.new_file(&unfinished).and_then(|()| fill(&unfinished)).and_then(|()| {
            match fs::hard_link(&unfinished, path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error::io("make", path, &error)),
            }
        });
        let _ = fs::remove_file(&unfinished);
        if placed.is_ok() {
            // The name is on disk before anything that relies on it.
            File::open(&self.path)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| error::io("write", &self.path, &error))?;
        }
        placed
    }

    fn new_file(&self, path: &Path) -> Stored {
        let said = |error: io::Error| error::io("make", path, &error);
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(said)?;
        if file.metadata().map_err(said)?.gid() != self.group {
            std::os::unix::fs::fchown(&file, None, Some(self.group)).map_err(said)?;
        }
        file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(said)
    }

    /// True if there is no room for more, as far as can be told by trying: SQLite doesn't say.
    pub(crate) fn is_full(&self) -> bool {
        let [wal, _] = self.write_ahead();
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let size = size(&wal).max(size(&self.database()));
        let probe = self.path.join(format!("{UNFINISHED}{}-probe", std::process::id()));
        let tried = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&probe)
            .and_then(|file| {
                file.write_all_at(&vec![1; 64 * 1024], size).and_then(|()| file.sync_all())
            });
        let _ = fs::remove_file(&probe);
        tried.is_err_and(|error| is_full(&error))
    }

    /// Gives a folder that holds no database yet to the configured group.
    fn share(&self) -> Stored {
        let metadata = metadata(&self.path)?;
        if metadata.gid() == self.group && metadata.mode() & FOLDER_MODE == FOLDER_MODE {
            return Ok(());
        }
        give(&self.path, self.group).map_err(|error| {
            StoreError::Unavailable(format!(
                "{} isn't shared with group {group} and can't be ({error}): as its owner run `chgrp {group} {path} && chmod 2770 {path}`",
                self.path.display(),
                group = self.group,
                path = self.path.display(),
            ))
        })
    }

    /// Refuses the folder, or a file of ours in it, if others than its owner and the group may write to it.
    fn check(&self) -> Stored {
        let own = metadata(&self.path)?;
        self.check_writers(&self.path, &own)?;
        if own.mode() & 0o020 != 0 && own.gid() == self.group && own.mode() & 0o2000 == 0 {
            return Err(StoreError::Unavailable(format!(
                "{path} doesn't hand its group on, so other users of the group could not write what one makes there: `chmod g+s {path}`",
                path = self.path.display()
            )));
        }
        for above in self.path.ancestors().skip(1) {
            let mode = metadata(above)?.mode();
            if mode & 0o002 != 0 && mode & 0o1000 == 0 {
                return Err(StoreError::Unavailable(format!(
                    "anyone may replace {}, since anyone may write to {above}: `chmod o-w {above}`",
                    self.path.display(),
                    above = above.display()
                )));
            }
        }
        let entries =
            fs::read_dir(&self.path).map_err(|error| error::io("list", &self.path, &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) {
                clear_away(&entry.path());
            } else if name.starts_with(DATABASE)
                || name.starts_with(LEASE)
                || name == GENERATION
                || name == CHECKPOINT
            {
                self.check_file(&entry.path())?;
            }
        }
        Ok(())
    }

    fn check_file(&self, path: &Path) -> Stored {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            // SQLite has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error::io("look at", path, &error)),
        };
        if !metadata.is_file() {
            return Err(StoreError::Unavailable(format!(
                "{} is not a plain file: move it away",
                path.display()
            )));
        }
        self.check_writers(path, &metadata)
    }

    fn check_writers(&self, path: &Path, metadata: &Metadata) -> Stored {
        let shown = path.display();
        if metadata.mode() & 0o002 != 0 {
            return Err(StoreError::Unavailable(format!(
                "anyone may write to {shown}, so it can't be trusted: look what was done to it, then `chmod o-w {shown}`"
            )));
        }
        if metadata.mode() & 0o020 != 0 && metadata.gid() != self.group {
            return Err(StoreError::Unavailable(format!(
                "group {} may write to {shown}, but the state belongs to group {}: `chgrp {} {shown}`, or configure that group",
                metadata.gid(),
                self.group,
                self.group,
            )));
        }
        Ok(())
    }
}

fn metadata(path: &Path) -> Stored<Metadata> {
    fs::metadata(path).map_err(|error| error::io("look at", path, &error))
}

/// Removes what a process that was killed was making long ago.
fn clear_away(path: &Path) {
    let made = fs::metadata(path).and_then(|metadata| metadata.modified());
    if made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > UNFINISHED_MAX)) {
        let _ = fs::remove_file(path);
    }
}

/// Makes the folder; closed to all others until it has its group and mode.
fn create(path: &Path, group: Option<u32>) -> Stored {
    let said = |error: io::Error| error::io("make", path, &error);
    if let Some(above) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(above).map_err(said)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process has just made it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(said)?,
    }
    let group = group.map_or_else(|| metadata(path).map(|metadata| metadata.gid()), Ok)?;
    give(path, group).map_err(|error| {
        let _ = fs::remove_dir(path);
        StoreError::Unavailable(format!(
            "can't give {} to group {group}: {error}; run this as a member of that group or as root",
            path.display()
        ))
    })
}

/// Gives a folder to a group. The mode last: changing the group may clear its bits.
fn give(path: &Path, group: u32) -> io::Result<()> {
    if fs::metadata(path)?.gid() != group {
        chown(path, None, Some(group))?;
    }
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))?;
    // Without membership in the group the kernel drops the bit silently.
    if fs::metadata(path)?.mode() & 0o2000 == 0 {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(())
}

/// Writes bytes into a file that has just been made, durably.
pub(crate) fn fill(path: &Path, bytes: &[u8]) -> Stored {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| error::io("write", path, &error))
}
