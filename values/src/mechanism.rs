//! Mechanisms with their parameters, owned (PKCS #11 3.2 section 6).
//!
//! On Unix every parameter structure is a row of eight-byte words: numbers, pointers and lengths. So one table of
//! layouts is enough to copy a parameter out of an application's memory and to build it again for a
//! vendor, wherever it was asked and whenever it is asked again. A mechanism that is not in the table is
//! not offered: its parameter could hold pointers that nobody knows of.

use crate::{Handle, names};
use cryptoki_sys::*;
use std::fmt;
use zeroize::Zeroizing;

/// The number of a mechanism (CKM_…).
pub type MechanismType = CK_MECHANISM_TYPE;

/// A mechanism and its parameter.
#[derive(Clone, PartialEq, Eq)]
pub struct Mechanism {
    /// Which mechanism (CKM_…).
    pub kind: MechanismType,
    /// Its parameter.
    pub parameter: Parameter,
}

impl Mechanism {
    /// A mechanism without a parameter.
    pub const fn plain(kind: MechanismType) -> Self {
        Self { kind, parameter: Parameter::None }
    }

    /// A mechanism whose parameter is flat bytes, such as an IV.
    pub fn flat(kind: MechanismType, bytes: &[u8]) -> Self {
        Self { kind, parameter: Parameter::Flat(Zeroizing::new(bytes.to_vec())) }
    }
}

/// Names the mechanism only: a parameter may hold secrets.
impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names::mechanism(self.kind))
    }
}

/// A mechanism's parameter.
#[derive(Clone, PartialEq, Eq)]
pub enum Parameter {
    /// No parameter.
    None,
    /// Bytes without pointers: an IV, a structure of numbers.
    Flat(Zeroizing<Vec<u8>>),
    /// A structure with pointers, part by part in the order of its layout.
    Parts(Vec<Part>),
}

/// One part of a structured parameter.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// A CK_ULONG, or a word of smaller fields kept as it is.
    Number(u64),
    /// Bytes behind a pointer; `None` for a null pointer.
    Bytes(Option<Zeroizing<Vec<u8>>>),
    /// Bytes that stand in the structure itself.
    Inline(Vec<u8>),
    /// A key, by the handle of whoever speaks: the application's above the engine, the member's below.
    Key(Handle),
    /// A structure behind a pointer; `None` for a null pointer.
    Nested(Option<Vec<Self>>),
}

/// One field of a structured parameter, in the order of the C structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// One word, taken as it is: CK_ULONG, or CK_BBOOLs and their padding.
    Number,
    /// A CK_OBJECT_HANDLE.
    Key,
    /// Pointer, then length in bytes.
    Bytes,
    /// Length in bytes, then pointer.
    LengthBytes,
    /// Pointer, then length in bits.
    Bits,
    /// So many bytes in the structure itself, a multiple of eight.
    Inline(usize),
    /// A pointer to a structure of these fields.
    Nested(&'static [Self]),
}

impl Field {
    /// How many words of the structure this field takes.
    pub const fn words(self) -> usize {
        match self {
            Self::Number | Self::Key | Self::Nested(_) => 1,
            Self::Bytes | Self::LengthBytes | Self::Bits => 2,
            Self::Inline(bytes) => bytes / 8,
        }
    }
}

