//! Reading from vendors that keep to the specification, and from some that don't.

use super::*;

/// How a vendor behaves: the number of the object that is read.
#[derive(Clone, Copy)]
enum Vendor {
    /// As the specification has it.
    Good = 1,
    /// Stops at the first attribute that it can't answer.
    Stops = 2,
    /// After an error it has filled in the lengths and none of the values.
    LengthsOnly = 3,
    /// Answers lengths beyond the room, and CKR_OK.
    Liar = 4,
    /// Its value is longer at every call.
    Grows = 5,
    /// Answers an error of its own.
    Broken = 6,
}

const LONG: usize = 5000;

/// An attribute of every object: a value, or why there is none.
fn stored(kind: AttributeType) -> std::result::Result<Vec<u8>, CK_RV> {
    match kind {
        CKA_CLASS => Ok(CKO_PRIVATE_KEY.to_ne_bytes().to_vec()),
        CKA_SENSITIVE | CKA_SIGN => Ok(vec![1]),
        CKA_LABEL => Ok(b"label".to_vec()),
        CKA_ID => Ok(vec![]),
        CKA_MODULUS => Ok(vec![7; ROOM_BYTES]),
        CKA_SUBJECT => Ok(vec![9; LONG]),
        // Too long for a CK_BBOOL.
        CKA_DERIVE => Ok(vec![1, 2, 3, 4, 5, 6, 7, 8]),
        CKA_VALUE | CKA_PRIVATE_EXPONENT => Err(CKR_ATTRIBUTE_SENSITIVE),
        _ => Err(CKR_ATTRIBUTE_TYPE_INVALID),
    }
}

/// The attributes of the stored CKA_UNWRAP_TEMPLATE.
fn nested() -> Vec<(AttributeType, Vec<u8>)> {
    vec![(CKA_EXTRACTABLE, vec![0]), (CKA_LABEL, b"inner".to_vec())]
}

/// # Safety
/// `to` is null or has room for `attribute`'s length.
unsafe fn put(attribute: &mut CK_ATTRIBUTE, value: &[u8], fill: bool) -> CK_RV {
    if !attribute.pValue.is_null() {
        if len(attribute.ulValueLen) < value.len() {
            attribute.ulValueLen = UNAVAILABLE;
            return CKR_BUFFER_TOO_SMALL;
        }
        if fill {
            // SAFETY: there is that much room.
            unsafe {
                ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast(), value.len());
            }
        }
    }
    attribute.ulValueLen = ulong(value.len());
    CKR_OK
}

unsafe fn put_template(attribute: &mut CK_ATTRIBUTE) -> CK_RV {
    let stored = nested();
    let bytes = stored.len() * size_of::<CK_ATTRIBUTE>();
    if !attribute.pValue.is_null() {
        if len(attribute.ulValueLen) < bytes {
            return CKR_BUFFER_TOO_SMALL;
        }
        let inner: *mut CK_ATTRIBUTE = attribute.pValue.cast();
        // SAFETY: there is room for as many attributes.
        let inner = unsafe { std::slice::from_raw_parts_mut(inner, stored.len()) };
        for (place, (kind, value)) in inner.iter_mut().zip(&stored) {
            place.type_ = *kind;
            // SAFETY: the caller's promise, one level down.
            let rv = unsafe { put(place, value, true) };
            if rv != CKR_OK {
                return rv;
            }
        }
    }
    attribute.ulValueLen = ulong(bytes);
    CKR_OK
}

unsafe extern "C" fn get(
    calls: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    array: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let is = |vendor: Vendor| object == vendor as CK_ULONG;
    if is(Vendor::Broken) {
        return CKR_DEVICE_ERROR;
    }
    // SAFETY: the array has that many attributes.
    let attributes = unsafe { std::slice::from_raw_parts_mut(array, len(count)) };
    let whole = !is(Vendor::LengthsOnly)
        || attributes.iter().all(|attribute| stored(attribute.type_).is_ok());
    let mut answer = CKR_OK;
    for attribute in attributes {
        let rv = match stored(attribute.type_) {
            _ if attribute.type_ == CKA_UNWRAP_TEMPLATE => {
                // SAFETY: the attribute has the room that it says.
                unsafe { put_template(attribute) }
            }
            Ok(_) if is(Vendor::Liar) => {
                attribute.ulValueLen = 1 << 33;
                CKR_OK
            }
            Ok(value) if is(Vendor::Grows) => {
                let grown = GROWN.fetch_add(600, std::sync::atomic::Ordering::Relaxed);
                let value = [value, vec![0; ROOM_BYTES + len(calls) + grown]].concat();
                // SAFETY: the attribute has the room that it says.
                unsafe { put(attribute, &value, true) }
            }
            // SAFETY: the attribute has the room that it says.
            Ok(value) => unsafe { put(attribute, &value, whole) },
            Err(rv) => {
                attribute.ulValueLen = UNAVAILABLE;
                rv
            }
        };
        if rv != CKR_OK {
            answer = rv;
            if is(Vendor::Stops) {
                break;
            }
        }
    }
    answer
}

