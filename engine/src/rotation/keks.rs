//! Under which keys members wrap, and by which they open what is wrapped. What a process has found on a member may be of before a
//! rotation that another has begun or finished: it looks again when it needs to.

use crate::carry;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::fault::{Answer, Call, Fault};
use crate::held::Transient;
use crate::journal::Entry;
use crate::log::Position;
use crate::object::Under;
use crate::pair;
use crate::ring::{Generation, Keks, RingHandles, lacking};
use crate::station::Station;
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Handle, Template, ck::*};

/// That nothing is put into the log under keys that were rotated out.
pub(crate) struct InForce {
    /// The oldest that are meant; `None` if nothing wrapped is put there.
    oldest: Option<Generation>,
    /// Up to here the log says that they are in force.
    seen: Position,
}

impl InForce {
    /// An error if they are not any more, where the log ends now.
    pub(crate) fn still(&self, token: &Token, to: Position) -> Result {
        let Some(oldest) = self.oldest else { return Ok(()) };
        let rotated = |event| matches!(event, Some(Event::Rotated(newest)) if oldest < newest);
        let is_rotated = |record: &Record| rotated(record.event_for_roll());
        if token.journal.has_between((self.seen, to), is_rotated)? {
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
        let known = ring_there(desk, station)?;
        known.kek(under).or_else(|_| self.look_again(desk, station, known)?.kek(under))
    }

    /// The keys under which everything new is wrapped, on a member. CKR_KEY_NEEDED if the member lacks them.
    pub(crate) fn newest_at(&self, desk: &Desk<'_>, station: &Station) -> Answer<Keks> {
        let known = ring_there(desk, station)?;
        let Ok(Some(ring)) = self.known_ring() else { return Ok(known.newest) };
        let newest = ring.newest();
        if known.newest.generation == newest {
            return Ok(known.newest);
        }
        let found = self.look_again(desk, station, known)?.newest;
        if found.generation == newest { Ok(found) } else { Err(lacking()) }
    }

    /// The ring's keys on a member as the log now says that it holds them.
    fn look_again(
        &self,
        desk: &Desk<'_>,
        station: &Station,
        known: RingHandles,
    ) -> Answer<RingHandles> {
        // A store that can't be read says nothing of the member.
        let Ok(Some(ring)) = self.known_ring() else { return Ok(known) };
        let held = [Some(known.newest), known.older].into_iter().flatten();
        if ring.held_by(station.name()).eq(held.map(|keks| keks.generation)) {
            return Ok(known);
        }
        if station.life() != desk.life {
            return Err(Fault::new(Call::Session, CKR_SESSION_HANDLE_INVALID));
        }
        // In a session of its own: an operation may be open in the one that asks.
        let own = Desk::open(&*station.member, false)?.in_life(desk.life);
        let found = pair::find(&own, &ring);
        own.leave();
        let found = found.map_err(|error| Fault::new(Call::Find, error.rv.0))?;
        station.set_ring(desk.life, found);
        Ok(found)
    }

    /// Of what is to be put into the log: that the keys are in force which wrap it.
    pub(crate) fn in_force(&self, entries: &[Entry]) -> Result<InForce> {
        let wrapped = entries.iter().filter(|entry| entry.wrapped.is_some());
        let Some(oldest) = wrapped.filter_map(|entry| entry.event.generation()).min() else {
            return Ok(InForce { oldest: None, seen: 0 });
        };
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
                let keks = self.newest_at(&lease.desk(), station)?;
                let wrapped = carry::wrap(&lease.desk(), keks.get(kek), key)?;
                Ok(Some((Under { kek, generation: keks.generation }, wrapped)))
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

/// The ring's keys as this process has found them on a member.
fn ring_there(desk: &Desk<'_>, station: &Station) -> Answer<RingHandles> {
    let known = station.ring_in(desk.life);
    known.ok_or_else(|| Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN))
}
