//! The enforcer's database, `kasp.db`: what is in force, which zones there are, and which keys they have taken.

use crate::policy::{Policy, PolicyKey, Role};
use crate::{Error, Result};
use rusqlite::{Connection, OpenFlags, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The version of the tables that OpenDNSSEC 2 has.
const VERSION: i64 = 1;
/// How long we wait for the enforcer to end what it writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// `hsmKey.state`: no zone has it.
const UNUSED: i64 = 1;
/// `hsmKey.state`: zones have it, one alone or several.
const USED: [i64; 2] = [2, 3];

/// What the enforcer's database says of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// The policies in force, by their number.
    pub policies: BTreeMap<i64, Policy>,
    /// The zones.
    pub zones: Vec<Zone>,
    /// Keys that no zone has taken yet.
    pub unused: Vec<HsmKey>,
    /// CKA_ID, in lower-case digits, of the keys that zones have.
    pub used: BTreeSet<String>,
}

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// The number of its policy.
    pub policy: i64,
    /// The roles whose keys somebody wants replaced now.
    pub roll_now: BTreeSet<Role>,
    /// Its keys.
    pub keys: Vec<ZoneKey>,
}

/// A key that a zone has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneKey {
    /// What it is for in this zone.
    pub role: Role,
    /// Its number among DNSSEC's algorithms.
    pub algorithm: u8,
    /// Its size.
    pub bits: u32,
    /// The repository that it is in.
    pub repository: String,
    /// When the zone took it, in seconds since the Unix epoch.
    pub taken_s: u64,
}

/// A key in an HSM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HsmKey {
    /// The number of the policy that it was made for.
    pub policy: i64,
    /// CKA_ID, in lower-case digits.
    pub locator: String,
    /// What it was made for.
    pub role: Role,
    /// Its number among DNSSEC's algorithms.
    pub algorithm: u8,
    /// Its size.
    pub bits: u32,
    /// The repository that it is in.
    pub repository: String,
}

impl Database {
    /// Reads a `kasp.db` as it is at one moment. The enforcer may be running.
    pub fn read(file: &Path) -> Result<Self> {
        // SQLite's own message doesn't say whether it is missing or shut.
        std::fs::File::open(file).map_err(|error| Error::unread(file, &error))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(file, flags).map_err(foreign(file))?;
        read(&mut connection).map_err(foreign(file))
    }
}

/// What is wrong with a file that SQLite has opened.
fn foreign(file: &Path) -> impl FnOnce(rusqlite::Error) -> Error + '_ {
    move |error| {
        Error::new(
            file,
            0,
            format!(
                "is not the database of an enforcer of OpenDNSSEC 2, or it can't be read now ({error})"
            ),
        )
    }
}

fn read(connection: &mut Connection) -> rusqlite::Result<Database> {
    connection.busy_timeout(PATIENCE)?;
    // One transaction, so that everything is of one moment.
    let tables = connection.transaction()?;
    let version: i64 =
        tables.query_row("SELECT max(version) FROM databaseVersion", [], |row| row.get(0))?;
    if version != VERSION {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, version));
    }
    let mut found = Database { policies: policies(&tables)?, ..Database::default() };
    let mut zones = zones(&tables)?;
    add_keys(&tables, &mut zones)?;
    found.zones = zones.into_values().collect();
    each(&tables, HSM_KEYS, |row| {
        let locator = row.get::<_, String>(0)?.to_ascii_lowercase();
        match row.get(1)? {
            UNUSED => found.unused.push(HsmKey {
                policy: row.get(2)?,
                locator,
                role: role(row, 3)?,
                algorithm: row.get(4)?,
                bits: row.get(5)?,
                repository: row.get(6)?,
            }),
            state if USED.contains(&state) => {
                found.used.insert(locator);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

const POLICIES: &str = "SELECT id, name, keysShared FROM policy";
const POLICY_KEYS: &str = "SELECT policyId, role, algorithm, bits, lifetime, repository, standby, manualRollover FROM policyKey";
const ZONES: &str = "SELECT id, policyId, rollKskNow, rollZskNow, rollCskNow FROM zone";
const ZONE_KEYS: &str = "SELECT keyData.zoneId, keyData.role, hsmKey.algorithm, hsmKey.bits, hsmKey.repository, \
     keyData.inception FROM keyData JOIN hsmKey ON hsmKey.id = keyData.hsmKeyId";
const HSM_KEYS: &str = "SELECT locator, state, policyId, role, algorithm, bits, repository FROM hsmKey \
     WHERE isRevoked = 0 ORDER BY id";

fn policies(tables: &Connection) -> rusqlite::Result<BTreeMap<i64, Policy>> {
    let mut found = BTreeMap::new();
    each(tables, POLICIES, |row| {
        let policy = Policy { name: row.get(1)?, shared: row.get(2)?, keys: Vec::new() };
        found.insert(row.get::<_, i64>(0)?, policy);
        Ok(())
    })?;
    each(tables, POLICY_KEYS, |row| {
        if let Some(policy) = found.get_mut(&row.get::<_, i64>(0)?) {
            policy.keys.push(PolicyKey {
                role: role(row, 1)?,
                algorithm: row.get(2)?,
                bits: row.get(3)?,
                lifetime_s: number(row, 4)?,
                repository: row.get(5)?,
                standby: number(row, 6)?,
                manual: row.get(7)?,
            });
        }
        Ok(())
    })?;
    for policy in found.values_mut() {
        policy.keys.sort();
    }
    Ok(found)
}

fn zones(tables: &Connection) -> rusqlite::Result<BTreeMap<i64, Zone>> {
    let mut found = BTreeMap::new();
    each(tables, ZONES, |row| {
        let mut zone = Zone { policy: row.get(1)?, ..Zone::default() };
        for (column, (_, role)) in (2..).zip(Role::ALL) {
            if row.get(column)? {
                zone.roll_now.insert(role);
            }
        }
        found.insert(row.get::<_, i64>(0)?, zone);
        Ok(())
    })?;
    Ok(found)
}

fn add_keys(tables: &Connection, zones: &mut BTreeMap<i64, Zone>) -> rusqlite::Result<()> {
    each(tables, ZONE_KEYS, |row| {
        if let Some(zone) = zones.get_mut(&row.get::<_, i64>(0)?) {
            zone.keys.push(ZoneKey {
                role: role(row, 1)?,
                algorithm: row.get(2)?,
                bits: row.get(3)?,
                repository: row.get(4)?,
                taken_s: number(row, 5)?,
            });
        }
        Ok(())
    })
}

/// Visits every row of a query.
fn each(
    tables: &Connection,
    query: &str,
    mut visit: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = tables.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}

/// A number as the database has them: 32 bits, never negative.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, u32>(column).map(u64::from)
}

/// Roles as the database has them: a bit for each of the two, and both for the third.
fn role(row: &Row<'_>, column: usize) -> rusqlite::Result<Role> {
    match row.get(column)? {
        1 => Ok(Role::Ksk),
        2 => Ok(Role::Zsk),
        3 => Ok(Role::Csk),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}
