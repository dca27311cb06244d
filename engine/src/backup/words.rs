//! What records say of backups.

use crate::event::Hash;
use crate::log::Position;
use crate::object::ObjectId;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::fmt;

/// A backup's identity: a UUID v7, 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct BackupId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0).as_hyphenated(), f)
    }
}
impl fmt::Debug for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a backup was put on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Artefact {
    /// A bundle file.
    #[n(0)]
    Bundle {
        /// The file's name, without its folder, as it was when it was made.
        #[n(0)]
        name: String,
        /// Its length in bytes.
        #[n(1)]
        bytes: u64,
        /// SHA-256 of all of it, as `sha256sum` prints it.
        #[n(2)]
        #[cbor(with = "minicbor::bytes")]
        digest: Hash,
    },
    /// A token that is connected for backups only.
    #[n(1)]
    Token {
        /// The member's name.
        #[n(0)]
        name: String,
        /// Its token's serial number.
        #[n(1)]
        serial: String,
    },
    /// What the vendors' own procedures made, on the operator's word.
    #[n(2)]
    Vendor {
        /// How the operator finds it again.
        #[n(0)]
        reference: String,
    },
}

/// What a backup and those that build on it are kept on: all on one, or they could not be restored together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Bundle files.
    Files,
    /// A backup token.
    Token {
        /// The member's name.
        name: String,
        /// Its token's serial number.
        serial: String,
    },
    /// What Tandem can't read.
    Unknown,
}

impl Medium {
    /// What an artefact is kept on.
    pub fn of(artefact: &Artefact) -> Self {
        match artefact {
            Artefact::Bundle { .. } => Self::Files,
            Artefact::Token { name, serial } => {
                Self::Token { name: name.clone(), serial: serial.clone() }
            }
            Artefact::Vendor { .. } => Self::Unknown,
        }
    }
}

/// An artefact of a backup, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Made {
    /// The backup.
    #[n(0)]
    pub id: BackupId,
    /// The artefact.
    #[n(1)]
    pub artefact: Artefact,
    /// It holds what came after this position of the log; zero for all of it.
    #[n(2)]
    pub since: Position,
    /// The committed backup that holds what came before.
    #[n(3)]
    pub base: Option<BackupId>,
    /// The objects that were meant; `None` for all.
    #[n(4)]
    pub selection: Option<Vec<ObjectId>>,
    /// Objects that could not be put in, with the reason.
    #[n(5)]
    pub left_out: Vec<(ObjectId, String)>,
    /// Check values of the ring's keys without which it can't be opened.
    #[n(6)]
    pub keks: Vec<ByteVec>,
    /// SHA-256 of the recovery key's modulus, by which new HSMs can open it; `None` if the ring has no recovery.
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    pub recovery: Option<Hash>,
    /// It was read back and every key in it was opened by an HSM and proven.
    #[n(8)]
    pub verified: bool,
}

impl Made {
    /// True if somebody's word is all that is known of it.
    pub const fn is_on_word(&self) -> bool {
        matches!(self.artefact, Artefact::Vendor { .. })
    }
}