/// What a mechanism's parameter looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nothing, or flat bytes of at most [`FLAT_BYTES_MAX`]: the member judges the length.
    Flat,
    /// A structure that must be there.
    Fields(&'static [Field]),
    /// A structure that may be left out.
    OptionalFields(&'static [Field]),
}

/// The longest flat parameter and the longest byte string inside a structured one, in bytes.
pub const FLAT_BYTES_MAX: usize = 1 << 20;

const OAEP: &[Field] = &[Field::Number, Field::Number, Field::Number, Field::Bytes];
const ECDH: &[Field] = &[Field::Number, Field::LengthBytes, Field::LengthBytes];
const CONTEXT: &[Field] = &[Field::Number, Field::Bytes];

/// The layout of a mechanism's parameter; `None` for a mechanism that Tandem does not carry.
#[expect(clippy::too_many_lines, reason = "one table, a line for each kind of parameter")]
pub const fn layout(kind: MechanismType) -> Option<Layout> {
    use Field::{Bits, Bytes, Inline, Key, LengthBytes, Nested, Number};
    Some(match kind {
        CKM_RSA_PKCS_OAEP => Layout::Fields(OAEP),
        CKM_AES_GCM => Layout::Fields(&[Bytes, Number, Bytes, Number]),
        CKM_AES_CCM => Layout::Fields(&[Number, Bytes, Bytes, Number]),
        CKM_CHACHA20_POLY1305 | CKM_SALSA20_POLY1305 => Layout::Fields(&[Bytes, Bytes]),
        CKM_CHACHA20 => Layout::Fields(&[Bits, Bits]),
        CKM_ECDH1_DERIVE | CKM_ECDH1_COFACTOR_DERIVE => Layout::Fields(ECDH),
        CKM_EDDSA => Layout::OptionalFields(&[Number, LengthBytes]),
        CKM_AES_CBC_ENCRYPT_DATA => Layout::Fields(&[Inline(16), Bytes]),
        CKM_DES_CBC_ENCRYPT_DATA | CKM_DES3_CBC_ENCRYPT_DATA => Layout::Fields(&[Inline(8), Bytes]),
        CKM_AES_ECB_ENCRYPT_DATA
        | CKM_DES_ECB_ENCRYPT_DATA
        | CKM_DES3_ECB_ENCRYPT_DATA
        | CKM_CONCATENATE_BASE_AND_DATA
        | CKM_CONCATENATE_DATA_AND_BASE
        | CKM_XOR_BASE_AND_DATA => Layout::Fields(&[Bytes]),
        CKM_CONCATENATE_BASE_AND_KEY => Layout::Fields(&[Key]),
        CKM_HKDF_DERIVE | CKM_HKDF_DATA => {
            Layout::Fields(&[Number, Number, Number, Bytes, Key, Bytes])
        }
        CKM_RSA_AES_KEY_WRAP => Layout::Fields(&[Number, Nested(OAEP)]),
        CKM_ECDH_AES_KEY_WRAP => Layout::Fields(&[Number, Number, LengthBytes]),
        CKM_HASH_ML_DSA | CKM_HASH_SLH_DSA => Layout::Fields(&[Number, Bytes, Number]),
        CKM_ML_DSA
        | CKM_SLH_DSA
        | CKM_HASH_ML_DSA_SHA224..=CKM_HASH_ML_DSA_SHAKE256
        | CKM_HASH_SLH_DSA_SHA224..=CKM_HASH_SLH_DSA_SHAKE256 => Layout::OptionalFields(CONTEXT),
        CKM_RSA_PKCS_KEY_PAIR_GEN..=CKM_RSA_X_509
        | CKM_MD5_RSA_PKCS
        | CKM_SHA1_RSA_PKCS
        | CKM_RSA_X9_31_KEY_PAIR_GEN..=CKM_SHA1_RSA_PKCS_PSS
        | CKM_DSA_KEY_PAIR_GEN..=CKM_DSA_SHA512
        | CKM_DH_PKCS_KEY_PAIR_GEN
        | CKM_DH_PKCS_DERIVE
        | CKM_SHA256_RSA_PKCS..=CKM_SHA224_RSA_PKCS_PSS
        | CKM_SHA512_224..=CKM_SHA512_T_KEY_DERIVATION
        | CKM_SHA3_256_RSA_PKCS..=CKM_SHA3_224_RSA_PKCS_PSS
        | CKM_DES_KEY_GEN..=CKM_DES_CBC_PAD
        | CKM_DES2_KEY_GEN..=CKM_DES3_CBC_PAD
        | CKM_DES3_CMAC_GENERAL..=CKM_DES_CFB8
        | CKM_DSA_SHA3_224..=CKM_DSA_SHA3_512
        | CKM_DSA_PARAMETER_GEN..=CKM_DH_PKCS_PARAMETER_GEN
        | CKM_MD5..=CKM_MD5_HMAC_GENERAL
        | CKM_SHA_1..=CKM_SHA_1_HMAC_GENERAL
        | CKM_SHA256..=CKM_SHA512_HMAC_GENERAL
        | CKM_SHA3_256..=CKM_SHA3_512_KEY_GEN
        | CKM_GENERIC_SECRET_KEY_GEN
        | CKM_PUB_KEY_FROM_PRIV_KEY
        | CKM_EXTRACT_KEY_FROM_KEY
        | CKM_SHA1_KEY_DERIVATION..=CKM_SHA224_KEY_DERIVATION
        | CKM_GOSTR3410_KEY_PAIR_GEN..=CKM_GOSTR3410_WITH_GOSTR3411
        | CKM_GOSTR3411..=CKM_GOST28147_MAC
        | CKM_EC_KEY_PAIR_GEN..=CKM_ECDSA_SHA512
        | CKM_EC_EDWARDS_KEY_PAIR_GEN
        | CKM_EC_MONTGOMERY_KEY_PAIR_GEN
        | CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS
        | CKM_ECDSA_SHA3_224..=CKM_ECDSA_SHA3_512
        | CKM_AES_KEY_GEN..=CKM_AES_CTR
        | CKM_AES_CTS
        | CKM_AES_CMAC..=CKM_AES_CMAC_GENERAL
        | CKM_AES_XCBC_MAC..=CKM_AES_GMAC
        | CKM_AES_OFB..=CKM_AES_CFB1
        | CKM_AES_KEY_WRAP..=CKM_AES_KEY_WRAP_PKCS7
        | CKM_AES_XTS
        | CKM_AES_XTS_KEY_GEN
        | CKM_HKDF_KEY_GEN
        | CKM_CHACHA20_KEY_GEN
        | CKM_POLY1305_KEY_GEN
        | CKM_POLY1305
        | CKM_SHA_1_KEY_GEN..=CKM_SHA512_224_KEY_GEN
        | CKM_ML_DSA_KEY_PAIR_GEN
        | CKM_SLH_DSA_KEY_PAIR_GEN
        | CKM_ML_KEM_KEY_PAIR_GEN
        | CKM_ML_KEM => Layout::Flat,
        _ => return None,
    })
}

/// The layout of a message's parameter (PKCS #11 3.2 sections 6.13.3, 6.13.5 and 6.64.4); `None` for a mechanism whose
/// messages have none.
pub const fn message_layout(kind: MechanismType) -> Option<&'static [Field]> {
    use Field::{Bits, Bytes, Inline, Nested, Number};
    Some(match kind {
        CKM_AES_GCM => &[Bytes, Number, Number, Bits],
        CKM_AES_CCM => &[Number, Bytes, Number, Number, Bytes],
        // The tag is sixteen bytes behind a pointer that has no length beside it.
        CKM_CHACHA20_POLY1305 | CKM_SALSA20_POLY1305 => &[Bytes, Nested(&[Inline(16)])],
        _ => return None,
    })
}
