//! Pairing a token: its members get a key ring in common, and what they hold is taken over.
//!
//! The log's first event is what makes a pairing count. Until then it can be interrupted anywhere and run again.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::Entry;
use crate::member::User;
use crate::pair::{self, Pairing};
use crate::report::{PairReport, Progress, Quiet};
use crate::ring::Ring;
use crate::seal::Seal;
use crate::settings::Duty;
use crate::shares::Share;
use crate::station::Lease;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// Hands the recovery's shares out: shows them, or writes them where they are kept. An error says why not, and then
/// nothing is paired.
pub(crate) type HandOut<'a> = &'a mut dyn FnMut(&[Share]) -> std::result::Result<(), String>;

/// Hands shares out before they count.
pub(crate) fn hand(hand_out: HandOut<'_>, shares: &[Share]) -> Result {
    hand_out(shares).map_err(|reason| {
        let message = format!("the shares of the recovery could not be handed out: {reason}");
        Error::new(CKR_FUNCTION_CANCELED, message)
    })
}

impl Token {
    /// Makes the key ring on every member, and takes over what they hold. Does nothing when that is done. The shares are
    /// handed out before the pairing counts, so that there is no ring without its recovery.
    pub fn pair(
        self: &Arc<Self>,
        pin: &Secret,
        progress: &dyn Progress,
        hand_out: HandOut<'_>,
    ) -> Result<PairReport> {
        self.as_user(pin, || {
            self.enter(User::User, Some(pin))?;
            self.pair_logged_in(progress, Some(hand_out))
        })
    }

    fn pair_logged_in(
        self: &Arc<Self>,
        progress: &dyn Progress,
        hand_out: Option<HandOut<'_>>,
    ) -> Result<PairReport> {
        let (ring, changed) = match self.known_ring()? {
            Some(ring) => (ring, false),
            None => (Arc::new(self.make_ring(progress, hand_out)?), true),
        };
        self.use_ring(&ring);
        self.seal()?;
        self.shelf.refresh()?;
        self.catch_up();
        let adopted = self.adopt(progress)?;
        self.catch_up();
        let ring = Arc::unwrap_or_clone(ring);
        Ok(PairReport { ring, changed, adopted: adopted.all, adopted_partly: adopted.partly })
    }

    /// Makes a ring on every member and writes the log's first event.
    fn make_ring(
        self: &Arc<Self>,
        progress: &dyn Progress,
        hand_out: Option<HandOut<'_>>,
    ) -> Result<Ring> {
        let leases = self.every_member()?;
        let desks: Vec<_> = leases.iter().map(Lease::desk).collect();
        let begun: Vec<_> =
            self.store.note(note::BEGUN)?.and_then(|id| id.try_into().ok()).into_iter().collect();
        for desk in &desks {
            pair::tidy(desk, None, &begun)?;
        }
        let id = pair::new_id(&*self.entropy);
        self.store.set_note(note::BEGUN, Some(&id))?;
        let recovery = hand_out
            .as_ref()
            .map(|_| &self.settings.recovery)
            .filter(|recovery| recovery.shares > 0);
        let (ring, shares) =
            pair::make(&desks, &Pairing { id, recovery, entropy: &*self.entropy, progress })?;
        if let Some(hand_out) = hand_out
            && !shares.is_empty()
        {
            hand(hand_out, &shares)?;
        }
        let first = desks.first().ok_or_else(|| Error::from(CKR_GENERAL_ERROR))?;
        let seal = Seal::derive(first, pair::find(first, &ring)?.log)?;
        let entry = Entry::from(Event::Paired(Box::new(ring.clone())));
        self.journal.begin(&seal, self.site()?, &entry)?;
        self.store.set_note(note::FRESH, None)?;
        self.store.set_note(note::BEGUN, None)?;
        *self.seal.write() = Some(seal);
        Ok(ring)
    }

    /// A session on every member: a ring that only some have can't be carried to the others later without the shares.
    fn every_member(&self) -> Result<Vec<Lease>> {
        let away = |name: &str, why: String| {
            Error::new(
                CKR_DEVICE_REMOVED,
                format!(
                    "token {}: member {name} is not there or not logged in ({why}); pairing needs all members: bring it back, or \
                     take it out of the configuration",
                    self.settings.label
                ),
            )
        };
        let mut stations: Vec<_> = self.stations.iter().collect();
        // The first one makes the ring: a generator, where there is one.
        stations.sort_by_key(|station| !station.does(Duty::Making));
        stations
            .into_iter()
            .map(|station| {
                if station.logged_in() != Some(User::User) {
                    return Err(away(station.name(), station.condition().1));
                }
                station.lease().map_err(|fault| away(station.name(), fault.to_string()))
            })
            .collect()
    }

    /// Pairs a token at its first login after C_InitToken and C_InitPIN, where no operator looks on.
    pub(crate) fn pair_fresh(self: &Arc<Self>) -> Result {
        let sink = self.share_sink.clone();
        let label = self.settings.label.clone();
        let Some(sink) = sink else {
            log::warn!(
                "token {label}: paired by its first login without a recovery: no folder for the shares is configured \
                 (`recovery.shares_dir`); initialise it again or pair it with `tandem pair` to have one"
            );
            self.pair_logged_in(&Quiet, None)?;
            return Ok(());
        };
        self.pair_logged_in(&Quiet, Some(&mut |shares| sink.keep(shares)))?;
        Ok(())
    }
}
