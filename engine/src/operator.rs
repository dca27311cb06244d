//! What the operator decides about members while they are at work: notes beside the log, which every process heeds.

use crate::error::{Error, Result};
use crate::station::Station;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::ck::CKR_ARGUMENTS_BAD;

impl Token {
    /// A member is to get no work and take over nothing, in any process, until it is enabled. Answers false if that is so
    /// already. The last member that does work can't be drained.
    pub fn drain(&self, name: &str) -> Result<bool> {
        let station = self.named_station(name)?;
        if self.is_vault(name) {
            let message = format!("{name} is a backup token: it gets no work in any case");
            return Err(Error::new(CKR_ARGUMENTS_BAD, message));
        }
        if self.is_drained(station)? {
            return Ok(false);
        }
        let drained = note::member(name, note::DRAINED);
        if self.others_may_work(name)? {
            self.store.set_note(&drained, Some(b"1"))?;
            // Looked at again: another process may have drained another member meanwhile.
            if self.others_may_work(name)? {
                self.heed();
                return Ok(true);
            }
            self.store.set_note(&drained, None)?;
        }
        Err(Error::new(
            CKR_ARGUMENTS_BAD,
            format!(
                "{name} is the last member that isn't drained: nothing could sign; enable another first"
            ),
        ))
    }

    /// A member may work again: drained or fenced, or left alone for a PIN that it refused. Answers false if there was
    /// nothing in its way.
    pub fn enable(&self, name: &str) -> Result<bool> {
        let station = self.named_station(name)?;
        let mut changed = false;
        for what in [note::DRAINED, note::FENCED, note::REFUSED_PIN] {
            let note = note::member(station.name(), what);
            if self.store.note(&note)?.is_some() {
                self.store.set_note(&note, None)?;
                changed = true;
            }
        }
        if changed {
            // Any other value than before: by it other processes see that somebody has looked after the member.
            self.store.set_note(&note::member(name, note::ENABLED), Some(&self.new_uuid()))?;
            self.heed();
        }
        Ok(changed)
    }

    /// True if there is a member but this one that may do work with keys.
    pub(crate) fn others_may_work(&self, name: &str) -> Result<bool> {
        let mut others = self.keepers().filter(|other| other.name() != name);
        others.try_fold(false, |any, other| Ok(any || !self.is_drained(other)?))
    }

    pub(crate) fn is_drained(&self, station: &Station) -> Result<bool> {
        Ok(self.store.note(&note::member(station.name(), note::DRAINED))?.is_some())
    }

    /// A member that the configuration names, a backup token too.
    pub(crate) fn named_station(&self, name: &str) -> Result<&Arc<Station>> {
        self.any_station(name).ok_or_else(|| {
            let all = self.stations.iter().chain(&self.vaults);
            let names: Vec<_> = all.map(|station| station.name()).collect();
            Error::new(
                CKR_ARGUMENTS_BAD,
                format!(
                    "token {} has no member {name}; it has {}",
                    self.settings.label,
                    names.join(", ")
                ),
            )
        })
    }
}
