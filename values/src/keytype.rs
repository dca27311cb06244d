//! Types of keys as the operator writes them: `ec:p256`, `rsa:2048`, `aes:256`, `generic:32`, `ed25519`, `ml-dsa:65`.

use crate::ck::{
    CKA_DECAPSULATE, CKA_DECRYPT, CKA_EC_PARAMS, CKA_ENCAPSULATE, CKA_ENCRYPT, CKA_EXTRACTABLE,
    CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_MODULUS, CKA_MODULUS_BITS, CKA_PARAMETER_SET, CKA_PRIVATE,
    CKA_PUBLIC_EXPONENT, CKA_SENSITIVE, CKA_SIGN, CKA_TOKEN, CKA_VALUE_LEN, CKA_VERIFY, CKK_AES,
    CKK_EC, CKK_EC_EDWARDS, CKK_GENERIC_SECRET, CKK_ML_DSA, CKK_ML_KEM, CKK_RSA, CKK_SLH_DSA,
    CKM_AES_KEY_GEN, CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EC_KEY_PAIR_GEN, CKM_GENERIC_SECRET_KEY_GEN,
    CKM_ML_DSA_KEY_PAIR_GEN, CKM_ML_KEM_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN,
    CKM_SLH_DSA_KEY_PAIR_GEN, CKP_ML_DSA_44, CKP_ML_DSA_65, CKP_ML_DSA_87, CKP_ML_KEM_512,
    CKP_ML_KEM_768, CKP_ML_KEM_1024, CKP_SLH_DSA_SHA2_128F, CKP_SLH_DSA_SHA2_128S,
    CKP_SLH_DSA_SHA2_192F, CKP_SLH_DSA_SHA2_192S, CKP_SLH_DSA_SHA2_256F, CKP_SLH_DSA_SHA2_256S,
    CKP_SLH_DSA_SHAKE_128F, CKP_SLH_DSA_SHAKE_128S, CKP_SLH_DSA_SHAKE_192F, CKP_SLH_DSA_SHAKE_192S,
    CKP_SLH_DSA_SHAKE_256F, CKP_SLH_DSA_SHAKE_256S,
};
use crate::{Mechanism, Template, names};
use std::fmt;
use std::str::FromStr;

/// A type of key that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// An RSA key pair of so many bits.
    Rsa(u64),
    /// A key pair on this curve.
    Ec(&'static Curve),
    /// A post-quantum key pair of this parameter set.
    Set(&'static Set),
    /// An AES key of so many bits.
    Aes(u64),
    /// A generic secret of so many bytes.
    Generic(u64),
}

/// A curve, and how it is named.
#[derive(Debug, PartialEq, Eq)]
pub struct Curve {
    /// As the operator writes it.
    name: &'static str,
    /// CKK_…
    key_type: u64,
    /// CKM_… that makes a key pair on it.
    mechanism: u64,
    /// CKA_EC_PARAMS, in each way that modules write it; the first one is asked for.
    params: &'static [&'static [u8]],
}

/// A parameter set of a post-quantum algorithm, and how it is named.
#[derive(Debug, PartialEq, Eq)]
pub struct Set {
    /// As the operator writes it.
    name: &'static str,
    /// CKK_…
    key_type: u64,
    /// CKP_…
    number: u64,
}

impl Set {
    /// CKM_… that makes a key pair of it.
    const fn mechanism(&self) -> u64 {
        match self.key_type {
            CKK_ML_DSA => CKM_ML_DSA_KEY_PAIR_GEN,
            CKK_ML_KEM => CKM_ML_KEM_KEY_PAIR_GEN,
            _ => CKM_SLH_DSA_KEY_PAIR_GEN,
        }
    }
}

const fn set(name: &'static str, key_type: u64, number: u64) -> Set {
    Set { name, key_type, number }
}

