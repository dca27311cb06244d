//! Under which keys members wrap, and by which they open what is wrapped. Each is looked for on a member, and checked, where it is
//! used for the first time: a program that signs with keys that members hold needs none of them.

use crate::carry;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::fault::{Answer, Call, Class, Fault};
use crate::held::Transient;
use crate::journal::Entry;
use crate::log::Position;
use crate::object::{Kek, Under};
use crate::pair;
use crate::ring::{Generation, Keks, Ring, lacking};
use crate::station::Station;
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Handle, Template, ck::*};

/// That nothing is put into the log under keys that were rotated out.
pub(crate) struct InForce {
    /// The oldest that are meant; `None` if nothing wrapped is put there.
    oldest: Option<Generation>,
    /// Up to here the log says that they are in force.
    pub(crate) seen: Position,
}

impl InForce {
    /// An error if they are not any more, by what the log says since.
    pub(crate) fn still(&self, news: &[Record]) -> Result {
        let Some(oldest) = self.oldest else { return Ok(()) };
        let rotated = |event| matches!(event, Some(Event::Rotated(newest)) if oldest < newest);
        if news.iter().any(|record| rotated(record.event_for_roll())) {
            return Err(rotated_out());
        }
        Ok(())
    }
}

/// What is said of something that was not put into the log since its KEK was rotated out while it was on its way.
const ROTATED_OUT: &str = "it was wrapped under a KEK that has just been rotated out, and so is not put into the log; do it again";

fn rotated_out() -> Error {
    Error::new(CKR_FUNCTION_FAILED, ROTATED_OUT)
}

/// Does what puts something wrapped into the log; again, if it came to nothing for that reason alone.
pub(crate) fn in_force_at_last<T>(mut work: impl FnMut() -> Result<T>) -> Result<T> {
    match work() {
        Err(error) if error.message == ROTATED_OUT => work(),
        done => done,
    }
}

impl Token {
    /// The key that wraps something, on a member. CKR_KEY_NEEDED if the member lacks it.
    pub(crate) fn kek_at(
        &self,
        desk: &Desk<'_>,
        station: &Station,
        under: Under,
    ) -> Answer<Handle> {
        station.ring_in(desk.life)?;
        station.kek(desk.life, under).map_or_else(|| self.check_kek(desk, station, under), Ok)
    }

    /// The key under which something new is wrapped, on a member, and which that is. CKR_KEY_NEEDED if the member lacks it.
    pub(crate) fn newest_at(
        &self,
        desk: &Desk<'_>,
        station: &Station,
        kek: Kek,
    ) -> Answer<(Under, Handle)> {
        let ring = self.ring_as_known().ok_or_else(lacking)?;
        let under = Under { kek, generation: ring.newest() };
        Ok((under, self.kek_at(desk, station, under)?))
    }

    /// All keys under which something new is wrapped, on a member. CKR_KEY_NEEDED if the member lacks them.
    pub(crate) fn newest_keks_at(&self, desk: &Desk<'_>, station: &Station) -> Answer<Keks> {
        let generation = self.ring_as_known().ok_or_else(lacking)?.newest();
        let at = |kek| self.kek_at(desk, station, Under { kek, generation });
        let (private, secret) = (at(Kek::Private)?, at(Kek::Secret)?);
        Ok(Keks { generation, private, secret, open: at(Kek::Open)?, data: at(Kek::Data)? })
    }

    /// The ring as the log tells of it; where the store can't be read, which says nothing of any member, as it was known before.
    pub(crate) fn ring_as_known(&self) -> Option<Arc<Ring>> {
        self.known_ring().ok().flatten().or_else(|| self.ring.read().clone())
    }

    /// A KEK is used on a member for the first time: it is looked for, and held against what the log tells of it.
    fn check_kek(&self, desk: &Desk<'_>, station: &Station, under: Under) -> Answer<Handle> {
        let ring = self.to_hold(station, under)?;
        if station.life() != desk.life {
            return Err(Fault::new(Call::Session, CKR_SESSION_HANDLE_INVALID));
        }
        // In a session of its own: an operation may be open in the one that asks.
        let own = Desk::open(&*station.member, false)?.in_life(desk.life);
        let found = pair::find_key(&own, &ring, under.kek.into(), under.generation);
        // Where our login is gone nothing is found.
        let found = found.map_err(|error| (error, own.check_login()));
        own.leave();
        match found {
            Ok(handle) => {
                let held: Vec<_> = ring.held_by(station.name()).collect();
                station.set_kek(desk.life, (under, handle), &held);
                Ok(handle)
            }
            Err((_, Err(fault))) => Err(fault),
            Err((error, Ok(()))) => Err(self.without_kek(station, under, &error)),
        }
    }

