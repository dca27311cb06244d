//! OpenDNSSEC's own files, read and never written: `conf.xml`, `kasp.xml`, `zonelist.xml` and the enforcer's database. What
//! they say of the keys that zones have, and of those that they are going to take.
//!
//! How the enforcer goes about it was read in its source and seen with 2.1.12 (`docs/guide/runway.md`): a zone takes a new key
//! when the youngest that it has is as old as the policy lets it become; the key comes from the unused keys of that policy, role,
//! algorithm, size and repository, which the database lists; years have 365 days and months 31.

#![forbid(unsafe_code)]

mod conf;
mod database;
mod demand;
mod duration;
mod error;
mod policy;
mod xml;
mod zones;

pub use conf::{Configuration, Datastore, Repository};
pub use database::{Database, HsmKey, Zone, ZoneKey};
pub use demand::Demand;
pub use error::Error;
pub use policy::{Policy, PolicyKey, Role, differences, policies, policies_in};
pub use zones::{ZoneCount, zones, zones_in};

/// What reading answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;
