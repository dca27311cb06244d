//! Beginning a rotation: new keys on every member that is there, tried there, their recovery with people, and only then the log
//! tells of them. And giving them to members that were away.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::joining::Bringing;
use crate::pair;
use crate::pairing::{HandOut, hand};
use crate::report::Progress;
use crate::ring::Ring;
use crate::roll::Roster;
use crate::settings::{Duty, RecoverySettings};
use crate::station::{Lease, Station};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

impl Token {
    /// Puts new keys in force. Until the log tells of them nothing counts that was made, and what was handed out opens nothing.
    pub(super) fn begin_rotation(
        &self,
        roster: &Roster,
        (shares, recovery): (&[Secret], &RecoverySettings),
        progress: &dyn Progress,
        hand_out: HandOut<'_>,
    ) -> Result {
        let leases = self.there(&roster.ring)?;
        let desks: Vec<_> = leases.iter().map(Lease::desk).collect();
        let sets = roster.sets();
        let (ring, entropy) = (&roster.ring, &*self.entropy);
        // Whoever follows next looks first: SoftHSM overlooks what others made, if it makes something before it looks.
        let alone = |name: &str, work: &mut dyn FnMut() -> Result| {
            let _writing = self.alone_at(name)?;
            work()
        };
        let rotating = pair::Rotating {
            ring,
            shares,
            recovery,
            sets: &sets,
            alone: &alone,
            entropy,
            progress,
        };
        let (rotation, new) = pair::rotate(&desks, &rotating)?;
        let forget = || {
            for desk in &desks {
                // What can't be removed now the next rotation removes.
                let _ = pair::remove_leftover(desk, ring);
            }
        };
        hand(hand_out, &new).inspect_err(|_| forget())?;
        let set = rotation.recovery.set;
        if let Err(error) = self.append(Event::Rotating(Box::new(rotation))) {
            // It may be in the log all the same; and what members hold then must stay.
            let told = self.paired().map(|roster| roster.ring.newest() > ring.newest());
            if told == Ok(false) {
                forget();
                let message = format!(
                    "{error}; the log does not tell of the new KEKs, so those before them stay in force: destroy the shares of set {set} \
                     that were just handed out, which open nothing, and run this again"
                );
                return Err(Error::new(error.rv.0, message));
            }
            if told.is_err() {
                let message = format!(
                    "{error}; whether the new KEKs are in force can't be told now: keep the shares of set {set}, and run this again"
                );
                return Err(Error::new(error.rv.0, message));
            }
        }
        self.heed_roster();
        log::info!(
            "token {}: {} are in force on {}; what is wrapped under those before is wrapped anew",
            self.settings.label,
            self.paired()?.ring.newest(),
            desks.iter().map(|desk| desk.name().to_owned()).collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    /// Sessions on the members that are there, the generator first.
    fn there(&self, ring: &Ring) -> Result<Vec<Lease>> {
        let is_meant =
            |station: &&Arc<Station>| station.is_ready() && ring.member(station.name()).is_some();
        let mut stations: Vec<_> = self.members().filter(is_meant).collect();
        stations.sort_by_key(|station| !station.does(Duty::Making));
        if !stations.iter().any(|station| station.does(Duty::Keys)) {
            return Err(self.nobody());
        }
        stations.into_iter().map(|station| Ok(station.lease()?)).collect()
    }

    /// Gives the newest keys to members that are there and lack them. Answers which were given them.
    pub(super) fn give_to_lacking(
        &self,
        shares: &[Secret],
        progress: &dyn Progress,
    ) -> Result<Vec<String>> {
        let roster = self.paired()?;
        let (ring, newest) = (&roster.ring, roster.ring.newest());
        let mut given = Vec::new();
        if !pair::opens(ring, shares)? {
            return Ok(given);
        }
        let bringing = Bringing { shares, keep_foreign: true, progress };
        for station in self.members().filter(|station| station.is_ready()) {
            let lacks = ring.member(station.name()).is_some_and(|it| it.generation < newest);
            if lacks && let Err(error) = self.give_newest(station, &station.lease()?, &bringing) {
                log::error!("member {} is not given {newest}: {error}", station.name());
            } else if lacks {
                given.push(station.name().to_owned());
            }
        }
        Ok(given)
    }

    /// Gives the newest keys to a member that holds older ones, and tries them there. What it could not take for want of them it
    /// takes when it next follows.
    pub(crate) fn give_newest(
        &self,
        station: &Arc<Station>,
        lease: &Lease,
        bringing: &Bringing<'_>,
    ) -> Result {
        let roster = self.paired()?;
        let (ring, desk) = (&roster.ring, lease.desk());
        let writing = self.alone_at(station.name())?;
        let handles = pair::open(&desk, ring, bringing.shares, bringing.progress)?;
        drop(writing);
        let others =
            self.members().filter(|other| !Arc::ptr_eq(other, station) && other.is_ready());
        let other = others.filter_map(|other| other.lease().ok()).find_map(|lease| {
            let handles = pair::find_all(&lease.desk(), ring).ok()?;
            Some((lease, handles))
        });
        let place = other.as_ref().map(|(lease, handles)| (lease.desk(), *handles));
        pair::links_of((desk, handles), place, &*self.entropy, bringing.progress)?;
        let (member, generation) = (station.name().to_owned(), ring.newest());
        self.append(Event::Given { member, generation })?;
        self.heed_roster();
        station.set_ring(lease.life(), handles.into());
        station.try_again_at_once();
        log::info!("member {} holds {generation}", station.name());
        Ok(())
    }
}

/// A member that lacks keys of the ring, and no shares to give them to it.
pub(crate) fn lacking_keys(name: &str, ring: &Ring) -> Error {
    let message = format!(
        "member {name}: its token lacks the keys of {}, which were made while it was away: give it those with `tandem member add {name} \
         --shares DIR`, where DIR holds shares of the recovery in force",
        ring.newest()
    );
    Error::new(CKR_ARGUMENTS_BAD, message)
}
