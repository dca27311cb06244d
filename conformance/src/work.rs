//! The kinds of cryptographic work that have one shape: C_XInit, then C_X, or C_XUpdate and C_XFinal.

use crate::answer::{Answer, Verdict};
use crate::argument::{Data, Out};
use crate::key::{Key, Sort, Usage};
use crate::module::Module;
use crate::token::Token;
use crate::value::{Mechanism, Parameter};
use serde::{Deserialize, Serialize};
use tandem_values::ck::*;

/// What is done. Verifying answers no bytes; the signature takes their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// C_Encrypt…
    Encrypt,
    /// C_Decrypt…
    Decrypt,
    /// C_Digest…
    Digest,
    /// C_Sign…
    Sign,
    /// C_Verify…
    Verify,
}

impl Work {
    /// C_XInit, C_X, C_XUpdate, C_XFinal.
    pub const fn functions(self) -> [&'static str; 4] {
        match self {
            Self::Encrypt => ["C_EncryptInit", "C_Encrypt", "C_EncryptUpdate", "C_EncryptFinal"],
            Self::Decrypt => ["C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal"],
            Self::Digest => ["C_DigestInit", "C_Digest", "C_DigestUpdate", "C_DigestFinal"],
            Self::Sign => ["C_SignInit", "C_Sign", "C_SignUpdate", "C_SignFinal"],
            Self::Verify => ["C_VerifyInit", "C_Verify", "C_VerifyUpdate", "C_VerifyFinal"],
        }
    }

    /// The flag of a mechanism that does it, and of C_SessionCancel.
    pub const fn flag(self) -> CK_FLAGS {
        match self {
            Self::Encrypt => CKF_ENCRYPT,
            Self::Decrypt => CKF_DECRYPT,
            Self::Digest => CKF_DIGEST,
            Self::Sign => CKF_SIGN,
            Self::Verify => CKF_VERIFY,
        }
    }

    /// The half of a key that does it.
    pub const fn half(self, key: Key) -> CK_OBJECT_HANDLE {
        match self {
            Self::Encrypt | Self::Verify => key.public,
            Self::Decrypt | Self::Sign => key.private,
            Self::Digest => CK_INVALID_HANDLE,
        }
    }

    /// True if its parts answer bytes.
    pub const fn answers_parts(self) -> bool {
        matches!(self, Self::Encrypt | Self::Decrypt)
    }
}

/// Room for whatever comes: a signature of SLH-DSA is the longest.
pub const ROOM: usize = 64 << 10;

/// A mechanism, and what there is to know of it.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// CKM_…
    pub kind: CK_MECHANISM_TYPE,
    /// The mechanism with its parameter.
    pub mechanism: fn() -> Mechanism,
    /// The same with a parameter that is wrong.
    pub wrong: Option<fn() -> Mechanism>,
    /// The key it takes.
    pub sort: Sort,
    /// So much data can be worked on.
    pub len: usize,
    /// True if it works in parts, too.
    pub parts: bool,
    /// True if the same comes of the same.
    pub fixed: bool,
    /// A length of data that it can't take.
    pub bad_len: Option<usize>,
}

const fn recipe(kind: CK_MECHANISM_TYPE, mechanism: fn() -> Mechanism, sort: Sort) -> Recipe {
    Recipe { kind, mechanism, wrong: None, sort, len: 48, parts: true, fixed: true, bad_len: None }
}

/// One without a parameter: any parameter is wrong.
macro_rules! plain {
    ($kind:ident, $sort:expr) => {
        Recipe {
            wrong: Some(|| Mechanism::new($kind, Parameter::bytes(&[1; 5]))),
            ..recipe($kind, || Mechanism::plain($kind), $sort)
        }
    };
}

/// The digests.
pub const DIGESTS: [Recipe; 6] = [
    plain!(CKM_SHA_1, Sort::None),
    plain!(CKM_SHA224, Sort::None),
    plain!(CKM_SHA256, Sort::None),
    plain!(CKM_SHA384, Sort::None),
    plain!(CKM_SHA512, Sort::None),
    plain!(CKM_SHA3_256, Sort::None),
];

