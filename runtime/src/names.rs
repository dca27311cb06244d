//! The file of names: which keys of the stock were claimed, and as what. Written anew each time, beside, and renamed, so that
//! there is always a whole one.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tandem_engine::token::NameSink;

/// Who owns the file may write to it, and the token's group: any of its processes takes its place.
const MODE: u32 = 0o660;

/// Where names are written.
pub struct NameFile {
    path: PathBuf,
    group: Option<u32>,
}

impl NameFile {
    /// A file, for this group.
    pub fn new(path: &Path, group: Option<u32>) -> Self {
        Self { path: path.to_owned(), group }
    }

    fn write(&self, bundle: &[u8]) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut part = tempfile::Builder::new().prefix(".tandem-names-").tempfile_in(folder)?;
        part.write_all(bundle)?;
        part.as_file().set_permissions(Permissions::from_mode(MODE))?;
        if self.group.is_some() {
            chown(part.path(), None, self.group)?;
        }
        part.as_file().sync_all()?;
        part.persist(&self.path).map_err(|error| error.error)?;
        // The name must survive a power cut as well.
        File::open(folder)?.sync_all()
    }
}

impl NameSink for NameFile {
    fn keep(&self, bundle: &[u8]) -> Result<(), String> {
        self.write(bundle).map_err(|error| {
            format!(
                "{} can't be written ({error}): names in [token.stock] must be in a folder to which every user of the token may write",
                self.path.display()
            )
        })
    }
}
