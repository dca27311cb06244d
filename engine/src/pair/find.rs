//! Finding the keys of rings on a member, and removing those of a ring that came to nothing.

use super::at::{At, wrong};
use super::check::Check;
use super::recipe;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::{Answer, Class};
use crate::heads;
use crate::ring::{Ring, RingHandles, RingKey};
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
fn parse(label: &[u8]) -> Option<(RingId, RingKey)> {
    let (id, name) = std::str::from_utf8(label).ok()?.strip_prefix("tandem:")?.split_once(':')?;
    let key = RingKey::ALL.into_iter().find(|key| key.name() == name)?;
    let id = *Uuid::try_parse(id).ok()?.as_bytes();
    // UUIDs can be written in several ways, labels in one.
    (Ring::label(&id, key).as_bytes() == label).then_some((id, key))
}

/// Every key of every ring that a member holds, in order of handle.
fn all(desk: &Desk<'_>) -> Answer<Vec<(RingId, RingKey, Handle)>> {
    let template = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_TOKEN, true)
        .with(CKA_ID, recipe::RING_ID);
    let mut handles = desk.member.find(desk.session, &template)?;
    handles.sort_unstable();
    let mut found = Vec::with_capacity(handles.len());
    for handle in handles {
        let readings = desk.member.read(desk.session, handle, &[CKA_LABEL])?;
        if let Some(Reading::Value(Value::Bytes(label))) = readings.first()
            && let Some((id, key)) = parse(label)
        {
            found.push((id, key, handle));
        }
    }
    Ok(found)
}

/// The rings of which a member holds a key, known or not.
pub fn rings(desk: &Desk<'_>) -> Answer<BTreeSet<RingId>> {
    Ok(all(desk)?.into_iter().map(|(id, ..)| id).collect())
}

/// The keys of a ring that a member doesn't hold, by their labels.
pub fn missing(desk: &Desk<'_>, ring: &RingId) -> Answer<Vec<RingKey>> {
    let held: BTreeSet<_> =
        all(desk)?.into_iter().filter(|(id, ..)| id == ring).map(|(_, key, _)| key).collect();
    Ok(RingKey::ALL.into_iter().filter(|key| !held.contains(key)).collect())
}

/// The handles of the ring's keys on a member, each with the check value that the log knows.
///
/// A key that someone put in the place of another is never taken: what it wraps would be his to open.
pub fn find(desk: &Desk<'_>, ring: &Ring) -> Result<RingHandles> {
    let check = Check::at(desk);
    pick(desk, ring, |key, candidates| chosen(desk, &check, ring, key, candidates))
}

/// The handles of the ring's keys on a member by their labels alone: to see whether it holds the ring at all, not to
/// use it. Check values are asked for only where two keys bear one label.
pub fn look(desk: &Desk<'_>, ring: &Ring) -> Result<RingHandles> {
    let check = Check::at(desk);
    pick(desk, ring, |key, candidates| match candidates {
        [only] => Ok(*only),
        _ => chosen(desk, &check, ring, key, candidates),
    })
}

/// Checks keys that were found before, where they are now.
pub fn verify(desk: &Desk<'_>, ring: &Ring, handles: &RingHandles) -> Result {
    let check = Check::at(desk);
    for key in RingKey::ALL {
        chosen(desk, &check, ring, key, &[handles.get(key)])?;
    }
    Ok(())
}

fn pick(
    desk: &Desk<'_>,
    ring: &Ring,
    choose: impl Fn(RingKey, &[Handle]) -> Result<Handle>,
) -> Result<RingHandles> {
    let held = all(desk).at(desk, "looking for the key ring")?;
    of_each(|key| {
        let named = |(id, name, _): &&(RingId, RingKey, Handle)| *id == ring.id && *name == key;
        let candidates: Vec<Handle> =
            held.iter().filter(named).map(|(.., handle)| *handle).collect();
        choose(key, &candidates)
    })
}

/// The handles of a ring, key by key in the order of [`RingKey::ALL`].
pub(super) fn of_each(mut handle: impl FnMut(RingKey) -> Result<Handle>) -> Result<RingHandles> {
    Ok(RingHandles {
        private: handle(RingKey::Private)?,
        secret: handle(RingKey::Secret)?,
        open: handle(RingKey::Open)?,
        log: handle(RingKey::Log)?,
        data: handle(RingKey::Data)?,
    })
}

/// The first of some keys of the same label that has the right check value.
fn chosen(
    desk: &Desk<'_>,
    check: &Check<'_>,
    ring: &Ring,
    key: RingKey,
    candidates: &[Handle],
) -> Result<Handle> {
    if candidates.is_empty() {
        return Err(absent(desk, ring, key));
    }
    for candidate in candidates {
        match check.value(key, *candidate) {
            Ok(value) if value == ring.check(key) => return Ok(*candidate),
            Ok(_) => {}
            // A key that may not do what ours does is not ours.
            Err(fault) if fault.class == Class::Refused => {}
            Err(fault) => return Err(fault).at(desk, &format!("checking the {} key", key.name())),
        }
    }
    let what = format!(
        "what it holds as the {} key of ring {} is another key: somebody put it there. Don't use this member before you \
         know who; `tandem member replace {} --shares …` gives it the ring anew",
        key.name(),
        Uuid::from_bytes(ring.id),
        desk.name()
    );
    Err(wrong(desk, &what))
}

fn absent(desk: &Desk<'_>, ring: &Ring, key: RingKey) -> Error {
    let message = format!(
        "member {0}: its token does not hold the key ring {1} of this virtual token ({2} key missing): put back the token \
         that was paired, or give this one the ring with `tandem member replace {0} --shares …`",
        desk.name(),
        Uuid::from_bytes(ring.id),
        key.name()
    );
    Error::new(CKR_TOKEN_NOT_RECOGNIZED, message)
}

/// Destroys the keys of a ring on a member, with its head record, and answers how many keys there were.
///
/// Whatever was wrapped by them opens elsewhere only, or with the recovery's shares.
pub fn remove(desk: &Desk<'_>, ring: &RingId) -> Result<usize> {
    let held = all(desk).at(desk, "looking for a key ring")?;
    let doomed: Vec<_> = held.into_iter().filter(|(id, ..)| id == ring).collect();
    heads::remove(desk, ring).at(desk, "removing a ring's head record")?;
    for (_, key, handle) in &doomed {
        let doing = format!("removing the {} key of a ring", key.name());
        desk.member.destroy(desk.session, *handle).at(desk, &doing)?;
    }
    Ok(doomed.len())
}

/// Removes what an attempt left that has just failed, if the member still answers: in a session of its own, since an
/// operation may have stayed open in the one where it failed. What can't be removed now is found by its label later.
pub(super) fn clear(desk: &Desk<'_>, ring: &RingId) {
    if let Ok(desk) = Desk::open(desk.member, true) {
        // The error of the attempt is the one to tell.
        let _ = remove(&desk, ring);
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
            assert_eq!(parse(Ring::label(&id, key).as_bytes()), Some((id, key)));
            assert!(is_ring_label(Ring::label(&id, key).as_bytes()));
        }
        let hex = "abababababababababababababababab";
        for label in [
            String::new(),
            "tandem".into(),
            format!("tandem:{hex}"),
            format!("tandem:{hex}:"),
            format!("tandem:{hex}:other"),
            format!("tandem:{hex}:private "),
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
