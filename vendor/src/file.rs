//! A module's file: which one it is, and whether it may be trusted.

use crate::config::MemberConfig;
use crate::error::LoadError;
use crate::own;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which file: device, inode, and what changes when it is written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    bytes: u64,
    written_at_s: i64,
    written_at_ns: i64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            written_at_s: metadata.mtime(),
            written_at_ns: metadata.mtime_nsec(),
        }
    }

    /// True if dlopen takes both for one library, whatever was written into the file since.
    pub(crate) const fn same_file(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// A module's file, open: what is copied is what was checked.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) id: FileId,
}

impl Module {
    /// Opens the file a member names, if it may be trusted.
    pub(crate) fn open(config: &MemberConfig) -> Result<Self, LoadError> {
        let path = &config.module;
        if !path.is_absolute() {
            return Err(LoadError::Relative(path.clone()));
        }
        let missing = |error: std::io::Error| LoadError::Missing {
            path: path.clone(),
            reason: error.to_string(),
        };
        let real = path.canonicalize().map_err(missing)?;
        let metadata = fs::metadata(&real).map_err(missing)?;
        if !metadata.is_file() {
            return Err(LoadError::NotAFile(path.clone()));
        }
        // Both the path as written and the one it leads to: whoever may change a link may choose the file.
        for ancestor in path.ancestors().chain(real.ancestors()) {
            check_writers(path, ancestor, config.group)?;
        }
        let file = File::open(&real).map_err(missing)?;
        let id = FileId::of(&file.metadata().map_err(missing)?);
        if own::is_tandem(&file).map_err(missing)? {
            return Err(LoadError::Own(path.clone()));
        }
        Ok(Self { path: path.clone(), file, id })
    }
}

/// Refuses a file or folder that others may write to. Whoever owns it is trusted as its group is if it
/// is root's or the configured one. In a sticky folder (/tmp) nobody can replace what is another's.
fn check_writers(module: &Path, path: &Path, group: Option<u32>) -> Result<(), LoadError> {
    let metadata = fs::symlink_metadata(path)
        .map_err(|error| LoadError::Missing { path: path.to_owned(), reason: error.to_string() })?;
    let sticky_folder = metadata.is_dir() && metadata.mode() & libc::S_ISVTX != 0;
    // A link's own mode means nothing: its folder decides, and what it leads to is looked at as well.
    if metadata.is_symlink() || sticky_folder {
        return Ok(());
    }
    let who = if metadata.mode() & libc::S_IWOTH != 0 {
        "everybody".to_owned()
    } else if metadata.mode() & libc::S_IWGRP != 0
        && metadata.gid() != 0
        && Some(metadata.gid()) != group
    {
        format!("group {}", metadata.gid())
    } else {
        return Ok(());
    };
    Err(LoadError::Writable { module: module.to_owned(), path: path.to_owned(), who })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TokenSelector;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn open(path: impl Into<PathBuf>, group: Option<u32>) -> Result<Module, LoadError> {
        let config = MemberConfig::new("a", path, TokenSelector::Slot(0));
        Module::open(&MemberConfig { group, ..config })
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A folder of our own with a file of mode 0644 in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vendor.so");
        fs::write(&file, "not a library").unwrap();
        mode(&file, 0o644);
        (folder, file)
    }

    #[test]
    fn a_file_of_our_own_in_a_sticky_folder_is_trusted() {
        let (_folder, file) = folder();
        assert!(open(file, None).is_ok());
    }

    #[test]
    fn a_relative_path_is_refused() {
        assert_eq!(open("vendor.so", None).unwrap_err(), LoadError::Relative("vendor.so".into()));
    }

    #[test]
    fn what_is_missing_or_a_folder_is_refused() {
        let (folder, _file) = folder();
        let missing = open(folder.path().join("other.so"), None).unwrap_err();
        assert!(matches!(missing, LoadError::Missing { .. }), "{missing}");
        let not_a_file = open(folder.path(), None).unwrap_err();
        assert_eq!(not_a_file, LoadError::NotAFile(folder.path().into()));
    }

    #[test]
    fn a_file_that_everybody_may_write_is_refused() {
        let (_folder, file) = folder();
        mode(&file, 0o646);
        let refused = open(&file, None).unwrap_err();
        assert!(refused.to_string().contains("everybody"), "{refused}");
        assert!(refused.remedy().contains("chmod go-w"), "{}", refused.remedy());
    }

    #[test]
    fn a_folder_that_everybody_may_write_is_refused() {
        let (folder, file) = folder();
        mode(folder.path(), 0o777);
        assert!(
            matches!(open(&file, None), Err(LoadError::Writable { path, .. }) if path == folder.path())
        );
        // Sticky: nobody can put another file in its place.
        mode(folder.path(), 0o1777);
        assert!(open(&file, None).is_ok());
    }

    #[test]
    fn a_group_may_write_only_if_it_is_configured_or_roots() {
        let (_folder, file) = folder();
        mode(&file, 0o664);
        if std::os::unix::fs::chown(&file, None, Some(1)).is_err() {
            return; // Only root may give a file to another group.
        }
        assert!(
            matches!(open(&file, None), Err(LoadError::Writable { who, .. }) if who == "group 1")
        );
        assert!(matches!(open(&file, Some(2)), Err(LoadError::Writable { .. })));
        assert!(open(&file, Some(1)).is_ok());
        std::os::unix::fs::chown(&file, None, Some(0)).unwrap();
        assert!(open(&file, None).is_ok());
    }

    #[test]
    fn a_link_in_a_folder_of_everybodys_is_refused() {
        let (_good, file) = folder();
        let (bad, _) = folder();
        let link = bad.path().join("link.so");
        symlink(&file, &link).unwrap();
        assert!(open(&link, None).is_ok());
        mode(bad.path(), 0o777);
        assert!(
            matches!(open(&link, None), Err(LoadError::Writable { path, .. }) if path == bad.path())
        );
    }

    #[test]
    fn a_link_into_a_folder_of_everybodys_is_refused() {
        let (bad, file) = folder();
        let (good, _) = folder();
        let link = good.path().join("link.so");
        symlink(&file, &link).unwrap();
        mode(bad.path(), 0o777);
        assert!(matches!(open(&link, None), Err(LoadError::Writable { .. })));
    }

    #[test]
    fn our_own_file_is_refused_under_any_name() {
        let own = std::env::current_exe().unwrap();
        assert!(own::is_tandem(&File::open(&own).unwrap()).unwrap());
        assert_eq!(open(&own, None).unwrap_err(), LoadError::Own(own.clone()));
        let (folder, _) = folder();
        let link = folder.path().join("innocent.so");
        symlink(&own, &link).unwrap();
        assert_eq!(open(&link, None).unwrap_err(), LoadError::Own(link));
        let copy = folder.path().join("copy.so");
        fs::copy(&own, &copy).unwrap();
        assert_eq!(open(&copy, None).unwrap_err(), LoadError::Own(copy));
    }
}