/// Signatures and MACs.
pub const SIGNATURES: [Recipe; 14] = [
    plain!(CKM_SHA_1_HMAC, Sort::Secret),
    plain!(CKM_SHA256_HMAC, Sort::Secret),
    plain!(CKM_SHA512_HMAC, Sort::Secret),
    plain!(CKM_AES_CMAC, Sort::Aes),
    Recipe { len: 32, parts: false, fixed: false, ..plain!(CKM_ECDSA, Sort::Ec) },
    Recipe { fixed: false, ..plain!(CKM_ECDSA_SHA256, Sort::Ec) },
    Recipe { len: 32, parts: false, bad_len: Some(246), ..plain!(CKM_RSA_PKCS, Sort::Rsa) },
    plain!(CKM_SHA256_RSA_PKCS, Sort::Rsa),
    Recipe {
        wrong: Some(|| Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA_1)),
        fixed: false,
        ..recipe(
            CKM_SHA256_RSA_PKCS_PSS,
            || Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256),
            Sort::Rsa,
        )
    },
    Recipe { parts: false, ..plain!(CKM_EDDSA, Sort::Edwards) },
    Recipe { fixed: false, ..plain!(CKM_ML_DSA, Sort::MlDsa) },
    Recipe { fixed: false, ..plain!(CKM_HASH_ML_DSA_SHA512, Sort::MlDsa) },
    Recipe { fixed: false, ..plain!(CKM_SLH_DSA, Sort::SlhDsa) },
    Recipe { fixed: false, ..plain!(CKM_HASH_SLH_DSA_SHA256, Sort::SlhDsa) },
];

/// Ciphers.
pub const CIPHERS: [Recipe; 7] = [
    Recipe { bad_len: Some(15), ..plain!(CKM_AES_ECB, Sort::Aes) },
    Recipe {
        wrong: Some(|| Mechanism::with_iv(CKM_AES_CBC, &[1; 15])),
        bad_len: Some(15),
        ..recipe(CKM_AES_CBC, || Mechanism::with_iv(CKM_AES_CBC, &[1; 16]), Sort::Aes)
    },
    Recipe {
        wrong: Some(|| Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 15])),
        len: 45,
        ..recipe(CKM_AES_CBC_PAD, || Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 16]), Sort::Aes)
    },
    Recipe {
        wrong: Some(|| Mechanism::ctr(129, [1; 16])),
        len: 45,
        ..recipe(CKM_AES_CTR, || Mechanism::ctr(128, [1; 16]), Sort::Aes)
    },
    Recipe {
        wrong: Some(|| Mechanism::gcm(&[1; 12], &[2; 20], 129)),
        len: 45,
        ..recipe(CKM_AES_GCM, || Mechanism::gcm(&[1; 12], &[2; 20], 128), Sort::Aes)
    },
    Recipe {
        len: 32,
        parts: false,
        fixed: false,
        bad_len: Some(246),
        ..plain!(CKM_RSA_PKCS, Sort::Rsa)
    },
    Recipe {
        wrong: Some(|| Mechanism::plain(CKM_RSA_PKCS_OAEP)),
        len: 32,
        parts: false,
        fixed: false,
        bad_len: Some(215),
        ..recipe(CKM_RSA_PKCS_OAEP, Mechanism::oaep, Sort::Rsa)
    },
];

/// Work with a mechanism in a session, ready to be begun.
pub struct Task<'a> {
    module: &'a Module,
    session: CK_SESSION_HANDLE,
    work: Work,
    /// The mechanism.
    pub recipe: Recipe,
    /// The key.
    pub key: CK_OBJECT_HANDLE,
    /// What is worked on.
    pub input: Vec<u8>,
    /// What must come of it, if that is known: for [`Work::Verify`] the signature.
    pub wanted: Option<Vec<u8>>,
}

impl<'a> Task<'a> {
    /// Prepares a key, data, and what must come of it: by C_Encrypt what C_Decrypt takes, by C_Sign what C_Verify takes, and
    /// what comes in a single part where the same comes of the same.
    pub fn of(
        token: &Token<'a>,
        session: CK_SESSION_HANDLE,
        work: Work,
        recipe: Recipe,
    ) -> Verdict<Self> {
        let pair = if recipe.sort == Sort::None {
            Key { public: CK_INVALID_HANDLE, private: CK_INVALID_HANDLE }
        } else {
            token.key(recipe.sort, Usage::All)?
        };
        let text: Vec<u8> = (0..=u8::MAX).cycle().take(recipe.len).collect();
        let key = work.half(pair);
        let task = |input, wanted| Self {
            module: token.module,
            session,
            work,
            recipe,
            key,
            input,
            wanted,
        };
        let mechanism = (recipe.mechanism)();
        Ok(match work {
            Work::Decrypt => {
                let encrypted = token.encrypt(session, &mechanism, pair.public, &text)?;
                task(encrypted, Some(text))
            }
            Work::Verify => {
                let signature = token.sign(session, &mechanism, pair.private, &text)?;
                task(text, Some(signature))
            }
            Work::Encrypt | Work::Digest | Work::Sign => {
                let mut whole = task(text, None);
                if recipe.fixed {
                    let mut out = Out::room(ROOM);
                    whole.init().prepares()?;
                    whole.whole(&mut out).prepares()?;
                    whole.wanted = Some(out.bytes().to_vec());
                }
                whole
            }
        })
    }

