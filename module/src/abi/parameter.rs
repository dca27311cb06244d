//! Parameters of messages (PKCS #11 3.2 sections 5.9, 5.11, 5.14, 5.16): read before the member is asked, and written
//! after, since the nonce and the tag may be its to choose.

use super::mechanism::{self, WORD};
use super::memory;
use std::ffi::c_void;
use std::marker::PhantomData;
use tandem_engine::error::Result;
use tandem_values::mechanism::message_layout;
use tandem_values::{Field, MechanismType, Parameter, Part, ck::*};

/// A parameter as the application passed it: its meaning depends on the operation's mechanism.
pub struct RawParameter<'a> {
    place: *mut u8,
    len: CK_ULONG,
    call: PhantomData<&'a mut u8>,
}

impl RawParameter<'_> {
    /// Takes the argument as it is.
    ///
    /// # Safety
    /// `place` points at `len` bytes of the application, or is null.
    pub(super) const unsafe fn new(place: *mut c_void, len: CK_ULONG) -> Self {
        Self { place: place.cast(), len, call: PhantomData }
    }

    fn fields(&self, kind: MechanismType) -> Result<Option<&'static [Field]>> {
        match message_layout(kind) {
            Some(fields) if self.len == mechanism::size(fields) as CK_ULONG => {
                if self.place.is_null() { Err(CKR_ARGUMENTS_BAD.into()) } else { Ok(Some(fields)) }
            }
            None if self.len == 0 => Ok(None),
            _ => Err(CKR_MECHANISM_PARAM_INVALID.into()),
        }
    }

    /// Reads the parameter of a message under this mechanism.
    pub fn read(&self, kind: MechanismType) -> Result<Parameter> {
        let Some(fields) = self.fields(kind)? else { return Ok(Parameter::None) };
        // SAFETY: the application's structure for this mechanism, of the right length.
        let parts = unsafe { mechanism::parts(self.place, fields) }?;
        Ok(Parameter::Parts(parts))
    }

    /// Writes back what the member put into the parameter: a nonce, a tag. Nothing longer than the application has room for.
    pub fn write(&self, kind: MechanismType, parameter: &Parameter) -> Result {
        let (Some(fields), Parameter::Parts(parts)) = (self.fields(kind)?, parameter) else {
            return Ok(());
        };
        let mut at = self.place;
        for (field, part) in fields.iter().zip(parts) {
            // SAFETY: `at` is where this field stands in the application's structure.
            unsafe { write(at, *field, part) }?;
            at = at.wrapping_add(field.words() * WORD);
        }
        Ok(())
    }
}

/// # Safety
/// `at` points at a field of the application.
unsafe fn write(at: *mut u8, field: Field, part: &Part) -> Result {
    let (place, room, bytes) = match (field, part) {
        (Field::Bytes | Field::LengthBytes | Field::Bits, Part::Bytes(Some(bytes))) => {
            // SAFETY: the field is a pointer and a length.
            let (place, room) = unsafe { mechanism::span(at, field) }?;
            (place, room, bytes.as_slice())
        }
        (Field::Nested([Field::Inline(room)]), Part::Nested(Some(inner))) => {
            let [Part::Inline(bytes)] = inner.as_slice() else { return Ok(()) };
            // SAFETY: the field is a pointer.
            (unsafe { mechanism::pointer(at) }, *room, bytes.as_slice())
        }
        _ => return Ok(()),
    };
    if place.is_null() || bytes.len() > room {
        return Err(CKR_MECHANISM_PARAM_INVALID.into());
    }
    // SAFETY: the application has room for `room` bytes there, and there are no more.
    unsafe { memory::fill(place, bytes) };
    Ok(())
}