/// The parameter sets of FIPS 203, 204 and 205.
static SETS: [Set; 18] = [
    set("ml-dsa:44", CKK_ML_DSA, CKP_ML_DSA_44),
    set("ml-dsa:65", CKK_ML_DSA, CKP_ML_DSA_65),
    set("ml-dsa:87", CKK_ML_DSA, CKP_ML_DSA_87),
    set("ml-kem:512", CKK_ML_KEM, CKP_ML_KEM_512),
    set("ml-kem:768", CKK_ML_KEM, CKP_ML_KEM_768),
    set("ml-kem:1024", CKK_ML_KEM, CKP_ML_KEM_1024),
    set("slh-dsa:sha2-128s", CKK_SLH_DSA, CKP_SLH_DSA_SHA2_128S),
    set("slh-dsa:shake-128s", CKK_SLH_DSA, CKP_SLH_DSA_SHAKE_128S),
    set("slh-dsa:sha2-128f", CKK_SLH_DSA, CKP_SLH_DSA_SHA2_128F),
    set("slh-dsa:shake-128f", CKK_SLH_DSA, CKP_SLH_DSA_SHAKE_128F),
    set("slh-dsa:sha2-192s", CKK_SLH_DSA, CKP_SLH_DSA_SHA2_192S),
    set("slh-dsa:shake-192s", CKK_SLH_DSA, CKP_SLH_DSA_SHAKE_192S),
    set("slh-dsa:sha2-192f", CKK_SLH_DSA, CKP_SLH_DSA_SHA2_192F),
    set("slh-dsa:shake-192f", CKK_SLH_DSA, CKP_SLH_DSA_SHAKE_192F),
    set("slh-dsa:sha2-256s", CKK_SLH_DSA, CKP_SLH_DSA_SHA2_256S),
    set("slh-dsa:shake-256s", CKK_SLH_DSA, CKP_SLH_DSA_SHAKE_256S),
    set("slh-dsa:sha2-256f", CKK_SLH_DSA, CKP_SLH_DSA_SHA2_256F),
    set("slh-dsa:shake-256f", CKK_SLH_DSA, CKP_SLH_DSA_SHAKE_256F),
];

/// The curves that are known by name. DER: object identifiers and, for Edwards curves, printable strings.
static CURVES: [Curve; 5] = [
    Curve {
        name: "ec:p256",
        key_type: CKK_EC,
        mechanism: CKM_EC_KEY_PAIR_GEN,
        params: &[b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"],
    },
    Curve {
        name: "ec:p384",
        key_type: CKK_EC,
        mechanism: CKM_EC_KEY_PAIR_GEN,
        params: &[b"\x06\x05\x2b\x81\x04\x00\x22"],
    },
    Curve {
        name: "ec:p521",
        key_type: CKK_EC,
        mechanism: CKM_EC_KEY_PAIR_GEN,
        params: &[b"\x06\x05\x2b\x81\x04\x00\x23"],
    },
    Curve {
        name: "ed25519",
        key_type: CKK_EC_EDWARDS,
        mechanism: CKM_EC_EDWARDS_KEY_PAIR_GEN,
        params: &[b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"],
    },
    Curve {
        name: "ed448",
        key_type: CKK_EC_EDWARDS,
        mechanism: CKM_EC_EDWARDS_KEY_PAIR_GEN,
        params: &[b"\x13\x0aedwards448", b"\x06\x03\x2b\x65\x71"],
    },
];

/// The forms, for whoever wrote none of them.
pub const FORMS: &str = "ec:p256, ec:p384, ec:p521, ed25519, ed448, rsa:BITS, ml-dsa:44|65|87, slh-dsa:sha2-128s (and the like), ml-kem:512|768|1024, aes:128|192|256 or generic:BYTES";

/// The public exponent of new RSA keys: 65537.
const EXPONENT: &[u8] = &[1, 0, 1];
/// Bits of an RSA key that this tool makes.
const RSA_BITS: std::ops::RangeInclusive<u64> = 2048..=16384;
/// Bytes of a generic secret that this tool makes.
const GENERIC_BYTES: std::ops::RangeInclusive<u64> = 1..=4096;

impl FromStr for KeyType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(curve) = CURVES.iter().find(|curve| curve.name == text) {
            return Ok(Self::Ec(curve));
        }
        if let Some(set) = SETS.iter().find(|set| set.name == text) {
            return Ok(Self::Set(set));
        }
        let unknown = || format!("{text:?} is no type of key; write {FORMS}");
        let (kind, size) = text.split_once(':').ok_or_else(unknown)?;
        let size = size.parse().map_err(|_| unknown())?;
        match kind {
            "rsa" if RSA_BITS.contains(&size) && size % 8 == 0 => Ok(Self::Rsa(size)),
            "aes" if [128, 192, 256].contains(&size) => Ok(Self::Aes(size)),
            "generic" if GENERIC_BYTES.contains(&size) => Ok(Self::Generic(size)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "rsa:{bits}"),
            Self::Ec(curve) => f.write_str(curve.name),
            Self::Set(set) => f.write_str(set.name),
            Self::Aes(bits) => write!(f, "aes:{bits}"),
            Self::Generic(bytes) => write!(f, "generic:{bytes}"),
        }
    }
}

