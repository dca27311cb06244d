//! An object of the virtual token, as the log and the catalogue hold it.

use crate::log::Position;
use crate::ring::Generation;
use minicbor::{Decode, Encode};
use std::fmt;
use tandem_values::{Template, ck::*};

/// An object's identity on every host and site: a UUID v7, 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ObjectId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0).as_hyphenated(), f)
    }
}
impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which key of the ring wraps an object's secret part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Kek {
    /// For private keys that never leave: what it opens is sensitive and not extractable.
    #[n(0)]
    Private,
    /// For secret keys that never leave.
    #[n(1)]
    Secret,
    /// For keys whose callers asked for extractable or not sensitive.
    #[n(2)]
    Open,
    /// AES-GCM, for the values of private data objects and certificates.
    #[n(3)]
    Data,
    /// The same key as [`Self::Open`]. It wraps the value of a private key as a generic secret, for types that members don't wrap as
    /// private keys: the value passes through the host's memory.
    #[n(4)]
    Bare,
}

impl Kek {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Private, Self::Secret, Self::Open, Self::Data, Self::Bare];
}

/// The key of the ring that wraps an object's secret part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Under {
    /// Which.
    pub kek: Kek,
    /// Of which generation.
    pub generation: Generation,
}

/// An object's secret part as the log holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// What it is wrapped under.
    pub under: Under,
    /// The wrapped bytes.
    pub bytes: Vec<u8>,
}

/// Where a rotation has put an object's wrapped bytes, which changed nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rewrapped {
    /// Position of the event that holds them.
    #[n(0)]
    pub at: Position,
    /// Position of the object's last change before.
    #[n(1)]
    pub changed: Position,
}

/// Where members keep an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Hold {
    /// Every member has it as a token object.
    #[default]
    #[n(0)]
    Resident,
    /// It lives wrapped in the log, and visits a member as a session object when it is used there. Keys only.
    #[n(1)]
    OnDemand,
}

/// An object. What the application may read of it is in `template`; what it may not see is only in the
/// log, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Object {
    /// Its identity.
    #[n(0)]
    pub id: ObjectId,
    /// Every attribute that the virtual token shows, none of them secret.
    #[n(1)]
    pub template: Template,
    /// The other half of a key pair.
    #[n(2)]
    pub mate: Option<ObjectId>,
    /// Private keys: the public key as a template that makes it (class, type, parameters, point or modulus).
    #[n(3)]
    pub public: Option<Template>,
    /// Under which key of the ring the secret part is wrapped; `None` if there is none.
    #[n(4)]
    pub kek: Option<Kek>,
    /// Secret keys: a keyed fingerprint that equal keys, and only they, share.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub fingerprint: Option<[u8; 32]>,
    /// Adopted objects that can't be copied: the members that hold them. `None`: every member follows.
    #[n(6)]
    pub holders: Option<Vec<String>>,
    /// When it was made, in milliseconds since the Unix epoch; for people.
    #[n(7)]
    pub created_at_ms: u64,
    /// Position of the event since which it is the key that it is, where its wrapped bytes were put first: `Created`, or the
    /// last that brought others. Set by folding, zero in the event itself.
    #[n(8)]
    pub born: Position,
    /// Adopted objects: the members on which it stood before the log knew it. There a follower looks before it makes it.
    #[n(9)]
    pub found_on: Option<Vec<String>>,
    /// Where members keep it.
    #[n(10)]
    #[cbor(default)]
    pub hold: Hold,
    /// A key in stock, made ahead of need: its type as the operator writes it. No application sees it before it is claimed.
    #[n(11)]
    pub stock: Option<String>,
    /// Of which generation the key is that wraps it.
    #[n(12)]
    #[cbor(default)]
    pub generation: Generation,
    /// Where its wrapped bytes are, if a rotation has put them elsewhere. Set by folding.
    #[n(13)]
    pub rewrapped: Option<Rewrapped>,
}

impl Object {
    /// CKA_CLASS; CKO_DATA if it has none.
    pub fn class(&self) -> u64 {
        self.template.class().unwrap_or(CKO_DATA)
    }

    /// What wraps its secret part; `None` if it has none in the log.
    pub fn under(&self) -> Option<Under> {
        self.kek.map(|kek| Under { kek, generation: self.generation })
    }

    /// Its secret part is wrapped under this.
    pub fn set_under(&mut self, under: Option<Under>) {
        self.kek = under.map(|under| under.kek);
        self.generation = under.map_or_else(Generation::default, |under| under.generation);
    }

    /// Where its wrapped bytes are.
    pub fn wrapped_at(&self) -> Position {
        self.rewrapped.map_or(self.born, |rewrapped| rewrapped.at)
    }

    /// Position of the last change of what it is, if its last change of all was at `last`.
    pub fn changed_at(&self, last: Position) -> Position {
        let rewrapped = self.rewrapped.filter(|rewrapped| rewrapped.at == last);
        rewrapped.map_or(last, |rewrapped| rewrapped.changed)
    }

    /// CKA_PRIVATE: seen after login only.
    pub fn is_private(&self) -> bool {
        self.template.is(CKA_PRIVATE)
    }

    /// True if it stood on a member before the log knew it.
    pub fn stood_on(&self, member: &str) -> bool {
        self.found_on.as_ref().is_some_and(|names| names.iter().any(|name| name == member))
    }

    /// True if members hold it only while it is used.
    pub fn is_on_demand(&self) -> bool {
        self.hold == Hold::OnDemand
    }

    /// True if it was made ahead of need, and nobody has claimed it.
    pub fn is_in_stock(&self) -> bool {
        self.stock.is_some()
    }

    /// CKA_TOKEN.
    pub fn is_token(&self) -> bool {
        self.template.is(CKA_TOKEN)
    }
}
