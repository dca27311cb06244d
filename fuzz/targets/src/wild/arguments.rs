//! Arguments in C and what they are in Rust: templates, mechanisms, parameters of messages. What was laid out comes back as the
//! same values, and what lies is refused with the CK_RV that the specification has for it.

use super::arena::{Arena, HUGE, Shape};
use super::asked;
use crate::random::Random;
use crate::templates;
use std::ptr;
use std::sync::OnceLock;
use tandem::abi::wire::{self, Wire};
use tandem::guard::Call;
use tandem::limits::TEMPLATE_DEPTH_MAX;
use tandem_engine::error::Result;
use tandem_values::mechanism::{FLAT_BYTES_MAX, layout, message_layout};
use tandem_values::{Field, Form, Layout, Mechanism, Parameter, Part, Template, Value, ck::*};
use zeroize::Zeroizing;

/// Mechanisms of the specification are below this.
const MECHANISMS_END: u64 = 0x5000;

/// Lays arguments out as bytes say, and has them decoded.
pub(crate) fn arguments(data: &[u8]) {
    let mut random = Random::of(data);
    let mut arena = Arena::fenced();
    match random.below(4) {
        0 => template(&mut random, &mut arena),
        1 => asked::asked(&mut random, &mut arena),
        2 => mechanism(&mut random, &mut arena),
        _ => message(&mut random, &mut arena),
    }
    arena.clear();
}

/// The value, or the CK_RV.
fn answer<T>(result: Result<T>) -> Result<T, CK_RV> {
    result.map_err(|error| error.rv.0)
}

fn template(random: &mut Random<'_>, arena: &mut Arena) {
    let depth = random.below(TEMPLATE_DEPTH_MAX + 3);
    let mut meant = templates::any(random, depth);
    let place = arena.rows(random, &shapes(&meant), false);
    let count = meant.len() as u64;
    let mut refused =
        (depth_of(&meant) > TEMPLATE_DEPTH_MAX).then_some(CKR_ATTRIBUTE_VALUE_INVALID);
    let (mut head, mut tail) = (place, count);
    match random.below(12) {
        0 if count > 0 => (head, refused) = (ptr::null_mut(), Some(CKR_ARGUMENTS_BAD)),
        1 => (tail, refused) = (random.pick(HUGE), Some(CKR_ARGUMENTS_BAD)),
        2..6 if count > 0 => {
            let at = random.below(meant.len());
            // SAFETY: one of the rows that were just laid out.
            let row = unsafe { &mut *Row::at(place, at) };
            match lie(random, row, &mut meant, at) {
                Some(rv) => refused = Some(rv),
                None if depth_of(&meant) <= TEMPLATE_DEPTH_MAX => refused = None,
                None => {}
            }
        }
        _ => {}
    }
    // SAFETY: attributes with their values, or what no module may follow.
    let decoded = answer(unsafe { wire::Template::decode(head, tail, &Call::nobody()) });
    match (decoded, refused) {
        (Ok(decoded), None) => assert!(decoded == meant, "{decoded:?} was {meant:?}"),
        (decoded, refused) => assert_eq!(decoded.err(), refused, "{meant:?}"),
    }
}

/// A CK_ATTRIBUTE at any alignment.
#[repr(C, packed)]
struct Row {
    _kind: CK_ATTRIBUTE_TYPE,
    value: *mut std::ffi::c_void,
    len: CK_ULONG,
}

impl Row {
    fn at(rows: *mut CK_ATTRIBUTE, at: usize) -> *mut Self {
        rows.cast::<Self>().wrapping_add(at)
    }
}

/// Lies about a value: the CK_RV that this deserves, or what is meant now.
fn lie(random: &mut Random<'_>, row: &mut Row, meant: &mut Template, at: usize) -> Option<CK_RV> {
    let mut rows: Vec<_> = meant.iter().cloned().collect();
    let form = rows[at].value.form();
    let len = row.len;
    match random.below(3) {
        0 if len > 0 => row.value = ptr::null_mut(),
        1 => row.len = random.pick(HUGE),
        _ => {
            row.len = random.below(usize::try_from(len).expect("a length") + 1) as u64;
            let is_one = match form {
                Form::Flag | Form::Number => row.len == len,
                Form::Numbers => row.len.is_multiple_of(8),
                Form::Template => row.len.is_multiple_of(24),
                Form::Bytes => true,
            };
            if is_one {
                rows[at].value = cut(&rows[at].value, usize::try_from(row.len).expect("a length"));
                *meant = rows.into_iter().collect();
                return None;
            }
        }
    }
    Some(CKR_ATTRIBUTE_VALUE_INVALID)
}

/// A value of so many bytes in C only.
fn cut(value: &Value, len: usize) -> Value {
    match value {
        Value::Bytes(bytes) => Value::from(bytes[..len].to_vec()),
        Value::Numbers(numbers) => Value::Numbers(numbers[..len / 8].to_vec()),
        Value::Template(inner) => Value::Template(inner.iter().take(len / 24).cloned().collect()),
        whole => whole.clone(),
    }
}

fn shapes(template: &Template) -> Vec<(u64, Shape)> {
    template.iter().map(|attribute| (attribute.kind, shape(&attribute.value))).collect()
}

fn shape(value: &Value) -> Shape {
    match value {
        Value::Flag(flag) => (*flag).into(),
        Value::Number(number) => (*number).into(),
        Value::Bytes(bytes) => bytes.as_slice().into(),
        Value::Numbers(numbers) => {
            Shape::Bytes(numbers.iter().flat_map(|number| number.to_ne_bytes()).collect())
        }
        Value::Template(inner) => Shape::Rows(shapes(inner)),
    }
}

