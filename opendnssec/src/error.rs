//! Why a file can't be made use of.

use std::path::{Path, PathBuf};

/// Why a file of OpenDNSSEC's can't be made use of: which, where and why. What `conf.xml` holds is never repeated: it may be
/// the PIN.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", file.display(), at(*line))]
pub struct Error {
    file: PathBuf,
    /// 0: the file as a whole.
    line: u32,
    problem: String,
}

fn at(line: u32) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

impl Error {
    pub(crate) fn new(file: &Path, line: u32, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, problem: problem.into() }
    }

    /// It can't be opened or read.
    pub(crate) fn unread(file: &Path, error: &dyn std::fmt::Display) -> Self {
        let who = "only users of OpenDNSSEC's group may read its files";
        Self::new(file, 0, format!("can't be read ({error}); {who}"))
    }
}
