use super::{asking, row, rv};
use crate::abi::Asked;
use std::ptr;
use tandem_engine::error::Result;
use tandem_values::template::Reading;
use tandem_values::{Template, Value, ck::*};

const NONE: CK_ULONG = CK_UNAVAILABLE_INFORMATION;

fn answer(rows: &mut [CK_ATTRIBUTE], readings: &[Reading]) -> Result {
    // SAFETY: as many attributes as the slice has.
    let asked = unsafe { Asked::new(rows.as_mut_ptr(), rows.len() as CK_ULONG) };
    asked.unwrap().answer(readings)
}

fn value(value: impl Into<Value>) -> Reading {
    Reading::Value(value.into())
}

#[test]
fn lengths_first_then_values() {
    let readings =
        [value(true), value(CKK_EC), value("signer"), value(vec![CKM_ECDSA, CKM_EDDSA]), value("")];
    let kinds = [CKA_TOKEN, CKA_KEY_TYPE, CKA_LABEL, CKA_ALLOWED_MECHANISMS, CKA_ID];
    let mut rows = kinds.map(asking);
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_OK);
    assert_eq!(rows.map(|row| row.ulValueLen), [1, 8, 6, 16, 0]);

    let (mut token, mut kind, mut label) = (7u8, 0, [b'.'; 8]);
    let (mut mechanisms, mut id) = ([0; 2], *b"unchanged");
    let mut rows = [
        row(CKA_TOKEN, &mut token),
        row(CKA_KEY_TYPE, &mut kind),
        row(CKA_LABEL, &mut label),
        row(CKA_ALLOWED_MECHANISMS, &mut mechanisms),
        row(CKA_ID, &mut id),
    ];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_OK);
    assert_eq!(rows.map(|row| row.ulValueLen), [1, 8, 6, 16, 0]);
    assert_eq!((token, kind, &label), (CK_TRUE, CKK_EC, b"signer.."));
    assert_eq!((mechanisms, &id), ([CKM_ECDSA, CKM_EDDSA], b"unchanged"));
}

#[test]
fn every_attribute_is_answered_whatever_is_wrong_with_the_others() {
    let (mut secret, mut short, mut fits) = ([1u8; 4], [2u8; 4], [3u8; 4]);
    let mut rows = [
        row(CKA_VALUE, &mut secret),
        row(CKA_LABEL, &mut short),
        row(CKA_ID, &mut fits),
        asking(CKA_MODULUS),
        asking(CKA_SUBJECT),
    ];
    let readings =
        [Reading::Sensitive, value("longer"), value("id"), Reading::Invalid, value("cn")];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_ATTRIBUTE_SENSITIVE);
    assert_eq!(rows.map(|row| row.ulValueLen), [NONE, NONE, 2, NONE, 2]);
    assert_eq!((secret, short, &fits), ([1; 4], [2; 4], b"id\x03\x03"));
}

#[test]
fn what_was_amiss_is_told_by_rank() {
    let mut short = [0u8; 1];
    let invalid = [Reading::Invalid, value("longer")];
    let rv_of = |readings: &[Reading], short: &mut [u8; 1]| {
        rv(answer(&mut [asking(CKA_VALUE), row(CKA_LABEL, short)], readings))
    };
    assert_eq!(rv_of(&invalid, &mut short), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_eq!(rv_of(&[value("v"), value("longer")], &mut short), CKR_BUFFER_TOO_SMALL);
    assert_eq!(rv_of(&[Reading::Sensitive, Reading::Invalid], &mut short), CKR_ATTRIBUTE_SENSITIVE);
    assert_eq!(rv_of(&[value("v"), value("l")], &mut short), CKR_OK);
}

#[test]
fn a_template_inside_is_filled_attribute_by_attribute() {
    let inner = Template::new().with(CKA_SENSITIVE, true).with(CKA_ID, "ident".as_bytes());
    let readings = [value(inner)];
    let mut rows = [asking(CKA_UNWRAP_TEMPLATE)];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_OK);
    assert_eq!(rows[0].ulValueLen, 48);

    // Their types are ours to write; a null pointer asks for a length.
    let mut array = [asking(0), asking(0)];
    let mut rows = [row(CKA_UNWRAP_TEMPLATE, &mut array)];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_OK);
    assert_eq!(array.map(|row| (row.type_, row.ulValueLen)), [(CKA_SENSITIVE, 1), (CKA_ID, 5)]);

    let (mut sensitive, mut id) = (0u8, [0u8; 8]);
    let mut array = [row(0, &mut sensitive), row(0, &mut id)];
    let mut rows = [row(CKA_UNWRAP_TEMPLATE, &mut array)];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_OK);
    assert_eq!((sensitive, &id, array[1].ulValueLen), (CK_TRUE, b"ident\0\0\0", 5));

    // One of them is too short: that one is unavailable, the other is there.
    let (mut sensitive, mut id) = (0u8, [0u8; 4]);
    let mut array = [row(0, &mut sensitive), row(0, &mut id)];
    let mut rows = [row(CKA_UNWRAP_TEMPLATE, &mut array)];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_BUFFER_TOO_SMALL);
    assert_eq!((sensitive, id, array[1].ulValueLen, rows[0].ulValueLen), (1, [0; 4], NONE, 48));

    // The array itself is too short: nothing in it is touched.
    let mut array = [asking(0)];
    let mut rows = [row(CKA_UNWRAP_TEMPLATE, &mut array)];
    assert_eq!(rv(answer(&mut rows, &readings)), CKR_BUFFER_TOO_SMALL);
    assert_eq!((array[0].type_, rows[0].ulValueLen), (0, NONE));
}

#[test]
fn rows_and_buffers_may_stand_anywhere() {
    let mut memory = [0u8; 64];
    let base = memory.as_mut_ptr();
    let row =
        CK_ATTRIBUTE { type_: CKA_CLASS, pValue: base.wrapping_add(33).cast(), ulValueLen: 8 };
    // SAFETY: a row and eight bytes behind it, all of our own.
    unsafe {
        let place = base.add(1).cast::<CK_ATTRIBUTE>();
        place.write_unaligned(row);
        Asked::new(place, 1).unwrap().answer(&[value(CKO_DATA + 5)]).unwrap();
    }
    assert_eq!(memory[33..41], 5u64.to_ne_bytes());
}

#[test]
fn too_much_asked_and_too_little_answered() {
    let new = |rows, count| {
        // SAFETY: refused before the rows are read.
        rv(unsafe { Asked::new(rows, count) })
    };
    assert_eq!(new(ptr::null_mut(), 1), CKR_ARGUMENTS_BAD);
    assert_eq!(new(ptr::without_provenance_mut(8), CK_ULONG::MAX), CKR_ARGUMENTS_BAD);
    assert_eq!(new(ptr::null_mut(), 0), CKR_OK);
    let mut rows = [asking(CKA_ID), asking(CKA_LABEL)];
    assert_eq!(rv(answer(&mut rows, &[Reading::Invalid])), CKR_GENERAL_ERROR);
}
