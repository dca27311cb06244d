//! C_GetAttributeValue's template, and the answers written into it (PKCS #11 3.2 section 5.7).

use super::{memory, template};
use std::marker::PhantomData;
use tandem_engine::error::{Error, Result};
use tandem_values::template::Reading;
use tandem_values::{AttributeType, Template, Value, ck::*};

/// The attributes that are asked for, and where their values go.
pub struct Asked<'a> {
    rows: *mut CK_ATTRIBUTE,
    kinds: Vec<AttributeType>,
    call: PhantomData<&'a mut CK_ATTRIBUTE>,
}

impl Asked<'_> {
    /// Reads what is asked.
    ///
    /// # Safety
    /// `head` points at `tail` CK_ATTRIBUTEs of the application, or is null.
    pub(super) unsafe fn new(head: *mut CK_ATTRIBUTE, tail: CK_ULONG) -> Result<Self> {
        let kinds = (0..template::count(head, tail)?)
            // SAFETY: one of the `tail` attributes.
            .map(|place| unsafe { memory::read(head.wrapping_add(place)) }.type_)
            .collect();
        Ok(Self { rows: head, kinds, call: PhantomData })
    }

    /// The attributes, in order.
    pub fn kinds(&self) -> &[AttributeType] {
        &self.kinds
    }

    /// Writes the answers, every one that can be, and says what was amiss with the others: CKR_ATTRIBUTE_SENSITIVE,
    /// CKR_ATTRIBUTE_TYPE_INVALID or CKR_BUFFER_TOO_SMALL, the first of these that occurred.
    pub fn answer(&self, readings: &[Reading]) -> Result {
        if readings.len() != self.kinds.len() {
            let wrong = "an object was read, and not every attribute has an answer";
            return Err(Error::new(CKR_GENERAL_ERROR, wrong));
        }
        let mut seen = Seen::default();
        for (place, reading) in readings.iter().enumerate() {
            let row = self.rows.wrapping_add(place);
            // SAFETY: `row` is one of the application's attributes, as many as there are answers.
            unsafe { write_reading(row, reading, &mut seen) };
        }
        seen.result()
    }
}

/// What was amiss with some attribute.
#[derive(Default)]
struct Seen {
    sensitive: bool,
    invalid: bool,
    short: bool,
}

impl Seen {
    fn result(&self) -> Result {
        match self {
            Self { sensitive: true, .. } => Err(CKR_ATTRIBUTE_SENSITIVE.into()),
            Self { invalid: true, .. } => Err(CKR_ATTRIBUTE_TYPE_INVALID.into()),
            Self { short: true, .. } => Err(CKR_BUFFER_TOO_SMALL.into()),
            _ => Ok(()),
        }
    }
}

/// # Safety
/// `row` points at an attribute of the application: room for a value, or a null pointer that asks its length.
unsafe fn write_reading(row: *mut CK_ATTRIBUTE, reading: &Reading, seen: &mut Seen) {
    match reading {
        Reading::Sensitive => {
            seen.sensitive = true;
            // SAFETY: as above.
            unsafe { write_len(row, CK_UNAVAILABLE_INFORMATION) };
        }
        Reading::Invalid => {
            seen.invalid = true;
            // SAFETY: as above.
            unsafe { write_len(row, CK_UNAVAILABLE_INFORMATION) };
        }
        // SAFETY: as above.
        Reading::Value(value) => unsafe { write_value(row, value, seen) },
    }
}

/// # Safety
/// As for [`write_reading`].
unsafe fn write_value(row: *mut CK_ATTRIBUTE, value: &Value, seen: &mut Seen) {
    // SAFETY: an attribute of the application.
    let CK_ATTRIBUTE { pValue, ulValueLen: room, .. } = unsafe { memory::read(row) };
    let needed = len(value);
    let fits = pValue.is_null() || room >= needed;
    seen.short |= !fits;
    // SAFETY: the same attribute.
    unsafe { write_len(row, if fits { needed } else { CK_UNAVAILABLE_INFORMATION }) };
    if pValue.is_null() || !fits {
        return;
    }
    match value {
        // SAFETY: `pValue` has room for the value, in this and the following arms.
        Value::Flag(flag) => unsafe { memory::write(pValue.cast(), CK_BBOOL::from(*flag)) },
        // SAFETY: as above.
        Value::Number(number) => unsafe { memory::write(pValue.cast(), *number) },
        // SAFETY: as above.
        Value::Bytes(bytes) => unsafe { memory::fill(pValue.cast(), bytes) },
        // SAFETY: as above.
        Value::Numbers(numbers) => unsafe { memory::fill(pValue.cast(), numbers) },
        // SAFETY: as above; each attribute in the array is the application's too.
        Value::Template(template) => unsafe { write_template(pValue.cast(), template, seen) },
    }
}

/// A template inside an attribute: the application made an array of attributes, each with room or a null pointer; their
/// types are ours to write.
///
/// # Safety
/// `rows` points at as many attributes of the application as the template has, each as for [`write_reading`].
unsafe fn write_template(rows: *mut CK_ATTRIBUTE, template: &Template, seen: &mut Seen) {
    for (place, attribute) in template.iter().enumerate() {
        let row = rows.wrapping_add(place);
        // SAFETY: `row` is one of the application's attributes; its type is its first field.
        unsafe { memory::write(row.cast(), attribute.kind) };
        // SAFETY: as above.
        unsafe { write_value(row, &attribute.value, seen) };
    }
}

/// # Safety
/// `row` points at an attribute of the application.
unsafe fn write_len(row: *mut CK_ATTRIBUTE, len: CK_ULONG) {
    let place = row.wrapping_byte_add(std::mem::offset_of!(CK_ATTRIBUTE, ulValueLen));
    // SAFETY: the field of that attribute.
    unsafe { memory::write(place.cast(), len) };
}

/// How long a value is in C, in bytes.
fn len(value: &Value) -> CK_ULONG {
    let bytes = match value {
        Value::Flag(_) => size_of::<CK_BBOOL>(),
        Value::Number(_) => size_of::<CK_ULONG>(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Numbers(numbers) => size_of_val(numbers.as_slice()),
        Value::Template(template) => template.len() * size_of::<CK_ATTRIBUTE>(),
    };
    bytes as CK_ULONG
}
