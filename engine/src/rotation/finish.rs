//! Finishing a rotation: when nothing alive is wrapped under the keys that are replaced and every member holds the new ones, the log
//! says so, and members remove what they need no more when they come to that in the log.

use super::rewrap::{Done, is_outdated};
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::fault::{Answer, Call, Class, Fault};
use crate::follow::Follower;
use crate::pair;
use crate::ring::{Generation, Ring};
use crate::settings::Duty;
use crate::station::Station;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::ck::*;

impl Token {
    /// Finishes a rotation if that may be. False if something is left of it.
    pub(super) fn finish_rotation(&self, done: &Done) -> Result<bool> {
        let ring = Arc::clone(&self.paired()?.ring);
        if !done.left.is_empty() || !self.holds_everywhere(&ring) {
            return Ok(false);
        }
        let newest = ring.newest();
        // Before the log says so: who follows nothing does not come to that, and this process may end in between.
        for member in &ring.members {
            self.note_older(&member.name)?;
        }
        let late = std::cell::Cell::new(false);
        let hinders = |record: &Record| {
            // A member that joined since, as whoever brought it in knew the ring.
            let joined = matches!(record.event_for_roll(), Some(Event::Joined(_)));
            joined || is_outdated(record, newest)
        };
        let still = |news: &[Record]| {
            late.set(news.iter().any(hinders));
            if late.get() { Err(CKR_FUNCTION_CANCELED.into()) } else { Ok(()) }
        };
        let appended =
            self.append_if(&[Event::Rotated(newest).into()], &[], (done.reached, &still));
        match appended {
            Err(_) if late.get() => return Ok(false),
            appended => appended?,
        };
        self.heed_roster();
        log::info!(
            "token {}: nothing is wrapped under older keys than {newest} any more, and members remove those",
            self.settings.label
        );
        Ok(true)
    }

    /// True if every member holds the newest keys but backup tokens, which are given them when they are next filled.
    fn holds_everywhere(&self, ring: &Ring) -> bool {
        let newest = ring.newest();
        let mut members = ring.members.iter().filter(|member| !self.is_vault(&member.name));
        members.all(|member| member.generation == newest)
    }

    /// Lets members remove the keys that were rotated out. Answers those on which that was not seen, with the reason.
    pub(super) fn remove_rotated_out(self: &Arc<Self>) -> Result<Vec<(String, String)>> {
        self.catch_up();
        let ring = Arc::clone(&self.paired()?.ring);
        let mut kept = Vec::new();
        for member in ring.members.iter().filter(|member| !self.is_vault(&member.name)) {
            let name = &member.name;
            let Some(station) = self.station(name) else { continue };
            if !station.is_ready() {
                self.note_older(name)?;
                kept.push((name.clone(), "it is away; it removes them when it is back".to_owned()));
                continue;
            }
            let removed = station.lease().map_err(Into::into).and_then(|lease| {
                // It follows nothing, so it does not come to it.
                if station.does(Duty::Making) {
                    self.remove_older_there(&lease.desk(), station, &ring)?;
                }
                let left = pair::leftover(&lease.desk(), &ring)?;
                Ok(left)
            });
            match removed {
                Ok(left) if left.iter().all(|generation| *generation >= ring.oldest) => {}
                Ok(_) => kept.push((name.clone(), "its module did not destroy them".to_owned())),
                Err(error) => {
                    self.note_older(name)?;
                    kept.push((name.clone(), Error::to_string(&error)));
                }
            }
        }
        Ok(kept)
    }

    /// A generator removes keys that were rotated out when its ring is next found; who follows the log comes to it there.
    fn note_older(&self, name: &str) -> Result {
        if self.station(name).is_some_and(|station| station.does(Duty::Making)) {
            self.store.set_note(&note::member(name, note::OLDER), Some(b"1"))?;
        }
        Ok(())
    }

    /// A member comes to where the log says that older keys are needed no more. The fault is one that stops the follower.
    pub(crate) fn take_rotated(&self, follower: &Follower<'_>) -> Result<Answer> {
        let Some(ring) = self.known_ring()? else { return Ok(Ok(())) };
        match self.remove_older_there(&follower.desk, follower.station, &ring) {
            Err(fault) if matches!(fault.class, Class::Ill | Class::Lost) => Ok(Err(fault)),
            // It is tried again when the ring is next looked for there.
            _ => Ok(Ok(())),
        }
    }

    /// Removes keys that were rotated out from a member, and notes where that failed.
    fn remove_older_there(&self, desk: &Desk<'_>, station: &Station, ring: &Ring) -> Answer {
        let fault = |error: Error| Fault::new(Call::Destroy, error.rv.0);
        let removed = pair::remove_older(desk, ring).map_err(fault).and_then(|removed| {
            // Nothing is found either where our login is gone.
            let found = pair::find(desk, ring);
            let found =
                found.map_err(|error| desk.check_login().err().unwrap_or_else(|| fault(error)))?;
            station.set_ring(desk.life, found.into());
            Ok(removed)
        });
        let name = station.name();
        match removed {
            Ok(0) => {}
            Ok(count) => {
                log::info!(
                    "member {name}: {count} keys of the ring that were rotated out are removed"
                );
            }
            Err(fault) => {
                log::error!(
                    "member {name}: keys of the ring that were rotated out are not removed yet: {fault}"
                );
                let _ = self.store.set_note(&note::member(name, note::OLDER), Some(b"1"));
                return Err(fault);
            }
        }
        if matches!(self.store.note(&note::member(name, note::OLDER)), Ok(Some(_))) {
            let _ = self.store.set_note(&note::member(name, note::OLDER), None);
        }
        Ok(())
    }

    /// The ring was found on a member: if keys that were rotated out are to be removed there still, they are.
    pub(crate) fn remove_noted(&self, desk: &Desk<'_>, station: &Station, ring: &Ring) {
        let noted = self.store.note(&note::member(station.name(), note::OLDER));
        if matches!(noted, Ok(Some(_))) {
            // If it fails again it is told, and tried again.
            let _ = self.remove_older_there(desk, station, ring);
        }
    }

    /// Generations of the ring's keys that a member still shows though nothing needs them. Needs a login.
    pub fn rotated_out_on(&self, name: &str) -> Result<Vec<Generation>> {
        let ring = Arc::clone(&self.paired()?.ring);
        let Some(station) = self.station(name).filter(|station| station.is_ready()) else {
            return Ok(Vec::new());
        };
        let left = pair::leftover(&station.lease()?.desk(), &ring)?;
        // A rotation that is just being begun has put newer ones there.
        Ok(left.into_iter().filter(|generation| *generation < ring.oldest).collect())
    }
}
