//! Shares of a recovery written to a folder, one file for each, and read back.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tandem_engine::ring::Recovery;
use tandem_engine::shares::{self, Share, ShareError};
use tandem_engine::token::ShareSink;
use tandem_values::Secret;
use zeroize::Zeroizing;

/// Where shares are written.
pub struct ShareFolder {
    folder: PathBuf,
    label: String,
}

impl ShareFolder {
    /// A folder for the shares of the token with this label.
    pub fn new(folder: impl Into<PathBuf>, label: impl Into<String>) -> Self {
        Self { folder: folder.into(), label: label.into() }
    }

    /// Writes every share or none: a file of its own for each, which only its owner may read, and never in the place
    /// of another. Answers the files.
    pub fn write(&self, shares: &[Share]) -> Result<Vec<PathBuf>, String> {
        self.prepare()?;
        let mut written = Vec::new();
        for share in shares {
            match self.write_one(share, shares.len()) {
                Ok(file) => written.push(file),
                Err(error) => {
                    take_back(&written);
                    return Err(error);
                }
            }
        }
        // A share that a power cut takes back was never kept.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|error| {
            take_back(&written);
            format!("the folder {} can't be synced ({error})", self.folder.display())
        })?;
        Ok(written)
    }

    /// The same as [`Self::prepare`] for shares that must not lie among others: of two splits in one folder nobody could tell
    /// which to destroy, and together they open nothing.
    pub fn prepare_alone(&self) -> Result<(), String> {
        let held = self.folder.is_dir().then(|| files_in(&self.folder)).transpose()?;
        match held.unwrap_or_default().first() {
            None => self.prepare(),
            Some(file) => Err(format!(
                "{} is not empty: {} is in it. New shares are put into a folder of their own, and nothing is written over; name an \
                 empty folder, or one that is not there yet",
                self.folder.display(),
                file.display()
            )),
        }
    }

    /// Makes sure that shares can be written, before there are any.
    pub fn prepare(&self) -> Result<(), String> {
        self.make_folder()?;
        let probe = self.folder.join(".writable");
        File::create(&probe).and_then(|_| std::fs::remove_file(&probe)).map_err(|error| {
            format!("nothing can be written to {} ({error})", self.folder.display())
        })
    }

    fn make_folder(&self) -> Result<(), String> {
        let shown = self.folder.display();
        match DirBuilder::new().mode(0o700).recursive(false).create(&self.folder) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let of = self.folder.metadata().map_err(|error| format!("{shown}: {error}"))?;
                if !of.is_dir() {
                    return Err(format!("{shown} is no folder; name one for the shares"));
                }
                if of.mode() & 0o077 != 0 {
                    std::fs::set_permissions(&self.folder, Permissions::from_mode(0o700)).map_err(
                        |error| {
                            format!(
                                "others may look into {shown} ({error}); run: chmod 0700 {shown}"
                            )
                        },
                    )?;
                }
                Ok(())
            }
            Err(error) => Err(format!(
                "the folder {shown} for the shares can't be made ({error}); make it with: mkdir -m 0700 {shown}"
            )),
        }
    }

    fn write_one(&self, share: &Share, of: usize) -> Result<PathBuf, String> {
        let (path, mut file) = self.new_file(share.number)?;
        let attempt = (|| {
            writeln!(
                file,
                "# Share {} of {of}, set {}: recovery of the Tandem token {}",
                share.number, share.set, self.label
            )?;
            writeln!(file, "# Give it to one person, and erase this file.")?;
            file.write_all(share.words.expose())?;
            writeln!(file)?;
            file.sync_all()
        })();
        attempt.map(|()| path.clone()).map_err(|error: std::io::Error| {
            let _ = std::fs::remove_file(&path);
            format!("the share {} can't be written ({error})", path.display())
        })
    }

    /// A file that wasn't there before: `share-1.txt`, or `share-1-2.txt` if an older pairing's share is in its place.
    fn new_file(&self, number: u8) -> Result<(PathBuf, File), String> {
        for turn in 1_u32.. {
            let name = match turn {
                1 => format!("share-{number}.txt"),
                _ => format!("share-{number}-{turn}.txt"),
            };
            let path = self.folder.join(name);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(format!("the share {} can't be written ({error})", path.display()));
                }
            }
        }
        Err(format!("the folder {} is full of shares", self.folder.display()))
    }
}

impl ShareSink for ShareFolder {
    fn keep(&self, shares: &[Share]) -> Result<(), String> {
        let written = self.write(shares)?;
        log::warn!(
            "the recovery of {} was split: {} shares are in {}; give them to people and erase the files",
            self.label,
            written.len(),
            self.folder.display()
        );
        Ok(())
    }
}

