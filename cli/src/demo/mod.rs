//! A working set of real tokens in a folder: what `tandem demo` makes.
//!
//! Everything is made once. A folder whose tandem.toml is there is complete but for the pairing, so a member that was
//! taken away is not made anew.

mod configuration;
mod member;
mod modules;

pub(crate) use configuration::Setting;
pub(crate) use modules::Kind;

use crate::error::{Error, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tandem_config::typed::Role;
use tandem_values::Secret;

/// The user PIN of the virtual token and of every member.
pub(crate) const USER_PIN: &str = "123456";
/// The SO PIN of the virtual token and of every member.
pub(crate) const SO_PIN: &str = "12345678";
/// The virtual token's label.
pub(crate) const LABEL: &str = "demo";

/// The PINs of tokens that are made.
pub(crate) struct Pins {
    pub(crate) user: Secret,
    pub(crate) so: Secret,
}

impl Pins {
    /// The demo's, which everybody knows.
    pub(crate) fn of_demo() -> Self {
        Self { user: Secret::new(USER_PIN), so: Secret::new(SO_PIN) }
    }

    /// PINs that nobody knows, and nothing keeps.
    pub(crate) fn of_nobody() -> Result<Self> {
        Ok(Self { user: random_pin()?, so: random_pin()? })
    }
}

fn random_pin() -> Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0; 16]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        Error::failed(format!("the operating system gives no random bytes ({error})"))
    })?;
    let digits: zeroize::Zeroizing<String> = crate::report::hex(&*bytes).into();
    Ok(Secret::new(digits.as_bytes()))
}

/// Where things are in a demo's folder.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder, made if it is missing.
    pub(crate) fn at(dir: &Path) -> Result<Self> {
        let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        let dir = made.map_err(|error| {
            Error::failed(format!(
                "the folder {} can't be made ({error}); name another with --dir",
                dir.display()
            ))
        })?;
        Ok(Self(dir))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("tandem.toml")
    }

    pub(crate) fn shares(&self) -> PathBuf {
        self.0.join("shares")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// A member's storage: moving it takes the member away.
    pub(crate) fn member(&self, name: &str) -> PathBuf {
        self.0.join("members").join(name)
    }

    /// Shell lines with which the vendor's own module uses a member's token.
    pub(crate) fn env(&self, name: &str) -> PathBuf {
        self.member(name).join("env")
    }
}

/// Makes the members and the configuration, unless they are there. True if something was made.
pub(crate) fn make(
    folder: &Folder,
    (kinds, backup): (&[Kind], Option<Kind>),
    settings: &[Setting],
    pins: &Pins,
) -> Result<bool> {
    if folder.config().exists() {
        return Ok(false);
    }
    let planned = plan(kinds, backup)?;
    // What can't be configured isn't made: the configuration is checked before anything is written.
    let text = configuration::text(folder, &planned, settings)?;
    for member in &planned {
        member::make(folder, member, pins)?;
    }
    write(&folder.config(), &text)?;
    Ok(true)
}

/// A member to be made.
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) module: PathBuf,
    pub(crate) role: Role,
}

/// The name of the backup token.
const BACKUP: &str = "backup";

/// Names the members `a`, `b`, … in the order they were asked for.
fn plan(kinds: &[Kind], backup: Option<Kind>) -> Result<Vec<Planned>> {
    if kinds.is_empty() || kinds.len() > 26 {
        return Err(Error::usage("--members takes 1 to 26 modules: softhsm, kryoptic"));
    }
    let names = ('a'..='z').map(|name| name.to_string());
    let members = names.zip(kinds).map(|(name, kind)| (name, *kind, Role::Active));
    let backup = backup.map(|kind| (BACKUP.to_owned(), kind, Role::Backup));
    let planned = members.chain(backup).map(|(name, kind, role)| {
        let module = modules::find(kind)?;
        Ok(Planned { name, kind, module, role })
    });
    planned.collect()
}

/// Writes a file whole or not at all: beside its place first, then renamed.
pub(crate) fn write(file: &Path, text: &str) -> Result {
    let beside = file.with_extension("new");
    let attempt = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&beside)
        .and_then(|mut open| {
            open.write_all(text.as_bytes())?;
            open.sync_all()
        })
        .and_then(|()| fs::rename(&beside, file));
    attempt.map_err(|error| {
        Error::failed(format!(
            "{} can't be written ({error}); check the disk and the folder",
            file.display()
        ))
    })
}

/// Text in a shell's single quotes.
fn quoted(text: &Path) -> String {
    format!("'{}'", text.display().to_string().replace('\'', r"'\''"))
}
