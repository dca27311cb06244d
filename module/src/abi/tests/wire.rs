use super::rv;
use crate::abi::wire::*;
use crate::guard::Call;
use crate::limits::*;
use std::ptr;
use tandem_values::ck::*;

/// Decodes an argument of this kind.
macro_rules! decode {
    ($call:ident, $kind:ty, $head:expr, $tail:expr) => {
        // SAFETY: each test passes what its kind asks for, or what must not be read.
        unsafe { <$kind as Wire>::decode($head, $tail, $call) }
    };
}

#[test]
fn data_is_copied_and_limited() {
    let call = &Call::nobody();
    let mut data = *b"data";
    let place = data.as_mut_ptr();
    assert_eq!(decode!(call, Data, place, 4).unwrap().as_slice(), b"data");
    assert!(decode!(call, Data, place, 0).unwrap().is_empty());
    assert!(decode!(call, Data, ptr::null_mut(), 0).unwrap().is_empty());
    let wild = ptr::without_provenance_mut(1);
    let long = DATA_BYTES_MAX as CK_ULONG + 1;
    assert_eq!(rv(decode!(call, Data, ptr::null_mut(), 1)), CKR_ARGUMENTS_BAD);
    assert_eq!(rv(decode!(call, Data, wild, long)), CKR_DATA_LEN_RANGE);
    assert_eq!(rv(decode!(call, Data, wild, CK_ULONG::MAX)), CKR_DATA_LEN_RANGE);
    assert_eq!(rv(decode!(call, Encrypted, wild, long)), CKR_ENCRYPTED_DATA_LEN_RANGE);
    assert_eq!(rv(decode!(call, Signature, wild, long)), CKR_SIGNATURE_LEN_RANGE);
    assert_eq!(rv(decode!(call, Wrapped, wild, long)), CKR_WRAPPED_KEY_LEN_RANGE);
    assert_eq!(rv(decode!(call, Other, wild, long)), CKR_ARGUMENTS_BAD);
    assert!(decode!(call, SignatureMaybe, ptr::null_mut(), 5).unwrap().is_none());
    assert!(decode!(call, SignatureMaybe, place, 4).unwrap().is_some());
}

#[test]
#[cfg_attr(miri, ignore = "pages of their own, which it doesn't know")]
fn no_pin_is_not_an_empty_pin() {
    let call = &Call::nobody();
    let mut pin = *b"123456";
    let place = pin.as_mut_ptr();
    assert!(decode!(call, Pin, ptr::null_mut(), 0).unwrap().is_none());
    assert_eq!(decode!(call, Pin, place, 0).unwrap().unwrap().expose(), b"");
    assert_eq!(decode!(call, Pin, place, 6).unwrap().unwrap().expose(), b"123456");
    assert_eq!(rv(decode!(call, Pin, ptr::null_mut(), 6)), CKR_ARGUMENTS_BAD);
    let long = PIN_BYTES_MAX as CK_ULONG + 1;
    let wild = ptr::without_provenance_mut(1);
    assert_eq!(rv(decode!(call, Pin, wild, long)), CKR_PIN_INCORRECT);
    assert_eq!(rv(decode!(call, NewPin, wild, CK_ULONG::MAX)), CKR_PIN_LEN_RANGE);
}

