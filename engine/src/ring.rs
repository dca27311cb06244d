//! The key ring of a virtual token: what it is, as the log holds it. `pair` makes it.

use crate::event::Hash;
use crate::object::Kek;
use crate::shares::Split;
use minicbor::{Decode, Encode};
use tandem_values::Handle;

/// A key of the ring that is a hidden token object on every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RingKey {
    /// KEK for private keys (closed).
    #[n(0)]
    Private,
    /// KEK for secret keys (closed).
    #[n(1)]
    Secret,
    /// KEK for keys their callers may extract or see.
    #[n(2)]
    Open,
    /// HMAC key from which the log's MAC key is derived.
    #[n(3)]
    Log,
    /// AES-GCM key for private data objects.
    #[n(4)]
    Data,
}

impl RingKey {
    /// Every key of the ring, in the order in which they are made.
    pub const ALL: [Self; 5] = [Self::Private, Self::Secret, Self::Open, Self::Log, Self::Data];

    /// Its name, part of its label on the members.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Secret => "secret",
            Self::Open => "open",
            Self::Log => "log",
            Self::Data => "data",
        }
    }
}

impl From<Kek> for RingKey {
    fn from(kek: Kek) -> Self {
        match kek {
            Kek::Private => Self::Private,
            Kek::Secret => Self::Secret,
            Kek::Open | Kek::Bare => Self::Open,
            Kek::Data => Self::Data,
        }
    }
}

/// One key of the ring as the log knows it: never the key, only what tells it from others and its recovery copy.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RingEntry {
    /// Which key.
    #[n(0)]
    pub key: RingKey,
    /// Check value: what the key makes of a known input. Equal keys, and only they, share it.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub check: Vec<u8>,
    /// The key wrapped (RSA-OAEP) to the recovery key pair's public half.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub recovery: Vec<u8>,
}

/// The recovery of a ring: a key pair whose private half opens only with shares that people keep.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Recovery {
    /// The modulus of the recovery key pair.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub modulus: Vec<u8>,
    /// Its public exponent.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub exponent: Vec<u8>,
    /// Its private half, wrapped (RFC 5649) under the AES key that the shares make.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub private: Vec<u8>,
    /// Tells the shares of this recovery from those of another.
    #[n(3)]
    pub set: u16,
    /// How many shares there are.
    #[n(4)]
    pub shares: u8,
    /// How many of them open it.
    #[n(5)]
    pub threshold: u8,
    /// HMAC-SHA256 under the secret that the shares make, over what the ring is: anybody can wrap keys of his own to the
    /// public half and call them this ring.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub witness: Hash,
}

impl Recovery {
    /// How its secret was split.
    pub fn split(&self) -> Split {
        Split { set: self.set, shares: self.shares, threshold: self.threshold }
    }
}

/// A member of the pairing, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Paired {
    /// The name the operator gave it.
    #[n(0)]
    pub name: String,
    /// Its token's serial number.
    #[n(1)]
    pub serial: String,
    /// Each known attack that was tried on it, and whether its module refused.
    #[n(2)]
    pub attacks: Vec<Attack>,
}

/// A known way of getting at a locked key, tried during pairing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attack {
    /// What was tried.
    #[n(0)]
    pub name: String,
    /// True if the module refused.
    #[n(1)]
    pub refused: bool,
    /// What it answered (CK_RV by name).
    #[n(2)]
    pub answer: String,
}

/// One cell of the matrix: can what one member wraps be unwrapped by another and be proven there?
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Route {
    /// The member that makes and wraps.
    #[n(0)]
    pub from: String,
    /// The member that unwraps.
    #[n(1)]
    pub to: String,
    /// What was tried: `rsa:2048`, `ec:p256`, `ed25519`, `aes:256`, `generic:20`, …
    #[n(2)]
    pub kind: String,
    /// `None` if it was proven; otherwise why not.
    #[n(3)]
    pub failure: Option<String>,
}

/// A member that came to hold the ring after the pairing, and what was found of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// The member.
    #[n(0)]
    pub member: Paired,
    /// What can be carried between it and the members that were there then, and to itself.
    #[n(1)]
    pub routes: Vec<Route>,
}

/// The handles of a ring's keys on one member, for as long as the member's module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingHandles {
    /// KEK for private keys.
    pub private: Handle,
    /// KEK for secret keys.
    pub secret: Handle,
    /// KEK for keys their callers may extract or see.
    pub open: Handle,
    /// HMAC key of the log.
    pub log: Handle,
    /// AES-GCM key for private data.
    pub data: Handle,
}

impl RingHandles {
    /// The handle of a key.
    pub const fn get(&self, key: RingKey) -> Handle {
        match key {
            RingKey::Private => self.private,
            RingKey::Secret => self.secret,
            RingKey::Open => self.open,
            RingKey::Log => self.log,
            RingKey::Data => self.data,
        }
    }

    /// The handle of the key that wraps an object.
    pub fn kek(&self, kek: Kek) -> Handle {
        self.get(kek.into())
    }
}

/// The key ring and what pairing found.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ring {
    /// Identity of the ring (UUID), part of its keys' labels on the members.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// Its keys.
    #[n(1)]
    pub keys: Vec<RingEntry>,
    /// How it can be brought back; `None` if the operator wanted none.
    #[n(2)]
    pub recovery: Option<Recovery>,
    /// The members that hold it.
    #[n(3)]
    pub members: Vec<Paired>,
    /// What can be carried from where to where.
    #[n(4)]
    pub routes: Vec<Route>,
}

impl Ring {
    /// The label of a key of the ring on the members: hidden from applications by it.
    pub fn label(id: &[u8; 16], key: RingKey) -> String {
        format!("tandem:{}:{}", uuid::Uuid::from_bytes(*id).as_simple(), key.name())
    }

    /// The member of a name.
    pub fn member(&self, name: &str) -> Option<&Paired> {
        self.members.iter().find(|member| member.name == name)
    }

    /// A member has joined: it takes the place of the one of the same name.
    pub(crate) fn join(&mut self, joined: Joined) {
        self.leave(&joined.member.name);
        self.members.push(joined.member);
        self.routes.extend(joined.routes);
    }

    /// A member has left, and what was known of it goes with it.
    pub(crate) fn leave(&mut self, name: &str) {
        self.members.retain(|member| member.name != name);
        self.routes.retain(|route| route.from != name && route.to != name);
    }

    /// A key's entry.
    pub fn entry(&self, key: RingKey) -> Option<&RingEntry> {
        self.keys.iter().find(|entry| entry.key == key)
    }

    /// A key's check value; empty if the ring has no such key.
    pub fn check(&self, key: RingKey) -> &[u8] {
        self.entry(key).map_or(&[], |entry| &entry.check)
    }

    /// A fingerprint of the whole ring, for tables.
    pub fn fingerprint(&self) -> Hash {
        use sha2::{Digest, Sha256};
        self.keys
            .iter()
            .fold(Sha256::new(), |hash, entry| hash.chain_update(&entry.check))
            .finalize()
            .into()
    }
}
