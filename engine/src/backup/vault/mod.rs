//! Backup tokens: members that are connected only while a backup runs, is read, or comes back.
//!
//! A backup token follows the log like every member, so that its keys can be used wherever it is plugged in. Beside them it
//! keeps the bundle, which is what a restore reads: keys that are locked can't travel from one token to another. The rest of
//! the engine never meets it ([`Token::vaults`]): nothing waits for it, nothing is started on it, its absence is no alarm.

mod fill;
mod keep;
mod sheet;

pub use fill::Filled;
pub use sheet::is_sheet_label;
pub(crate) use sheet::remove_bundles;

use super::bundle::broken;
use super::source::Source;
use super::words::{Artefact, BackupId, Medium};
use crate::error::{Error, Result};
use crate::fault::{Call, Fault};
use crate::joining::unwell;
use crate::pair;
use crate::station::{Lease, Station};
use crate::token::Token;
use sheet::{Pieces, Reader, unanswered};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use tandem_values::info::TokenInfo;
use tandem_values::{Secret, ck::*};

/// A backup token that is open. When it is dropped it is closed, and its module stopped.
pub struct Vault {
    token: Arc<Token>,
    station: Arc<Station>,
    lease: Lease,
    serial: String,
    /// It held a key ring when it was opened.
    held_ring: bool,
}

/// A bundle on a backup token.
pub struct TokenBundle<'a> {
    vault: &'a Vault,
    id: BackupId,
    /// False while it is being made: its sheets are all there is.
    bound: bool,
}

impl Token {
    /// The names of the backup tokens, in the order of the configuration.
    pub fn backup_tokens(&self) -> Vec<String> {
        self.vaults.iter().map(|vault| vault.name().to_owned()).collect()
    }

    /// True for the name of a backup token.
    pub(crate) fn is_vault(&self, name: &str) -> bool {
        self.vaults.iter().any(|vault| vault.name() == name)
    }

    /// A member that the configuration names, whether it works or is a backup token.
    pub(crate) fn any_station(&self, name: &str) -> Option<&Arc<Station>> {
        self.stations.iter().chain(&self.vaults).find(|station| station.name() == name)
    }

    /// Opens a backup token, with the user logged in there: by the PIN of the login where none is given. Changes nothing on it.
    pub fn open_vault(self: &Arc<Self>, pin: Option<&Secret>, name: &str) -> Result<Vault> {
        let station = self.vault(name)?;
        let pin = pin.cloned().or_else(|| self.login.read().pin().cloned());
        let pin = pin.ok_or_else(|| Error::from(CKR_USER_NOT_LOGGED_IN))?;
        Self::set_aside(station);
        let opened = self.reach(station, &pin).and_then(|lease| {
            let own = lease.desk().member.token().map_err(|fault| unwell(name, fault))?;
            self.is_apart(name, &own)?;
            let rings = pair::rings(&lease.desk()).map_err(|fault| unwell(name, fault))?;
            Ok((lease, own.serial, !rings.is_empty()))
        });
        match opened {
            Ok((lease, serial, held_ring)) => {
                let (token, station) = (Arc::clone(self), Arc::clone(station));
                Ok(Vault { token, station, lease, serial, held_ring })
            }
            Err(error) => {
                // Its module stays as it is until the token is stopped: it may still be asked what is wrong.
                Self::set_aside(station);
                Err(error)
            }
        }
    }

    fn vault(&self, name: &str) -> Result<&Arc<Station>> {
        let found = self.vaults.iter().find(|vault| vault.name() == name);
        found.ok_or_else(|| {
            let label = &self.settings.label;
            let names = self.backup_tokens().join(", ");
            let message = match (self.station(name), names.is_empty()) {
                (Some(_), _) => format!(
                    "token {label}: {name} is a member that works, and no backup token; one is a member with role = \"backup\""
                ),
                (None, true) => format!(
                    "token {label} has no backup token {name}; write a [[token.member]] of that name with role = \"backup\""
                ),
                (None, false) => {
                    format!("token {label} has no backup token {name}; it has {names}")
                }
            };
            Error::new(CKR_ARGUMENTS_BAD, message)
        })
    }

    /// A backup on the token of a member would be lost with it.
    fn is_apart(&self, name: &str, own: &TokenInfo) -> Result {
        let same = |other: &TokenInfo| {
            (&other.serial, &other.manufacturer, &other.model)
                == (&own.serial, &own.manufacturer, &own.model)
        };
        let up = self.stations.iter().filter(|station| station.is_up());
        let taken = up.filter(|station| station.member.token().is_ok_and(|other| same(&other)));
        match taken.map(|station| station.name().to_owned()).next() {
            None => Ok(()),
            Some(member) => Err(Error::new(
                CKR_ARGUMENTS_BAD,
                format!(
                    "token {}: the token {} that the section of {name} names is the one of member {member}: a backup there would be \
                     lost with it. Name another",
                    self.settings.label, own.serial
                ),
            )),
        }
    }
}

impl Vault {
    /// The member's name.
    pub fn name(&self) -> &str {
        self.station.name()
    }

    /// What the log tells of a backup that is on it.
    pub fn artefact(&self) -> Artefact {
        Artefact::Token { name: self.name().to_owned(), serial: self.serial.clone() }
    }

    /// Where chains of backups on it are kept.
    pub fn medium(&self) -> Medium {
        Medium::of(&self.artefact())
    }

    /// The bundle of a backup.
    pub fn bundle(&self, id: BackupId) -> TokenBundle<'_> {
        TokenBundle { vault: self, id, bound: true }
    }

    /// Every bundle on it, whole or not.
    fn bundles(&self) -> Result<BTreeMap<BackupId, Pieces>> {
        let desk = self.lease.desk();
        let found = sheet::bundles(&desk).map_err(|fault| unanswered(&desk, fault))?;
        self.is_there()?;
        Ok(found)
    }

    /// An error if it shows nothing private any more: pulled out, or another in its place. What is not found then is not
    /// missing.
    fn is_there(&self) -> Result {
        let desk = self.lease.desk();
        desk.check_login().map_err(|fault| unanswered(&desk, fault))?;
        match desk.member.token() {
            Ok(now) if now.serial == self.serial => {}
            Ok(_) => return Err(unanswered(&desk, Fault::new(Call::Info, CKR_DEVICE_REMOVED))),
            Err(fault) => return Err(unanswered(&desk, fault)),
        }
        match pair::rings(&desk) {
            Ok(rings) if rings.is_empty() && (self.held_ring || self.station.has_ring()) => {
                Err(unanswered(&desk, Fault::new(Call::Find, CKR_DEVICE_REMOVED)))
            }
            Ok(_) => Ok(()),
            Err(fault) => Err(unanswered(&desk, fault)),
        }
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.token.settle(&self.station);
    }
}

impl Source for TokenBundle<'_> {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        let found = self.vault.bundles()?;
        let pieces = found.get(&self.id).ok_or_else(|| {
            broken(&format!("{} does not hold the bundle of backup {}", self.vault.name(), self.id))
        })?;
        let desk = self.vault.lease.desk();
        let sheets = if self.bound { pieces.bound(&desk)? } else { pieces.in_order()? };
        Ok(Box::new(Reader::new(desk, sheets)))
    }
}
