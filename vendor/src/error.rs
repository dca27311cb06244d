//! Why a member can't be started: for `doctor`, for the log, and as the CK_RV that a caller hears.

use std::path::PathBuf;
use tandem_engine::fault::{Call, Fault};
use tandem_values::{Rv, ck::*};

/// Why a module can't be loaded or its token can't be used. The message gives the reason, [`LoadError::remedy`]
/// what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The path is relative: which file it means would depend on where the application was started.
    #[error("the module's path {0} is not absolute")]
    Relative(PathBuf),
    /// There is no such file, or it can't be read.
    #[error("the module {path} can't be opened: {reason}")]
    Missing {
        /// The module.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is a folder, a device or the like.
    #[error("the module {0} is not a file")]
    NotAFile(PathBuf),
    /// Others than root, the owner and the configured group may write to the file or to a folder above it, and so
    /// run code of their own inside the application.
    #[error("{path}, on the way to the module {module}, may be written to by {who}")]
    Writable {
        /// The module.
        module: PathBuf,
        /// The file or folder that is open to others.
        path: PathBuf,
        /// Who else may write to it.
        who: String,
    },
    /// The module is Tandem itself.
    #[error("the module {0} is Tandem itself")]
    Own(PathBuf),
    /// The file is no shared library, or no PKCS #11 module.
    #[error("{path} is no PKCS #11 module: {reason}")]
    NoModule {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The module could not be copied for this member alone.
    #[error("the module {path} can't be loaded as a private copy: {reason}")]
    NoCopy {
        /// The module.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// C_Initialize failed.
    #[error("the module {path} answers {rv} to C_Initialize")]
    Initialise {
        /// The module.
        path: PathBuf,
        /// What it answers.
        rv: Rv,
    },
    /// A variable of the member's environment has a name or value that the system doesn't take.
    #[error("the environment variable \"{0}\" can't be set: its name or value is not valid")]
    Variable(String),
    /// Another member has started the same library with other arguments or another environment.
    #[error(
        "the module {0} is in use by another member that starts it with other arguments or variables"
    )]
    Conflict(PathBuf),
    /// The library is busy: a call has not returned for longer than a start or stop may wait.
    #[error("the module {0} is busy: a call on it does not return")]
    Busy(PathBuf),
    /// A forked child finds the module as its parent left it.
    #[error("the module {0} was inherited from the parent process and is still initialised")]
    Inherited(PathBuf),
    /// No token answers the description.
    #[error("the module {path} has no token with {wanted}; it has {seen}")]
    NoToken {
        /// The module.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// What is there.
        seen: String,
    },
    /// More than one token answers the description.
    #[error("the module {path} has more than one token with {wanted}")]
    Ambiguous {
        /// The module.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
    },
    /// Another member uses this very token.
    #[error("the token (label \"{label}\", serial \"{serial}\") is already member \"{other}\"")]
    SameToken {
        /// The token's label.
        label: String,
        /// The token's serial number.
        serial: String,
        /// The other member's name.
        other: String,
    },
    /// The module failed while its tokens were looked at.
    #[error("the module {path} answers {rv} when asked for its tokens")]
    Failed {
        /// The module.
        path: PathBuf,
        /// What it answers.
        rv: Rv,
    },
    /// This process is a fork of the one that made the member.
    #[error("this member belongs to the parent process")]
    Forked,
}

impl LoadError {
    /// What an operator can do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Relative(_) => "write the module's path from / on".into(),
            Self::Missing { .. } => {
                "install the vendor's module, or correct the path and its permissions".into()
            }
            Self::NotAFile(_) => "name the vendor's .so file itself".into(),
            Self::Writable { path, .. } => {
                format!("chmod go-w {}, or set `group` to the group that may", path.display())
            }
            Self::Own(_) => "name the HSM vendor's module, not libtandem.so".into(),
            Self::NoModule { .. } => {
                "name the vendor's PKCS #11 module; `ldd` shows libraries that it misses".into()
            }
            Self::NoCopy { .. } => {
                "make /proc and memory files (memfd) available, or set private_copy = false; a module \
                 that does not finalise needs the application to be started again"
                    .into()
            }
            Self::Initialise { .. } => {
                "check the vendor's own configuration and the member's environment".into()
            }
            Self::Variable(_) => "names have no =, names and values no zero byte".into(),
            Self::Conflict(_) => {
                "set private_copy = true for both members, or give them the same arguments".into()
            }
            Self::Busy(_) => "see why the HSM does not answer; the member is tried again".into(),
            Self::Inherited(_) => "leave after_fork at its default, a fresh copy".into(),
            Self::NoToken { .. } => {
                "initialise the token, bring its storage back, or correct `token`".into()
            }
            Self::Ambiguous { .. } => "choose the token by its serial number".into(),
            Self::SameToken { .. } => "give each member a token of its own".into(),
            Self::Failed { .. } => "see the vendor's own log and tools".into(),
            Self::Forked => "call C_Initialize in the child".into(),
        }
    }

    /// The CK_RV that stands for it.
    pub const fn rv(&self) -> Rv {
        Rv(match self {
            Self::Initialise { rv, .. } | Self::Failed { rv, .. } => rv.0,
            Self::NoToken { .. } | Self::Ambiguous { .. } | Self::SameToken { .. } => {
                CKR_TOKEN_NOT_PRESENT
            }
            Self::Busy(_) => CKR_DEVICE_ERROR,
            Self::Forked => CKR_CRYPTOKI_NOT_INITIALIZED,
            _ => CKR_LIBRARY_LOAD_FAILED,
        })
    }

    /// The fault that the engine hears. A member that can't be started is ill, whatever its module
    /// answered: only "forked" is ours.
    pub(crate) fn fault(&self, call: Call) -> Fault {
        let fault = Fault::new(call, self.rv().0);
        match fault.class {
            tandem_engine::fault::Class::Ill => fault,
            _ if matches!(self, Self::Forked) => fault,
            _ => Fault { class: tandem_engine::fault::Class::Ill, ..fault },
        }
    }
}
