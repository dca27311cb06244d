//! When head records are read and written: read when a member comes up, before it follows; written when the log has grown
//! and some time has passed, so that making keys costs no write for each, and at the end of a login.
//!
//! Whoever holds a member's lease writes its head record. The record of the log that it names is durable by then.

use super::record::HeadRecord;
use super::shelved::Shelved;
use crate::fault::{Answer, Call, Class, Fault};
use crate::found::Life;
use crate::log::Position;
use crate::pair::RingId;
use crate::station::Station;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::ck::CKR_USER_NOT_LOGGED_IN;

/// How long a member's head record may be behind the log of a process at work, in milliseconds. What an older copy of the
/// state folder lacks of the last so many is not noticed.
const BEHIND_MS: u64 = 2_000;

/// What this process knows of a member's head record, in one life of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The position that it names; zero for none, or one that is void.
    position: Position,
    /// When it was read or written, on the steady clock.
    at_ms: u64,
}

impl Seen {
    /// It can't hold one: not tried again in this life.
    const UNABLE: Self = Self { position: Position::MAX, at_ms: 0 };
}

impl Token {
    /// Reads the head records of members of which this process has none yet: all of them before any follows.
    pub(crate) fn look_at_heads(&self) {
        for station in self.stations.iter().filter(|station| station.head().is_none()) {
            self.look_at_head(station);
        }
    }

    /// Reads a member's head record, if this process has not yet, and holds the log against it.
    pub(crate) fn look_at_head(&self, station: &Arc<Station>) {
        if station.head().is_some() || !station.is_ready() || !station.counts() {
            return;
        }
        let Ok(Some(ring)) = self.known_ring() else { return };
        match self.shelved(station, &ring.id) {
            Ok((life, shelved)) => self.take_in_head(station, life, &shelved),
            Err(fault) => no_head(station, fault),
        }
    }

    pub(super) fn shelved(&self, station: &Arc<Station>, ring: &RingId) -> Answer<(Life, Shelved)> {
        let gone = Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN);
        let seal = self.seal().map_err(|_| gone)?;
        let lease = station.lease()?;
        let shelved = Shelved::read(&lease.desk(), &seal, ring).inspect_err(|_| lease.spoil());
        Ok((lease.life(), shelved?))
    }

    fn take_in_head(&self, station: &Station, life: Life, shelved: &Shelved) {
        let name = station.name();
        if !shelved.broken.is_empty() {
            log::error!(
                "member {name}: a head record there was changed by somebody who can log in to it, and is ignored; the next one takes \
                 its place"
            );
        }
        let weighed = shelved.last().map(|record| Ok((record, self.weigh(name, record)?)));
        let position = match weighed {
            None => 0,
            // Void, or not alone: it is written anew.
            Some(Ok((record, None)))
                if record.era < self.shelf.ledger().era() || !shelved.is_tidy() =>
            {
                0
            }
            Some(Ok((record, None))) => record.position,
            Some(Ok((record, Some(doubt)))) => {
                self.raise(&doubt);
                record.position
            }
            // Looked at again at the next call.
            Some(Err(error)) => return log_unread(&error),
        };
        station.set_head(life, Seen { position, at_ms: self.clock.steady_ms() });
    }

    /// Tells the members where the log ends, those to whom that is due: `now` if the login is about to end.
    pub(crate) fn tell_heads(&self, now: bool) {
        if self.is_in_doubt() || self.seal.read().is_none() {
            return;
        }
        let at_ms = self.clock.steady_ms();
        let may_be_due = |seen: Seen| now || at_ms.saturating_sub(seen.at_ms) >= BEHIND_MS;
        let is_behind =
            |seen: Seen| self.store.head().is_ok_and(|head| seen.position < head.position);
        for station in self.stations.iter().filter(|station| station.is_ready()) {
            if station.head().is_some_and(|seen| may_be_due(seen) && is_behind(seen)) {
                self.tell_head(station);
            }
        }
    }

    /// Tells a member, unless another process is writing to it, and tells it then.
    fn tell_head(&self, station: &Arc<Station>) {
        let Ok(Some(writing)) = self.store.lease(station.name(), 0) else { return };
        station.stays_clean(writing.epoch());
        // Another process may just have taken it out of the ring: nothing is brought there any more.
        if self.read_roster().is_err() || !station.counts() {
            return;
        }
        let Ok(Some(ring)) = self.known_ring() else { return };
        let told = self.shelved(station, &ring.id).and_then(|(life, shelved)| {
            self.take_in_head(station, life, &shelved);
            self.put_head(station, &ring.id, shelved)
        });
        match told {
            Ok(()) => self.note_headless(station.name(), None),
            Err(fault) if matches!(station.judge(fault), Class::Ill | Class::Lost) => {}
            Err(fault) => {
                station.set_head(station.life(), Seen::UNABLE);
                self.note_headless(station.name(), Some(&fault.to_string()));
            }
        }
    }

    fn put_head(&self, station: &Arc<Station>, ring: &RingId, shelved: Shelved) -> Answer {
        // What was read may just have said that this is not the log.
        let (Ok(head), Ok(seal), false) = (self.store.head(), self.seal(), self.is_in_doubt())
        else {
            return Ok(());
        };
        let record = HeadRecord {
            ring: *ring,
            era: self.shelf.ledger().era(),
            position: head.position,
            link: head.link,
            at_ms: self.clock.wall_ms(),
        };
        if shelved.is_tidy() && shelved.last().is_some_and(|last| last.age() >= record.age()) {
            return Ok(());
        }
        let Some(sealed) = record.seal(&seal) else { return Ok(()) };
        let lease = station.lease()?;
        shelved.put(&lease.desk(), ring, sealed).inspect_err(|_| lease.spoil())?;
        let seen = Seen { position: head.position, at_ms: self.clock.steady_ms() };
        station.set_head(lease.life(), seen);
        log::debug!("member {} is told that the log ends at {}", station.name(), head.position);
        Ok(())
    }

    /// Notes that a member can't hold a head record, or that it can; told when that changes.
    fn note_headless(&self, name: &str, why: Option<&str>) {
        let note = note::member(name, note::HEADLESS);
        let Ok(known) = self.store.note(&note) else { return };
        if known.as_deref() == why.map(str::as_bytes) {
            return;
        }
        if let Some(why) = why {
            log::warn!(
                "member {name} can't hold a record of the log's end ({why}): an older copy of the state folder is noticed by the \
                 others only"
            );
        }
        if let Err(error) = self.store.set_note(&note, why.map(str::as_bytes)) {
            log::debug!("member {name}: not noted: {error}");
        }
    }
}

/// Nothing can be read there now, or never.
fn no_head(station: &Station, fault: Fault) {
    if !matches!(station.judge(fault), Class::Ill | Class::Lost) {
        log::info!("member {}: its head record can't be read ({fault})", station.name());
        station.set_head(station.life(), Seen::UNABLE);
    }
}

fn log_unread(error: &crate::error::Error) {
    log::warn!("the log can't be held against what a member knows of it now: {error}");
}
