//! Templates that an application passes in.

use super::memory;
use crate::limits::{TEMPLATE_ATTRIBUTES_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX};
use tandem_engine::error::{Error, Result};
use tandem_values::{Attribute, Form, Template, Value, ck::*, names};

/// What is left of the limits while a template is read.
struct Budget {
    attributes: usize,
    bytes: usize,
}

/// The number of attributes in an array, once it is sure to be no more than anybody sends.
pub(super) fn count(head: *const CK_ATTRIBUTE, tail: CK_ULONG) -> Result<usize> {
    if head.is_null() && tail > 0 {
        return Err(CKR_ARGUMENTS_BAD.into());
    }
    usize::try_from(tail).ok().filter(|count| *count <= TEMPLATE_ATTRIBUTES_MAX).ok_or_else(|| {
        let many =
            format!("a template of {tail} attributes; {TEMPLATE_ATTRIBUTES_MAX} is the most");
        Error::new(CKR_ARGUMENTS_BAD, many)
    })
}

/// Reads a template, each attribute in its form.
///
/// # Safety
/// `head` points at `tail` CK_ATTRIBUTEs of the application, or is null.
pub(super) unsafe fn template(head: *const CK_ATTRIBUTE, tail: CK_ULONG) -> Result<Template> {
    let count = count(head, tail)?;
    let mut budget = Budget { attributes: TEMPLATE_ATTRIBUTES_MAX, bytes: TEMPLATE_BYTES_MAX };
    // SAFETY: by the caller's word.
    unsafe { rows(head, count, TEMPLATE_DEPTH_MAX, &mut budget) }
}

/// # Safety
/// `head` points at `count` CK_ATTRIBUTEs of the application.
unsafe fn rows(
    head: *const CK_ATTRIBUTE,
    count: usize,
    depth: usize,
    budget: &mut Budget,
) -> Result<Template> {
    budget.attributes = budget.attributes.checked_sub(count).ok_or(CKR_ARGUMENTS_BAD)?;
    let mut template = Template::new();
    for place in 0..count {
        // SAFETY: one of the `count` attributes.
        let row = unsafe { memory::read(head.wrapping_add(place)) };
        // SAFETY: an attribute of the application.
        let value = unsafe { value(&row, depth, budget) };
        let value = value.map_err(|rv| {
            let what = format!("{} of {} bytes", names::attribute(row.type_), row.ulValueLen);
            Error::new(rv, what)
        })?;
        template.push(Attribute { kind: row.type_, value });
    }
    Ok(template)
}

/// # Safety
/// `row` is an attribute of the application: `pValue` points at `ulValueLen` bytes, or is null.
unsafe fn value(row: &CK_ATTRIBUTE, depth: usize, budget: &mut Budget) -> Result<Value, CK_RV> {
    let place = row.pValue.cast_const();
    let len = usize::try_from(row.ulValueLen).map_err(|_| CKR_ATTRIBUTE_VALUE_INVALID)?;
    if place.is_null() && len > 0 {
        return Err(CKR_ATTRIBUTE_VALUE_INVALID);
    }
    budget.bytes = budget.bytes.checked_sub(len).ok_or(CKR_ATTRIBUTE_VALUE_INVALID)?;
    let form = Form::of(row.type_);
    match form {
        Form::Flag | Form::Number if len != form_size(form) => Err(CKR_ATTRIBUTE_VALUE_INVALID),
        Form::Numbers | Form::Template if len % form_size(form) != 0 => {
            Err(CKR_ATTRIBUTE_VALUE_INVALID)
        }
        Form::Flag => {
            // SAFETY: `place` points at `len` bytes, here one.
            let flag = unsafe { memory::read(place.cast::<CK_BBOOL>()) };
            // Anything but CK_FALSE is true, as C has it.
            Ok(Value::Flag(flag != CK_FALSE))
        }
        // SAFETY: `place` points at `len` bytes, here those of a CK_ULONG.
        Form::Number => Ok(Value::Number(unsafe { memory::read(place.cast::<CK_ULONG>()) })),
        Form::Bytes => {
            // SAFETY: `place` points at `len` bytes.
            let bytes = unsafe { memory::copy(place.cast(), len) };
            bytes.map(Value::from).map_err(|error| error.rv.0)
        }
        Form::Numbers => {
            let place = place.cast::<CK_ULONG>();
            let number = |at| {
                // SAFETY: one of the numbers that fill `len` bytes.
                unsafe { memory::read(place.wrapping_add(at)) }
            };
            Ok(Value::Numbers((0..len / form_size(form)).map(number).collect()))
        }
        Form::Template => {
            let deeper = depth.checked_sub(1).ok_or(CKR_ATTRIBUTE_VALUE_INVALID)?;
            let count = len / form_size(form);
            // SAFETY: `place` points at `len` bytes, which are `count` attributes.
            let inner = unsafe { rows(place.cast(), count, deeper, budget) };
            inner.map(Value::Template).map_err(|error| error.rv.0)
        }
    }
}

/// How long a value of a form is, or each of its parts, in bytes.
const fn form_size(form: Form) -> usize {
    match form {
        Form::Flag => size_of::<CK_BBOOL>(),
        Form::Number | Form::Numbers => size_of::<CK_ULONG>(),
        Form::Bytes => 1,
        Form::Template => size_of::<CK_ATTRIBUTE>(),
    }
}
