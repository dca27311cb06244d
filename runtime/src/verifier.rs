//! The host's judgement of signatures, by a well-kept library: ECDSA on P-256, P-384 and P-521, RSA and Ed25519. Other kinds are
//! for members to judge.

use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA256_FIXED,
    ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use tandem_engine::ports::Verifier;
use tandem_values::{Template, ck::*};

/// How long an uncompressed point is, with its first byte: on P-256, on P-384, on P-521.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;
const P521_POINT: usize = 133;
/// How long a public key of Ed25519 is.
const ED25519_KEY: usize = 32;
/// What PKCS #1 puts before a digest (DigestInfo), and whose.
const INFOS: [(&digest::Algorithm, [u8; 19]); 2] = [
    (
        &SHA256,
        [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ],
    ),
    (
        &SHA512,
        [
            0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x03, 0x05, 0x00, 0x04, 0x40,
        ],
    ),
];

/// Judges by AWS-LC.
pub struct HostVerifier;

impl Verifier for HostVerifier {
    fn is_good(&self, public: &Template, mechanism: u64, data: &[u8], signature: &[u8]) -> bool {
        let judged = match (public.key_type(), mechanism) {
            (Some(CKK_EC), CKM_ECDSA) => on_curve(public, data, signature),
            (Some(CKK_EC), CKM_ECDSA_SHA256) => {
                on_curve(public, digest::digest(&SHA256, data).as_ref(), signature)
            }
            (Some(CKK_EC_EDWARDS), CKM_EDDSA) => of_ed25519(public, data, signature),
            (Some(CKK_RSA), CKM_RSA_PKCS) => of_rsa(public, in_info(data), signature),
            (Some(CKK_RSA), CKM_SHA256_RSA_PKCS) => {
                of_rsa(public, Some(digest::digest(&SHA256, data)), signature)
            }
            _ => None,
        };
        judged == Some(true)
    }
}

/// Judges what was signed of a digest. The curve is known by the length of its points: one of the same length on another curve verifies
/// nothing.
fn on_curve(public: &Template, data: &[u8], signature: &[u8]) -> Option<bool> {
    let point = point(public)?;
    let (algorithm, hash): (&dyn VerificationAlgorithm, _) = match (point.len(), data.len()) {
        (P256_POINT, 32) => (&ECDSA_P256_SHA256_FIXED, &SHA256),
        (P384_POINT, 48) => (&ECDSA_P384_SHA384_FIXED, &SHA384),
        (P521_POINT, 32) => (&ECDSA_P521_SHA256_FIXED, &SHA256),
        (P521_POINT, 64) => (&ECDSA_P521_SHA512_FIXED, &SHA512),
        _ => return None,
    };
    let digest = Digest::import_less_safe(data, hash).ok()?;
    Some(UnparsedPublicKey::new(algorithm, point).verify_digest(&digest, signature).is_ok())
}

fn of_ed25519(public: &Template, message: &[u8], signature: &[u8]) -> Option<bool> {
    let point = point(public).filter(|point| point.len() == ED25519_KEY)?;
    Some(UnparsedPublicKey::new(&ED25519, point).verify(message, signature).is_ok())
}

fn of_rsa(public: &Template, digest: Option<Digest>, signature: &[u8]) -> Option<bool> {
    let digest = digest?;
    let scheme = if digest.algorithm() == &SHA256 {
        &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
    } else {
        &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
    };
    let key = rsa(public)?.as_der().ok()?;
    Some(UnparsedPublicKey::new(scheme, key.as_ref()).verify_digest(&digest, signature).is_ok())
}

/// The digest in a DigestInfo.
fn in_info(data: &[u8]) -> Option<Digest> {
    let (hash, digest) = INFOS
        .iter()
        .find_map(|(hash, info)| data.strip_prefix(info).map(|digest| (*hash, digest)))?;
    Digest::import_less_safe(digest, hash).ok()
}

