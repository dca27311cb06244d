//! Mechanisms that an application passes in: their parameters are copied out whole, by the layouts of `values`.

use super::memory;
use tandem_engine::error::{Error, Result};
use tandem_values::mechanism::{FLAT_BYTES_MAX, layout, message_layout};
use tandem_values::{Field, Layout, Mechanism, Parameter, Part, ck::*, names};
use zeroize::Zeroizing;

/// Reads a mechanism: CKR_MECHANISM_INVALID if Tandem doesn't know it, CKR_MECHANISM_PARAM_INVALID if its parameter is
/// not what the mechanism asks for.
///
/// # Safety
/// `head` points at a CK_MECHANISM of the application.
pub(super) unsafe fn mechanism(head: *const CK_MECHANISM) -> Result<Mechanism> {
    // SAFETY: by the caller's word.
    let CK_MECHANISM { mechanism: kind, pParameter, ulParameterLen } =
        unsafe { memory::read(head) };
    let Some(layout) = layout(kind) else {
        let unknown = format!("{} is not a mechanism that Tandem carries", names::mechanism(kind));
        return Err(Error::new(CKR_MECHANISM_INVALID, unknown));
    };
    // SAFETY: `pParameter` points at `ulParameterLen` bytes, or is null.
    let parameter = unsafe { parameter(layout, pParameter.cast(), ulParameterLen) };
    match parameter {
        Ok(parameter) => Ok(Mechanism { kind, parameter }),
        Err(rv) => {
            let wrong =
                format!("parameter of {ulParameterLen} bytes for {}", names::mechanism(kind));
            Err(Error::new(rv, wrong))
        }
    }
}

/// Reads a mechanism of messages. Where its messages have a parameter, there is nothing to read here: CKR_MECHANISM_PARAM_INVALID
/// for anything that isn't such a parameter by its length.
///
/// # Safety
/// `head` points at a CK_MECHANISM of the application.
pub(super) unsafe fn mechanism_of_messages(head: *const CK_MECHANISM) -> Result<Mechanism> {
    // SAFETY: by the caller's word.
    let raw = unsafe { memory::read(head) };
    match message_layout(raw.mechanism) {
        // SAFETY: by the caller's word.
        None => unsafe { mechanism(head) },
        Some(_) if raw.ulParameterLen == 0 => Ok(Mechanism::plain(raw.mechanism)),
        Some(fields) if raw.ulParameterLen == size(fields) as CK_ULONG => {
            Ok(Mechanism::plain(raw.mechanism))
        }
        Some(_) => Err(CKR_MECHANISM_PARAM_INVALID.into()),
    }
}

/// # Safety
/// `place` points at `len` bytes of the application that are what the layout says, or is null.
unsafe fn parameter(layout: Layout, place: *const u8, len: CK_ULONG) -> Result<Parameter, CK_RV> {
    let len = usize::try_from(len).map_err(|_| CKR_MECHANISM_PARAM_INVALID)?;
    match layout {
        Layout::Flat | Layout::OptionalFields(_) if len == 0 => Ok(Parameter::None),
        Layout::Flat => {
            // SAFETY: by the caller's word.
            let bytes = unsafe { bytes(place, len) }?;
            Ok(bytes.map_or(Parameter::None, Parameter::Flat))
        }
        Layout::Fields(fields) | Layout::OptionalFields(fields) => {
            if place.is_null() || len != size(fields) {
                return Err(CKR_MECHANISM_PARAM_INVALID);
            }
            // SAFETY: as long as the layout's fields.
            unsafe { parts(place, fields) }.map(Parameter::Parts)
        }
    }
}

/// How long a structure of these fields is, in bytes.
pub(super) fn size(fields: &[Field]) -> usize {
    fields.iter().map(|field| field.words() * WORD).sum()
}

/// A CK_ULONG or a pointer.
pub(super) const WORD: usize = size_of::<CK_ULONG>();

/// Reads a structure.
///
/// # Safety
/// `place` points at a structure of these fields, of the application.
pub(super) unsafe fn parts(place: *const u8, fields: &[Field]) -> Result<Vec<Part>, CK_RV> {
    let mut at = place;
    let mut parts = Vec::with_capacity(fields.len());
    for field in fields {
        // SAFETY: `at` is where this field stands.
        parts.push(unsafe { part(at, *field) }?);
        at = at.wrapping_add(field.words() * WORD);
    }
    Ok(parts)
}

/// # Safety
/// `at` points at a field of the application.
unsafe fn part(at: *const u8, field: Field) -> Result<Part, CK_RV> {
    Ok(match field {
        // SAFETY: the field is one word.
        Field::Number => Part::Number(unsafe { number(at) }),
        // SAFETY: the field is one word.
        Field::Key => Part::Key(unsafe { number(at) }),
        Field::Bytes | Field::LengthBytes | Field::Bits => {
            // SAFETY: the field is a pointer and a length.
            let (place, len) = unsafe { span(at, field) }?;
            // SAFETY: the pointer and the length belong together.
            Part::Bytes(unsafe { bytes(place, len) }?)
        }
        Field::Inline(len) => {
            // SAFETY: so many bytes stand in the structure itself.
            let bytes = unsafe { memory::copy(at, len) };
            Part::Inline(bytes.map_err(|error| error.rv.0)?)
        }
        Field::Nested(fields) => {
            // SAFETY: the field is a pointer.
            let inner = unsafe { pointer(at) };
            if inner.is_null() {
                return Ok(Part::Nested(None));
            }
            // SAFETY: not null, so there is a structure of these fields.
            Part::Nested(Some(unsafe { parts(inner, fields) }?))
        }
    })
}

/// The pointer of a field and the length that belongs to it, in bytes.
///
/// # Safety
/// `at` points at a field of two words: a pointer and a length, in the order of the field.
pub(super) unsafe fn span(at: *const u8, field: Field) -> Result<(*mut u8, usize), CK_RV> {
    let next = at.wrapping_add(WORD);
    let (place, len) = if field == Field::LengthBytes { (next, at) } else { (at, next) };
    // SAFETY: one word of the field.
    let place = unsafe { pointer(place) };
    // SAFETY: the other word of the field.
    let len = unsafe { number(len) };
    let len = usize::try_from(len).map_err(|_| CKR_MECHANISM_PARAM_INVALID)?;
    match field {
        Field::Bits if len % 8 != 0 => Err(CKR_MECHANISM_PARAM_INVALID),
        Field::Bits => Ok((place, len / 8)),
        _ => Ok((place, len)),
    }
}

/// # Safety
/// `at` points at a word of the application.
unsafe fn number(at: *const u8) -> CK_ULONG {
    // SAFETY: by the caller's word.
    unsafe { memory::read(at.cast()) }
}

/// # Safety
/// `at` points at a pointer of the application.
pub(super) unsafe fn pointer(at: *const u8) -> *mut u8 {
    // SAFETY: by the caller's word.
    unsafe { memory::read(at.cast()) }
}

/// Bytes behind a pointer: `None` for null.
///
/// # Safety
/// `place` points at `len` bytes of the application, or is null.
unsafe fn bytes(place: *const u8, len: usize) -> Result<Option<Zeroizing<Vec<u8>>>, CK_RV> {
    if len > FLAT_BYTES_MAX || (place.is_null() && len > 0) {
        return Err(CKR_MECHANISM_PARAM_INVALID);
    }
    if place.is_null() {
        return Ok(None);
    }
    // SAFETY: by the caller's word.
    let bytes = unsafe { memory::copy(place, len) };
    bytes.map(|bytes| Some(Zeroizing::new(bytes))).map_err(|error| error.rv.0)
}