/// How a key is made.
pub enum Recipe {
    /// C_GenerateKey.
    Secret(Mechanism, Template),
    /// C_GenerateKeyPair: public, private.
    Pair(Mechanism, Template, Template),
}

impl KeyType {
    /// How a token key of this type is made. What an application needs it for is not known, so it may do what keys of
    /// its type are commonly for, and never leave.
    pub fn recipe(&self, id: &[u8], label: &str) -> Recipe {
        let mut named = Template::new().with(CKA_TOKEN, true).with(CKA_ID, id);
        if !label.is_empty() {
            named.set(CKA_LABEL, label);
        }
        let secret = named
            .clone()
            .with(CKA_PRIVATE, true)
            .with(CKA_SENSITIVE, true)
            .with(CKA_EXTRACTABLE, false);
        match self {
            Self::Rsa(bits) => Recipe::Pair(
                Mechanism::plain(CKM_RSA_PKCS_KEY_PAIR_GEN),
                named
                    .with(CKA_MODULUS_BITS, *bits)
                    .with(CKA_PUBLIC_EXPONENT, EXPONENT)
                    .with(CKA_VERIFY, true)
                    .with(CKA_ENCRYPT, true),
                secret.with(CKA_SIGN, true).with(CKA_DECRYPT, true),
            ),
            Self::Ec(curve) => Recipe::Pair(
                Mechanism::plain(curve.mechanism),
                named
                    .with(CKA_EC_PARAMS, curve.params.first().copied().unwrap_or_default())
                    .with(CKA_VERIFY, true),
                secret.with(CKA_SIGN, true),
            ),
            Self::Set(set) => {
                let (public, private) = match set.key_type {
                    CKK_ML_KEM => (CKA_ENCAPSULATE, CKA_DECAPSULATE),
                    _ => (CKA_VERIFY, CKA_SIGN),
                };
                Recipe::Pair(
                    Mechanism::plain(set.mechanism()),
                    named.with(CKA_PARAMETER_SET, set.number).with(public, true),
                    secret.with(private, true),
                )
            }
            Self::Aes(bits) => Recipe::Secret(
                Mechanism::plain(CKM_AES_KEY_GEN),
                secret
                    .with(CKA_VALUE_LEN, bits / 8)
                    .with(CKA_ENCRYPT, true)
                    .with(CKA_DECRYPT, true),
            ),
            Self::Generic(bytes) => Recipe::Secret(
                Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN),
                secret.with(CKA_VALUE_LEN, *bytes).with(CKA_SIGN, true).with(CKA_VERIFY, true),
            ),
        }
    }
}

impl KeyType {
    /// True if this is the type of a key with these attributes.
    pub fn is_of(&self, template: &Template) -> bool {
        of(template).is_some_and(|name| name == self.to_string())
    }
}

/// What tells the type of a key, for [`of`].
pub const TOLD_BY: [u64; 5] =
    [CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_MODULUS, CKA_VALUE_LEN, CKA_PARAMETER_SET];

