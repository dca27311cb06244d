//! Putting a key of the ring on a member: the one way, for pairing and for whatever carries the ring later.

use super::at::{At, wrong};
use super::find::RingId;
use super::scratch::Scratch;
use super::{check, recipe, transport};
use crate::desk::Desk;
use crate::error::Result;
use crate::ring::{Generation, RingEntry, RingKey};
use tandem_values::Handle;

/// A key of the ring on its way to a member.
pub(super) struct Parcel<'a> {
    /// Which key.
    pub(super) key: RingKey,
    /// Of which generation.
    pub(super) generation: Generation,
    /// The key, wrapped (OAEP) to an RSA key that the member has.
    pub(super) wrapped: &'a [u8],
    /// The check value it must have; `None` for the first one, which sets it.
    pub(super) check: Option<&'a [u8]>,
}

/// Unwraps a key of the ring under an RSA key of this member into its token, locked, and answers its handle and check
/// value. A key that turns out to be another is destroyed again.
pub(super) fn install(
    desk: &Desk<'_>,
    ring: &RingId,
    by: Handle,
    parcel: &Parcel<'_>,
) -> Result<(Handle, Vec<u8>)> {
    let Parcel { key, generation, wrapped, check } = *parcel;
    let place = recipe::Place::Token(ring, generation);
    let (handle, value) = unwrap(desk, by, wrapped, key, place)?;
    if check.is_some_and(|check| check != value) {
        desk.discard(handle);
        return Err(wrong(desk, &format!("the {} key arrived there as another key", key.name())));
    }
    Ok((handle, value))
}

/// Unwraps a key of the ring that the log knows, as a session object, and makes sure that it is the one.
pub(super) fn unwrap_as(
    scratch: &Scratch<'_>,
    by: Handle,
    entry: &RingEntry,
    place: recipe::Place<'_>,
) -> Result<Handle> {
    let desk = &scratch.desk;
    let (handle, value) = unwrap(desk, by, &entry.recovery, entry.key, place)?;
    scratch.keep(handle);
    if value == entry.check {
        return Ok(handle);
    }
    Err(wrong(desk, &format!("the recovery opens another {} key", entry.name())))
}

/// Unwraps a key of the ring and asks for its check value.
pub(super) fn unwrap(
    desk: &Desk<'_>,
    by: Handle,
    wrapped: &[u8],
    key: RingKey,
    place: recipe::Place<'_>,
) -> Result<(Handle, Vec<u8>)> {
    let template = recipe::locked(desk, key, place);
    let doing = format!("unwrapping the {} key of the ring", key.name());
    let handle = desk
        .member
        .unwrap(desk.session, &transport::oaep(), by, wrapped, &template)
        .at(desk, &doing)?;
    match check::Check::at(desk)
        .value(key, handle)
        .at(desk, &format!("checking the {} key", key.name()))
    {
        Ok(value) => Ok((handle, value)),
        Err(error) => {
            desk.discard(handle);
            Err(error)
        }
    }
}
