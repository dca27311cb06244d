//! Bringing a ring to a member that hasn't it, with the recovery's shares.

use super::find::{self, find_all};
use super::install::{Parcel, install};
use super::recovery;
use super::scratch::Scratch;
use crate::desk::Desk;
use crate::error::Result;
use crate::report::Progress;
use crate::ring::{Ring, RingHandles};
use crate::shares;
use tandem_values::Secret;

/// Brings the ring to a member: a new one, a replaced one, a backup token. The shares' key and the recovery key are
/// session objects there and gone afterwards; the ring's keys never leave the HSM in the clear. Run again it changes
/// nothing; what an interrupted run left is used or taken away. A member that was away for a rotation is given what it lacks.
///
/// The session must be one where the user is logged in and may write.
pub fn open(
    desk: &Desk<'_>,
    ring: &Ring,
    shares: &[Secret],
    progress: &dyn Progress,
) -> Result<RingHandles> {
    if let Ok(handles) = find_all(desk, ring) {
        return Ok(handles);
    }
    let scratch = Scratch::at(desk);
    let private = recovery::open(&scratch, ring, shares)?;
    let lacking = find::make_way(desk, ring)?;
    let is_new = ring.keys.iter().filter(|entry| ring.is_held(entry)).count() == lacking.len();
    progress.stage("installing the key ring", u64::try_from(lacking.len()).unwrap_or(0));
    let given = lacking.into_iter().try_for_each(|entry| {
        let (key, generation) = (entry.key, entry.generation);
        let check = Some(entry.check.as_slice());
        let parcel = Parcel { key, generation, wrapped: &entry.recovery, check };
        install(desk, &ring.id, private, &parcel)?;
        progress.step();
        Ok(())
    });
    if let Err(error) = given {
        // What a member has that held some before is what it is to have: the next run goes on with it.
        if is_new {
            find::clear(desk, |desk| find::remove(desk, &ring.id));
        }
        return Err(error);
    }
    tell_set(ring, shares);
    find_all(desk, ring)
}

/// Where the shares are of another set than is known here, people should know which of them to destroy.
fn tell_set(ring: &Ring, shares: &[Secret]) {
    if let (Some(recovery), Ok(combined)) = (&ring.recovery, shares::combine(shares))
        && combined.set != recovery.set
    {
        log::warn!(
            "the key ring was opened by shares of set {}, and its recovery is known here as set {}: one of the two is the older, and \
             what is left of its shares should be destroyed (`tandem recovery show`)",
            combined.set,
            recovery.set
        );
    }
}
