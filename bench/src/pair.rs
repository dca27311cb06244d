//! Key pairs that are made to sign.

use crate::module::{Attribute, Result, Session};
use cryptoki_sys::*;

/// A kind of key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ECDSA on P-256.
    P256,
    /// RSA of 2048 bits.
    Rsa2048,
    /// EdDSA on Curve25519.
    Ed25519,
}

/// How long a pair stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay<'a> {
    /// As long as its session.
    InSession,
    /// On the token under this label, until it is destroyed.
    OnToken(&'a str),
}

/// The DER name of P-256.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Curve25519's name for signing, as a printable string and as an object identifier: each vendor wants its own.
const ED25519: [&[u8]; 2] = [b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"];

impl Kind {
    /// Makes a pair and answers its halves, the public one first.
    pub fn make(self, session: &Session<'_>, stay: Stay<'_>) -> Result<[CK_OBJECT_HANDLE; 2]> {
        let curve = |params: &[u8]| vec![Attribute::bytes(CKA_EC_PARAMS, params)];
        match self {
            Self::P256 => pair(session, CKM_EC_KEY_PAIR_GEN, stay, curve(&P256)),
            Self::Rsa2048 => {
                let size = Attribute::number(CKA_MODULUS_BITS, 2048);
                let own = vec![size, Attribute::bytes(CKA_PUBLIC_EXPONENT, [1, 0, 1])];
                pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, stay, own)
            }
            Self::Ed25519 => {
                let [one, other] = ED25519.map(curve);
                pair(session, CKM_EC_EDWARDS_KEY_PAIR_GEN, stay, one)
                    .or_else(|_| pair(session, CKM_EC_EDWARDS_KEY_PAIR_GEN, stay, other))
            }
        }
    }
}

fn pair(
    session: &Session<'_>,
    mechanism: CK_MECHANISM_TYPE,
    stay: Stay<'_>,
    own: Vec<Attribute>,
) -> Result<[CK_OBJECT_HANDLE; 2]> {
    let mut common = vec![Attribute::flag(CKA_TOKEN, stay != Stay::InSession)];
    if let Stay::OnToken(label) = stay {
        common.push(Attribute::bytes(CKA_LABEL, label));
    }
    let verifies = [Attribute::flag(CKA_VERIFY, true)];
    let public: Vec<_> = common.iter().cloned().chain(own).chain(verifies).collect();
    let signs = [CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN].map(|kind| Attribute::flag(kind, true));
    let private: Vec<_> = common.into_iter().chain(signs).collect();
    session.generate_pair(mechanism, &public, &private)
}