/// How deep templates stand in a template.
fn depth_of(template: &Template) -> usize {
    let depth = |value: &Value| match value {
        Value::Template(inner) => 1 + depth_of(inner),
        _ => 0,
    };
    template.iter().map(|attribute| depth(&attribute.value)).max().unwrap_or(0)
}

/// The mechanisms that Tandem carries.
fn known() -> &'static [u64] {
    static KNOWN: OnceLock<Vec<u64>> = OnceLock::new();
    KNOWN.get_or_init(|| (0..MECHANISMS_END).filter(|kind| layout(*kind).is_some()).collect())
}

/// The fields of a mechanism's parameter, if it is a structure.
fn fields_of(kind: u64) -> Option<&'static [Field]> {
    match layout(kind) {
        Some(Layout::Fields(fields) | Layout::OptionalFields(fields)) => Some(fields),
        _ => None,
    }
}

fn mechanism(random: &mut Random<'_>, arena: &mut Arena) {
    let kind = if random.one_in(16) { random.number() } else { random.pick(known()) };
    let (bytes, parts) = if let Some(fields) = fields_of(kind) {
        arena.parts(random, fields)
    } else {
        let len = random.pick(&[0, 1, 8, 16, 24, 65]);
        (random.bytes(len), None)
    };
    let (place, len) = told(random, arena, &bytes);
    let raw = CK_MECHANISM { mechanism: kind, pParameter: place.cast(), ulParameterLen: len };
    let head = arena.place(random, &[0; size_of::<CK_MECHANISM>()]).cast::<CK_MECHANISM>();
    // SAFETY: room for one.
    unsafe { head.write_unaligned(raw) };
    let whole = !place.is_null() && len == bytes.len() as u64;
    let expected = match layout(kind) {
        None => Err(CKR_MECHANISM_INVALID),
        Some(Layout::Flat | Layout::OptionalFields(_)) if len == 0 => Ok(Parameter::None),
        Some(Layout::Flat) if place.is_null() || len > FLAT_BYTES_MAX as u64 => {
            Err(CKR_MECHANISM_PARAM_INVALID)
        }
        Some(Layout::Flat) => {
            let len = usize::try_from(len).expect("a length");
            Ok(Parameter::Flat(Zeroizing::new(bytes[..len].to_vec())))
        }
        Some(_) => parts.filter(|_| whole).map(Parameter::Parts).ok_or(CKR_MECHANISM_PARAM_INVALID),
    };
    // SAFETY: a mechanism whose parameter is as the table says, or such as no module may follow.
    let decoded = answer(unsafe { wire::Mechanism::decode(head, (), &Call::nobody()) });
    let expected = expected.map(|parameter| Mechanism { kind, parameter });
    assert!(decoded == expected, "{decoded:?} instead of {expected:?}");
}

/// Bytes somewhere, and how long they are said to be: no longer than they are, or longer than any module may believe.
fn told(random: &mut Random<'_>, arena: &mut Arena, bytes: &[u8]) -> (*mut u8, u64) {
    let (place, len) = (arena.place(random, bytes), bytes.len() as u64);
    match random.below(12) {
        0 => (ptr::null_mut(), len),
        1 => (place, random.pick(HUGE)),
        2 => (place, len.saturating_sub(1)),
        3 => (place, len.saturating_sub(8)),
        4 => (place, 0),
        _ => (place, len),
    }
}

/// The parameter of a message is read, and what a member made of it written back: no more than there is room for.
fn message(random: &mut Random<'_>, arena: &mut Arena) {
    let kind = random.pick(&[
        CKM_AES_GCM,
        CKM_AES_CCM,
        CKM_CHACHA20_POLY1305,
        CKM_SALSA20_POLY1305,
        CKM_AES_CBC,
    ]);
    let fields = message_layout(kind);
    let (bytes, parts) = arena.parts(random, fields.unwrap_or_default());
    let (place, len) = told(random, arena, &bytes);
    let expected = match fields {
        None if len == 0 => Ok(Parameter::None),
        Some(_) if len == bytes.len() as u64 && place.is_null() => Err(CKR_ARGUMENTS_BAD),
        Some(_) if len == bytes.len() as u64 => {
            parts.map(Parameter::Parts).ok_or(CKR_MECHANISM_PARAM_INVALID)
        }
        _ => Err(CKR_MECHANISM_PARAM_INVALID),
    };
    let call = Call::nobody();
    // SAFETY: a structure of this length, or what no module may follow.
    let raw = unsafe { wire::Param::decode(place.cast(), len, &call) }.expect("as it is");
    let read = answer(raw.read(kind));
    assert!(read == expected, "the parameter of a message is read as another");
    let Ok(Parameter::Parts(mut parts)) = read else { return };
    let fits = parts.iter_mut().all(|part| becomes_another(random, part));
    let written = Parameter::Parts(parts);
    if answer(raw.write(kind, &written)).is_ok() {
        assert!(fits, "more is written than there is room for");
        assert!(answer(raw.read(kind)) == Ok(written), "what was written is not there");
    } else {
        assert!(!fits, "there is room for it");
    }
}

/// A part that a member has made. False if it is longer than it was.
fn becomes_another(random: &mut Random<'_>, part: &mut Part) -> bool {
    match part {
        Part::Bytes(Some(bytes)) => {
            let longer = random.one_in(8);
            *bytes = Zeroizing::new(random.bytes(bytes.len() + usize::from(longer)));
            !longer
        }
        Part::Nested(Some(inner)) => {
            for part in inner {
                if let Part::Inline(bytes) = part {
                    *bytes = random.bytes(bytes.len());
                }
            }
            true
        }
        _ => true,
    }
}
