//! The kinds of keys that Tandem promises to mirror: how they are made, found, used, and known again.

use crate::openssl::{PublicKey, SHA256_INFO};
use crate::value;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::fmt;

/// The named curve P-256, in DER.
pub const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// The named curve P-384, in DER.
pub const P384: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x22];
/// The named curve Ed25519, in DER.
pub const ED25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x70];
/// What is signed where nothing else is said: as long as a SHA-256 digest.
pub const DIGEST: [u8; 32] = *b"thirty-two bytes, like a digest.";

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSA of so many bits.
    Rsa(u64),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// EdDSA.
    Ed25519,
    /// AES of so many bytes.
    Aes(u64),
    /// AES of so many bytes that may only wrap: on a member it can't be proven by what it answers.
    Wrapping(u64),
    /// A generic secret of so many bytes.
    Generic(u64),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Aes(bytes) => write!(f, "AES-{}", bytes * 8),
            Self::Wrapping(bytes) => write!(f, "AES-{} that wraps", bytes * 8),
            Self::Generic(bytes) => write!(f, "generic secret, {bytes} bytes"),
        }
    }
}

/// A key that was made: its private part, or the secret, and its public part.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The private or secret key.
    pub key: ObjectHandle,
    /// The public key.
    pub public: Option<ObjectHandle>,
}

impl Kind {
    /// The class of what signs, or encrypts.
    pub fn class(self) -> ObjectClass {
        match self {
            Self::Aes(_) | Self::Wrapping(_) | Self::Generic(_) => ObjectClass::SECRET_KEY,
            _ => ObjectClass::PRIVATE_KEY,
        }
    }

    /// CKA_KEY_TYPE.
    pub fn key_type(self) -> KeyType {
        match self {
            Self::Rsa(_) => KeyType::RSA,
            Self::P256 | Self::P384 => KeyType::EC,
            Self::Ed25519 => KeyType::EC_EDWARDS,
            Self::Aes(_) | Self::Wrapping(_) => KeyType::AES,
            Self::Generic(_) => KeyType::GENERIC_SECRET,
        }
    }

    /// Makes one as a token object that is sensitive and can't be extracted.
    pub fn make(self, session: &Session, name: &str) -> Result<Made, Error> {
        self.make_with(session, name, &[Attribute::Sensitive(true), Attribute::Extractable(false)])
    }

    /// Makes one as a token object; these attributes go to the private or secret key.
    pub fn make_with(
        self,
        session: &Session,
        name: &str,
        more: &[Attribute],
    ) -> Result<Made, Error> {
        let common =
            [Attribute::Token(true), Attribute::Label(name.into()), Attribute::Id(name.into())];
        let public = |own: &[Attribute]| [&common, &[Attribute::Verify(true)][..], own].concat();
        let private =
            [&common, &[Attribute::Private(true), Attribute::Sign(true)][..], more].concat();
        let pair = |mechanism: &Mechanism<'_>, own: &[Attribute]| {
            let (public, key) = session.generate_key_pair(mechanism, &public(own), &private)?;
            Ok(Made { key, public: Some(public) })
        };
        let secret = |mechanism: &Mechanism<'_>, own: &[Attribute]| {
            let template = [&common, &[Attribute::Private(true)][..], own, more].concat();
            Ok(Made { key: session.generate_key(mechanism, &template)?, public: None })
        };
        match self {
            Self::Rsa(bits) => pair(
                &Mechanism::RsaPkcsKeyPairGen,
                &[Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])],
            ),
            Self::P256 => pair(&Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]),
            Self::P384 => pair(&Mechanism::EccKeyPairGen, &[Attribute::EcParams(P384.to_vec())]),
            Self::Ed25519 => {
                pair(&Mechanism::EccEdwardsKeyPairGen, &[Attribute::EcParams(ED25519.to_vec())])
            }
            Self::Aes(len) => secret(
                &Mechanism::AesKeyGen,
                &[
                    Attribute::ValueLen(len.into()),
                    Attribute::Encrypt(true),
                    Attribute::Decrypt(true),
                ],
            ),
            Self::Wrapping(len) => secret(
                &Mechanism::AesKeyGen,
                &[Attribute::ValueLen(len.into()), Attribute::Wrap(true)],
            ),
            Self::Generic(len) => secret(
                &Mechanism::GenericSecretKeyGen,
                &[Attribute::ValueLen(len.into()), Attribute::Sign(true), Attribute::Verify(true)],
            ),
        }
    }

    /// Finds one by id, as applications do. There must be one, and one public key where there should be.
    pub fn find(self, session: &Session, name: &str) -> Option<Made> {
        let id = Attribute::Id(name.into());
        let one = |class: ObjectClass| {
            let found =
                session.find_objects(&[Attribute::Class(class), id.clone()]).expect("a search");
            assert!(found.len() < 2, "{name} is there {} times", found.len());
            found.first().copied()
        };
        let key = one(self.class())?;
        let public = (self.class() == ObjectClass::PRIVATE_KEY)
            .then(|| one(ObjectClass::PUBLIC_KEY).expect("a public key"));
        Some(Made { key, public })
    }

    /// The public key that a session shows.
    pub fn public(self, session: &Session, made: Made) -> Option<PublicKey> {
        let public = made.public?;
        let read = |kind| value(session, public, kind);
        Some(match self {
            Self::Rsa(_) => {
                PublicKey::rsa(&read(AttributeType::Modulus), &read(AttributeType::PublicExponent))
            }
            Self::Ed25519 => PublicKey::ed25519(&read(AttributeType::EcPoint)),
            _ => PublicKey::ec(&read(AttributeType::EcParams), &read(AttributeType::EcPoint)),
        })
    }

    /// Works with the key: a signature, a MAC, or a ciphertext of [`DIGEST`], or a key of that value wrapped.
    pub fn work(self, session: &Session, made: Made) -> Result<Vec<u8>, Error> {
        match self {
            Self::Rsa(_) => {
                session.sign(&Mechanism::RsaPkcs, made.key, &[&SHA256_INFO[..], &DIGEST].concat())
            }
            Self::P256 | Self::P384 => session.sign(&Mechanism::Ecdsa, made.key, &DIGEST),
            Self::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                session.sign(&Mechanism::Eddsa(pure), made.key, &DIGEST)
            }
            Self::Aes(_) => session.encrypt(&Mechanism::AesCbc([7; 16]), made.key, &DIGEST),
            Self::Wrapping(_) => {
                let wrapped = session.create_object(&known_key())?;
                let answer = session.wrap_key(&Mechanism::AesKeyWrap, made.key, wrapped);
                session.destroy_object(wrapped)?;
                answer
            }
            // SoftHSM wants a key as long as the hash's output.
            Self::Generic(..32) => session.sign(&Mechanism::Sha1Hmac, made.key, &DIGEST),
            Self::Generic(_) => session.sign(&Mechanism::Sha256Hmac, made.key, &DIGEST),
        }
    }
}

/// A key of the session whose value everybody knows.
fn known_key() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Value(DIGEST.to_vec()),
    ]
}
