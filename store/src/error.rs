//! From what SQLite or the operating system said to what the engine is told.

use crate::folder::Folder;
use rusqlite::ErrorCode;
use std::{io, path::Path};
use tandem_engine::log::StoreError;

/// What can go wrong inside: SQLite's own errors, which [`told`] turns into the engine's, and the engine's.
#[derive(Debug)]
pub(crate) enum Trouble {
    Sql(rusqlite::Error),
    Told(StoreError),
    /// A fork is wanted and nothing has been done yet: leave SQLite, and begin again afterwards.
    Parking,
}

pub(crate) type Tried<T = ()> = Result<T, Trouble>;

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

impl Trouble {
    /// True if another connection has what was wanted.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Sql(rusqlite::Error::SqliteFailure(error, _))
                if matches!(error.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }
}

/// What the engine is told of an error of SQLite on a file of the folder.
pub(crate) fn told(folder: &Folder, trouble: Trouble) -> StoreError {
    let file = folder.database();
    let file = file.display();
    match trouble {
        Trouble::Told(error) => error,
        Trouble::Parking => StoreError::Unavailable(format!("{file}: a fork is under way")),
        Trouble::Sql(error) => match code(&error) {
            Some(ErrorCode::DiskFull) => full(folder),
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::TypeMismatch
                | ErrorCode::Unknown
                | ErrorCode::ConstraintViolation,
            )
            | None => damaged(folder, &error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Unavailable(format!(
                    "{file}: another process has held it for {} s; see who with `fuser {file}`",
                    crate::sqlite::PATIENCE_MS / 1000
                ))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StoreError::Unavailable(format!(
                    "{file} can't be written ({error}): this user needs write access to it and its folder"
                ))
            }
            // SQLite says ENOSPC only of some writes, and neither a quota nor a limit on files.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if folder.is_full() => {
                full(folder)
            }
            Some(_) => StoreError::Unavailable(format!("{file}: {error}")),
        },
    }
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => Some(error.code),
        _ => None,
    }
}

fn full(folder: &Folder) -> StoreError {
    StoreError::Full(format!(
        "no room in {}: free some space there (or raise the quota); nothing was changed",
        folder.path().display()
    ))
}

/// The database holds what Tandem didn't write.
pub(crate) fn damaged(folder: &Folder, what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!(
        "{} ({what}): keep the file for inspection, move the folder aside and bring it back from a copy",
        folder.database().display()
    ))
}

/// What the engine is told of an error of the operating system.
pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    let text = format!("can't {doing} {}: {error}", path.display());
    if is_full(error) { StoreError::Full(text) } else { StoreError::Unavailable(text) }
}

/// True if the disk, a quota or a limit on the size of files is at its end.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
