//! `kasp.xml`: the policies.

use crate::Result;
use crate::xml::{self, Element};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It signs the other keys.
    Ksk,
    /// It signs the zone.
    Zsk,
    /// It signs both.
    Csk,
}

impl Role {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("KSK", Self::Ksk), ("ZSK", Self::Zsk), ("CSK", Self::Csk)];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ksk => "KSK",
            Self::Zsk => "ZSK",
            Self::Csk => "CSK",
        })
    }
}

/// A kind of key that each zone of a policy has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyKey {
    /// What it is for.
    pub role: Role,
    /// Its number among DNSSEC's algorithms.
    pub algorithm: u8,
    /// Its size.
    pub bits: u32,
    /// How old it becomes, in seconds; 0: it is never replaced.
    pub lifetime_s: u64,
    /// The repository that it is in.
    pub repository: String,
    /// How many of them should be at hand for each zone beside those in use.
    pub standby: u64,
    /// The enforcer replaces it only when it is told to.
    pub manual: bool,
}

impl PolicyKey {
    /// What Tandem calls a key of this kind: `ec:p256`, `rsa:2048`. What neither can make has its number.
    pub fn key_type(&self) -> String {
        match self.algorithm {
            5 | 7 | 8 | 10 => format!("rsa:{}", self.bits),
            13 => "ec:p256".to_owned(),
            14 => "ec:p384".to_owned(),
            15 => "ed25519".to_owned(),
            16 => "ed448".to_owned(),
            other => format!("algorithm {other}"),
        }
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// All its zones have the same keys.
    pub shared: bool,
    /// The kinds of keys that each of its zones has, by role.
    pub keys: Vec<PolicyKey>,
}

/// The policies of a `kasp.xml`.
pub fn policies(file: &Path) -> Result<Vec<Policy>> {
    policies_in(file, &xml::text(file)?)
}

/// The policies in the text of one. Errors name `file`.
pub fn policies_in(file: &Path, text: &str) -> Result<Vec<Policy>> {
    let document = xml::document(file, text)?;
    let root = Element::root(file, &document, "KASP")?;
    let mut found: Vec<Policy> = Vec::new();
    for element in root.all("Policy") {
        let policy = policy(element)?;
        if found.iter().any(|other| other.name == policy.name) {
            return Err(element.error(format!("there is another policy {:?}", policy.name)));
        }
        found.push(policy);
    }
    if found.is_empty() {
        return Err(root.error("has no policy"));
    }
    Ok(found)
}

fn policy(element: Element<'_>) -> Result<Policy> {
    let name = element.attribute("name")?.to_owned();
    // The zones of such a policy are handed on as they are.
    if element.first("Passthrough").is_some() {
        return Ok(Policy { name, shared: false, keys: Vec::new() });
    }
    let all = element.one("Keys")?;
    let of = |(tag, role): (&'static str, Role)| all.all(tag).map(move |one| key(one, role));
    let mut keys = Role::ALL.into_iter().flat_map(of).collect::<Result<Vec<_>>>()?;
    keys.sort();
    Ok(Policy { name, shared: all.first("ShareKeys").is_some(), keys })
}

fn key(element: Element<'_>, role: Role) -> Result<PolicyKey> {
    let algorithm = element.one("Algorithm")?;
    let standby = element.first("Standby").map(Element::number).transpose()?;
    Ok(PolicyKey {
        role,
        algorithm: algorithm.number()?,
        bits: algorithm.attribute_number("length")?,
        lifetime_s: lifetime_s(element.one("Lifetime")?)?,
        repository: element.one("Repository")?.text()?,
        standby: standby.unwrap_or(0),
        manual: element.first("ManualRollover").is_some(),
    })
}

/// The enforcer keeps lifetimes in 32 bits.
fn lifetime_s(element: Element<'_>) -> Result<u64> {
    let seconds = element.seconds()?;
    if seconds > u64::from(u32::MAX) {
        return Err(element.error("<Lifetime> is longer than OpenDNSSEC can count"));
    }
    Ok(seconds)
}

/// The policies that are not alike in two places, or in one only.
pub fn differences(here: &[Policy], there: &[Policy]) -> Vec<String> {
    let by_name = |policies: &[Policy]| -> BTreeMap<String, Policy> {
        policies.iter().map(|policy| (policy.name.clone(), policy.clone())).collect()
    };
    let (here, there) = (by_name(here), by_name(there));
    let mut names: Vec<_> = here.keys().chain(there.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| here.get(name) != there.get(name));
    names
}