/// The type of a key as the operator writes it; as PKCS #11 names it where it is none of ours. `None` if it is no key.
pub fn of(template: &Template) -> Option<String> {
    let key_type = template.key_type()?;
    let curve = || {
        let params = template.bytes(CKA_EC_PARAMS)?;
        let found = CURVES
            .iter()
            .find(|curve| curve.key_type == key_type && curve.params.contains(&params))?;
        Some(found.name.to_owned())
    };
    let sized = match key_type {
        CKK_RSA => bits_of_modulus(template).map(|bits| format!("rsa:{bits}")),
        CKK_EC | CKK_EC_EDWARDS => curve(),
        CKK_ML_DSA | CKK_ML_KEM | CKK_SLH_DSA => {
            let number = template.number(CKA_PARAMETER_SET);
            let is_it = |set: &&Set| set.key_type == key_type && Some(set.number) == number;
            SETS.iter().find(is_it).map(|set| set.name.to_owned())
        }
        CKK_AES => template.number(CKA_VALUE_LEN).map(|bytes| format!("aes:{}", bytes * 8)),
        CKK_GENERIC_SECRET => {
            template.number(CKA_VALUE_LEN).map(|bytes| format!("generic:{bytes}"))
        }
        _ => None,
    };
    Some(sized.unwrap_or_else(|| names::key_type(key_type).to_string()))
}

fn bits_of_modulus(template: &Template) -> Option<u64> {
    if let Some(bits) = template.number(CKA_MODULUS_BITS) {
        return Some(bits);
    }
    let modulus = template.bytes(CKA_MODULUS)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    u64::try_from((modulus.len() - zeros) * 8)
        .ok()
        .map(|bits| bits - u64::from(first.leading_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        for text in [
            "ec:p256",
            "ec:p384",
            "ed25519",
            "rsa:2048",
            "ml-dsa:65",
            "slh-dsa:shake-128s",
            "ml-kem:768",
            "aes:256",
            "generic:20",
        ] {
            assert_eq!(text.parse::<KeyType>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "ec",
            "ml-dsa:66",
            "ec:p257",
            "rsa:1024",
            "rsa:2049",
            "aes:512",
            "generic:0",
            "rsa:x",
        ] {
            let error = text.parse::<KeyType>().unwrap_err();
            assert_eq!(error, format!("{text:?} is no type of key; write {FORMS}"));
        }
    }

    #[test]
    fn what_is_made_is_named_as_it_was_asked_for() {
        for text in [
            "ec:p256",
            "ed448",
            "rsa:3072",
            "ml-kem:512",
            "slh-dsa:sha2-256f",
            "aes:192",
            "generic:20",
        ] {
            let made = match text.parse::<KeyType>().unwrap().recipe(b"id", "label") {
                Recipe::Secret(_, secret) => secret,
                Recipe::Pair(_, public, _) => public,
            };
            // Members add the key's type, which no template of C_GenerateKey needs.
            let key_type = match text.split(':').next().unwrap() {
                "ec" => CKK_EC,
                "ed448" => CKK_EC_EDWARDS,
                "rsa" => CKK_RSA,
                "ml-kem" => CKK_ML_KEM,
                "slh-dsa" => CKK_SLH_DSA,
                "aes" => CKK_AES,
                _ => CKK_GENERIC_SECRET,
            };
            assert_eq!(of(&made.with(CKA_KEY_TYPE, key_type)).unwrap(), text);
        }
    }

    #[test]
    fn a_private_key_shows_its_size_by_its_modulus() {
        let mut modulus = vec![0x80_u8; 256];
        let key = Template::new().with(CKA_KEY_TYPE, CKK_RSA);
        assert_eq!(of(&key.clone().with(CKA_MODULUS, modulus.clone())).unwrap(), "rsa:2048");
        modulus.insert(0, 0);
        assert_eq!(of(&key.with(CKA_MODULUS, modulus)).unwrap(), "rsa:2048");
    }
}
