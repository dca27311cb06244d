//! The checkpoint of the catalogue: a file beside the database, written whole under another name.

use crate::error;
use crate::folder::Folder;
use crate::store::SqliteStore;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tandem_engine::log::{Checkpoints, Pages, Sink, Stored};

/// How many bytes are written at once.
const BUFFER: usize = 1 << 20;

struct FilePages {
    file: File,
    path: PathBuf,
}

impl FilePages {
    fn said<T>(&self, result: io::Result<T>) -> Stored<T> {
        result.map_err(|error| error::io("read", &self.path, &error))
    }
}

impl Pages for FilePages {
    fn size(&self) -> Stored<u64> {
        self.said(self.file.metadata().map(|metadata| metadata.len()))
    }

    fn read(&self, at: u64, len: usize) -> Stored<Vec<u8>> {
        let mut bytes = vec![0; len];
        let (mut rest, mut at) = (bytes.as_mut_slice(), at);
        while !rest.is_empty() {
            match self.file.read_at(rest, at) {
                Ok(0) => break,
                Ok(read) => {
                    rest = rest.get_mut(read..).unwrap_or_default();
                    at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.said(Err(error)),
            }
        }
        let missing = rest.len();
        bytes.truncate(len.saturating_sub(missing));
        Ok(bytes)
    }
}

/// Writes into a file that has just been made.
fn fill(path: &Path, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored<File> {
    let said = |error: io::Error| error::io("write", path, &error);
    let file = OpenOptions::new().write(true).open(path).map_err(said)?;
    let mut file = BufWriter::with_capacity(BUFFER, file);
    write(&mut |piece: &[u8]| file.write_all(piece).map_err(said))?;
    file.into_inner().map_err(|error| said(error.into_error()))
}

impl Checkpoints for SqliteStore {
    fn checkpoint(&self) -> Stored<Option<Box<dyn Pages>>> {
        let path = self.inner.folder.checkpoint();
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(FilePages { file, path }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error::io("read", &path, &error)),
        }
    }

    fn set_checkpoint(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored {
        let folder: &Folder = &self.inner.folder;
        folder.replace(&folder.checkpoint(), |path| {
            let file = fill(path, write)?;
            file.sync_all().map_err(|error| error::io("write", path, &error))
        })
    }

    fn scratch(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored<Box<dyn Pages>> {
        let folder: &Folder = &self.inner.folder;
        folder.unnamed(|path| {
            fill(path, write)?;
            let said = |error: io::Error| error::io("read", path, &error);
            let file = File::open(path).map_err(said)?;
            Ok(Box::new(FilePages { file, path: path.to_owned() }) as Box<dyn Pages>)
        })
    }

    fn drop_checkpoint(&self) -> Stored {
        let path = self.inner.folder.checkpoint();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error::io("remove", &path, &error))
            }
            _ => Ok(()),
        }
    }
}
