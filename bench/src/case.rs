//! What is measured: each case is one thing that an application does again and again.

use crate::module::{Attribute, Result, Session};
use crate::pair::{Kind, Stay};
use cryptoki_sys::*;
use serde::{Deserialize, Serialize};

/// The label of the key with which everybody begins.
pub const FIRST: &str = "bench-p256";
/// The labels of the keys that are used: who prepares a token makes these, as far as it can.
pub const LABELS: [(&str, &str); 5] = [
    (FIRST, "ec:p256"),
    ("bench-rsa2048", "rsa:2048"),
    ("bench-ed25519", "ed25519"),
    ("bench-hmac", "generic:32"),
    ("bench-aes256", "aes:256"),
];
/// The label of the keys that only fill the token.
pub const FILL: &str = "fill";

/// One thing that an application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// C_SignInit, C_Sign: ECDSA on P-256.
    SignP256,
    /// The same with RSA of 2048 bits, PKCS #1.
    SignRsa2048,
    /// The same with Ed25519.
    SignEd25519,
    /// The same: HMAC with SHA-256.
    Hmac,
    /// C_EncryptInit, C_Encrypt: AES-GCM, 16 bytes.
    Gcm16,
    /// The same, a mebibyte.
    GcmMebibyte,
    /// C_GetAttributeValue: id and label.
    Read,
    /// C_FindObjects by id, each time another.
    FindId,
    /// C_FindObjects by label, each time another.
    FindLabel,
    /// C_FindObjects by an id that nothing has.
    FindMiss,
    /// C_FindObjects for all private keys.
    List,
    /// The same, then id, label and type of each.
    ListRead,
    /// A pair on P-256 is made on the token, and destroyed.
    Make,
}

impl Case {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignP256 => "sign, ECDSA P-256",
            Self::SignRsa2048 => "sign, RSA-2048",
            Self::SignEd25519 => "sign, Ed25519",
            Self::Hmac => "HMAC, SHA-256",
            Self::Gcm16 => "AES-GCM, 16 B",
            Self::GcmMebibyte => "AES-GCM, 1 MiB",
            Self::Read => "read id and label",
            Self::FindId => "find by id",
            Self::FindLabel => "find by label",
            Self::FindMiss => "find what is not there",
            Self::List => "list private keys",
            Self::ListRead => "list them with attributes",
            Self::Make => "make and destroy a P-256 pair",
        }
    }

    /// The class and label of the key that it uses, if it uses one.
    pub const fn key(self) -> Option<(CK_OBJECT_CLASS, &'static str)> {
        match self {
            Self::SignP256 | Self::Read => Some((CKO_PRIVATE_KEY, FIRST)),
            Self::SignRsa2048 => Some((CKO_PRIVATE_KEY, "bench-rsa2048")),
            Self::SignEd25519 => Some((CKO_PRIVATE_KEY, "bench-ed25519")),
            Self::Hmac => Some((CKO_SECRET_KEY, "bench-hmac")),
            Self::Gcm16 | Self::GcmMebibyte => Some((CKO_SECRET_KEY, "bench-aes256")),
            _ => None,
        }
    }

    /// The kind of key pair that it signs with, if it does.
    const fn signs_with(self) -> Option<Kind> {
        match self {
            Self::SignP256 => Some(Kind::P256),
            Self::SignRsa2048 => Some(Kind::Rsa2048),
            Self::SignEd25519 => Some(Kind::Ed25519),
            _ => None,
        }
    }

    /// How many bytes it works on.
    const fn bytes(self) -> usize {
        match self {
            // A SHA-256 with its name around it, as PKCS #1 has it.
            Self::SignRsa2048 => 51,
            Self::Gcm16 => 16,
            Self::GcmMebibyte => 1 << 20,
            _ => 32,
        }
    }
}

/// Which keys a case works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// Those of [`LABELS`]; and so many more fill the token.
    Prepared {
        /// How many.
        filled: usize,
    },
    /// A pair that each thread makes in its session and that ends with it: the token's own keys stay untouched.
    Session,
}

/// A thread's session, and what it needs for a case.
pub struct Subject<'a> {
    session: Session<'a>,
    case: Case,
    key: CK_OBJECT_HANDLE,
    names: Vec<Vec<u8>>,
    data: Vec<u8>,
    room: Vec<u8>,
    turn: usize,
}

