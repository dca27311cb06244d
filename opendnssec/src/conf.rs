//! `conf.xml`: where everything is, and how many keys the enforcer makes in advance. The PINs in it are not read.

use crate::policy::PolicyKey;
use crate::xml::{self, Element};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// For how long the enforcer makes keys in advance where it isn't told: a year, in seconds.
const PERIOD_S: u64 = 365 * 86_400;

/// What a `conf.xml` says, as far as keys are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The HSMs.
    pub repositories: Vec<Repository>,
    /// `kasp.xml`.
    pub policies: PathBuf,
    /// `zonelist.xml`.
    pub zones: PathBuf,
    /// The enforcer's database.
    pub datastore: Datastore,
    /// For how long the enforcer makes keys in advance, in seconds; `None`: it makes none unless it is told to.
    pub keygen_period_s: Option<u64>,
}

/// An HSM as OpenDNSSEC calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// The token's label.
    pub label: String,
}

/// The enforcer's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datastore {
    /// In a file.
    Sqlite(PathBuf),
    /// In a server, which is not read.
    MySql,
}

impl Configuration {
    /// What a `conf.xml` says.
    pub fn read(file: &Path) -> Result<Self> {
        Self::parse(file, &xml::text(file)?)
    }

    /// What its text says. Errors name `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        let document = xml::document(file, text)?;
        let root = Element::root(file, &document, "Configuration")?;
        let common = root.one("Common")?;
        let enforcer = root.one("Enforcer")?;
        let repositories = root.one("RepositoryList")?.all("Repository").map(repository);
        Ok(Self {
            repositories: repositories.collect::<Result<_>>()?,
            policies: common.one("PolicyFile")?.text()?.into(),
            zones: common.one("ZoneListFile")?.text()?.into(),
            datastore: datastore(enforcer.one("Datastore")?)?,
            keygen_period_s: period(enforcer)?,
        })
    }

    /// The repositories that are the token of this label.
    pub fn named(&self, label: &str) -> Vec<&str> {
        let ours = self.repositories.iter().filter(|repository| repository.label == label);
        ours.map(|repository| repository.name.as_str()).collect()
    }

    /// How many unused keys of a kind the enforcer keeps: it looks whenever it takes one. The number is for all zones of the
    /// policy together.
    pub fn kept(&self, key: &PolicyKey) -> u64 {
        match (self.keygen_period_s, key.lifetime_s) {
            (None, _) | (_, 0) => 0,
            (Some(period), lifetime) => period.div_ceil(lifetime),
        }
    }
}

fn repository(element: Element<'_>) -> Result<Repository> {
    let name = element.attribute("name")?.to_owned();
    Ok(Repository { name, label: element.one("TokenLabel")?.text()? })
}

fn datastore(element: Element<'_>) -> Result<Datastore, Error> {
    match (element.first("SQLite"), element.first("MySQL")) {
        (Some(file), _) => Ok(Datastore::Sqlite(file.text()?.into())),
        (None, Some(_)) => Ok(Datastore::MySql),
        (None, None) => Err(element.error("<Datastore> has neither <SQLite> nor <MySQL>")),
    }
}

fn period(enforcer: Element<'_>) -> Result<Option<u64>> {
    if enforcer.first("ManualKeyGeneration").is_some() {
        return Ok(None);
    }
    let typed = enforcer.first("AutomaticKeyGenerationPeriod").map(Element::seconds).transpose()?;
    Ok(Some(typed.unwrap_or(PERIOD_S)))
}
