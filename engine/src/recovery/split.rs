//! New shares from old ones.

use super::Splitting;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::pair;
use crate::pairing::{HandOut, hand};
use crate::report::Progress;
use crate::ring::Ring;
use crate::settings::RecoverySettings;
use crate::shares::{self, Share, Split};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// The name under which one operator keeps others out; no member can have it.
const LEASE: &str = "recovery/split";

/// A split that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealt {
    /// The set that the old shares were of, which the log need not know of.
    pub used: u16,
    /// The new one.
    pub made: Splitting,
}

impl Token {
    /// Splits the recovery's secret anew, and hands the new shares out. Both the old shares and the new ones are seen to open
    /// the ring inside a member before anyone is told to keep these; only then the log tells of them. Until then the old
    /// ones are in force, and what was handed out opens the ring as well.
    ///
    /// Needs a login.
    pub fn split_recovery(
        self: &Arc<Self>,
        old: &[Secret],
        settings: &RecoverySettings,
        progress: &dyn Progress,
        hand_out: HandOut<'_>,
    ) -> Result<Dealt> {
        self.seal()?;
        let Some(_turn) = self.store.lease(LEASE, self.settings.lease_wait_ms)? else {
            return Err(self.out_of_order(
                "another operator is splitting its recovery right now; wait for the other to end",
            ));
        };
        let known = self.recovery()?;
        let used = shares::combine(old)?.set;
        let sets: Vec<_> = known.sets.iter().copied().chain([used]).collect();
        progress.stage("opening the key ring with the old shares and the new ones", 1);
        let (split, shares) = self.deal_anew(&known.ring, old, settings, &sets)?;
        progress.step();
        hand(hand_out, &shares)?;
        let Split { set, shares, threshold } = split;
        self.append(Event::RecoverySplit { set, shares, threshold }).map_err(|error| {
            let message = format!(
                "{error}; the log does not tell of the shares of set {set}, so the old ones stay in force: destroy those that were \
                 just handed out, since they open the key ring as well, and run this again"
            );
            Error::new(error.rv.0, message)
        })?;
        self.heed_roster();
        let made = self.recovery()?.splits.last().copied();
        made.map(|made| Dealt { used, made }).ok_or_else(|| CKR_GENERAL_ERROR.into())
    }

    /// Splits the secret on a member that can be asked now.
    fn deal_anew(
        &self,
        ring: &Ring,
        old: &[Secret],
        settings: &RecoverySettings,
        sets: &[u16],
    ) -> Result<(Split, Vec<Share>)> {
        let nobody = "no member that holds the key ring can be asked whether the old shares open it; see `tandem status`";
        let mut last = Error::new(CKR_DEVICE_REMOVED, nobody);
        for station in self.members().filter(|station| station.is_ready()) {
            let dealt = station.lease().map_err(Error::from).and_then(|lease| {
                pair::split(&lease.desk(), ring, old, settings, sets, &*self.entropy)
            });
            match dealt {
                Ok(dealt) => return Ok(dealt),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
