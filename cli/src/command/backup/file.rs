//! Bundle files: written beside, synced and renamed, and never over another.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use tandem_engine::backup::{Artefact, Bundle, Header, Source, Written};
use tandem_engine::error;
use tandem_values::ck::CKR_DATA_INVALID;
use tempfile::NamedTempFile;

/// A file beside the one that is meant, which it will become.
pub(crate) fn beside(path: &Path) -> Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".tandem-backup-")
        .suffix(".part")
        .tempfile_in(folder(path))
        .map_err(|error| unwritable(path, &error))
}

/// Gives a file its name. An error if something bears that name already.
pub(crate) fn keep(part: NamedTempFile, path: &Path) -> Result {
    part.as_file().sync_all().map_err(|error| unwritable(path, &error))?;
    part.persist_noclobber(path).map_err(|error| unwritable(path, &error.error))?;
    // The name must survive a power cut as well.
    let folder = File::open(folder(path)).and_then(|folder| folder.sync_all());
    folder.map_err(|error| unwritable(path, &error))
}

/// Opens a bundle.
pub(crate) fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path)
        .map_err(|error| Error::failed(format!("{} can't be read: {error}", path.display())))?;
    Ok(BufReader::new(file))
}

/// Reads a bundle to its end, which bears out all that comes before: what it is a backup of, and its length and digest.
pub(crate) fn read_through(path: &Path) -> Result<(Header, Written)> {
    let mut from = open(path)?;
    let mut bundle = Bundle::open(&mut from)?;
    while bundle.advance()?.is_some() {}
    Ok((bundle.header().clone(), bundle.written()))
}

/// A bundle file, for the engine.
#[derive(Clone)]
pub(crate) struct BundleFile(pub(crate) PathBuf);

impl Source for BundleFile {
    fn open(&self) -> error::Result<Box<dyn Read + '_>> {
        match File::open(&self.0) {
            Ok(file) => Ok(Box::new(BufReader::new(file))),
            Err(error) => Err(error::Error::new(
                CKR_DATA_INVALID,
                format!("{} can't be read: {error}", self.0.display()),
            )),
        }
    }
}

/// A bundle file as the log tells of it.
pub(crate) fn artefact(path: &Path, written: Written) -> Artefact {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Artefact::Bundle { name, bytes: written.bytes, digest: written.digest }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(match error.kind() {
        std::io::ErrorKind::AlreadyExists => format!(
            "{} is there already and is not written over; choose another name",
            path.display()
        ),
        _ => format!("{} can't be written: {error}", path.display()),
    })
}
