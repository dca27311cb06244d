//! Making, wrapping and deriving keys (PKCS #11 3.2 section 5.18).

use super::sealing::Sealing;
use crate::abi::RawParameter;
use crate::abi::wire::{Caller, Output, Place};
use tandem_engine::error::Result;
use tandem_engine::step::{Bytes, Output as Sent, Room};
use tandem_values::{Handle, Mechanism, MechanismType, Template, ck::*};

/// Where a key's handle goes.
type PutKey<'a> = Place<'a, CK_OBJECT_HANDLE>;

/// C_GenerateKey.
pub fn generate(
    session: Caller<'_>,
    mechanism: Mechanism,
    template: Template,
    key: PutKey<'_>,
) -> Result {
    key.set(session.generate(&mechanism, &template)?);
    Ok(())
}

/// C_GenerateKeyPair.
pub fn generate_pair(
    session: Caller<'_>,
    mechanism: Mechanism,
    public: Template,
    private: Template,
    public_key: PutKey<'_>,
    private_key: PutKey<'_>,
) -> Result {
    let pair = session.generate_pair(&mechanism, &public, &private)?;
    public_key.set(pair.public);
    private_key.set(pair.private);
    Ok(())
}

/// C_WrapKey. To tell the length, the key is wrapped too: it depends on the key and on the mechanism.
pub fn wrap(
    session: Caller<'_>,
    mechanism: Mechanism,
    by: Handle,
    key: Handle,
    out: Output<'_>,
) -> Result {
    out.put(&session.wrap(&mechanism, by, key)?)
}

/// C_UnwrapKey.
pub fn unwrap(
    session: Caller<'_>,
    mechanism: Mechanism,
    by: Handle,
    wrapped: Bytes,
    template: Template,
    key: PutKey<'_>,
) -> Result {
    key.set(session.unwrap(&mechanism, by, &wrapped, &template)?);
    Ok(())
}

/// C_DeriveKey. `phKey` may be null for a few mechanisms of TLS, none of which Tandem carries: CKR_ARGUMENTS_BAD.
pub fn derive(
    session: Caller<'_>,
    mechanism: Mechanism,
    base: Handle,
    template: Template,
    key: PutKey<'_>,
) -> Result {
    key.set(session.derive(&mechanism, base, &template)?);
    Ok(())
}

/// C_EncapsulateKey.
pub fn encapsulate(
    session: Caller<'_>,
    mechanism: Mechanism,
    public: Handle,
    template: Template,
    out: Output<'_>,
    key: PutKey<'_>,
) -> Result {
    let room = out.room().map_or(Room::Query, Room::Bytes);
    match session.encapsulate(&mechanism, public, &template, room)? {
        (Sent::Bytes(ciphertext), secret) => {
            out.put(&ciphertext)?;
            key.set(secret);
            Ok(())
        }
        (Sent::Length(len), _) => out.needs(len),
        (Sent::Short(len), _) => out.needs(len).and_then(|()| Err(CKR_BUFFER_TOO_SMALL.into())),
        _ => Err(CKR_GENERAL_ERROR.into()),
    }
}

/// C_DecapsulateKey.
pub fn decapsulate(
    session: Caller<'_>,
    mechanism: Mechanism,
    private: Handle,
    template: Template,
    ciphertext: Bytes,
    key: PutKey<'_>,
) -> Result {
    key.set(session.decapsulate(&mechanism, private, &ciphertext, &template)?);
    Ok(())
}

/// C_WrapKeyAuthenticated. The tag goes where the parameter has its place.
pub fn wrap_authenticated(
    session: Caller<'_>,
    (kind, raw): (MechanismType, RawParameter<'_>),
    by: Handle,
    key: Handle,
    aad: Bytes,
    out: Output<'_>,
) -> Result {
    let sealing = Sealing::new(kind, raw, &aad)?;
    let sealed = session.wrap(&sealing.mechanism, by, key)?;
    let (wrapped, tag) = sealing.apart(&sealed)?;
    out.put(wrapped)?;
    if out.room().is_some() { sealing.write(tag) } else { Ok(()) }
}

/// C_UnwrapKeyAuthenticated.
pub fn unwrap_authenticated(
    session: Caller<'_>,
    (kind, raw): (MechanismType, RawParameter<'_>),
    by: Handle,
    wrapped: Bytes,
    template: Template,
    aad: Bytes,
    key: PutKey<'_>,
) -> Result {
    let sealing = Sealing::new(kind, raw, &aad)?;
    let sealed = [&wrapped[..], sealing.tag()].concat();
    key.set(session.unwrap(&sealing.mechanism, by, &sealed, &template)?);
    Ok(())
}
