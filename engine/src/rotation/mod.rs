//! Rotating the keys that wrap: new ones on every member, everything in the log wrapped under them, and the ones before them gone
//! from the members (`docs/decisions/0046`).
//!
//! A rotation is begun by one record and finished by another, and each object that it wraps anew is one between them: so it can
//! stop anywhere and be gone on with, by whoever has shares, while applications sign and make keys.

mod begin;
mod finish;
mod keks;
mod retire;
mod rewrap;

pub use crate::roll::Reign;
pub use retire::Reigned;

pub(crate) use begin::lacking_keys;
pub(crate) use keks::in_force_at_last;

use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::pair;
use crate::pairing::HandOut;
use crate::report::Progress;
use crate::ring::{Generation, Ring};
use crate::roll::Roster;
use crate::settings::RecoverySettings;
use crate::shares::Split;
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// The name under which one operator keeps others out; no member can have it.
const LEASE: &str = "kek/rotate";

/// What a rotation came to.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The keys under which everything new is wrapped.
    pub generation: Generation,
    /// True if it was begun now; false if one was gone on with.
    pub begun: bool,
    /// How its recovery was split last.
    pub split: Option<Split>,
    /// The members that hold the new keys.
    pub members: Vec<String>,
    /// Those of them that were away when it was begun, and were given them now.
    pub given: Vec<String>,
    /// Members that lack the new keys, with the reason.
    pub lacking: Vec<(String, String)>,
    /// How many keys and private values were wrapped anew now.
    pub rewrapped: u64,
    /// Those that could not be, with the reason.
    pub left: Vec<(ObjectId, String)>,
    /// True if nothing is wrapped under the keys before these, and members remove them.
    pub finished: bool,
    /// Members on which keys stay that were rotated out, with the reason.
    pub kept: Vec<(String, String)>,
}

impl Token {
    /// Makes new keys that wrap, on every member that is there, and wraps everything in the log under them; or goes on with that
    /// where it was interrupted. The shares are those of the recovery in force; to go on, those of the one before it do as well, but
    /// for members that were away.
    ///
    /// The new recovery's shares are handed out before anything is wrapped under the new keys. Run again it goes on where it
    /// stopped. Shares that open nothing change nothing. Needs a login.
    pub fn rotate_keks(
        self: &Arc<Self>,
        shares: &[Secret],
        settings: &RecoverySettings,
        progress: &dyn Progress,
        hand_out: HandOut<'_>,
    ) -> Result<Rotated> {
        self.seal()?;
        let Some(_turn) = self.store.lease(LEASE, self.settings.lease_wait_ms)? else {
            return Err(self.out_of_order(
                "another operator is rotating its KEKs right now; wait for the other to end",
            ));
        };
        // What a backup is to hold must stay where it is until the backup is made.
        let _backups = self.backup_turn()?;
        if let Some(open) = self.ledger()?.open() {
            return Err(self.out_of_order(&format!(
                "backup {} is prepared, and keys that are wrapped anew would be missing in it: `tandem backup commit` or `rollback` it \
                 first",
                open.id
            )));
        }
        // A member that has not what it should have is one that is away.
        self.check_keks()?;
        let roster = self.paired()?;
        let begun = !roster.ring.is_rotating();
        let told = told_by(&roster, shares)?;
        if begun {
            self.begin_rotation(&roster, (shares, settings), progress, hand_out)?;
        }
        let given = self.give_to_lacking(shares, progress)?;
        let done = self.rewrap_all(&told, shares, progress)?;
        let finished = self.finish_rotation(&done)?;
        let kept = if finished { self.remove_rotated_out()? } else { Vec::new() };
        let roster = self.paired()?;
        let newest = roster.ring.newest();
        let mut report = Rotated {
            generation: newest,
            begun,
            split: roster.ring.recovery.as_ref().map(crate::ring::Recovery::split),
            members: Vec::new(),
            given,
            lacking: Vec::new(),
            rewrapped: done.rewrapped,
            left: done.left.into_iter().collect(),
            finished,
            kept,
        };
        for member in roster.ring.members.iter().filter(|member| !self.is_vault(&member.name)) {
            if member.generation == newest {
                report.members.push(member.name.clone());
            } else {
                report.lacking.push((member.name.clone(), self.why_lacking(&member.name)));
            }
        }
        Ok(report)
    }

    /// Why a member was not given the newest keys.
    fn why_lacking(&self, name: &str) -> String {
        match self.station(name) {
            None => "it is not in the configuration".into(),
            Some(station) if station.is_ready() => {
                "it was away when they were made: run this again with the shares of the new recovery".into()
            }
            Some(station) => {
                let (condition, why) = station.condition();
                if why.is_empty() { format!("{condition:?}").to_lowercase() } else { why }
            }
        }
    }
}

/// The ring as the log told of it when these shares were made, by which they open what is replaced. An error if they are of none.
fn told_by(roster: &Roster, shares: &[Secret]) -> Result<Arc<Ring>> {
    let ring = &roster.ring;
    if ring.recovery.is_none() {
        let message = "this ring was paired without a recovery: nothing opens its KEKs, so nothing can be wrapped anew. Keys can be \
                       rolled over to a token that is paired with one";
        return Err(Error::new(CKR_ARGUMENTS_BAD, message));
    }
    if pair::opens(ring, shares)? {
        return Ok(Arc::clone(ring));
    }
    let before = roster.reigns.iter().rev().find(|reign| reign.generation < ring.newest());
    if let Some(before) = before.filter(|_| ring.is_rotating())
        && pair::opens(&before.ring, shares)?
    {
        return Ok(Arc::clone(&before.ring));
    }
    let set = ring.recovery.as_ref().map_or(0, |recovery| recovery.set);
    let message = format!(
        "these shares don't open the key ring, whose recovery is known as set {set}: they are of another ring, or of a recovery before \
         it. Nothing was changed"
    );
    Err(Error::new(CKR_ARGUMENTS_BAD, message))
}