impl<'a> Subject<'a> {
    /// Finds or makes what the case needs; `seed` makes threads ask for different things.
    pub fn prepare(session: Session<'a>, case: Case, seed: usize, keys: Keys) -> Result<Self> {
        let (key, names) = match keys {
            Keys::Prepared { filled } => {
                let key = case.key().map(|(class, label)| find_one(&session, class, label));
                (key.transpose()?.unwrap_or(0), names(&session, case, seed, filled)?)
            }
            Keys::Session => {
                let kind = case.signs_with().ok_or("this needs keys that were prepared")?;
                (kind.make(&session, Stay::InSession)?[1], Vec::new())
            }
        };
        let len = case.bytes();
        let (data, room) = (vec![7; len], vec![0; len.saturating_add(512)]);
        Ok(Self { session, case, key, names, data, room, turn: seed })
    }

    /// Does it once.
    pub fn once(&mut self) -> Result<()> {
        self.turn = self.turn.wrapping_add(1);
        let (session, key) = (&self.session, self.key);
        match self.case {
            Case::SignP256 => session.sign(CKM_ECDSA, key, &self.data, &mut self.room),
            Case::SignRsa2048 => session.sign(CKM_RSA_PKCS, key, &self.data, &mut self.room),
            Case::SignEd25519 => session.sign(CKM_EDDSA, key, &self.data, &mut self.room),
            Case::Hmac => session.sign(CKM_SHA256_HMAC, key, &self.data, &mut self.room),
            Case::Gcm16 | Case::GcmMebibyte => {
                let mut iv = [0; 12];
                for (place, byte) in iv.iter_mut().zip(self.turn.to_le_bytes()) {
                    *place = byte;
                }
                session.encrypt_gcm(key, &mut iv, &self.data, &mut self.room)
            }
            Case::Read => session.read(key, &[CKA_ID, CKA_LABEL]).map(drop),
            Case::FindId => self.find(CKA_ID, 1),
            Case::FindLabel => self.find(CKA_LABEL, 1),
            Case::FindMiss => self.find(CKA_ID, 0),
            Case::List => session.find(&private()).map(drop),
            Case::ListRead => {
                for object in session.find(&private())? {
                    session.read(object, &[CKA_ID, CKA_LABEL, CKA_KEY_TYPE])?;
                }
                Ok(())
            }
            Case::Make => {
                let pair = Kind::P256.make(session, Stay::OnToken("bench-made"))?;
                pair.into_iter().try_for_each(|half| session.destroy(half))
            }
        }
    }

    fn find(&self, kind: CK_ATTRIBUTE_TYPE, expected: usize) -> Result<()> {
        let at = self.turn.checked_rem(self.names.len()).unwrap_or(0);
        let name = self.names.get(at).ok_or("nothing to find")?;
        let wanted = [private(), vec![Attribute::bytes(kind, name.clone())]].concat();
        let found = self.session.find(&wanted)?.len();
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found} objects were found, not {expected}"))
        }
    }
}

fn private() -> Vec<Attribute> {
    vec![Attribute::number(CKA_CLASS, CKO_PRIVATE_KEY)]
}

/// The one key with this label.
pub fn find_one(
    session: &Session<'_>,
    class: CK_OBJECT_CLASS,
    label: &str,
) -> Result<CK_OBJECT_HANDLE> {
    let wanted = [Attribute::number(CKA_CLASS, class), Attribute::bytes(CKA_LABEL, label)];
    let found = session.find(&wanted)?;
    found.first().copied().ok_or_else(|| format!("no key is labelled {label:?}"))
}

/// Sixteen names to look for.
fn names(session: &Session<'_>, case: Case, seed: usize, filled: usize) -> Result<Vec<Vec<u8>>> {
    let label = |number: usize| {
        let step = filled.div_ceil(16).max(1);
        let place = number.wrapping_mul(step).wrapping_add(seed).checked_rem(filled).unwrap_or(0);
        format!("{FILL}-{}", place.wrapping_add(1))
    };
    let labels = (0..16).map(label);
    match case {
        Case::FindLabel => Ok(labels.map(String::into_bytes).collect()),
        Case::FindId => labels
            .map(|label| session.read(find_one(session, CKO_PRIVATE_KEY, &label)?, &[CKA_ID]))
            .collect(),
        Case::FindMiss => Ok((0..16).map(|number: u8| vec![0xEE, number, 0xEE]).collect()),
        _ => Ok(Vec::new()),
    }
}
