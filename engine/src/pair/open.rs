//! Bringing a ring to a member that hasn't it, with the recovery's shares.

use super::at::wrong;
use super::find::{clear, find, of_each, remove};
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
/// nothing; what an interrupted run left is taken away first.
///
/// The session must be one where the user is logged in and may write.
pub fn open(
    desk: &Desk<'_>,
    ring: &Ring,
    shares: &[Secret],
    progress: &dyn Progress,
) -> Result<RingHandles> {
    if let Ok(handles) = find(desk, ring) {
        return Ok(handles);
    }
    let scratch = Scratch::at(desk);
    let private = recovery::open(&scratch, ring, shares)?;
    remove(desk, &ring.id)?;
    progress.stage("installing the key ring", u64::try_from(ring.keys.len()).unwrap_or(0));
    let installed = of_each(|key| {
        let entry =
            ring.entry(key).ok_or_else(|| wrong(desk, "the log names no such key of the ring"))?;
        let parcel = Parcel { key, wrapped: &entry.recovery, check: Some(&entry.check) };
        let (handle, _) = install(desk, &ring.id, private, &parcel)?;
        progress.step();
        Ok(handle)
    });
    match &installed {
        Ok(_) => tell_set(ring, shares),
        Err(_) => clear(desk, &ring.id),
    }
    installed
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
