//! The kinds of keys that pairing tries to carry, with the names that operators use.

use super::recipe;
use super::scratch::Scratch;
use crate::fault::Answer;
use crate::ring::RingKey;
use tandem_values::{Handle, Mechanism, Template, ck::*};

/// A kind of key.
pub(super) struct Kind {
    /// Its name: `rsa:2048`, `ec:p256`, `generic:20`, …
    pub(super) name: &'static str,
    /// CKK_…
    pub(super) key_type: u64,
    make: Make,
}

/// How a key is made.
enum Make {
    /// A pair, with the one attribute of the public template that says which: mechanism, attribute, and its value.
    Pair(u64, Domain),
    /// A secret key of so many bytes.
    Secret(u64, u64),
}

/// What the public template of a pair says.
enum Domain {
    /// CKA_MODULUS_BITS; the exponent is 65537.
    Bits(u64),
    /// CKA_EC_PARAMS: an object identifier in DER.
    Curve(&'static [u8]),
}

/// 1.2.840.10045.3.1.7 (secp256r1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34 (secp384r1).
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.132.0.35 (secp521r1).
const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
/// 1.3.101.112 (RFC 8410).
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

const fn rsa(name: &'static str, bits: u64) -> Kind {
    let make = Make::Pair(CKM_RSA_PKCS_KEY_PAIR_GEN, Domain::Bits(bits));
    Kind { name, key_type: CKK_RSA, make }
}

const fn ec(name: &'static str, curve: &'static [u8]) -> Kind {
    let make = Make::Pair(CKM_EC_KEY_PAIR_GEN, Domain::Curve(curve));
    Kind { name, key_type: CKK_EC, make }
}

const fn edwards(name: &'static str, curve: &'static [u8]) -> Kind {
    let make = Make::Pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, Domain::Curve(curve));
    Kind { name, key_type: CKK_EC_EDWARDS, make }
}

const fn aes(name: &'static str, len: u64) -> Kind {
    Kind { name, key_type: CKK_AES, make: Make::Secret(CKM_AES_KEY_GEN, len) }
}

const fn generic(name: &'static str, len: u64) -> Kind {
    let make = Make::Secret(CKM_GENERIC_SECRET_KEY_GEN, len);
    Kind { name, key_type: CKK_GENERIC_SECRET, make }
}

/// What is tried. The lengths of secrets are those of keys and of hashes, an odd one, and one that is too short for a MAC
/// on some modules.
pub(super) const ALL: &[Kind] = &[
    rsa("rsa:2048", 2048),
    ec("ec:p256", P256),
    ec("ec:p384", P384),
    ec("ec:p521", P521),
    edwards("ed25519", ED25519),
    aes("aes:128", 16),
    aes("aes:256", 32),
    generic("generic:16", 16),
    generic("generic:20", 20),
    generic("generic:32", 32),
    generic("generic:33", 33),
    generic("generic:64", 64),
];

/// The kinds, those first that take a module the shortest to make: where any kind will do, nobody waits for RSA's primes.
pub(super) fn quick_first() -> Vec<&'static Kind> {
    // Of the secret keys the longest first: a generic secret, which more can be tried with than with an AES key.
    let mut kinds: Vec<_> = ALL.iter().rev().collect();
    kinds.sort_by_key(|kind| kind.effort());
    kinds
}

/// A fresh key: the one that is carried, and the public half of a pair.
pub(super) struct Fresh {
    pub(super) key: Handle,
    pub(super) public: Option<Handle>,
}

impl Kind {
    /// How hard it is to make, against the others.
    const fn effort(&self) -> u8 {
        match self.make {
            Make::Secret(..) => 0,
            Make::Pair(_, Domain::Curve(P256)) => 1,
            Make::Pair(_, Domain::Curve(_)) => 2,
            Make::Pair(_, Domain::Bits(_)) => 3,
        }
    }

    /// CKO_PRIVATE_KEY or CKO_SECRET_KEY.
    pub(super) const fn class(&self) -> u64 {
        match self.make {
            Make::Pair(..) => CKO_PRIVATE_KEY,
            Make::Secret(..) => CKO_SECRET_KEY,
        }
    }

    /// The closed KEK for it.
    pub(super) const fn kek(&self) -> RingKey {
        match self.make {
            Make::Pair(..) => RingKey::Private,
            Make::Secret(..) => RingKey::Secret,
        }
    }

    /// The length of a secret key in bytes; `None` for a private key.
    pub(super) const fn len(&self) -> Option<u64> {
        match self.make {
            Make::Pair(..) => None,
            Make::Secret(_, len) => Some(len),
        }
    }

    /// Makes a key as Tandem makes them: a session object, sensitive, extractable, with the usage given.
    pub(super) fn generate(&self, scratch: &Scratch<'_>, usage: &[u64]) -> Answer<Fresh> {
        let desk = &scratch.desk;
        let own = Template::new()
            .with(CKA_TOKEN, false)
            .with(CKA_PRIVATE, true)
            .with(CKA_SENSITIVE, true)
            .with(CKA_EXTRACTABLE, true);
        let own = usage.iter().fold(own, |own, kind| own.with(*kind, true));
        match &self.make {
            Make::Secret(mechanism, len) => {
                let own = own.with(CKA_KEY_TYPE, self.key_type).with(CKA_VALUE_LEN, *len);
                let mechanism = Mechanism::plain(*mechanism);
                let key = desk.member.generate(desk.session, &mechanism, &own)?;
                Ok(Fresh { key: scratch.keep(key), public: None })
            }
            Make::Pair(mechanism, domain) => {
                let public = Template::new()
                    .with(CKA_TOKEN, false)
                    .with(CKA_PRIVATE, false)
                    .with(CKA_VERIFY, true);
                let public = match domain {
                    Domain::Bits(bits) => public
                        .with(CKA_MODULUS_BITS, *bits)
                        .with(CKA_PUBLIC_EXPONENT, super::transport::EXPONENT),
                    Domain::Curve(curve) => public.with(CKA_EC_PARAMS, *curve),
                };
                let mechanism = Mechanism::plain(*mechanism);
                let pair = desk.member.generate_pair(desk.session, &mechanism, &public, &own)?;
                let pair = scratch.keep_pair(pair);
                Ok(Fresh { key: pair.private, public: Some(pair.public) })
            }
        }
    }

    /// The template with which a closed KEK lets it out, with the usage given.
    pub(super) fn closed(&self, usage: &[u64]) -> Template {
        recipe::closed(self.class(), self.key_type, usage)
    }

    /// The attributes that make its public half elsewhere.
    pub(super) const fn public_part(&self) -> &'static [u64] {
        match self.key_type {
            CKK_RSA => &[CKA_MODULUS, CKA_PUBLIC_EXPONENT],
            _ => &[CKA_EC_PARAMS, CKA_EC_POINT],
        }
    }
}
