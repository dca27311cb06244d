//! What is tried of members that hold a ring before they count: that keys go to them and come from them, and that they
//! withstand what is known of attacks. The same for all of them at once, when a token is paired, and for one that joins.

use super::at::At;
use super::attack::attack;
use super::chance::Chance;
use super::probe::{self, Place, probe};
use crate::desk::Desk;
use crate::error::Result;
use crate::ports::Entropy;
use crate::report::Progress;
use crate::ring::{Joined, Paired, Ring, RingKey};

/// Tries a whole pairing, and enters into the ring what was found.
pub(super) fn all(
    ring: &mut Ring,
    places: &[Place<'_>],
    chance: &Chance<'_>,
    progress: &dyn Progress,
) -> Result {
    ring.members = newest(places, chance, progress)?;
    ring.routes = probe(places, |_, _| true, chance, progress);
    Ok(())
}

/// Tries the newest keys of a ring: one wrapped by each member is opened by another, and each withstands what is known of
/// attacks.
pub(super) fn newest(
    places: &[Place<'_>],
    chance: &Chance<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Paired>> {
    let ways = places.iter().zip(places.iter().cycle().skip(1));
    links(ways.collect(), chance, progress)?;
    progress.stage("trying known attacks", u64::try_from(places.len()).unwrap_or(0));
    places.iter().map(|place| attacked(place, progress)).collect()
}

/// Tries the newest keys on a member that was given them, with another that holds them, or by itself.
pub fn links_of(
    given: Place<'_>,
    other: Option<Place<'_>>,
    entropy: &dyn Entropy,
    progress: &dyn Progress,
) -> Result {
    let chance = Chance::new(entropy, &given.0).at(&given.0, "asking for random bytes")?;
    let other = other.unwrap_or(given);
    links(vec![(&given, &other), (&other, &given)], &chance, progress)?;
    attacked(&given, progress).map(drop)
}

/// Tries a member that has just been given the ring, with the others that are there now.
pub fn join(
    new: Place<'_>,
    others: &[Place<'_>],
    entropy: &dyn Entropy,
    progress: &dyn Progress,
) -> Result<Joined> {
    let chance = Chance::new(entropy, &new.0).at(&new.0, "asking for random bytes")?;
    let ways = if others.is_empty() {
        vec![(&new, &new)]
    } else {
        others.iter().flat_map(|other| [(&new, other), (other, &new)]).collect()
    };
    links(ways, &chance, progress)?;
    progress.stage("trying known attacks", 1);
    let member = attacked(&new, progress)?;
    let places: Vec<_> = std::iter::once(&new).chain(others).copied().collect();
    let of_new =
        |from: &Desk<'_>, to: &Desk<'_>| from.name() == new.0.name() || to.name() == new.0.name();
    let routes = probe(&places, of_new, &chance, progress);
    Ok(Joined { member, routes })
}

/// Wraps some key under each KEK here and unwraps it there.
fn links(
    ways: Vec<(&Place<'_>, &Place<'_>)>,
    chance: &Chance<'_>,
    progress: &dyn Progress,
) -> Result {
    let links = u64::try_from(ways.len().saturating_mul(3)).unwrap_or(0);
    progress.stage("wrapping here, unwrapping there", links);
    for (from, to) in ways {
        for kek in [RingKey::Private, RingKey::Secret, RingKey::Open] {
            probe::link(from, to, kek, chance)?;
            progress.step();
        }
    }
    Ok(())
}

fn attacked((desk, handles): &Place<'_>, progress: &dyn Progress) -> Result<Paired> {
    let serial = desk.member.token().at(desk, "reading the token's serial number")?.serial;
    let attacks = attack(desk, handles)?;
    progress.step();
    let generation = handles.newest.generation;
    Ok(Paired { name: desk.name().to_owned(), serial, attacks, generation })
}
