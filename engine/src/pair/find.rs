//! Finding the keys of rings on a member, and removing those of a ring that came to nothing.

use super::at::{At, wrong};
use super::check::Check;
use super::recipe;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::{Answer, Class};
use crate::heads;
use crate::ring::{Generation, Keks, Ring, RingEntry, RingHandles, RingKey};
use std::collections::BTreeSet;
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, Value, ck::*};
use uuid::Uuid;

/// The identity of a ring (UUID).
pub type RingId = [u8; 16];

/// True for the label of a ring's key, or of its head record: applications never see what bears one.
pub fn is_ring_label(label: &[u8]) -> bool {
    parse(label).is_some() || heads::is_label(label)
}

/// What [`Ring::label`] says.
fn parse(label: &[u8]) -> Option<(RingId, RingKey, Generation)> {
    let (id, name) = std::str::from_utf8(label).ok()?.strip_prefix("tandem:")?.split_once(':')?;
    let (name, generation) = match name.split_once('.') {
        Some((name, number)) => (name, Generation(number.parse().ok()?)),
        None => (name, Generation::FIRST),
    };
    let key = RingKey::ALL.into_iter().find(|key| key.name() == name)?;
    let id = *Uuid::try_parse(id).ok()?.as_bytes();
    // UUIDs and numbers can be written in several ways, labels in one.
    (Ring::label(&id, key, generation).as_bytes() == label).then_some((id, key, generation))
}

/// A key of a ring as it stands on a member.
struct Standing {
    ring: RingId,
    key: RingKey,
    generation: Generation,
    handle: Handle,
}

impl Standing {
    /// True if it bears the label of this key.
    fn is(&self, ring: &Ring, entry: &RingEntry) -> bool {
        self.ring == ring.id && self.key == entry.key && self.generation == entry.generation
    }
}

/// What members have in their place that are keys of rings.
fn of_rings() -> Template {
    Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_TOKEN, true)
        .with(CKA_ID, recipe::RING_ID)
}

/// Every key of every ring that a member holds, in order of handle.
fn all(desk: &Desk<'_>) -> Answer<Vec<Standing>> {
    let mut handles = desk.member.find(desk.session, &of_rings())?;
    handles.sort_unstable();
    let mut found = Vec::with_capacity(handles.len());
    for handle in handles {
        let readings = desk.member.read(desk.session, handle, &[CKA_LABEL])?;
        if let Some(Reading::Value(Value::Bytes(label))) = readings.first()
            && let Some((ring, key, generation)) = parse(label)
        {
            found.push(Standing { ring, key, generation, handle });
        }
    }
    Ok(found)
}

/// The rings of which a member holds a key, known or not.
pub fn rings(desk: &Desk<'_>) -> Answer<BTreeSet<RingId>> {
    Ok(all(desk)?.into_iter().map(|key| key.ring).collect())
}

/// The keys of a ring that a member doesn't hold, by their labels.
pub fn missing(desk: &Desk<'_>, ring: &Ring) -> Answer<Vec<RingKey>> {
    let held = all(desk)?;
    let lacks =
        |entry: &&RingEntry| ring.is_held(entry) && !held.iter().any(|it| it.is(ring, entry));
    Ok(ring.keys.iter().filter(lacks).map(|entry| entry.key).collect())
}

/// The generations of a ring's keys, by their labels, that stand on a member and are held by none as far as the ring knows: what
/// a rotation has left there.
pub fn leftover(desk: &Desk<'_>, ring: &Ring) -> Answer<BTreeSet<Generation>> {
    Ok(all(desk)?.iter().filter(|key| is_leftover(key, ring)).map(|key| key.generation).collect())
}

/// True for a key that a rotation has replaced, or that one made which came to nothing.
fn is_leftover(key: &Standing, ring: &Ring) -> bool {
    let is_held = ring.held().any(|generation| generation == key.generation);
    key.ring == ring.id && key.key != RingKey::Log && !is_held
}

/// Destroys the keys of a ring on a member that a rotation has replaced, and answers how many that were.
pub fn remove_older(desk: &Desk<'_>, ring: &Ring) -> Result<usize> {
    remove_those(desk, |key| is_leftover(key, ring) && key.generation < ring.oldest)
}

