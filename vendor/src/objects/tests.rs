//! Searches and wrapped keys of vendors that behave in their own ways.

use super::*;
use crate::buffer::{len, ulong};
use std::cell::Cell;
use tandem_values::ck::CK_FUNCTION_LIST_3_2;

thread_local! {
    /// Handles that are still to be found, how often a search ended, and whether one is under way.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static ENDED: Cell<usize> = const { Cell::new(0) };
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// Sessions name what goes wrong.
const GOOD: CK_SESSION_HANDLE = 1;
const FAILS: CK_SESSION_HANDLE = 2;
const LIES: CK_SESSION_HANDLE = 3;

unsafe extern "C" fn init(_: CK_SESSION_HANDLE, _: *mut CK_ATTRIBUTE, _: CK_ULONG) -> CK_RV {
    if ACTIVE.replace(true) { CKR_OPERATION_ACTIVE } else { CKR_OK }
}

/// Three at a time, whatever there is room for.
unsafe extern "C" fn next(
    session: CK_SESSION_HANDLE,
    to: *mut CK_OBJECT_HANDLE,
    room: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    let left = LEFT.get();
    let now = left.min(3);
    if session == FAILS && left < 4 {
        return CKR_DEVICE_REMOVED;
    }
    // SAFETY: there is room for that many handles, at least three.
    let to = unsafe { std::slice::from_raw_parts_mut(to, len(room)) };
    for (place, handle) in to.iter_mut().zip((left - now + 1..=left).rev()) {
        *place = ulong(handle);
    }
    LEFT.set(left - now);
    // SAFETY: the count has a place to go.
    unsafe { *count = if session == LIES { room + 1 } else { ulong(now) } };
    CKR_OK
}

unsafe extern "C" fn end(_: CK_SESSION_HANDLE) -> CK_RV {
    ENDED.set(ENDED.get() + 1);
    ACTIVE.set(false);
    CKR_OK
}

/// A wrapped key of so many bytes as the wrapping key's number, which it never tells beforehand.
unsafe extern "C" fn wraps(
    _: CK_SESSION_HANDLE,
    _: *mut CK_MECHANISM,
    by: CK_OBJECT_HANDLE,
    _: CK_OBJECT_HANDLE,
    to: *mut CK_BYTE,
    room: *mut CK_ULONG,
) -> CK_RV {
    // SAFETY: the length is there.
    let room = unsafe { &mut *room };
    if to.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    if *room < by {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: there is that much room.
    unsafe { to.write_bytes(5, len(by)) };
    *room = by;
    CKR_OK
}

fn vendor() -> Functions {
    Functions::new(Box::new(CK_FUNCTION_LIST_3_2 {
        C_FindObjectsInit: Some(init),
        C_FindObjects: Some(next),
        C_FindObjectsFinal: Some(end),
        C_WrapKey: Some(wraps),
        ..CK_FUNCTION_LIST_3_2::default()
    }))
}

fn search(session: CK_SESSION_HANDLE, there: usize) -> Result<Vec<Handle>> {
    LEFT.set(there);
    find(&vendor(), session, &Template::new())
}

#[test]
fn a_search_goes_on_until_none_comes_and_is_ended() {
    for there in [0, 1, 3, 10, 1000] {
        ENDED.set(0);
        let found = search(GOOD, there).unwrap();
        assert_eq!(found, (1..=ulong(there)).rev().collect::<Vec<_>>());
        assert_eq!(ENDED.get(), 1);
    }
}

#[test]
fn a_search_that_fails_is_ended_too() {
    ENDED.set(0);
    assert_eq!(search(FAILS, 10), Err(Rv(CKR_DEVICE_REMOVED)));
    assert_eq!(search(LIES, 10), Err(Rv(CKR_GENERAL_ERROR)));
    assert_eq!(ENDED.get(), 2);
}

#[test]
fn a_search_left_over_is_ended_first() {
    ACTIVE.set(true);
    ENDED.set(0);
    assert_eq!(search(GOOD, 2), Ok(vec![2, 1]));
    assert_eq!(ENDED.get(), 2);
}

#[test]
fn a_wrapped_key_of_unknown_length_is_found_room_for() {
    let kwp = Mechanism::plain(CKM_AES_KEY_WRAP_KWP);
    let wrapped = |bytes| wrap(&vendor(), GOOD, &kwp, bytes, 1).map(|wrapped| wrapped.len());
    assert_eq!(wrapped(40), Ok(40));
    assert_eq!(wrapped(8 << 10), Ok(8 << 10));
    assert_eq!(wrapped(50_000), Ok(50_000));
    assert_eq!(wrapped(1 << 20), Err(Rv(CKR_GENERAL_ERROR)));
}

#[test]
fn a_function_that_is_missing_is_not_supported() {
    let nothing = Functions::new(Box::default());
    assert_eq!(find(&nothing, GOOD, &Template::new()), Err(Rv(CKR_FUNCTION_NOT_SUPPORTED)));
}
