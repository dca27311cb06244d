//! The road between members: RSA-OAEP to a key pair of the receiver's.
//!
//! SHA-1 with MGF1-SHA-1, since SoftHSM has no other. OAEP needs no collision resistance, so that is no weakness.

use super::at::{At, wrong};
use super::scratch::Scratch;
use crate::desk::Desk;
use crate::error::Result;
use crate::fault::Answer;
use tandem_values::template::{Pair, Reading};
use tandem_values::{Handle, Mechanism, Parameter, Part, Template, Value, ck::*};

/// The size of a member's transport key, which lives for one pairing, in bits.
pub(super) const TRANSPORT_BITS: u64 = 2048;
/// 65537.
pub(super) const EXPONENT: &[u8] = &[1, 0, 1];

/// An RSA public key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) modulus: Vec<u8>,
    pub(super) exponent: Vec<u8>,
}

/// The mechanism.
pub(super) fn oaep() -> Mechanism {
    let parts = vec![
        Part::Number(CKM_SHA_1),
        Part::Number(CKG_MGF1_SHA1),
        Part::Number(CKZ_DATA_SPECIFIED),
        Part::Bytes(None),
    ];
    Mechanism { kind: CKM_RSA_PKCS_OAEP, parameter: Parameter::Parts(parts) }
}

/// Makes a key pair of session objects whose private half unwraps.
pub(super) fn generate(scratch: &Scratch<'_>, bits: u64, extractable: bool) -> Answer<Pair> {
    let desk = &scratch.desk;
    let public = Template::new()
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, false)
        .with(CKA_MODULUS_BITS, bits)
        .with(CKA_PUBLIC_EXPONENT, EXPONENT)
        .with(CKA_ENCRYPT, false)
        .with(CKA_VERIFY, false)
        .with(CKA_WRAP, true);
    let private = private(extractable);
    let mechanism = Mechanism::plain(CKM_RSA_PKCS_KEY_PAIR_GEN);
    desk.member
        .generate_pair(desk.session, &mechanism, &public, &private)
        .map(|pair| scratch.keep_pair(pair))
}

/// A private half that unwraps and does nothing else.
pub(super) fn private(extractable: bool) -> Template {
    Template::new()
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, extractable)
        .with(CKA_DECRYPT, false)
        .with(CKA_SIGN, false)
        .with(CKA_UNWRAP, true)
}

/// Reads the public half.
pub(super) fn public_key(desk: &Desk<'_>, public: Handle) -> Result<PublicKey> {
    let kinds = [CKA_MODULUS, CKA_PUBLIC_EXPONENT];
    let readings =
        desk.member.read(desk.session, public, &kinds).at(desk, "reading a public key")?;
    let mut bytes = readings.into_iter().map(|reading| match reading {
        Reading::Value(Value::Bytes(bytes)) if !bytes.is_empty() => Ok(bytes.to_vec()),
        _ => Err(wrong(desk, "it doesn't show the public half of an RSA key it made")),
    });
    let missing = || wrong(desk, "it answers fewer attributes than it was asked for");
    let modulus = bytes.next().ok_or_else(missing)??;
    let exponent = bytes.next().ok_or_else(missing)??;
    Ok(PublicKey { modulus, exponent })
}

/// Brings a public half to another member, to wrap for its owner there.
pub(super) fn import(scratch: &Scratch<'_>, key: &PublicKey) -> Answer<Handle> {
    let desk = &scratch.desk;
    let template = Template::new()
        .with(CKA_CLASS, CKO_PUBLIC_KEY)
        .with(CKA_KEY_TYPE, CKK_RSA)
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, false)
        .with(CKA_MODULUS, key.modulus.as_slice())
        .with(CKA_PUBLIC_EXPONENT, key.exponent.as_slice())
        .with(CKA_ENCRYPT, false)
        .with(CKA_VERIFY, false)
        .with(CKA_WRAP, true);
    desk.member.create(desk.session, &template).map(|handle| scratch.keep(handle))
}

/// Wraps a key for the owner of the private half.
pub(super) fn wrap(desk: &Desk<'_>, public: Handle, key: Handle) -> Answer<Vec<u8>> {
    desk.member.wrap(desk.session, &oaep(), public, key)
}