/// Destroys what rotations have left of a ring's keys on a member, and answers how many keys that was.
pub fn remove_leftover(desk: &Desk<'_>, ring: &Ring) -> Result<usize> {
    remove_those(desk, |key| is_leftover(key, ring))
}

fn remove_those(desk: &Desk<'_>, is_doomed: impl Fn(&Standing) -> bool) -> Result<usize> {
    let held = all(desk).at(desk, "looking for the key ring")?;
    let doomed: Vec<_> = held.iter().filter(|key| is_doomed(key)).collect();
    doomed.iter().try_for_each(|key| destroy(desk, key))?;
    Ok(doomed.len())
}

fn destroy(desk: &Desk<'_>, key: &Standing) -> Result {
    let doing = format!("removing the {} key of a ring", key.key.name());
    desk.member.destroy(desk.session, key.handle).at(desk, &doing)
}

/// The handles of the ring's keys on a member, of as many generations as it is to hold, each with the check value that the log
/// knows.
///
/// A key that someone put in the place of another is never taken: what it wraps would be his to open.
pub fn find(desk: &Desk<'_>, ring: &Ring) -> Result<RingHandles> {
    find_of(desk, ring, ring.held_by(desk.name()))
}

/// The same, of all generations that members hold.
pub fn find_all(desk: &Desk<'_>, ring: &Ring) -> Result<RingHandles> {
    find_of(desk, ring, ring.held())
}

/// One key of the ring on a member, with the check value that the log knows.
pub fn find_key(
    desk: &Desk<'_>,
    ring: &Ring,
    key: RingKey,
    generation: Generation,
) -> Result<Handle> {
    let entry = known(desk, ring, key, generation)?;
    chosen(desk, &Check::at(desk), ring, entry, &labelled(desk, ring, entry)?)
}

/// What bears the label of one key of the ring on a member, unchecked; an error if nothing does.
pub fn named(
    desk: &Desk<'_>,
    ring: &Ring,
    key: RingKey,
    generation: Generation,
) -> Result<Vec<Handle>> {
    let entry = known(desk, ring, key, generation)?;
    let named = labelled(desk, ring, entry)?;
    if named.is_empty() { Err(absent(desk, ring, entry)) } else { Ok(named) }
}

/// With one search, in order of handle.
fn labelled(desk: &Desk<'_>, ring: &Ring, entry: &RingEntry) -> Result<Vec<Handle>> {
    let label = Ring::label(&ring.id, entry.key, entry.generation);
    let template = of_rings().with(CKA_LABEL, label.as_str());
    let mut handles =
        desk.member.find(desk.session, &template).at(desk, "looking for the key ring")?;
    handles.sort_unstable();
    Ok(handles)
}

/// The generations that a member is to hold, the newest first. An error if they were all rotated out.
pub fn to_hold(desk: &Desk<'_>, ring: &Ring) -> Result<Vec<Generation>> {
    let held: Vec<_> = ring.held_by(desk.name()).collect();
    if held.is_empty() { Err(outdated(desk, ring)) } else { Ok(held) }
}

fn find_of(
    desk: &Desk<'_>,
    ring: &Ring,
    generations: impl Iterator<Item = Generation>,
) -> Result<RingHandles> {
    let check = Check::at(desk);
    pick(desk, ring, generations, |entry, held| chosen(desk, &check, ring, entry, held))
}

/// The handles of the ring's keys on a member by their labels alone: to see whether it holds the ring at all, not to
/// use it. Check values are asked for only where two keys bear one label.
pub fn look(desk: &Desk<'_>, ring: &Ring) -> Result<RingHandles> {
    let check = Check::at(desk);
    pick(desk, ring, ring.held_by(desk.name()), |entry, held| match held {
        [only] => Ok(*only),
        _ => chosen(desk, &check, ring, entry, held),
    })
}

/// The keys of a ring that members hold and this one lacks. What stands there under their labels and is another key is removed.
pub(super) fn make_way<'a>(desk: &Desk<'_>, ring: &'a Ring) -> Result<Vec<&'a RingEntry>> {
    let held = all(desk).at(desk, "looking for the key ring")?;
    let check = Check::at(desk);
    let mut lacking = Vec::new();
    for entry in ring.keys.iter().filter(|entry| ring.is_held(entry)) {
        let named: Vec<_> = held.iter().filter(|key| key.is(ring, entry)).collect();
        let candidates: Vec<_> = named.iter().map(|key| key.handle).collect();
        if chosen(desk, &check, ring, entry, &candidates).is_err() {
            named.into_iter().try_for_each(|key| destroy(desk, key))?;
            lacking.push(entry);
        }
    }
    Ok(lacking)
}

