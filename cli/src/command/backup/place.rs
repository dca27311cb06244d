//! Where bundles are: in files, or on a backup token. What reads them doesn't mind.

use super::file::{self, BundleFile};
use crate::context;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use tandem_engine::backup::{Artefact, BackupId, Header, Source, Vault};
use tandem_runtime::Live;
use tandem_values::Secret;
use uuid::Uuid;

/// A backup token, instead of files.
#[derive(clap::Args)]
pub(crate) struct From {
    /// The backup token of this name, instead of files: its last complete bundle, and those that build on it
    #[arg(long = "from", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Of the backup token: this backup, instead of the last
    #[arg(long, value_name = "ID", requires = "name")]
    pub(crate) backup: Option<Uuid>,
}

impl From {
    /// The backup that was chosen.
    pub(crate) fn wanted(&self) -> Option<BackupId> {
        self.backup.map(|id| BackupId(*id.as_bytes()))
    }
}

/// A complete bundle and those that build on it, oldest first.
pub(crate) enum Bundles {
    /// Files.
    Files(Vec<BundleFile>),
    /// On a backup token that is connected.
    Token(Box<Vault>, Vec<Header>),
}

impl Bundles {
    pub(crate) fn files(files: &[PathBuf]) -> Self {
        Self::Files(files.iter().cloned().map(BundleFile).collect())
    }

    /// Those on a backup token: by this PIN, or by the one of the login.
    pub(crate) fn on(
        live: Live<'_>,
        pin: Option<&Secret>,
        name: &str,
        wanted: Option<BackupId>,
    ) -> Result<Self> {
        let vault = open(live, pin, name)?;
        let chain = vault.chain(wanted)?;
        Ok(Self::Token(Box::new(vault), chain))
    }

    /// The bundles themselves.
    pub(crate) fn sources(&self) -> Vec<Box<dyn Source + '_>> {
        match self {
            Self::Files(files) => {
                let source = |file| Box::new(BundleFile::clone(file)) as Box<dyn Source>;
                files.iter().map(source).collect()
            }
            Self::Token(vault, chain) => {
                let source = |header: &Header| Box::new(vault.bundle(header.id)) as Box<dyn Source>;
                chain.iter().map(source).collect()
            }
        }
    }

    /// What the last of them is a backup of, and what the log tells of it.
    pub(crate) fn last(&self) -> Result<(Header, Artefact)> {
        match self {
            Self::Files(files) => {
                let last = files.last().ok_or_else(|| Error::usage("name the bundle"))?;
                let (header, written) = file::read_through(&last.0)?;
                Ok((header, file::artefact(&last.0, written)))
            }
            Self::Token(vault, chain) => {
                let last = chain.last().ok_or_else(|| Error::usage("name the backup"))?;
                Ok((last.clone(), vault.artefact()))
            }
        }
    }

    /// What people call them.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.iter().map(|file| file.0.display().to_string()).collect(),
            Self::Token(vault, chain) => {
                let name = |it: &Header| format!("backup {} on {}", it.id, vault.name());
                chain.iter().map(name).collect()
            }
        }
    }
}

/// Opens a backup token. Where its module can't be loaded the reason is the loader's.
pub(crate) fn open(live: Live<'_>, pin: Option<&Secret>, name: &str) -> Result<Vault> {
    let opened = live.token.open_vault(pin, name);
    opened.map_err(|error| context::explained(live, name, &error))
}

/// True if an argument that may be a file is the name of a backup token. A file of that name is written `./NAME`.
pub(crate) fn is_token(live: Live<'_>, argument: &Path) -> bool {
    live.token.backup_tokens().iter().any(|name| Path::new(name) == argument)
}
