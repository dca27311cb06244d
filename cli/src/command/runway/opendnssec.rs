//! What OpenDNSSEC's files say of the keys that it needs.

use super::keys::{Keys, not_backed_up};
use super::{Found, Source, Supply, Use};
use crate::error::{Error, Result};
use crate::show::count;
use std::collections::BTreeMap;
use std::path::Path;
use tandem_engine::runway::{Stock, Taker};
use tandem_opendnssec::{
    Configuration, Database, Datastore, Demand, Policy, PolicyKey, ZoneCount, differences,
    policies, zones,
};

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// The enforcer's configuration and its database.
pub(super) struct Enforcer {
    conf: Configuration,
    database: Database,
    /// What is to be said of its `kasp.xml`.
    kasp: Option<String>,
}

/// The enforcer, asked to make keys.
pub(super) struct Maker {
    policy: String,
    lifetime_s: u64,
}

impl Maker {
    /// The command after which there are so many unused keys: it makes what so much time asks for.
    pub(super) fn command(&self, unused: u64) -> String {
        let seconds = unused.saturating_mul(self.lifetime_s);
        let duration = match seconds % DAY_S {
            0 => format!("P{}D", seconds / DAY_S),
            _ => format!("PT{seconds}S"),
        };
        format!("ods-enforcer key generate --policy {} --duration {duration}", self.policy)
    }
}

/// Policies and zones from files, without what the enforcer knows.
pub(super) struct Files {
    pub(super) policies: Vec<Policy>,
    pub(super) zones: ZoneCount,
    /// The repositories that are the token; `None`: all.
    pub(super) repositories: Option<Vec<String>>,
}

impl Files {
    pub(super) fn read(
        kasp: &Path,
        list: &Path,
        repositories: Option<Vec<String>>,
    ) -> Result<Self> {
        let (policies, zones) = (policies(kasp)?, zones(list)?);
        if let Some(unknown) = zones.keys().find(|name| policies.iter().all(|it| it.name != **name))
        {
            return Err(Error::failed(format!(
                "{}: a zone has the policy {unknown:?}, which {} does not have",
                list.display(),
                kasp.display()
            )));
        }
        Ok(Self { policies, zones, repositories })
    }
}

/// What a `conf.xml` leads to.
pub(super) fn source<'a>(file: &Path, label: &str) -> Result<Source<'a>> {
    let conf = Configuration::read(file)?;
    let ours: Vec<String> = conf.named(label).into_iter().map(str::to_owned).collect();
    if ours.is_empty() {
        let theirs: Vec<_> = conf.repositories.iter().map(|it| it.label.as_str()).collect();
        return Err(Error::failed(format!(
            "{}: no repository has the TokenLabel {label}; they have {}",
            file.display(),
            theirs.join(", ")
        )));
    }
    match &conf.datastore {
        Datastore::MySql => {
            Ok(Source::Policies(Files::read(&conf.policies, &conf.zones, Some(ours))?))
        }
        Datastore::Sqlite(kasp_db) => {
            let database = Database::read(kasp_db)?;
            let kasp = kasp_note(&conf, &database);
            Ok(Source::Enforcer(Box::new(Enforcer { conf, database, kasp })))
        }
    }
}

/// What the enforcer has in force may not be what stands in its file.
fn kasp_note(conf: &Configuration, database: &Database) -> Option<String> {
    let in_force: Vec<_> = database.policies.values().cloned().collect();
    match policies(&conf.policies) {
        Err(error) => Some(format!("{error}; what is in force is reckoned with")),
        Ok(written) => {
            let names = differences(&written, &in_force);
            (!names.is_empty()).then(|| {
                format!(
                    "{} is not what is in force (policies that differ: {}): what is in force is reckoned with, until \
                     `ods-enforcer policy import`",
                    conf.policies.display(),
                    names.join(", ")
                )
            })
        }
    }
}