    /// The ring, where it tells that a member holds this KEK. CKR_KEY_NEEDED otherwise.
    fn to_hold(&self, station: &Station, under: Under) -> Answer<Arc<Ring>> {
        let ring = self.ring_as_known().ok_or_else(lacking)?;
        let is_held = ring.held_by(station.name()).any(|it| it == under.generation);
        if is_held { Ok(ring) } else { Err(lacking()) }
    }

    /// A KEK is not what it should be on a member, or not there: nothing is done there until that is mended. It may also have been
    /// rotated out just now.
    fn without_kek(&self, station: &Station, under: Under, error: &Error) -> Fault {
        if let Err(lacking) = self.to_hold(station, under) {
            return lacking;
        }
        let fault = Fault::new(Call::Find, error.rv.0);
        if fault.class == Class::Lost {
            return fault;
        }
        station.fail_because(&error.to_string());
        Fault { class: Class::Ill, ..fault }
    }

    /// Looks for all of the ring's keys on every member that is logged in, and holds each against what the log tells of it. A member
    /// that lacks one, or has another in its place, goes down. Needs a login.
    pub fn check_keks(&self) -> Result {
        let ring = self.paired()?.ring.clone();
        self.at_once(self.members().filter(|station| station.is_ready()), |station| {
            let checked = station.lease().map_err(Into::into).and_then(|lease| {
                let found = pair::find(&lease.desk(), &ring)
                    .map_err(|error| lease.check_login().err().map_or(error, Into::into))?;
                station.set_ring(lease.life(), found.into());
                Ok(())
            });
            if let Err(error) = checked {
                let error: Error = error;
                station.fail_because(&error.to_string());
            }
        });
        Ok(())
    }

    /// Of what is to be put into the log: that the keys are in force which wrap it.
    pub(crate) fn in_force(&self, entries: &[Entry]) -> Result<InForce> {
        let wrapped = entries.iter().filter(|entry| entry.wrapped.is_some());
        let Some(oldest) = wrapped.filter_map(|entry| entry.event.generation()).min() else {
            return Ok(InForce { oldest: None, seen: Position::MAX });
        };
        // So that little is new when it is put there.
        self.shelf.refresh()?;
        let (Some(roster), seen) = self.roster_to()? else {
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        };
        if oldest < roster.ring.oldest {
            return Err(rotated_out());
        }
        Ok(InForce { oldest: Some(oldest), seen })
    }

    /// True if what is wrapped under these keys can't be put into the log any more.
    pub(crate) fn is_rotated_out(&self, generation: Option<Generation>) -> bool {
        let ring = self.known_ring().ok().flatten();
        generation.zip(ring).is_some_and(|(generation, ring)| generation < ring.oldest)
    }

    /// Session keys of this process are wrapped anew where they were made, so that they survive the loss of that member also when
    /// the rotation is finished. One that can't be stays where it is, as one that was never wrapped.
    pub(crate) fn renew_session_keys(&self) {
        let Ok(Some(ring)) = self.known_ring() else { return };
        let newest = ring.newest();
        if newest == Generation::FIRST || !self.login.read().is_user() {
            return;
        }
        for transient in self.transients.find(&Template::new()) {
            if transient.is_behind(newest) {
                self.renew(&transient);
            }
        }
    }

    fn renew(&self, transient: &Arc<Transient>) {
        let Some(kek) = transient.object.kek else { return };
        for station in self.keepers().filter(|station| station.is_ready()) {
            let renewed = station.lease().and_then(|lease| {
                let Some(key) = transient.place(station) else { return Ok(None) };
                let (under, kek) = self.newest_at(&lease.desk(), station, kek)?;
                Ok(Some((under, carry::wrap(&lease.desk(), kek, key)?)))
            });
            match renewed {
                Ok(Some((under, wrapped))) => {
                    return self.transients.rewrap(transient, under, wrapped);
                }
                Ok(None) => {}
                Err(fault) => log::debug!(
                    "a session key on member {} stays wrapped under older keys: {fault}",
                    station.name()
                ),
            }
        }
    }
}
