use super::{asking, row, rv};
use crate::abi::template::template;
use crate::limits::*;
use std::ptr;
use tandem_engine::error::Result;
use tandem_values::{Template, Value, ck::*};

fn decode(rows: &mut [CK_ATTRIBUTE]) -> Result<Template> {
    // SAFETY: as many attributes as the slice has.
    unsafe { template(rows.as_ptr(), rows.len() as CK_ULONG) }
}

fn refused(row: CK_ATTRIBUTE) -> CK_RV {
    rv(decode(&mut [row]))
}

#[test]
fn every_form_is_typed_and_order_and_repetition_are_kept() {
    let (mut yes, mut class, mut id) = (CK_TRUE, CKO_PRIVATE_KEY, *b"\x00\x01");
    let (mut mechanisms, mut no) = ([CKM_RSA_PKCS, CKM_ECDSA], CK_FALSE);
    let (mut sensitive, mut within) = (CK_TRUE, CKO_PRIVATE_KEY);
    let mut inner = [row(CKA_SENSITIVE, &mut sensitive), row(CKA_CLASS, &mut within)];
    let decoded = decode(&mut [
        row(CKA_TOKEN, &mut yes),
        row(CKA_CLASS, &mut class),
        row(CKA_ID, &mut id),
        row(CKA_ALLOWED_MECHANISMS, &mut mechanisms),
        row(CKA_UNWRAP_TEMPLATE, &mut inner),
        asking(CKA_LABEL),
        row(CKA_TOKEN, &mut no),
    ])
    .unwrap();
    let unwrap = Template::new().with(CKA_SENSITIVE, true).with(CKA_CLASS, CKO_PRIVATE_KEY);
    let expected = [
        (CKA_TOKEN, Value::from(true)),
        (CKA_CLASS, CKO_PRIVATE_KEY.into()),
        (CKA_ID, Value::from(&b"\x00\x01"[..])),
        (CKA_ALLOWED_MECHANISMS, vec![CKM_RSA_PKCS, CKM_ECDSA].into()),
        (CKA_UNWRAP_TEMPLATE, unwrap.into()),
        (CKA_LABEL, Value::from(&b""[..])),
        (CKA_TOKEN, false.into()),
    ];
    let decoded: Vec<_> = decoded.iter().map(|a| (a.kind, a.value.clone())).collect();
    assert!(decoded == expected);
}

#[test]
fn values_and_rows_may_stand_anywhere() {
    // Both the row and the number it points at are one byte off.
    let mut memory = [0u8; 48];
    memory[25..33].copy_from_slice(&CKO_SECRET_KEY.to_ne_bytes());
    let memory = memory.as_mut_ptr();
    let number = memory.wrapping_add(25);
    let row = CK_ATTRIBUTE { type_: CKA_CLASS, pValue: number.cast(), ulValueLen: 8 };
    // SAFETY: 24 bytes of our own, and what `pValue` points at is behind them.
    let decoded = unsafe {
        let place = memory.add(1).cast::<CK_ATTRIBUTE>();
        place.write_unaligned(row);
        template(place, 1)
    };
    assert_eq!(decoded.unwrap().class(), Some(CKO_SECRET_KEY));
}

#[test]
fn a_value_of_the_wrong_length_is_refused() {
    let mut bytes = [0u8; 9];
    for wrong in [0, 2, 8] {
        let row = row(CKA_TOKEN, &mut bytes[..wrong]);
        assert_eq!(refused(row), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    for wrong in [0, 1, 4, 7, 9] {
        let row = row(CKA_CLASS, &mut bytes[..wrong]);
        assert_eq!(refused(row), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    assert_eq!(refused(row(CKA_ALLOWED_MECHANISMS, &mut bytes)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(refused(row(CKA_WRAP_TEMPLATE, &mut bytes)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(refused(asking(CKA_WRAP_TEMPLATE)), CKR_OK);
}

#[test]
fn null_and_huge_values_are_refused_before_anything_is_read() {
    for kind in [CKA_TOKEN, CKA_CLASS, CKA_ID, CKA_ALLOWED_MECHANISMS, CKA_UNWRAP_TEMPLATE] {
        for len in [1, 8, 24, CK_UNAVAILABLE_INFORMATION] {
            let row = CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: len };
            assert_eq!(refused(row), CKR_ATTRIBUTE_VALUE_INVALID);
            // Any pointer that is not null: it may not be followed.
            let wild = ptr::without_provenance_mut(1);
            let huge = (TEMPLATE_BYTES_MAX as CK_ULONG + 24).next_multiple_of(24 * len.min(24));
            let row = CK_ATTRIBUTE { type_: kind, pValue: wild, ulValueLen: huge };
            assert_eq!(refused(row), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
}

#[test]
fn null_and_huge_templates_are_refused_before_anything_is_read() {
    let wild = ptr::without_provenance(8);
    let decode = |rows, count| {
        // SAFETY: refused before the rows are read.
        rv(unsafe { template(rows, count) })
    };
    assert_eq!(decode(ptr::null(), 0), CKR_OK);
    assert_eq!(decode(wild, 0), CKR_OK);
    assert_eq!(decode(ptr::null(), 1), CKR_ARGUMENTS_BAD);
    assert_eq!(decode(wild, CK_ULONG::MAX), CKR_ARGUMENTS_BAD);
    assert_eq!(decode(wild, CK_ULONG::MAX / 24), CKR_ARGUMENTS_BAD);
    assert_eq!(decode(wild, TEMPLATE_ATTRIBUTES_MAX as CK_ULONG + 1), CKR_ARGUMENTS_BAD);
}

#[test]
#[cfg_attr(miri, ignore = "millions of bytes")]
fn many_values_at_one_place_are_counted_each() {
    let mut bytes = vec![0u8; TEMPLATE_BYTES_MAX / 2];
    let value = row(CKA_VALUE, bytes.as_mut_slice());
    assert_eq!(rv(decode(&mut [value, value])), CKR_OK);
    assert_eq!(rv(decode(&mut [value, value, value])), CKR_ATTRIBUTE_VALUE_INVALID);
}

#[test]
fn templates_in_templates_have_a_bottom() {
    let mut yes = CK_TRUE;
    // All are kept, so that what each points at stays in its place.
    let mut levels = vec![vec![row(CKA_SENSITIVE, &mut yes)]];
    for depth in 1..=TEMPLATE_DEPTH_MAX + 1 {
        let inner = levels.last_mut().unwrap().as_mut_slice();
        let mut level = vec![row(CKA_UNWRAP_TEMPLATE, inner)];
        let expected =
            if depth <= TEMPLATE_DEPTH_MAX { CKR_OK } else { CKR_ATTRIBUTE_VALUE_INVALID };
        assert_eq!(rv(decode(&mut level)), expected, "{depth}");
        levels.push(level);
    }
}

#[test]
fn a_template_that_contains_itself_ends_too() {
    const COUNT: usize = 8;
    let mut rows = [asking(CKA_UNWRAP_TEMPLATE); COUNT];
    // One pointer for all that follows, as an application has it.
    let place = rows.as_mut_ptr();
    let len = size_of_val(&rows) as CK_ULONG;
    for number in 0..COUNT {
        let row =
            CK_ATTRIBUTE { type_: CKA_UNWRAP_TEMPLATE, pValue: place.cast(), ulValueLen: len };
        // SAFETY: one of them.
        unsafe { place.add(number).write(row) };
    }
    // SAFETY: as many attributes as there are.
    assert_ne!(rv(unsafe { template(place, COUNT as CK_ULONG) }), CKR_OK);
}