/// Checks keys that were found before, where they are now.
pub fn verify(desk: &Desk<'_>, ring: &Ring, handles: &RingHandles) -> Result {
    let check = Check::at(desk);
    for key in RingKey::ALL {
        let entry = known(desk, ring, key, handles.newest.generation)?;
        chosen(desk, &check, ring, entry, &[handles.get(key)])?;
    }
    Ok(())
}

fn pick(
    desk: &Desk<'_>,
    ring: &Ring,
    generations: impl Iterator<Item = Generation>,
    choose: impl Fn(&RingEntry, &[Handle]) -> Result<Handle>,
) -> Result<RingHandles> {
    let held = all(desk).at(desk, "looking for the key ring")?;
    of_each(desk, ring, generations, |entry| {
        let named = held.iter().filter(|key| key.is(ring, entry));
        let candidates: Vec<Handle> = named.map(|key| key.handle).collect();
        choose(entry, &candidates)
    })
}

/// The handles of a ring's keys of one or two generations, the newest first.
pub(super) fn of_each(
    desk: &Desk<'_>,
    ring: &Ring,
    mut generations: impl Iterator<Item = Generation>,
    mut handle: impl FnMut(&RingEntry) -> Result<Handle>,
) -> Result<RingHandles> {
    let mut of = |generation: Generation| {
        keks(generation, |key| handle(known(desk, ring, key, generation)?))
    };
    let newest = generations.next().ok_or_else(|| outdated(desk, ring))?;
    let newest = of(newest)?;
    let older = generations.next().map(of).transpose()?;
    let log = handle(known(desk, ring, RingKey::Log, Generation::FIRST)?)?;
    Ok(RingHandles { newest, older, log })
}

/// The handles of one generation's keys, key by key in the order of [`RingKey::ROTATED`].
pub(super) fn keks(
    generation: Generation,
    mut handle: impl FnMut(RingKey) -> Result<Handle>,
) -> Result<Keks> {
    Ok(Keks {
        generation,
        private: handle(RingKey::Private)?,
        secret: handle(RingKey::Secret)?,
        open: handle(RingKey::Open)?,
        data: handle(RingKey::Data)?,
    })
}

/// What is told of a generation's keys, in the order of [`RingKey::ROTATED`]; `None` if nothing is of one of them.
pub(super) fn entries(ring: &Ring, generation: Generation) -> Option<[&RingEntry; 4]> {
    let [private, secret, open, data] = RingKey::ROTATED.map(|key| ring.entry(key, generation));
    Some([private?, secret?, open?, data?])
}

/// What the log tells of a key.
fn known<'a>(
    desk: &Desk<'_>,
    ring: &'a Ring,
    key: RingKey,
    generation: Generation,
) -> Result<&'a RingEntry> {
    ring.entry(key, generation).ok_or_else(|| wrong(desk, "the log names no such key of the ring"))
}

/// A member that was not there for a rotation, and is not counted among those that had to be.
fn outdated(desk: &Desk<'_>, ring: &Ring) -> Error {
    let message = format!(
        "member {0}: its token holds keys of the ring that were rotated out since; give it those of {1} with `tandem member replace \
         {0} --shares …`",
        desk.name(),
        ring.newest()
    );
    Error::new(CKR_TOKEN_NOT_RECOGNIZED, message)
}

/// The first of some keys of the same label that has the right check value.
fn chosen(
    desk: &Desk<'_>,
    check: &Check<'_>,
    ring: &Ring,
    entry: &RingEntry,
    candidates: &[Handle],
) -> Result<Handle> {
    if candidates.is_empty() {
        return Err(absent(desk, ring, entry));
    }
    for candidate in candidates {
        match check.value(entry.key, *candidate) {
            Ok(value) if value == entry.check => return Ok(*candidate),
            Ok(_) => {}
            // A key that may not do what ours does is not ours.
            Err(fault) if fault.class == Class::Refused => {}
            Err(fault) => {
                return Err(fault).at(desk, &format!("checking the {} key", entry.name()));
            }
        }
    }
    let what = format!(
        "what it holds as the {} key of ring {} is another key: somebody put it there. Don't use this member before you \
         know who; `tandem member replace {} --shares …` gives it the ring anew",
        entry.name(),
        Uuid::from_bytes(ring.id),
        desk.name()
    );
    Err(wrong(desk, &what))
}

