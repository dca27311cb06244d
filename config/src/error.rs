//! Why a configuration can't be used.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// A configuration that can't be used: where, what is wrong there, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; `None` if the error is about the file as a whole.
    pub line: Option<usize>,
    /// The key, with the tables it is in: `token.member.deadline_ms`. Empty if the error is about no key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do or to write instead.
    pub remedy: String,
}

impl Error {
    /// An error about a file as a whole.
    pub fn of_file(file: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            key: String::new(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, &self.key)?;
        write!(f, "{}; {}", OneLine(&self.problem), OneLine(&self.remedy))
    }
}

impl std::error::Error for Error {}

/// Something that can be used, but not quite as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The key, with the tables it is in.
    pub key: String,
    /// What is not as it was typed, and what follows.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, &self.key)?;
        fmt::Display::fmt(&OneLine(&self.message), f)
    }
}

/// What was typed may hold anything, and what is said of it is one line of a log.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| {
            if letter.is_control() {
                fmt::Display::fmt(&letter.escape_debug(), f)
            } else {
                f.write_char(letter)
            }
        })
    }
}

fn place(f: &mut fmt::Formatter<'_>, file: &Path, line: Option<usize>, key: &str) -> fmt::Result {
    write!(f, "{}:", file.display())?;
    if let Some(line) = line {
        write!(f, "{line}:")?;
    }
    if !key.is_empty() {
        write!(f, " {}:", OneLine(key))?;
    }
    f.write_str(" ")
}
