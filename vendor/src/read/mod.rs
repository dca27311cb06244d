//! C_GetAttributeValue (PKCS #11 3.2 section 5.7.5): an answer for each attribute that was asked, whatever mix of
//! errors a vendor makes of it.
//!
//! Everything is asked at once, with room for the usual lengths. The specification has a module fill in what it
//! can even when one attribute is sensitive, unknown or too long, but some stop at the first such
//! attribute. So after an error what seems to have been answered is asked again without the rest, and only a
//! clean CKR_OK is believed; the rest is asked one by one.

use crate::buffer::{Buffer, UNAVAILABLE, len, ulong};
use crate::decode;
use crate::functions::Functions;
use std::ptr;
use tandem_values::ck::*;
use tandem_values::template::Reading;
use tandem_values::{Attribute, AttributeType, Form, Rv, Template, Value, rv::Result};
use zeroize::Zeroizing;

/// Room for a value whose length isn't known yet, in bytes: an RSA-8192 modulus, most certificates.
const ROOM_BYTES: usize = 2048;
/// The longest value that is read, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 20;
/// The most attributes of a template in an attribute.
const NESTED_MAX: usize = 1024;
/// How often a length may grow between two calls.
const ATTEMPTS_MAX: usize = 4;

/// Attributes that are asked: each with room of its own, or null to hear its length.
pub(crate) struct Ask {
    array: Vec<CK_ATTRIBUTE>,
    rooms: Vec<Buffer>,
    // The attributes of a template that is asked alone: `array` points at them, and they at their values.
    nested: Vec<CK_ATTRIBUTE>,
    values: Vec<Buffer>,
}

/// What became of one attribute.
enum Got {
    Value(Zeroizing<Vec<u8>>),
    Length(usize),
    Unavailable,
    /// It says that there is more than there was room for.
    TooLong,
}

impl Ask {
    fn rooms(wanted: impl IntoIterator<Item = (AttributeType, usize)>) -> Result<Self> {
        let mut ask = Self { array: vec![], rooms: vec![], nested: vec![], values: vec![] };
        for (kind, room) in wanted {
            let mut buffer = Buffer::zeroed(room)?;
            ask.array.push(CK_ATTRIBUTE {
                type_: kind,
                pValue: buffer.as_mut_ptr().cast(),
                ulValueLen: ulong(room),
            });
            ask.rooms.push(buffer);
        }
        Ok(ask)
    }

    fn length(kind: AttributeType) -> Self {
        let attribute = CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: 0 };
        Self { array: vec![attribute], rooms: vec![], nested: vec![], values: vec![] }
    }

    /// A template whose attributes are these: types and lengths as heard, or blank.
    fn template(kind: AttributeType, mut nested: Vec<CK_ATTRIBUTE>, values: Vec<Buffer>) -> Self {
        let attribute = CK_ATTRIBUTE {
            type_: kind,
            pValue: nested.as_mut_ptr().cast(),
            ulValueLen: ulong(size_of_val(nested.as_slice())),
        };
        Self { array: vec![attribute], rooms: vec![], nested, values }
    }

    /// The array and its length, for the one call that fills it in.
    pub(crate) fn array(&mut self) -> (*mut CK_ATTRIBUTE, CK_ULONG) {
        (self.array.as_mut_ptr(), ulong(self.array.len()))
    }

    fn got(&self, index: usize) -> Got {
        match (self.array.get(index), self.rooms.get(index)) {
            (Some(attribute), _) if attribute.ulValueLen == UNAVAILABLE => Got::Unavailable,
            (Some(attribute), None) => Got::Length(len(attribute.ulValueLen)),
            (Some(attribute), Some(room)) if len(attribute.ulValueLen) <= room.len() => {
                Got::Value(room.take(len(attribute.ulValueLen)))
            }
            _ => Got::TooLong,
        }
    }
}

/// The errors that say something of single attributes, and nothing of the call.
const fn is_of_attributes(rv: Rv) -> bool {
    matches!(rv.0, CKR_ATTRIBUTE_SENSITIVE | CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL)
}

/// Room for a value of this form.
const fn room_for(kind: AttributeType) -> usize {
    match Form::of(kind) {
        Form::Flag => size_of::<CK_BBOOL>(),
        Form::Number => size_of::<CK_ULONG>(),
        Form::Bytes | Form::Numbers | Form::Template => ROOM_BYTES,
    }
}

/// One object of one session, for reading.
pub(crate) struct Reader<'a> {
    pub(crate) functions: &'a Functions,
    pub(crate) session: CK_SESSION_HANDLE,
    pub(crate) object: CK_OBJECT_HANDLE,
}