/// Removes the files of shares that were written and came to nothing.
pub fn take_back(written: &[PathBuf]) {
    for file in written {
        if let Err(error) = std::fs::remove_file(file) {
            log::error!("the share {} could not be removed ({error}): erase it", file.display());
        }
    }
}

/// True if shares are still lying in a folder.
pub fn left_in(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("share-"))
}

/// Reads shares for a ring: every file that is named, and every file of a folder that is named. An error names the file
/// that is wrong, and never repeats a word of it.
pub fn gather(places: &[PathBuf], recovery: Option<&Recovery>) -> Result<Vec<Secret>, String> {
    let mut files = Vec::new();
    for place in places {
        files.extend(files_at(place)?);
    }
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let shares: Vec<Secret> = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let checked = shares::check(&shares, recovery.map(|recovery| recovery.set));
    checked.map(|()| shares).map_err(|error| name(&error, &files, places))
}

/// Says which files an error is about.
fn name(error: &ShareError, files: &[PathBuf], places: &[PathBuf]) -> String {
    let at = |place: usize| files.get(place.checked_sub(1)?);
    let mut named: Vec<_> =
        error.places().into_iter().filter_map(at).map(|file| file.display().to_string()).collect();
    if named.is_empty() {
        named = places.iter().map(|place| place.display().to_string()).collect();
    }
    format!("{}: {error}", named.join(", "))
}

/// A file itself, or the files of a folder in order of their names, but for hidden ones.
fn files_at(place: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = place.display();
    let unread = |error: std::io::Error| format!("the shares in {shown} can't be read ({error})");
    if !place.metadata().map_err(unread)?.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let files = files_in(place)?;
    if files.is_empty() {
        return Err(format!("{shown} holds no file: name the folder with the files of the shares"));
    }
    Ok(files)
}

/// The files of a folder in order of their names, but for hidden ones.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unread = |error: std::io::Error| format!("{} can't be read ({error})", folder.display());
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The words of a share, without the lines that say what it is.
fn read(file: &Path) -> Result<Secret, String> {
    let shown = file.display();
    let unread = |error: std::io::Error| format!("the share {shown} can't be read ({error})");
    let mut open = File::open(file).map_err(unread)?;
    let mut text = Zeroizing::new(vec![0; SHARE_BYTES_MAX]);
    let mut len = 0;
    loop {
        match open.read(text.get_mut(len..).unwrap_or_default()).map_err(unread)? {
            0 => break,
            more => len = len.saturating_add(more),
        }
    }
    if len == SHARE_BYTES_MAX {
        return Err(format!("{shown} is too long for a share: take it out of the folder"));
    }
    let lines = text.get(..len).unwrap_or_default().split(|byte| *byte == b'\n');
    let words = lines.filter(|line| !line.starts_with(b"#"));
    Ok(Secret::new(words.collect::<Vec<_>>().join(&b' ')))
}

/// The longest file that may be a share, in bytes: thirty words, what is said of them, and room.
const SHARE_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_values::Secret;

    fn shares(words: &str) -> Vec<Share> {
        let share =
            |number| Share { set: 7, number, words: Secret::new(format!("{words} {number}")) };
        (1..=3).map(share).collect()
    }

    #[test]
    fn shares_are_written_apart_and_never_over_others() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("shares");
        let sink = ShareFolder::new(&folder, "demo");
        let first = sink.write(&shares("old")).unwrap();
        let second = sink.write(&shares("new")).unwrap();
        assert_eq!(first[0], folder.join("share-1.txt"));
        assert_eq!(second[0], folder.join("share-1-2.txt"));
        let text = std::fs::read_to_string(&first[0]).unwrap();
        assert_eq!(text.lines().last(), Some("old 1"));
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        for file in first.iter().chain(&second) {
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        }
        assert!(left_in(&folder) && !left_in(around.path()));
    }

    #[test]
    fn shares_that_are_to_lie_alone_are_not_put_among_files() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("shares");
        let sink = ShareFolder::new(&folder, "demo");
        sink.prepare_alone().unwrap();
        std::fs::write(folder.join(".hidden"), "").unwrap();
        std::fs::create_dir(folder.join("lost+found")).unwrap();
        sink.prepare_alone().unwrap();
        let written = sink.write(&shares("new")).unwrap();
        let error = sink.prepare_alone().unwrap_err();
        assert!(error.contains("share-1.txt is in it"), "{error}");
        let text = std::fs::read_to_string(&written[1]).unwrap();
        assert!(text.starts_with("# Share 2 of 3, set 7: recovery of"), "{text}");
        take_back(&written);
        sink.prepare_alone().unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let sink = ShareFolder::new("/nowhere/shares", "demo");
        let error = sink.write(&shares("x")).unwrap_err();
        assert!(error.contains("mkdir -m 0700 /nowhere/shares"), "{error}");
    }
}