fn absent(desk: &Desk<'_>, ring: &Ring, entry: &RingEntry) -> Error {
    let message = format!(
        "member {0}: its token does not hold the key ring {1} of this virtual token ({2} key missing): put back the token \
         that was paired, or give this one the ring with `tandem member replace {0} --shares …`",
        desk.name(),
        Uuid::from_bytes(ring.id),
        entry.name()
    );
    Error::new(CKR_TOKEN_NOT_RECOGNIZED, message)
}

/// Destroys the keys of a ring on a member, with its head record, and answers how many keys there were.
///
/// Whatever was wrapped by them opens elsewhere only, or with the recovery's shares.
pub fn remove(desk: &Desk<'_>, ring: &RingId) -> Result<usize> {
    let held = all(desk).at(desk, "looking for a key ring")?;
    let doomed: Vec<_> = held.into_iter().filter(|key| key.ring == *ring).collect();
    heads::remove(desk, ring).at(desk, "removing a ring's head record")?;
    doomed.iter().try_for_each(|key| destroy(desk, key))?;
    Ok(doomed.len())
}

/// Removes what an attempt left that has just failed, if the member still answers: in a session of its own, since an
/// operation may have stayed open in the one where it failed. What can't be removed now is found by its label later.
pub(super) fn clear(desk: &Desk<'_>, remove: impl FnOnce(&Desk<'_>) -> Result<usize>) {
    if let Ok(desk) = Desk::open(desk.member, true) {
        // The error of the attempt is the one to tell.
        let _ = remove(&desk);
        desk.leave();
    }
}

/// Removes what interrupted pairings left on a member, and answers how many keys that was.
///
/// `keep` is the ring that the log names, `begun` the ones that were begun and never got into the log. Any other ring
/// belongs to somebody, perhaps to this token before its state was lost: that is an error, and nothing is touched.
pub fn tidy(desk: &Desk<'_>, keep: Option<&RingId>, begun: &[RingId]) -> Result<usize> {
    let held = rings(desk).at(desk, "looking for key rings")?;
    let left: Vec<_> = held.iter().filter(|id| Some(*id) != keep).collect();
    if let Some(foreign) = left.iter().find(|id| !begun.contains(id)) {
        let message = format!(
            "member {}: its token holds the key ring {} of another Tandem, or of this one before its state was lost. If \
             nothing needs what that ring wraps, initialise the token anew; otherwise bring back the state",
            desk.name(),
            Uuid::from_bytes(**foreign)
        );
        return Err(Error::new(CKR_TOKEN_NOT_RECOGNIZED, message));
    }
    left.into_iter().try_fold(0_usize, |count, id| Ok(count.saturating_add(remove(desk, id)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_ring_keys_are_known_and_no_others() {
        let id = [0xab; 16];
        for key in RingKey::ALL {
            for generation in [1, 2, 10].map(Generation) {
                let label = Ring::label(&id, key, generation);
                assert_eq!(parse(label.as_bytes()), Some((id, key, generation)));
                assert!(is_ring_label(label.as_bytes()));
            }
        }
        let hex = "abababababababababababababababab";
        for label in [
            String::new(),
            "tandem".into(),
            format!("tandem:{hex}"),
            format!("tandem:{hex}:"),
            format!("tandem:{hex}:other"),
            format!("tandem:{hex}:private "),
            format!("tandem:{hex}:private.1"),
            format!("tandem:{hex}:private.02"),
            format!("tandem:{hex}:private."),
            format!("tandem:{hex}:.2"),
            format!("tandem:{}:private", hex.to_uppercase()),
            format!("tandem:{}:private", &hex[2..]),
            format!("tandem:{}:private", Uuid::from_bytes(id)),
            format!(" tandem:{hex}:private"),
        ] {
            assert!(!is_ring_label(label.as_bytes()), "{label}");
        }
        assert!(!is_ring_label(&[0xff, 0xfe]));
    }
}
