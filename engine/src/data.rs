//! The values of private data objects: encrypted by the ring's data key, inside an HSM, before they enter the log.

use crate::desk::Desk;
use crate::fault::{Answer, Call, Fault};
use crate::object::ObjectId;
use crate::step::{Bytes, Verb};
use tandem_values::{Handle, Mechanism, Parameter, Part, ck::*};
use zeroize::Zeroizing;

/// Bytes of the nonce, which stands before the ciphertext.
const NONCE_BYTES: usize = 12;
/// Bits of the tag, which ends it.
const TAG_BITS: u64 = 128;

/// AES-GCM, bound to the object it belongs to.
fn gcm(nonce: &[u8], id: ObjectId) -> Mechanism {
    let bits = u64::try_from(nonce.len()).unwrap_or(0).saturating_mul(8);
    let parts = vec![
        Part::Bytes(Some(Zeroizing::new(nonce.to_vec()))),
        Part::Number(bits),
        Part::Bytes(Some(Zeroizing::new(id.0.to_vec()))),
        Part::Number(TAG_BITS),
    ];
    Mechanism { kind: CKM_AES_GCM, parameter: Parameter::Parts(parts) }
}

/// An operation whose output is at most a nonce and a tag longer than its input.
fn run(
    desk: &Desk<'_>,
    verb: Verb,
    key: Handle,
    mechanism: Mechanism,
    data: &[u8],
) -> Answer<Bytes> {
    desk.operate(verb, mechanism, key, data, data.len().saturating_add(64))
}

/// Seals a value for the log, under a nonce that is never used twice (random).
pub(crate) fn seal(
    desk: &Desk<'_>,
    key: Handle,
    id: ObjectId,
    nonce: &[u8; NONCE_BYTES],
    value: &[u8],
) -> Answer<Vec<u8>> {
    let sealed = run(desk, Verb::Encrypt, key, gcm(nonce, id), value)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens a value from the log.
pub(crate) fn open(desk: &Desk<'_>, key: Handle, id: ObjectId, sealed: &[u8]) -> Answer<Bytes> {
    let (nonce, sealed) = sealed
        .split_at_checked(NONCE_BYTES)
        .ok_or_else(|| Fault::new(Call::Step, CKR_ENCRYPTED_DATA_LEN_RANGE))?;
    run(desk, Verb::Decrypt, key, gcm(nonce, id), sealed)
}