/// The point, out of the DER octet string in which most modules put it.
fn point(public: &Template) -> Option<&[u8]> {
    let point = public.bytes(CKA_EC_POINT)?;
    Some(match point {
        // An uncompressed point begins as an octet string does.
        bare if [P256_POINT, P384_POINT, P521_POINT, ED25519_KEY].contains(&bare.len()) => bare,
        [0x04, 0x81, _, inner @ ..] | [0x04, _, inner @ ..] => inner,
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
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
    };

    const MESSAGE: &[u8] = b"a challenge that was just made up";

    fn public(key_type: u64, point: &[u8]) -> Template {
        Template::new()
            .with(CKA_CLASS, CKO_PUBLIC_KEY)
            .with(CKA_KEY_TYPE, key_type)
            .with(CKA_EC_POINT, point.to_vec())
    }

    /// As most modules put it.
    fn in_der(point: &[u8]) -> Vec<u8> {
        let len = u8::try_from(point.len()).expect("short");
        let head: &[u8] = if len < 0x80 { &[0x04, len] } else { &[0x04, 0x81, len] };
        [head, point].concat()
    }

    fn on(curve: &'static EcdsaSigningAlgorithm, hash: &'static digest::Algorithm) {
        let make = || EcdsaKeyPair::generate(curve).expect("a key");
        let (key, other) = (make(), make());
        let signature = key.sign(&SystemRandom::new(), MESSAGE).expect("a signature");
        let judged = |public: &Template, data: &[u8]| {
            HostVerifier.is_good(public, CKM_ECDSA, data, signature.as_ref())
        };
        let (data, another) = (digest::digest(hash, MESSAGE), digest::digest(hash, b"another"));
        for point in [in_der(key.public_key().as_ref()), key.public_key().as_ref().to_vec()] {
            assert!(judged(&public(CKK_EC, &point), data.as_ref()));
            assert!(!judged(&public(CKK_EC, &point), another.as_ref()));
            assert!(!judged(&public(CKK_EC, &point), &data.as_ref()[1..]), "no digest");
        }
        assert!(!judged(&public(CKK_EC, &in_der(other.public_key().as_ref())), data.as_ref()));
        assert!(!judged(&Template::new(), data.as_ref()), "nothing is known of it");
    }

    #[test]
    fn a_signature_is_good_under_its_own_key_only() {
        on(&ECDSA_P256_SHA256_FIXED_SIGNING, &SHA256);
        on(&ECDSA_P384_SHA384_FIXED_SIGNING, &SHA384);
        on(&ECDSA_P521_SHA512_FIXED_SIGNING, &SHA512);
    }

    #[test]
    fn a_member_that_hashes_is_judged_by_the_message() {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let signature = key.sign(&SystemRandom::new(), MESSAGE).expect("a signature");
        let known = public(CKK_EC, &in_der(key.public_key().as_ref()));
        assert!(HostVerifier.is_good(&known, CKM_ECDSA_SHA256, MESSAGE, signature.as_ref()));
        assert!(!HostVerifier.is_good(&known, CKM_ECDSA_SHA384, MESSAGE, signature.as_ref()));
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

    #[test]
    fn so_is_one_of_rsa_whose_digest_says_which_it_is() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        // SEQUENCE { INTEGER modulus, INTEGER exponent }
        let der = key.public_key().as_ref();
        let known = Template::new()
            .with(CKA_KEY_TYPE, CKK_RSA)
            .with(CKA_MODULUS, der[8..265].to_vec())
            .with(CKA_PUBLIC_EXPONENT, der[267..].to_vec());
        for (scheme, (hash, info)) in [&RSA_PKCS1_SHA256, &RSA_PKCS1_SHA512].into_iter().zip(INFOS)
        {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(scheme, &SystemRandom::new(), MESSAGE, &mut signature).expect("a signature");
            let judged = |data: &[u8]| HostVerifier.is_good(&known, CKM_RSA_PKCS, data, &signature);
            let data = [&info[..], digest::digest(hash, MESSAGE).as_ref()].concat();
            assert!(judged(&data));
            assert!(!judged(&[&info[..], digest::digest(hash, b"another").as_ref()].concat()));
            assert!(!judged(&data[1..]), "no DigestInfo");
            let message = HostVerifier.is_good(&known, CKM_SHA256_RSA_PKCS, MESSAGE, &signature);
            assert_eq!(message, hash == &SHA256);
        }
    }
}
