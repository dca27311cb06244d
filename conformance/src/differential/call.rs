//! A call as a value: what it names is named by the number of the call that made it, so that calls can be left out.

use crate::work::Work;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use tandem_values::ck::*;
use tandem_values::names;

/// The number of a call, by which others name what it made: a session, an object, bytes. One that made nothing is a wrong handle.
pub type Id = u16;

/// A call, and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number.
    pub id: Id,
    /// The session it is made in.
    pub session: Id,
    /// What is called.
    pub what: What,
}

/// What is called, with what the C function takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "fields are named as the function's arguments are")]
pub enum What {
    /// C_OpenSession
    Open { writes: bool },
    /// C_CloseSession
    Close,
    /// C_Login
    Login,
    /// C_Logout
    Logout,
    /// C_GetSessionInfo
    SessionInfo,
    /// C_CreateObject
    Create { made: Made, flaw: Flaw },
    /// C_GenerateKey, C_GenerateKeyPair. The public key of a pair has the call's number, the private one the next.
    Generate { made: Made, flaw: Flaw },
    /// C_CopyObject
    Copy { from: Id, change: Change },
    /// C_DestroyObject
    Destroy { object: Id },
    /// C_GetAttributeValue
    Read { object: Id, kinds: Vec<u64>, room: usize },
    /// C_SetAttributeValue
    Write { object: Id, change: Change },
    /// C_FindObjectsInit
    FindInit { class: Option<u64>, token: Option<bool> },
    /// C_FindObjects
    Find { most: u64 },
    /// C_FindObjectsFinal
    FindFinal,
    /// C_XInit
    Init { work: Work, method: Method, key: Id, wrong: bool },
    /// C_X
    Whole { work: Work, data: Bytes, out: Room, signature: Bytes },
    /// C_XUpdate
    Update { work: Work, data: Bytes, out: Room },
    /// C_XFinal
    Final { work: Work, out: Room, signature: Bytes },
    /// C_DigestKey
    DigestKey { key: Id },
    /// C_WrapKey
    Wrap { by: Id, key: Id, out: Room },
    /// C_UnwrapKey
    Unwrap { by: Id, data: Bytes, flaw: Flaw },
    /// C_DeriveKey by CKM_AES_ECB_ENCRYPT_DATA
    Derive { base: Id },
    /// C_GenerateRandom
    Random { len: usize },
}

/// What is made.
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute, which is true or false")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Of what sort.
    pub sort: Sort,
    /// CKA_TOKEN
    pub token: bool,
    /// CKA_PRIVATE
    pub private: bool,
    /// CKA_SENSITIVE
    pub sensitive: bool,
    /// CKA_EXTRACTABLE
    pub extractable: bool,
    /// What it may do: all of it, or nothing.
    pub usable: bool,
}

/// Of what sort an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// CKO_DATA
    Data,
    /// CKO_CERTIFICATE
    Certificate,
    /// CKK_AES
    Aes,
    /// CKK_GENERIC_SECRET
    Secret,
    /// CKK_EC; created it is a public key, generated a pair.
    Ec,
}

/// What is wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flaw {
    /// Nothing.
    None,
    /// An attribute that must be there is missing.
    Missing,
    /// One has a value that it can't have.
    Value,
    /// One is no attribute of this class.
    Foreign,
}

/// What is changed of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// CKA_ID
    Id,
    /// CKA_SENSITIVE
    Sensitive(bool),
    /// CKA_EXTRACTABLE
    Extractable(bool),
    /// CKA_SIGN
    Sign(bool),
    /// CKA_ENCRYPT
    Encrypt(bool),
    /// CKA_TOKEN
    Token(bool),
    /// CKA_CLASS, which never changes.
    Class,
    /// CKA_VALUE
    Value,
}

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// CKM_SHA256
    Sha256,
    /// CKM_SHA512
    Sha512,
    /// CKM_SHA256_HMAC
    Hmac,
    /// CKM_ECDSA
    Ecdsa,
    /// CKM_ECDSA_SHA256
    EcdsaSha256,
    /// CKM_AES_ECB
    Ecb,
    /// CKM_AES_CBC
    Cbc,
    /// CKM_AES_CBC_PAD
    CbcPad,
    /// CKM_AES_CTR
    Ctr,
    /// CKM_AES_GCM
    Gcm,
    /// A mechanism that there isn't.
    NoSuch,
}

