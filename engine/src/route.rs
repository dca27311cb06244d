//! Which member does the work.

use crate::error::{Error, Result};
use crate::held::Held;
use crate::settings::{Balance, Role};
use crate::station::Station;
use crate::token::Token;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::ck::*;

impl Token {
    /// Members to try for work, best first: those that are up, active before standby.
    pub(crate) fn candidates(&self) -> Vec<Arc<Station>> {
        if !self.tended.load(Ordering::Relaxed) {
            self.heed();
            self.wake_all();
        }
        let mut up = self.up();
        if up.is_empty() {
            // Whoever tends them may just not have come round.
            self.wake_all();
            up = self.up();
        }
        for station in &up {
            station.set_others(up.len().saturating_sub(1));
        }
        match self.settings.balance {
            Balance::Primary => {}
            Balance::RoundRobin => rotate(&mut up, self.turn.fetch_add(1, Ordering::Relaxed)),
            Balance::LeastLoaded => {
                // Equals take turns, so that one caller alone uses all members too.
                rotate(&mut up, self.turn.fetch_add(1, Ordering::Relaxed));
                up.sort_by_key(|station| station.busy());
            }
        }
        up.sort_by_key(|station| {
            (station.settings.role == Role::Standby, station.health(|health| health.is_suspect()))
        });
        up
    }

    fn up(&self) -> Vec<Arc<Station>> {
        let working = self.stations.iter().filter(|station| {
            matches!(station.settings.role, Role::Active | Role::Standby) && station.is_up()
        });
        working.cloned().collect()
    }

    /// Members that can hold keys, best first: logged in, with the ring found.
    pub(crate) fn makers(&self) -> Result<Vec<Arc<Station>>> {
        let mut makers = self.candidates();
        makers.retain(|station| station.is_ready());
        if makers.is_empty() {
            return Err(self.nobody());
        }
        if makers.len() < self.settings.min_replicas {
            return Err(Error::new(
                CKR_DEVICE_ERROR,
                format!(
                    "token {}: min_replicas = {} but members up: {}; bring the others back (`tandem status`) or \
                     lower min_replicas",
                    self.settings.label,
                    self.settings.min_replicas,
                    makers.len()
                ),
            ));
        }
        Ok(makers)
    }

    /// Members on which an object can be used, best first. What is there already comes before what must be brought.
    pub(crate) fn holders(&self, keys: &[Held]) -> Vec<Arc<Station>> {
        let mut stations = self.candidates();
        stations.retain(|station| {
            keys.iter().all(|held| match held {
                Held::Resident(entry) => {
                    let named = entry.object.holders.as_ref();
                    named.is_none_or(|holders| holders.iter().any(|name| name == station.name()))
                }
                Held::Transient(transient) => transient.can_go(station),
            })
        });
        stations.sort_by_key(|station| {
            !keys.iter().all(|held| match held {
                Held::Resident(_) => true,
                Held::Transient(transient) => transient.place(station).is_some(),
            })
        });
        stations
    }

    /// The error when no member can do it.
    pub(crate) fn nobody(&self) -> Error {
        Error::new(
            CKR_DEVICE_ERROR,
            format!(
                "token {}: no member can do this now ({}); see `tandem status`",
                self.settings.label,
                self.conditions()
            ),
        )
    }

    /// How each member is, and why.
    pub(crate) fn conditions(&self) -> String {
        let condition = |station: &Arc<Station>| {
            let (condition, reason) = station.condition();
            format!("{}: {condition:?} {reason}", station.name())
        };
        self.stations.iter().map(condition).collect::<Vec<_>>().join("; ")
    }
}

fn rotate(stations: &mut [Arc<Station>], by: usize) {
    if !stations.is_empty() {
        stations.rotate_left(by % stations.len());
    }
}
