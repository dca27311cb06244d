//! Making the next generation of a ring's keys on every member that is there.

use super::at::At;
use super::chance::Chance;
use super::find::{self, find};
use super::make::{Convoy, Fresh, generate, roads};
use super::scratch::Scratch;
use super::{install, recipe, recovery, trial};
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::ports::Entropy;
use crate::report::Progress;
use crate::ring::{Generation, Ring, RingHandles, RingKey, Rotation};
use crate::settings::RecoverySettings;
use crate::shares::Share;
use tandem_values::Secret;
use tandem_values::ck::CKR_ARGUMENTS_BAD;

/// Does something while no other process writes to the member of a name.
pub type Alone<'a> = dyn Fn(&str, &mut dyn FnMut() -> Result) -> Result + 'a;

/// What a rotation is made of.
pub struct Rotating<'a> {
    /// The ring whose keys are replaced.
    pub ring: &'a Ring,
    /// Shares that open it.
    pub shares: &'a [Secret],
    /// How the new recovery is split.
    pub recovery: &'a RecoverySettings,
    /// The sets of shares that there were before.
    pub sets: &'a [u16],
    /// Keeps other processes from writing to a member.
    pub alone: &'a Alone<'a>,
    /// The operating system's random bytes.
    pub entropy: &'a dyn Entropy,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
}

/// Makes new keys on every one of these members, each with a session where the user is logged in and may write, and tries them
/// there. Answers what the log is to know, and the shares of the new recovery for people.
///
/// The new recovery opens the keys that are replaced as well, and the log key: whoever has its shares needs no others. For that
/// they are opened on the first member as session objects, by the old shares. An error leaves nothing behind on members that
/// still answer; on the others the next rotation removes it.
pub fn rotate(desks: &[Desk<'_>], rotating: &Rotating<'_>) -> Result<(Rotation, Vec<Share>)> {
    for desk in desks {
        find::remove_leftover(desk, rotating.ring)?;
    }
    let made = next(desks, rotating);
    if made.is_err() {
        for desk in desks {
            find::clear(desk, |desk| find::remove_leftover(desk, rotating.ring));
        }
    }
    made
}

fn next(desks: &[Desk<'_>], rotating: &Rotating<'_>) -> Result<(Rotation, Vec<Share>)> {
    let Rotating { ring, progress, .. } = *rotating;
    let (Some(maker), Some(last)) = (desks.first(), desks.last()) else {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "no member is there to hold new keys"));
    };
    let chance = Chance::new(rotating.entropy, maker).at(maker, "asking for random bytes")?;
    let scratch = Scratch::at(maker);
    let old = replaced(&scratch, ring, rotating.shares)?;
    let generation = ring.newest().next();
    let roads = roads(&scratch, desks, progress)?;
    let fresh = generate(&scratch, &RingKey::ROTATED, generation)?;
    progress.stage("making the recovery", 1);
    let keys = [fresh.as_slice(), &old].concat();
    let made = recovery::make(maker, &keys, (rotating.recovery, rotating.sets), &chance)?;
    progress.step();
    let mut convoy = Convoy::of(&scratch, &ring.id, &fresh, progress, desks.len());
    let mut places = Vec::with_capacity(desks.len());
    for (desk, road) in desks.iter().zip(&roads) {
        (rotating.alone)(desk.name(), &mut || {
            let before = find(desk, ring)?;
            let newest = find::keks(generation, |key| convoy.carry(road, key))?;
            let handles = RingHandles { newest, older: Some(before.newest), log: before.log };
            places.push((*desk, handles));
            Ok(())
        })?;
    }
    let mut entries = convoy.entries(&made.wrapped);
    for (key, generation, copy) in &made.wrapped {
        if let Some(entry) = ring.entry(*key, *generation).filter(|it| it.generation == *generation)
        {
            entries.push(crate::ring::RingEntry { recovery: copy.clone(), ..entry.clone() });
        }
    }
    let mut next = Ring { keys: entries, recovery: Some(made.recovery), ..ring.clone() };
    let settings = rotating.recovery;
    let enough = recovery::enough(&made.shares, settings.threshold);
    recovery::attest(&mut next, &enough)?;
    recovery::prove(last, &next, &enough)?;
    let members = trial::newest(&places, &chance, progress)?;
    let Ring { keys, recovery: Some(recovery), .. } = next else {
        return Err(tandem_values::ck::CKR_GENERAL_ERROR.into());
    };
    Ok((Rotation { keys, recovery, members }, made.shares))
}

/// The keys that are replaced, and the log key, as session objects that can be wrapped.
fn replaced(scratch: &Scratch<'_>, ring: &Ring, shares: &[Secret]) -> Result<Vec<Fresh>> {
    let private = recovery::open(scratch, ring, shares)?;
    let newest = ring.newest();
    let is_wanted = |generation: Generation, key| key == RingKey::Log || generation == newest;
    let wanted = ring.keys.iter().filter(|entry| is_wanted(entry.generation, entry.key));
    wanted
        .map(|entry| {
            let handle = install::unwrap_as(scratch, private, entry, recipe::Place::Passing)?;
            Ok(Fresh { key: entry.key, generation: entry.generation, handle })
        })
        .collect()
}