    /// What is done.
    pub const fn work(&self) -> Work {
        self.work
    }

    /// Where.
    pub const fn session(&self) -> CK_SESSION_HANDLE {
        self.session
    }

    /// C_XInit.
    pub fn init(&self) -> Answer {
        self.init_with(&mut (self.recipe.mechanism)(), self.key)
    }

    /// C_XInit with another mechanism or key.
    pub fn init_with(&self, mechanism: &mut Mechanism, key: CK_OBJECT_HANDLE) -> Answer {
        let (module, session) = (self.module, self.session);
        match self.work {
            Work::Encrypt => module.C_EncryptInit(session, mechanism, key),
            Work::Decrypt => module.C_DecryptInit(session, mechanism, key),
            Work::Digest => module.C_DigestInit(session, mechanism),
            Work::Sign => module.C_SignInit(session, mechanism, key),
            Work::Verify => module.C_VerifyInit(session, mechanism, key),
        }
    }

    /// C_X with all of the data.
    pub fn whole(&self, out: &mut Out) -> Answer {
        self.whole_of((&self.input).into(), out)
    }

    /// C_X with other data.
    pub fn whole_of(&self, data: Data<'_>, out: &mut Out) -> Answer {
        let (module, session) = (self.module, self.session);
        match self.work {
            Work::Encrypt => module.C_Encrypt(session, data, out),
            Work::Decrypt => module.C_Decrypt(session, data, out),
            Work::Digest => module.C_Digest(session, data, out),
            Work::Sign => module.C_Sign(session, data, out),
            Work::Verify => module.C_Verify(session, data, self.signature()),
        }
    }

    /// C_XUpdate. Where parts answer no bytes, none come.
    pub fn update(&self, data: Data<'_>, out: &mut Out) -> Answer {
        let (module, session) = (self.module, self.session);
        if !self.work.answers_parts() {
            out.len = 0;
        }
        match self.work {
            Work::Encrypt => module.C_EncryptUpdate(session, data, out),
            Work::Decrypt => module.C_DecryptUpdate(session, data, out),
            Work::Digest => module.C_DigestUpdate(session, data),
            Work::Sign => module.C_SignUpdate(session, data),
            Work::Verify => module.C_VerifyUpdate(session, data),
        }
    }

    /// C_XFinal.
    pub fn last(&self, out: &mut Out) -> Answer {
        let (module, session) = (self.module, self.session);
        match self.work {
            Work::Encrypt => module.C_EncryptFinal(session, out),
            Work::Decrypt => module.C_DecryptFinal(session, out),
            Work::Digest => module.C_DigestFinal(session, out),
            Work::Sign => module.C_SignFinal(session, out),
            Work::Verify => module.C_VerifyFinal(session, self.signature()),
        }
    }

    fn signature(&self) -> Data<'_> {
        self.wanted.as_deref().unwrap_or_default().into()
    }

    /// All of the data in parts of so many bytes.
    pub fn in_parts(&self, size: usize) -> Verdict<Vec<u8>> {
        let mut all = Vec::new();
        self.init().ok()?;
        for part in self.input.chunks(size) {
            let mut out = Out::room(ROOM);
            self.update(part.into(), &mut out).ok()?;
            all.extend_from_slice(out.bytes());
        }
        let mut out = Out::room(ROOM);
        self.last(&mut out).ok()?;
        if self.work != Work::Verify {
            all.extend_from_slice(out.bytes());
        }
        Ok(all)
    }

    /// What came must be what is wanted; where that isn't known, it must be undone by the other half of the key.
    pub fn accept(&self, token: &Token<'_>, got: &[u8]) -> Verdict {
        if let Some(wanted) = &self.wanted {
            return crate::answer::same("what came", got, wanted);
        }
        let other = Self {
            module: self.module,
            session: self.session,
            work: if self.work == Work::Encrypt { Work::Decrypt } else { Work::Verify },
            recipe: self.recipe,
            key: token
                .key(self.recipe.sort, Usage::All)
                .map(|pair| if self.work == Work::Encrypt { pair.private } else { pair.public })?,
            input: if self.work == Work::Encrypt { got.to_vec() } else { self.input.clone() },
            wanted: (self.work == Work::Sign).then(|| got.to_vec()),
        };
        let mut out = Out::room(ROOM);
        other.init().ok()?;
        other.whole(&mut out).ok()?;
        if self.work == Work::Encrypt {
            crate::answer::same("what was decrypted", out.bytes(), &self.input)?;
        }
        Ok(())
    }
}