#[test]
fn users_reserved_pointers_and_handles() {
    let call = &Call::nobody();
    assert!(decode!(call, User, CKU_SO, ()).is_ok());
    assert_eq!(rv(decode!(call, User, 7, ())), CKR_USER_TYPE_INVALID);
    assert_eq!(rv(decode!(call, Reserved, ptr::null_mut(), ())), CKR_OK);
    assert_eq!(rv(decode!(call, Reserved, ptr::without_provenance_mut(1), ())), CKR_ARGUMENTS_BAD);
    // No runtime, so no session and no slot.
    assert_eq!(rv(decode!(call, Session, 1, ())), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(rv(decode!(call, Slot, 0, ())), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(rv(decode!(call, Mechanism, ptr::null_mut(), ())), CKR_ARGUMENTS_BAD);
    assert!(decode!(call, MechanismMaybe, ptr::null_mut(), ()).unwrap().is_none());
}

#[test]
fn what_initialize_is_told() {
    unsafe extern "C" fn never(_: *mut std::ffi::c_void) -> CK_RV {
        panic!("a callback of the application was called")
    }
    let call = &Call::nobody();
    assert_eq!(decode!(call, InitArgs, ptr::null_mut(), ()).unwrap(), InitArguments::default());
    let mut arguments = CK_C_INITIALIZE_ARGS {
        CreateMutex: None,
        DestroyMutex: Some(never),
        LockMutex: Some(never),
        UnlockMutex: None,
        flags: CKF_OS_LOCKING_OK,
        pReserved: ptr::without_provenance_mut(1),
    };
    let decoded = decode!(call, InitArgs, (&raw mut arguments).cast(), ()).unwrap();
    let expected = InitArguments { callbacks: 2, flags: CKF_OS_LOCKING_OK, reserved: true };
    assert_eq!(decoded, expected);
}

#[test]
fn labels_and_names() {
    let call = &Call::nobody();
    let mut label = *b"d\xc3\xbc  key                          !behind";
    assert_eq!(decode!(call, Label, label.as_mut_ptr(), ()).unwrap(), "dü  key");
    label[0] = 0xff;
    assert_eq!(rv(decode!(call, Label, label.as_mut_ptr(), ())), CKR_ARGUMENTS_BAD);
    assert_eq!(rv(decode!(call, Label, ptr::null_mut(), ())), CKR_ARGUMENTS_BAD);

    let mut name = *b"PKCS 11\0behind";
    let decoded = decode!(call, InterfaceName, name.as_mut_ptr(), ()).unwrap();
    assert_eq!(decoded.as_deref(), Some(&b"PKCS 11"[..]));
    let mut endless = [b'x'; INTERFACE_NAME_BYTES_MAX];
    let decoded = decode!(call, InterfaceName, endless.as_mut_ptr(), ()).unwrap();
    assert_eq!(decoded.unwrap().len(), INTERFACE_NAME_BYTES_MAX);
    assert!(decode!(call, InterfaceName, ptr::null_mut(), ()).unwrap().is_none());

    let mut version = CK_VERSION { major: 3, minor: 2 };
    assert_eq!(decode!(call, Version, &raw mut version, ()).unwrap(), Some((3, 2)));
    assert_eq!(decode!(call, Version, ptr::null_mut(), ()).unwrap(), None);
}

#[test]
fn output_is_asked_for_twice() {
    let call = &Call::nobody();
    let mut len = 99;
    let place = &raw mut len;
    let query = decode!(call, Out, ptr::null_mut(), place).unwrap();
    assert_eq!(query.room(), None);
    query.put(b"output").unwrap();
    // SAFETY: `place` is `len`.
    let told = |place: *mut CK_ULONG| unsafe { place.read() };
    assert_eq!(told(place), 6);

    let mut buffer = [b'.'; 8];
    len = 5;
    let place = &raw mut len;
    let short = decode!(call, Out, buffer.as_mut_ptr(), place).unwrap();
    assert_eq!(short.room(), Some(5));
    assert_eq!(rv(short.put(b"output")), CKR_BUFFER_TOO_SMALL);
    assert_eq!((told(place), &buffer), (6, b"........"));

    len = 8;
    let place = &raw mut len;
    let enough = decode!(call, Out, buffer.as_mut_ptr(), place).unwrap();
    enough.put(b"output").unwrap();
    assert_eq!((told(place), &buffer), (6, b"output.."));

    // No room at all is not a query.
    len = 0;
    let none = decode!(call, Out, buffer.as_mut_ptr(), &raw mut len).unwrap();
    assert_eq!((none.room(), rv(none.put(b"o"))), (Some(0), CKR_BUFFER_TOO_SMALL));
    assert_eq!(rv(decode!(call, Out, buffer.as_mut_ptr(), ptr::null_mut())), CKR_ARGUMENTS_BAD);
    assert!(decode!(call, OutMaybe, buffer.as_mut_ptr(), ptr::null_mut()).unwrap().is_none());
}

#[test]
fn lengths_and_places_may_stand_anywhere() {
    let call = &Call::nobody();
    let mut memory = [0u8; 40];
    let base = memory.as_mut_ptr();
    let out = decode!(call, Out, base.wrapping_add(20), base.wrapping_add(1).cast()).unwrap();
    assert_eq!(out.room(), Some(0));
    out.needs(6).unwrap();
    let place = decode!(call, Put<CK_ULONG>, base.wrapping_add(11).cast(), ()).unwrap();
    place.set(7);
    assert_eq!(memory[1..9], 6u64.to_ne_bytes());
    assert_eq!(memory[11..19], 7u64.to_ne_bytes());
    assert_eq!(rv(decode!(call, Put<CK_ULONG>, ptr::null_mut(), ())), CKR_ARGUMENTS_BAD);
}

#[test]
fn a_room_is_filled_and_never_overfilled() {
    let call = &Call::nobody();
    let mut handles = [0; 3];
    let mut room = decode!(call, Fill<CK_OBJECT_HANDLE>, handles.as_mut_ptr(), 3).unwrap();
    room.push(&[1, 2]).unwrap();
    assert_eq!(room.len(), 1);
    assert_eq!(rv(room.push(&[3, 4])), CKR_GENERAL_ERROR);
    room.push(&[3]).unwrap();
    assert!(room.is_empty());
    assert_eq!(handles, [1, 2, 3]);
    assert_eq!(rv(decode!(call, Fill, ptr::null_mut(), 1)), CKR_ARGUMENTS_BAD);
    assert!(decode!(call, Fill, ptr::null_mut(), 0).unwrap().is_empty());
}
