//! The key ring on its way back to members that lack it: by the recovery's shares, wherever it is told of. The one way, for a
//! member that is brought in, for a restore and for a recovery that is combined.

use crate::backup::broken;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::joining::Bringing;
use crate::pair;
use crate::ring::{Ring, RingHandles};
use crate::seal::Seal;
use crate::station::{Lease, Station};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// A ring that members have lost.
pub(crate) struct Lost<'a> {
    /// The ring, as it is told.
    pub(crate) ring: &'a Ring,
    /// An error if whatever tells of it was not sealed by it.
    pub(crate) bears_out: &'a dyn Fn(&Seal) -> Result,
}

/// A member that answers, with the user logged in.
pub(crate) struct Reached {
    pub(crate) station: Arc<Station>,
    pub(crate) lease: Lease,
}

/// Members that answer, and those that don't, with the reason.
type Answering = (Vec<Reached>, Vec<(String, Error)>);

impl Token {
    /// Reaches every member of the configuration that is to hold the ring all the time.
    pub(crate) fn reach_all(&self, pin: &Secret) -> Answering {
        let (mut reached, mut away) = (Vec::new(), Vec::new());
        for station in &self.stations {
            match self.reach(station, pin) {
                Ok(lease) => reached.push(Reached { station: Arc::clone(station), lease }),
                Err(error) => away.push((station.name().to_owned(), error)),
            }
        }
        (reached, away)
    }

    /// Opens the seal on a member that holds the ring, or on the first where the shares open it. Nothing is put anywhere.
    pub(crate) fn open_seal(
        (reached, away): (&[Reached], &[(String, Error)]),
        lost: &Lost<'_>,
        bringing: &Bringing<'_>,
    ) -> Result<Seal> {
        let holder = reached
            .iter()
            .find_map(|member| Some((member, pair::find(&member.lease.desk(), lost.ring).ok()?)));
        let seal = match holder {
            Some((member, handles)) => Seal::derive(&member.lease.desk(), handles.log)?,
            None => Self::open_by_shares((reached, away), lost.ring, bringing)?,
        };
        (lost.bears_out)(&seal)?;
        Ok(seal)
    }

    /// The same, where no member holds the ring.
    fn open_by_shares(
        (reached, away): (&[Reached], &[(String, Error)]),
        ring: &Ring,
        bringing: &Bringing<'_>,
    ) -> Result<Seal> {
        let nobody = "the configuration names no member that holds keys";
        let mut last = match away.last() {
            Some((_, error)) => error.clone(),
            None => Error::new(CKR_DEVICE_REMOVED, nobody),
        };
        for member in reached {
            match prove(&member.lease.desk(), ring, bringing) {
                Ok(seal) => return Ok(seal),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Gives the ring to a member, unless its token holds it already. What was known of the member counts no more: the token
    /// may be another than before. If the log counts it, and can be written, it is told first. Shares that don't open the
    /// ring change nothing.
    pub(crate) fn give_ring(
        &self,
        desk: &Desk<'_>,
        ring: &Ring,
        (holds, counted): (bool, bool),
        bringing: &Bringing<'_>,
    ) -> Result<RingHandles> {
        let name = desk.name();
        if !holds {
            prove(desk, ring, bringing)?;
        }
        if counted {
            // From here on no process takes what the old token held for what the new one holds.
            self.append(Event::Left(name.to_owned()))?;
        }
        self.forget_follower(name)?;
        pair::open(desk, ring, bringing.shares, bringing.progress)
    }

    /// Refuses a bundle of another ring than the log tells of.
    pub(crate) fn is_of_ring(&self, bundle: &Ring, ours: &Ring) -> Result {
        if bundle.id == ours.id {
            return Ok(());
        }
        Err(broken(&format!(
            "it is of another key ring than token {} has now: move the state folder away if you want the old token back",
            self.settings.label
        )))
    }
}

/// Opens the ring by the shares in a member that lacks it, with nothing left behind.
fn prove(desk: &Desk<'_>, ring: &Ring, bringing: &Bringing<'_>) -> Result<Seal> {
    if bringing.shares.is_empty() && ring.recovery.is_some() {
        return Err(without_shares(desk.name()));
    }
    pair::prove(desk, ring, bringing.shares)
}

/// No shares where they are needed.
fn without_shares(name: &str) -> Error {
    let message = format!(
        "member {name}: its token does not hold the key ring, and only the recovery's shares open it there: run this again with \
         --shares DIR, where DIR holds as many of their files as are needed"
    );
    Error::new(CKR_ARGUMENTS_BAD, message)
}
