//! Why a command did not do what was asked.

use std::fmt;

/// Exit code: the command was not done, or not all of it.
pub(crate) const NOT_DONE: u8 = 1;
/// Exit code: the command was not understood.
pub(crate) const USAGE: u8 = 2;

/// Why a command did not do what was asked. The text says what happened, where, and what to do next.
#[derive(Debug)]
pub(crate) enum Error {
    /// It was tried and failed.
    Failed(String),
    /// It was asked for in a way that has no meaning.
    Usage(String),
    /// What it has to say can't be written.
    Output(std::io::Error),
}

/// What a command answers.
pub(crate) type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of what was tried.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// An error of how it was asked for.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// The exit code.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) | Self::Output(_) => NOT_DONE,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Usage(message) => f.write_str(message),
            Self::Output(error) => write!(f, "the output can't be written ({error})"),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<tandem_runtime::Error> for Error {
    fn from(error: tandem_runtime::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<tandem_config::Error> for Error {
    fn from(error: tandem_config::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<tandem_opendnssec::Error> for Error {
    fn from(error: tandem_opendnssec::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<tandem_engine::error::Error> for Error {
    fn from(error: tandem_engine::error::Error) -> Self {
        Self::failed(error.to_string())
    }
}