static GROWN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

fn read(vendor: Vendor, kinds: &[AttributeType]) -> Result<Vec<Reading>> {
    let list =
        CK_FUNCTION_LIST_3_2 { C_GetAttributeValue: Some(get), ..CK_FUNCTION_LIST_3_2::default() };
    let functions = Functions::new(Box::new(list));
    Reader { functions: &functions, session: 0, object: vendor as CK_ULONG }.read(kinds)
}

fn value(value: impl Into<Value>) -> Reading {
    Reading::Value(value.into())
}

#[test]
fn what_is_there_is_read() {
    let readings = read(Vendor::Good, &[CKA_CLASS, CKA_LABEL, CKA_ID, CKA_SIGN, CKA_LABEL]);
    assert_eq!(
        readings,
        Ok(vec![
            value(CKO_PRIVATE_KEY),
            value("label"),
            value(Vec::<u8>::new()),
            value(true),
            value("label")
        ])
    );
    assert_eq!(read(Vendor::Good, &[]), Ok(vec![]));
}

#[test]
fn every_mix_of_errors_is_told_apart_whatever_the_vendor_fills_in() {
    let kinds = [
        CKA_CLASS,
        CKA_VALUE,
        CKA_LABEL,
        CKA_TRUSTED,
        CKA_SENSITIVE,
        CKA_PRIVATE_EXPONENT,
        CKA_SUBJECT,
        CKA_DERIVE,
        CKA_UNWRAP_TEMPLATE,
        CKA_SIGN,
    ];
    let inner = Template::new().with(CKA_EXTRACTABLE, false).with(CKA_LABEL, "inner");
    let expected = vec![
        value(CKO_PRIVATE_KEY),
        Reading::Sensitive,
        value("label"),
        Reading::Invalid,
        value(true),
        Reading::Sensitive,
        value(vec![9_u8; LONG]),
        Reading::Invalid,
        value(inner),
        value(true),
    ];
    for vendor in [Vendor::Good, Vendor::Stops, Vendor::LengthsOnly] {
        let readings = read(vendor, &kinds);
        assert!(readings.as_ref() == Ok(&expected), "{readings:?} of {}", vendor as u8);
    }
}

#[test]
fn a_value_as_long_as_the_room_is_read() {
    for vendor in [Vendor::Good, Vendor::Stops, Vendor::LengthsOnly] {
        assert!(read(vendor, &[CKA_MODULUS]) == Ok(vec![value(vec![7_u8; ROOM_BYTES])]));
        let both = read(vendor, &[CKA_MODULUS, CKA_VALUE]);
        assert!(both == Ok(vec![value(vec![7_u8; ROOM_BYTES]), Reading::Sensitive]));
    }
}

#[test]
fn lengths_beyond_the_room_are_not_believed() {
    assert_eq!(read(Vendor::Liar, &[CKA_LABEL]), Err(Rv(CKR_GENERAL_ERROR)));
    assert_eq!(read(Vendor::Liar, &[CKA_LABEL, CKA_SIGN]), Err(Rv(CKR_GENERAL_ERROR)));
}

#[test]
fn a_value_that_never_stops_growing_is_given_up() {
    assert_eq!(read(Vendor::Grows, &[CKA_LABEL]), Err(Rv(CKR_GENERAL_ERROR)));
}

#[test]
fn an_error_of_the_call_is_the_calls() {
    assert_eq!(read(Vendor::Broken, &[CKA_LABEL, CKA_SIGN]), Err(Rv(CKR_DEVICE_ERROR)));
    assert_eq!(read(Vendor::Broken, &[CKA_UNWRAP_TEMPLATE]), Err(Rv(CKR_DEVICE_ERROR)));
}
