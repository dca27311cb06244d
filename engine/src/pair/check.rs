//! Check values: what a key of the ring makes of something known. Equal keys, and only they, make the same of it.

use super::recipe;
use super::scratch::Scratch;
use crate::carry;
use crate::desk::Desk;
use crate::fault::Answer;
use crate::prove::{self, Method};
use crate::ring::RingKey;
use crate::step::Verb;
use std::cell::Cell;
use tandem_values::{AttributeType, Handle, Mechanism, Parameter, Part, Template, ck::*};
use zeroize::Zeroizing;

/// The IV of the data key's check value. No data is ever encrypted under it: GCM with one IV twice gives itself away.
pub const CHECK_IV: [u8; 12] = *b"tandem check";

/// What KEKs wrap. RFC 5649 makes the same of the same; 32 bytes, since SoftHSM pads what is no multiple of 8.
const KNOWN_KEY: [u8; 32] = *b"tandem: a key that is no secret.";
/// What the log key signs. The log's MAC key comes of another text (`crate::seal`), so this value may be known.
const KNOWN_TEXT: &[u8] = b"tandem: the check value of a log key";
/// What the data key encrypts.
const KNOWN_DATA: &[u8] = b"tandem: the check value of a data key";
/// Bits of the data key's tag.
const TAG_BITS: u64 = 128;

/// Asks a member for check values.
pub(super) struct Check<'a> {
    scratch: Scratch<'a>,
    /// The key that KEKs wrap, once it was wanted.
    known: Cell<Option<Handle>>,
}

impl<'a> Check<'a> {
    /// Nothing is asked yet.
    pub(super) fn at(desk: &Desk<'a>) -> Self {
        Self { scratch: Scratch::at(desk), known: Cell::new(None) }
    }

    /// The check value of a key of the ring.
    pub(super) fn value(&self, key: RingKey, handle: Handle) -> Answer<Vec<u8>> {
        let desk = &self.scratch.desk;
        match key {
            RingKey::Private | RingKey::Secret | RingKey::Open => {
                carry::wrap(desk, handle, self.known()?)
            }
            RingKey::Log => of_log_key(desk, handle),
            RingKey::Data => of_data_key(desk, handle),
        }
    }

    fn known(&self) -> Answer<Handle> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let known = import(&self.scratch, &KNOWN_KEY, &[(CKA_EXTRACTABLE, true)])?;
        self.known.set(Some(known));
        Ok(known)
    }
}

/// Imports an AES key whose value is known, as a session object with these flags.
pub(super) fn import(
    scratch: &Scratch<'_>,
    value: &[u8; 32],
    flags: &[(AttributeType, bool)],
) -> Answer<Handle> {
    let desk = &scratch.desk;
    let mut template = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_AES)
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_VALUE, value.as_slice());
    for (kind, flag) in flags {
        template.set(*kind, *flag);
    }
    desk.member.create(desk.session, &template).map(|handle| scratch.keep(handle))
}

fn of_log_key(desk: &Desk<'_>, key: Handle) -> Answer<Vec<u8>> {
    let mechanism = Mechanism::plain(recipe::mechanism(desk, RingKey::Log));
    let method = Method { usage: &[CKA_SIGN], verb: Verb::Sign, mechanism, len: KNOWN_TEXT.len() };
    prove::run(desk, &method, key, KNOWN_TEXT).map(|answer| answer.to_vec())
}

fn of_data_key(desk: &Desk<'_>, key: Handle) -> Answer<Vec<u8>> {
    let mechanism = gcm(&CHECK_IV);
    let method =
        Method { usage: &[CKA_ENCRYPT], verb: Verb::Encrypt, mechanism, len: KNOWN_DATA.len() };
    prove::run(desk, &method, key, KNOWN_DATA).map(|answer| answer.to_vec())
}

/// AES-GCM with this IV and nothing associated (CK_GCM_PARAMS: IV, its bits, associated data, bits of the tag).
pub(super) fn gcm(iv: &[u8; 12]) -> Mechanism {
    let iv_bits = 96;
    let parts = vec![
        Part::Bytes(Some(Zeroizing::new(iv.to_vec()))),
        Part::Number(iv_bits),
        Part::Bytes(None),
        Part::Number(TAG_BITS),
    ];
    Mechanism { kind: CKM_AES_GCM, parameter: Parameter::Parts(parts) }
}
