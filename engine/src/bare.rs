//! Private keys that are carried by their value, wrapped as a generic secret, since modules of today don't wrap keys of their
//! type: Kryoptic answers CKR_FUNCTION_NOT_SUPPORTED for ML-DSA, ML-KEM and SLH-DSA.
//!
//! The value is in the host's memory when a key is made and whenever a member takes it, and who has a member's user PIN and the
//! log can have it, too. So the operator must have allowed it (`allow_host_keygen`).

use crate::carry;
use crate::desk::Desk;
use crate::fault::{Answer, Call, Fault};
use crate::prove::{readable, reveal};
use tandem_values::template::Reading;
use tandem_values::{AttributeType, Handle, Template, Value, ck::*};

/// True for a type of private key that no module is known to wrap.
pub(crate) fn is_meant(template: &Template) -> bool {
    let key_type = template.key_type();
    template.class() == Some(CKO_PRIVATE_KEY)
        && matches!(key_type, Some(CKK_ML_DSA | CKK_ML_KEM | CKK_SLH_DSA))
}

/// Which attribute so many bytes are of a key of this type. A seed is shorter than any private key that is made of it (FIPS 203
/// and 204); SLH-DSA has no seeds in PKCS #11.
const fn attribute(key_type: u64, len: usize) -> AttributeType {
    match (key_type, len) {
        (CKK_ML_DSA, 32) | (CKK_ML_KEM, 64) => CKA_SEED,
        _ => CKA_VALUE,
    }
}

/// The template of such a value on a member, for the moment in which it is wrapped.
pub(crate) fn passing() -> Template {
    Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
        .with(CKA_TOKEN, false)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, true)
}

/// Wraps the value of a private key that stands on a member and may be seen. From then on it may be seen no more.
pub(crate) fn wrap(desk: &Desk<'_>, kek: Handle, key: Handle) -> Answer<Vec<u8>> {
    let readings = desk.member.read(desk.session, key, &[CKA_SEED, CKA_VALUE])?;
    let value = readings.into_iter().find_map(|reading| match reading {
        Reading::Value(Value::Bytes(bytes)) if !bytes.is_empty() => Some(bytes),
        _ => None,
    });
    let value = value.ok_or_else(|| Fault::new(Call::Read, CKR_KEY_NOT_WRAPPABLE))?;
    let template = passing().with(CKA_VALUE, Value::Bytes(value));
    let secret = desk.member.create(desk.session, &template)?;
    let wrapped = carry::wrap(desk, kek, secret);
    desk.discard(secret);
    desk.member.write(desk.session, key, &Template::new().with(CKA_SENSITIVE, true))?;
    wrapped
}

/// Unwraps a value, and makes the private key of it that the template describes.
pub(crate) fn unwrap(
    desk: &Desk<'_>,
    kek: Handle,
    wrapped: &[u8],
    template: &Template,
) -> Answer<Handle> {
    let mut secret = readable(0);
    // A length there makes some modules cut it short.
    secret.remove(CKA_VALUE_LEN);
    let value = reveal(desk, carry::unwrap(desk, kek, wrapped, &secret)?)?;
    let kind = attribute(template.key_type().unwrap_or(CK_UNAVAILABLE_INFORMATION), value.len());
    desk.member.create(desk.session, &template.clone().with(kind, Value::Bytes(value)))
}