impl Enforcer {
    /// Every kind of key that zones need, with the unused keys that the enforcer takes them from.
    pub(super) fn found(
        &self,
        keys: &Keys,
        label: &str,
        by_hand: bool,
        now_ms: u64,
    ) -> Result<Found> {
        if keys.knows_used() {
            return Err(Error::usage(
                "--used-ids: the enforcer's own database says which keys are in use; leave it out",
            ));
        }
        let known = keys.by_id();
        let ours = self.conf.named(label);
        let mut found = Found { source: "opendnssec", supplies: Vec::new(), notes: Vec::new() };
        found.notes.extend(self.kasp.clone());
        for demand in self.database.demands(now_ms / 1000) {
            let name = name(&demand.policy, &demand.key.role);
            let is_ours = ours.contains(&demand.key.repository.as_str());
            if let Some(why) = why_not(&demand.key, is_ours, by_hand) {
                found.notes.push(format!("{name}: {why}: left out"));
                continue;
            }
            let (supply, missing) = self.supply(name, &demand, &known);
            if missing > 0 {
                found.notes.push(format!(
                    "{}: {} of which OpenDNSSEC believes that they are there not on the token: not counted",
                    supply.name,
                    count(missing, "unused key is", "unused keys are")
                ));
            }
            found.supplies.push(supply);
        }
        found.notes.extend(self.about_keys(&known));
        Ok(found)
    }

    /// A supply, and how many of its keys are not on the token.
    fn supply(
        &self,
        name: String,
        demand: &Demand,
        known: &BTreeMap<&str, bool>,
    ) -> (Supply, usize) {
        let mut stock = Stock {
            standby: demand.key.standby.saturating_mul(demand.keys),
            kept: self.conf.kept(&demand.key),
            ..Stock::default()
        };
        let mut missing = 0_usize;
        for id in &demand.unused {
            match known.get(id.as_str()) {
                Some(true) => stock.backed_up = stock.backed_up.saturating_add(1),
                Some(false) => stock.not_backed_up = stock.not_backed_up.saturating_add(1),
                None => missing = missing.saturating_add(1),
            }
        }
        let lifetime_s = demand.key.lifetime_s;
        stock.takers = demand
            .taken_s
            .iter()
            .map(|(at, keys)| Taker {
                next_ms: at.saturating_mul(1000),
                every_ms: lifetime_s.saturating_mul(1000),
                keys: *keys,
            })
            .collect();
        let supply = Supply {
            key_type: demand.key.key_type(),
            stock,
            uses: vec![Use {
                name: name.clone(),
                keys: demand.keys,
                lifetime_s,
                manual: demand.key.manual,
                assumed: false,
            }],
            name,
            maker: Some(Maker { policy: demand.policy.clone(), lifetime_s }),
        };
        (supply, missing)
    }

    /// What is to be said of keys in use, and of keys that OpenDNSSEC does not know.
    fn about_keys(&self, known: &BTreeMap<&str, bool>) -> Vec<String> {
        let used = &self.database.used;
        let bare = used.iter().filter(|id| known.get(id.as_str()) == Some(&false)).count();
        let unused: Vec<_> = self.database.unused.iter().map(|key| key.locator.as_str()).collect();
        let strange = |id: &&&str| !used.contains(**id) && !unused.contains(*id);
        let strangers = known.keys().filter(strange).count();
        let mut notes = Vec::new();
        if bare > 0 {
            notes.push(not_backed_up(bare));
        }
        if strangers > 0 {
            notes.push(format!(
                "{} on the token unknown to OpenDNSSEC, which takes none of those: not counted",
                count(strangers, "key is", "keys are")
            ));
        }
        notes
    }
}

/// Why a kind of key is not reckoned with, if it isn't.
pub(super) fn why_not(key: &PolicyKey, is_ours: bool, by_hand: bool) -> Option<String> {
    if !is_ours {
        return Some(format!("its keys are in the repository {}, another token", key.repository));
    }
    if key.lifetime_s == 0 {
        return Some("without a lifetime OpenDNSSEC takes no keys for it".to_owned());
    }
    (key.manual && !by_hand).then(|| "its keys are replaced by hand".to_owned())
}

/// What the keys of a role in a policy are called.
pub(super) fn name(policy: &str, role: &impl std::fmt::Display) -> String {
    format!("{policy} {role}")
}
