//! The host's judgement of signatures, by a well-kept library: P-256, P-384, RSA and Ed25519. Other kinds are for members to judge.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use tandem_engine::ports::Verifier;
use tandem_values::{Template, ck::*};

/// How long an uncompressed point is, with its first byte: on P-256, on P-384.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;
/// How long a public key of Ed25519 is.
const ED25519_KEY: usize = 32;

/// Judges by `ring`.
pub struct HostVerifier;

impl Verifier for HostVerifier {
    fn is_good(&self, public: &Template, mechanism: u64, message: &[u8], signature: &[u8]) -> bool {
        match (public.key_type(), mechanism) {
            (Some(CKK_EC), CKM_ECDSA | CKM_ECDSA_SHA256) => {
                curve(public, mechanism).is_some_and(|(algorithm, point)| {
                    UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
                })
            }
            (Some(CKK_EC_EDWARDS), CKM_EDDSA) => {
                point(public).filter(|point| point.len() == ED25519_KEY).is_some_and(|point| {
                    UnparsedPublicKey::new(&ED25519, point).verify(message, signature).is_ok()
                })
            }
            (Some(CKK_RSA), CKM_RSA_PKCS | CKM_SHA256_RSA_PKCS) => rsa(public).is_some_and(|key| {
                let scheme = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                key.verify(scheme, message, signature).is_ok()
            }),
            _ => false,
        }
    }
}

/// The curve that a point of this length is on, with the hash that the mechanism goes with there. A point of the same length on another
/// curve verifies nothing.
fn curve(public: &Template, mechanism: u64) -> Option<(&'static dyn VerificationAlgorithm, &[u8])> {
    let point = point(public)?;
    match point.len() {
        P256_POINT => Some((&ECDSA_P256_SHA256_FIXED, point)),
        P384_POINT if mechanism == CKM_ECDSA => Some((&ECDSA_P384_SHA384_FIXED, point)),
        _ => None,
    }
}

/// The point, out of the DER octet string in which most modules put it.
fn point(public: &Template) -> Option<&[u8]> {
    let point = public.bytes(CKA_EC_POINT)?;
    Some(match point {
        [0x04, len, inner @ ..] if usize::from(*len) == inner.len() => inner,
        bare => bare,
    })
}

fn rsa(public: &Template) -> Option<RsaPublicKeyComponents<Vec<u8>>> {
    let number = |kind| {
        let bytes = public.bytes(kind)?;
        Some(bytes.iter().copied().skip_while(|byte| *byte == 0).collect())
    };
    Some(RsaPublicKeyComponents { n: number(CKA_MODULUS)?, e: number(CKA_PUBLIC_EXPONENT)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

    const MESSAGE: &[u8] = b"a challenge that was just made up";

    fn public(key_type: u64, point: &[u8]) -> Template {
        Template::new()
            .with(CKA_CLASS, CKO_PUBLIC_KEY)
            .with(CKA_KEY_TYPE, key_type)
            .with(CKA_EC_POINT, point.to_vec())
    }

    fn in_der(point: &[u8]) -> Vec<u8> {
        [&[0x04, u8::try_from(point.len()).expect("short")], point].concat()
    }

    #[test]
    fn a_signature_is_good_under_its_own_key_only() {
        let random = SystemRandom::new();
        let make = || {
            let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(scheme, &random).expect("a key");
            EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref(), &random).expect("a key")
        };
        let (key, other) = (make(), make());
        let signature = key.sign(&random, MESSAGE).expect("a signature");
        let judged = |public: &Template, message: &[u8]| {
            HostVerifier.is_good(public, CKM_ECDSA, message, signature.as_ref())
        };
        for point in [in_der(key.public_key().as_ref()), key.public_key().as_ref().to_vec()] {
            assert!(judged(&public(CKK_EC, &point), MESSAGE));
            assert!(!judged(&public(CKK_EC, &point), &MESSAGE[1..]));
        }
        assert!(!judged(&public(CKK_EC, &in_der(other.public_key().as_ref())), MESSAGE));
        assert!(!judged(&Template::new(), MESSAGE), "nothing is known of it");
    }

    #[test]
    fn so_is_one_of_ed25519() {
        let seed = [7; 32];
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        let signature = key.sign(MESSAGE);
        let known = public(CKK_EC_EDWARDS, &in_der(key.public_key().as_ref()));
        assert!(HostVerifier.is_good(&known, CKM_EDDSA, MESSAGE, signature.as_ref()));
        assert!(!HostVerifier.is_good(&known, CKM_EDDSA, b"another", signature.as_ref()));
        assert!(!HostVerifier.is_good(&known, CKM_ECDSA, MESSAGE, signature.as_ref()));
    }
}
