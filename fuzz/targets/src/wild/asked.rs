//! C_GetAttributeValue's template: what is asked is read, and the answers are written as section 5.7.5 has it.

use super::arena::{Arena, KINDS};
use crate::random::Random;
use crate::templates;
use std::ptr;
use tandem::abi::wire::{Ask, Wire};
use tandem::guard::Call;
use tandem_values::template::Reading;
use tandem_values::{Template, Value, ck::*};

/// The most attributes that are asked for.
const ROWS_MAX: usize = 6;
/// A CK_ATTRIBUTE, in bytes.
const ROW: usize = size_of::<CK_ATTRIBUTE>();

/// A place for an answer.
struct Row {
    kind: u64,
    place: *mut u8,
    room: usize,
}

/// Asks, answers, and looks at what was written.
pub(super) fn asked(random: &mut Random<'_>, arena: &mut Arena) {
    let rows: Vec<_> = (0..random.below(ROWS_MAX)).map(|_| row(random, arena)).collect();
    let head = arena.place(random, &vec![0; rows.len() * ROW]).cast::<CK_ATTRIBUTE>();
    for (at, Row { kind, place, room }) in rows.iter().enumerate() {
        let row =
            CK_ATTRIBUTE { type_: *kind, pValue: place.cast(), ulValueLen: *room as CK_ULONG };
        // SAFETY: as many rows as there is room for.
        unsafe { head.wrapping_add(at).write_unaligned(row) };
    }
    let readings: Vec<_> = rows.iter().map(|_| reading(random)).collect();
    let call = Call::nobody();
    // SAFETY: as many rows as are told, each with its room.
    let asked = unsafe { Ask::decode(head, rows.len() as CK_ULONG, &call) }.expect("a question");
    assert!(asked.kinds().iter().eq(rows.iter().map(|row| &row.kind)), "others are asked for");
    let answered = asked.answer(&readings).err().map_or(CKR_OK, |error| error.rv.0);
    let mut worst = CKR_OK;
    for (at, (row, reading)) in rows.iter().zip(&readings).enumerate() {
        // SAFETY: one of the rows.
        let told = unsafe { head.wrapping_add(at).read_unaligned() };
        assert_eq!((told.type_, told.pValue.cast()), (row.kind, row.place), "a row is another");
        worst = worse(worst, written(row, reading, told.ulValueLen));
    }
    assert_eq!(answered, worst);
}

fn row(random: &mut Random<'_>, arena: &mut Arena) -> Row {
    let room = random.pick(&[0, 1, 7, 8, 9, 16, 24, 48, 65, 256]);
    // Room for attributes inside an attribute holds empty ones.
    let place = arena.place(random, &vec![0; room]);
    let place = if random.one_in(3) { ptr::null_mut() } else { place };
    Row { kind: random.pick(KINDS), place, room }
}

fn reading(random: &mut Random<'_>) -> Reading {
    match random.below(8) {
        0 => Reading::Sensitive,
        1 => Reading::Invalid,
        _ => {
            let some = templates::any(random, 1);
            let value = some.iter().next().map(|attribute| attribute.value.clone());
            Reading::Value(value.unwrap_or(Value::Flag(true)))
        }
    }
}

/// Which of two answers an application hears of.
fn worse(one: CK_RV, other: CK_RV) -> CK_RV {
    let order = [CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL];
    order.into_iter().find(|rv| [one, other].contains(rv)).unwrap_or(CKR_OK)
}

/// Looks at a row that was answered: what it deserves to be told.
fn written(row: &Row, reading: &Reading, told: CK_ULONG) -> CK_RV {
    let value = match reading {
        Reading::Sensitive | Reading::Invalid => {
            assert_eq!(told, CK_UNAVAILABLE_INFORMATION);
            is_untouched(row, 0);
            let sensitive = matches!(reading, Reading::Sensitive);
            return if sensitive { CKR_ATTRIBUTE_SENSITIVE } else { CKR_ATTRIBUTE_TYPE_INVALID };
        }
        Reading::Value(value) => in_c(value),
    };
    if row.place.is_null() || value.len() <= row.room {
        assert_eq!(told, value.len() as CK_ULONG);
        if !row.place.is_null() {
            assert!(at(row.place, value.len()) == value, "another value");
            is_untouched(row, value.len());
        }
        return CKR_OK;
    }
    assert_eq!(told, CK_UNAVAILABLE_INFORMATION);
    is_untouched(row, 0);
    CKR_BUFFER_TOO_SMALL
}

/// A value as C has it. Attributes inside find no room for their values, and are told their lengths.
fn in_c(value: &Value) -> Vec<u8> {
    match value {
        Value::Flag(flag) => vec![CK_BBOOL::from(*flag)],
        Value::Number(number) => number.to_ne_bytes().to_vec(),
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Numbers(numbers) => numbers.iter().flat_map(|number| number.to_ne_bytes()).collect(),
        Value::Template(inner) => inside(inner),
    }
}

fn inside(template: &Template) -> Vec<u8> {
    let row = |kind: u64, value: &Value| [kind, 0, in_c(value).len() as u64];
    let words = template.iter().flat_map(|attribute| row(attribute.kind, &attribute.value));
    words.flat_map(u64::to_ne_bytes).collect()
}

fn is_untouched(row: &Row, from: usize) {
    if !row.place.is_null() {
        assert!(at(row.place, row.room)[from..].iter().all(|byte| *byte == 0), "more was written");
    }
}

/// What stands at a place of the arena.
fn at(place: *mut u8, len: usize) -> Vec<u8> {
    // SAFETY: the caller's room has at least so many bytes, and the arena is not cleared yet.
    unsafe { std::slice::from_raw_parts(place, len) }.to_vec()
}