impl Reader<'_> {
    /// An answer for each attribute, in order.
    pub(crate) fn read(&self, kinds: &[AttributeType]) -> Result<Vec<Reading>> {
        let mut readings = vec![None; kinds.len()];
        // Templates are asked alone: they need their own dance of lengths and values.
        let batch: Vec<(usize, AttributeType)> = kinds
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, kind)| Form::of(*kind) != Form::Template)
            .collect();
        // One alone is no batch: its own answer says what is the matter with it.
        if batch.len() > 1 {
            let answered = self.together(&batch, &mut readings)?;
            if !answered.is_empty() {
                self.together(&answered, &mut readings)?;
            }
        }
        let alone = |(reading, kind): (Option<Reading>, &AttributeType)| match reading {
            Some(reading) => Ok(reading),
            None => self.alone(*kind),
        };
        readings.into_iter().zip(kinds).map(alone).collect()
    }

    /// Asks several at once. On CKR_OK what came is read; after an error nothing is, and those that
    /// seem to have been answered are returned.
    fn together(
        &self,
        batch: &[(usize, AttributeType)],
        readings: &mut [Option<Reading>],
    ) -> Result<Vec<(usize, AttributeType)>> {
        let mut ask = Ask::rooms(batch.iter().map(|(_, kind)| (*kind, room_for(*kind))))?;
        let clean = match self.functions.read(self.session, self.object, &mut ask) {
            Ok(()) => true,
            Err(rv) if is_of_attributes(rv) => false,
            Err(rv) => return Err(rv),
        };
        let mut answered = Vec::new();
        for (position, (index, kind)) in batch.iter().enumerate() {
            let Got::Value(bytes) = ask.got(position) else { continue };
            if !clean {
                answered.push((*index, *kind));
            } else if let Some(reading) = readings.get_mut(*index) {
                *reading = Some(reading_of(*kind, bytes));
            }
        }
        Ok(answered)
    }

    /// Asks one attribute alone, so that its error is its own.
    fn alone(&self, kind: AttributeType) -> Result<Reading> {
        if Form::of(kind) == Form::Template {
            return self.template(kind);
        }
        let mut room = room_for(kind);
        for _ in 0..ATTEMPTS_MAX {
            let mut ask = Ask::rooms([(kind, room)])?;
            match self.ask(&mut ask)? {
                Ok(()) => match ask.got(0) {
                    Got::Value(bytes) => return Ok(reading_of(kind, bytes)),
                    Got::Unavailable | Got::Length(_) => return Ok(Reading::Invalid),
                    Got::TooLong => {}
                },
                Err(Some(reading)) => return Ok(reading),
                Err(None) => {}
            }
            let mut ask = Ask::length(kind);
            if let Err(Some(reading)) = self.ask(&mut ask)? {
                return Ok(reading);
            }
            room = match ask.got(0) {
                Got::Length(len) if len <= VALUE_BYTES_MAX => len,
                Got::Unavailable => return Ok(Reading::Invalid),
                _ => return Err(Rv(CKR_GENERAL_ERROR)),
            };
        }
        Err(Rv(CKR_GENERAL_ERROR))
    }

    /// Asks for one attribute. Inside: the reading that its error means, or `None` if the room did not fit.
    fn ask(&self, ask: &mut Ask) -> Result<Result<(), Option<Reading>>> {
        match self.functions.read(self.session, self.object, ask) {
            Ok(()) => Ok(Ok(())),
            Err(Rv(CKR_ATTRIBUTE_SENSITIVE)) => Ok(Err(Some(Reading::Sensitive))),
            Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)) => Ok(Err(Some(Reading::Invalid))),
            Err(Rv(CKR_BUFFER_TOO_SMALL | CKR_TEMPLATE_INCONSISTENT)) => Ok(Err(None)),
            Err(rv) => Err(rv),
        }
    }

    /// Asks for a template: how many attributes, then which and how long, then their values.
    fn template(&self, kind: AttributeType) -> Result<Reading> {
        let mut ask = Ask::length(kind);
        if let Err(reading) = self.ask(&mut ask)? {
            return Ok(reading.unwrap_or(Reading::Invalid));
        }
        let Got::Length(bytes) = ask.got(0) else { return Ok(Reading::Invalid) };
        let count = bytes / size_of::<CK_ATTRIBUTE>();
        if count > NESTED_MAX || !bytes.is_multiple_of(size_of::<CK_ATTRIBUTE>()) {
            return Ok(Reading::Invalid);
        }
        if count == 0 {
            return Ok(Reading::Value(Value::Template(Template::new())));
        }
        // Not known yet, and Kryoptic wants to be told so.
        let blank = CK_ATTRIBUTE { type_: UNAVAILABLE, pValue: ptr::null_mut(), ulValueLen: 0 };
        let mut ask = Ask::template(kind, vec![blank; count], vec![]);
        if let Err(reading) = self.ask(&mut ask)? {
            return Ok(reading.unwrap_or(Reading::Invalid));
        }
        let mut nested = ask.nested;
        let mut values = Vec::with_capacity(count);
        for attribute in &mut nested {
            let room = len(attribute.ulValueLen);
            if room > VALUE_BYTES_MAX {
                return Ok(Reading::Invalid);
            }
            let mut value = Buffer::zeroed(room)?;
            attribute.pValue = value.as_mut_ptr().cast();
            values.push(value);
        }
        let mut ask = Ask::template(kind, nested, values);
        if let Err(reading) = self.ask(&mut ask)? {
            return Ok(reading.unwrap_or(Reading::Invalid));
        }
        let template: Option<Template> = ask
            .nested
            .iter()
            .zip(&ask.values)
            .map(|(attribute, value)| {
                let len = len(attribute.ulValueLen);
                let bytes = (len <= value.len()).then(|| value.take(len))?;
                let value = decode::value(attribute.type_, bytes)?;
                Some(Attribute { kind: attribute.type_, value })
            })
            .collect();
        Ok(template.map_or(Reading::Invalid, |template| Reading::Value(Value::Template(template))))
    }
}

/// A value that came, as a reading. One that can't be a value of its attribute is none.
fn reading_of(kind: AttributeType, bytes: Zeroizing<Vec<u8>>) -> Reading {
    decode::value(kind, bytes).map_or(Reading::Invalid, Reading::Value)
}

#[cfg(test)]
mod tests;
