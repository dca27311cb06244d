//! Room for bytes, from what was wiped before.
//!
//! What the C library gives for a mebibyte it takes from the system and gives back, page by page, which costs several times
//! what encrypting it does. So some large rooms are kept: empty, and wiped.

use std::collections::TryReserveError;
use std::sync::{Mutex, TryLockError};

/// Below this the C library keeps what it has.
const LEAST: usize = 64 << 10;
/// The most that is kept, in bytes, in all.
const KEPT_MAX: usize = 16 << 20;

/// Rooms that wait to be used again: each a vector without elements.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty vector that takes so many bytes without moving. An error where there is no memory for them.
pub fn room(len: usize) -> Result<Vec<u8>, TryReserveError> {
    if len >= LEAST
        && let Some(kept) = take(len)
    {
        return Ok(kept);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    Ok(bytes)
}

/// A room of at least this size, and not so large that others would miss it.
fn take(len: usize) -> Option<Vec<u8>> {
    with(|kept| {
        let fits = |room: &Vec<u8>| (len..=len.saturating_mul(4)).contains(&room.capacity());
        kept.iter().position(fits).map(|at| kept.swap_remove(at))
    })?
}

/// Keeps a room, if there is place for it. What was in it must have been wiped.
pub(crate) fn keep(mut bytes: Vec<u8>) {
    bytes.clear();
    let size = bytes.capacity();
    if !(LEAST..=KEPT_MAX).contains(&size) {
        return;
    }
    with(|kept| {
        if kept.iter().map(Vec::capacity).sum::<usize>().saturating_add(size) <= KEPT_MAX {
            kept.push(bytes);
        }
    });
}

/// Does something with what is kept; nothing while somebody else does: in a child of a process that had several threads
/// that may be for ever.
fn with<T>(run: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> Option<T> {
    match KEPT.try_lock() {
        Ok(mut kept) => Some(run(&mut kept)),
        Err(TryLockError::Poisoned(kept)) => Some(run(&mut kept.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wiped;

    /// One test: what is kept is the process's.
    #[test]
    fn large_rooms_are_used_again_up_to_a_bound_and_empty() {
        let small = room(100).unwrap();
        assert!(small.is_empty() && small.capacity() >= 100);
        keep(small);
        assert!(KEPT.lock().unwrap().is_empty(), "the C library keeps it");

        let mut secret = room(1 << 20).unwrap();
        secret.resize(1 << 20, 7);
        let place = secret.as_ptr();
        drop(Wiped::from(secret));
        assert!(take(1 << 10).is_none(), "too large for so little");
        let mut again = room((1 << 20) - 50).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        again.resize(1 << 20, 0);
        assert!(again.iter().all(|byte| *byte == 0));

        let many: Vec<_> = (0..40).map(|_| Vec::with_capacity(1 << 20)).collect();
        many.into_iter().for_each(keep);
        keep(Vec::with_capacity(KEPT_MAX + 1));
        let kept = KEPT.lock().unwrap().iter().map(Vec::capacity).sum::<usize>();
        assert!(kept <= KEPT_MAX && kept > KEPT_MAX - (2 << 20), "{kept}");
        assert!(room(usize::MAX).is_err());
    }
}