impl Method {
    /// True if the same comes of the same.
    pub const fn is_fixed(self) -> bool {
        !matches!(self, Self::Ecdsa | Self::EcdsaSha256)
    }
}

/// Bytes to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bytes {
    /// So many, always the same.
    Of(usize),
    /// What another call answered.
    From(Id),
    /// A null pointer with this length.
    Null(u64),
}

/// Room for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Room {
    /// For so many bytes.
    For(usize),
    /// None: the length is asked.
    Query,
}

impl Call {
    /// The C function.
    pub fn function(&self) -> &'static str {
        let of = |work: Work, at: usize| work.functions().get(at).copied().unwrap_or_default();
        match &self.what {
            What::Open { .. } => "C_OpenSession",
            What::Close => "C_CloseSession",
            What::Login => "C_Login",
            What::Logout => "C_Logout",
            What::SessionInfo => "C_GetSessionInfo",
            What::Create { .. } => "C_CreateObject",
            What::Generate { made, .. } if made.sort == Sort::Ec => "C_GenerateKeyPair",
            What::Generate { .. } => "C_GenerateKey",
            What::Copy { .. } => "C_CopyObject",
            What::Destroy { .. } => "C_DestroyObject",
            What::Read { .. } => "C_GetAttributeValue",
            What::Write { .. } => "C_SetAttributeValue",
            What::FindInit { .. } => "C_FindObjectsInit",
            What::Find { .. } => "C_FindObjects",
            What::FindFinal => "C_FindObjectsFinal",
            What::Init { work, .. } => of(*work, 0),
            What::Whole { work, .. } => of(*work, 1),
            What::Update { work, .. } => of(*work, 2),
            What::Final { work, .. } => of(*work, 3),
            What::DigestKey { .. } => "C_DigestKey",
            What::Wrap { .. } => "C_WrapKey",
            What::Unwrap { .. } => "C_UnwrapKey",
            What::Derive { .. } => "C_DeriveKey",
            What::Random { .. } => "C_GenerateRandom",
        }
    }
}

/// What a call answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// CKR_…
    pub rv: u64,
    /// The length that was told; a session's state; a count.
    pub number: Option<u64>,
    /// The bytes that came.
    pub bytes: Option<Vec<u8>>,
    /// The attributes that were read: number, length told, value.
    pub attributes: Vec<(u64, u64, Vec<u8>)>,
    /// Which of the sequence's objects were found.
    pub found: Option<Vec<Id>>,
    /// How the module died, if it did.
    pub died: Option<String>,
}

impl Outcome {
    /// Of a return value alone.
    pub fn of(rv: CK_RV) -> Self {
        Self { rv, ..Self::default() }
    }

    /// The module died, or hung.
    pub fn died(how: &str) -> Self {
        Self { rv: CKR_GENERAL_ERROR, died: Some(how.to_owned()), ..Self::default() }
    }

    /// For people.
    pub fn text(&self) -> String {
        if let Some(how) = &self.died {
            return how.clone();
        }
        let mut text = names::rv(self.rv).into_owned();
        if let Some(number) = self.number {
            let _ = write!(text, " {number}");
        }
        if let Some(bytes) = self.bytes.as_ref().filter(|bytes| !bytes.is_empty()) {
            let _ = write!(text, " {}", crate::answer::hex(bytes));
        }
        for (kind, len, value) in &self.attributes {
            let len = i64::from_ne_bytes(len.to_ne_bytes());
            let (name, value) = (names::attribute(*kind), crate::answer::hex(value));
            let _ = write!(text, " {name}={len}/{value}");
        }
        if let Some(found) = &self.found {
            let _ = write!(text, " {found:?}");
        }
        text
    }
}
