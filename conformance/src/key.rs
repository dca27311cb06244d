//! Keys to work with.

use crate::answer::Verdict;
use crate::argument::Place;
use crate::module::Module;
use crate::template;
use crate::value::{Mechanism, Template};
use tandem_values::ck::*;

/// The curve P-256 (secp256r1), as CKA_EC_PARAMS has it.
pub const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Edwards25519 by its OID (RFC 8410).
pub const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// None: a digest needs no key.
    None,
    /// AES of 256 bits.
    Aes,
    /// A generic secret of 32 bytes.
    Secret,
    /// EC, P-256.
    Ec,
    /// Ed25519.
    Edwards,
    /// RSA of 2,048 bits.
    Rsa,
    /// ML-DSA-65.
    MlDsa,
    /// SLH-DSA-SHA2-128f.
    SlhDsa,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Everything that keys of its sort do.
    All,
    /// Nothing.
    None,
}

/// A key: both handles are the same if it isn't a pair.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// What encrypts and verifies.
    pub public: CK_OBJECT_HANDLE,
    /// What signs and decrypts.
    pub private: CK_OBJECT_HANDLE,
}

impl Sort {
    /// The mechanism that makes it.
    pub const fn generator(self) -> CK_MECHANISM_TYPE {
        match self {
            Self::None | Self::Aes => CKM_AES_KEY_GEN,
            Self::Secret => CKM_GENERIC_SECRET_KEY_GEN,
            Self::Ec => CKM_EC_KEY_PAIR_GEN,
            Self::Edwards => CKM_EC_EDWARDS_KEY_PAIR_GEN,
            Self::Rsa => CKM_RSA_PKCS_KEY_PAIR_GEN,
            Self::MlDsa => CKM_ML_DSA_KEY_PAIR_GEN,
            Self::SlhDsa => CKM_SLH_DSA_KEY_PAIR_GEN,
        }
    }

    /// A sort of key with which mechanisms for this one can do nothing.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::None | Self::Aes | Self::Secret => Self::Ec,
            Self::Ec | Self::Edwards | Self::Rsa | Self::MlDsa | Self::SlhDsa => Self::Aes,
        }
    }

    /// True if it is two keys.
    pub const fn is_pair(self) -> bool {
        matches!(self, Self::Ec | Self::Edwards | Self::Rsa | Self::MlDsa | Self::SlhDsa)
    }

    /// The template of the public key, or of the only one.
    pub fn public(self, usage: Usage) -> Template {
        let may = usage == Usage::All;
        match self {
            Self::None => Template::default(),
            Self::Aes => template! {
                CKA_VALUE_LEN: 32, CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: true,
                CKA_ENCRYPT: may, CKA_DECRYPT: may, CKA_SIGN: may, CKA_VERIFY: may,
                CKA_WRAP: may, CKA_UNWRAP: may, CKA_DERIVE: may,
            },
            Self::Secret => template! {
                CKA_VALUE_LEN: 32, CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: true,
                CKA_SIGN: may, CKA_VERIFY: may, CKA_DERIVE: may,
            },
            Self::Ec => template! { CKA_EC_PARAMS: &P256, CKA_TOKEN: false, CKA_VERIFY: may },
            Self::Edwards => {
                template! { CKA_EC_PARAMS: &ED25519, CKA_TOKEN: false, CKA_VERIFY: may }
            }
            Self::MlDsa => {
                template! { CKA_PARAMETER_SET: CKP_ML_DSA_65, CKA_TOKEN: false, CKA_VERIFY: may }
            }
            Self::SlhDsa => {
                template! { CKA_PARAMETER_SET: CKP_SLH_DSA_SHA2_128F, CKA_TOKEN: false, CKA_VERIFY: may }
            }
            Self::Rsa => template! {
                CKA_MODULUS_BITS: 2048, CKA_PUBLIC_EXPONENT: &[1, 0, 1], CKA_TOKEN: false,
                CKA_ENCRYPT: may, CKA_VERIFY: may, CKA_VERIFY_RECOVER: may, CKA_WRAP: may,
            },
        }
    }

    /// The template of the private key.
    pub fn private(self, usage: Usage) -> Template {
        let may = usage == Usage::All;
        let common = template! {
            CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: true, CKA_SIGN: may,
        };
        match self {
            Self::Ec => common.with(CKA_DERIVE, may),
            Self::Rsa => {
                common.with(CKA_DECRYPT, may).with(CKA_SIGN_RECOVER, may).with(CKA_UNWRAP, may)
            }
            _ => common,
        }
    }

    /// Makes one.
    pub fn make(self, module: &Module, session: CK_SESSION_HANDLE, usage: Usage) -> Verdict<Key> {
        let (mut public, mut private) = (Place::new(), Place::new());
        let (mut first, mut second) = (self.public(usage), self.private(usage));
        let mut mechanism = Mechanism::plain(self.generator());
        if self.is_pair() {
            module
                .C_GenerateKeyPair(
                    session,
                    &mut mechanism,
                    &mut first,
                    &mut second,
                    &mut public,
                    &mut private,
                )
                .prepares()?;
        } else if self != Self::None {
            module.C_GenerateKey(session, &mut mechanism, &mut first, &mut public).prepares()?;
            private.value = public.value;
        }
        Ok(Key { public: public.value, private: private.value })
    }
}
