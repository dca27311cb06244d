//! The key ring of a virtual token: what it is, as the log holds it. `pair` makes it.

use crate::event::Hash;
use crate::fault::{Call, Class, Fault};
use crate::object::{Kek, Under};
use crate::shares::Split;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::fmt;
use tandem_values::{Handle, ck::CKR_KEY_NEEDED};

/// Which keys of a ring: pairing makes the first, and each rotation the next. The log key is of the first for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Generation(#[n(0)] pub u32);

impl Generation {
    /// The one that pairing makes.
    pub const FIRST: Self = Self(1);

    /// The one that a rotation makes of it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Default for Generation {
    /// What was written before there were rotations is of the first.
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Generation {
    /// As operators name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kek-{}", self.0)
    }
}

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

    /// The keys that a rotation makes anew: all but the log key.
    pub const ROTATED: [Self; 4] = [Self::Private, Self::Secret, Self::Open, Self::Data];

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
    /// Of which generation it is.
    #[n(3)]
    #[cbor(default)]
    pub generation: Generation,
}

impl RingEntry {
    /// Its name, which no other key of the ring has.
    pub fn name(&self) -> String {
        name_of(self.key, self.generation)
    }
}

/// What a key is called. The first generation's keys have the names that they had before there were others.
fn name_of(key: RingKey, generation: Generation) -> String {
    match generation {
        Generation::FIRST => key.name().to_owned(),
        Generation(number) => format!("{}.{number}", key.name()),
    }
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
    /// The newest generation of the ring's keys that it holds.
    #[n(3)]
    #[cbor(default)]
    pub generation: Generation,
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

/// The handles of one generation's keys on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keks {
    /// Of which generation they are.
    pub generation: Generation,
    /// KEK for private keys.
    pub private: Handle,
    /// KEK for secret keys.
    pub secret: Handle,
    /// KEK for keys their callers may extract or see.
    pub open: Handle,
    /// AES-GCM key for private data.
    pub data: Handle,
}

impl Keks {
    /// The handle of the key that wraps an object.
    pub const fn get(&self, kek: Kek) -> Handle {
        match kek {
            Kek::Private => self.private,
            Kek::Secret => self.secret,
            Kek::Open | Kek::Bare => self.open,
            Kek::Data => self.data,
        }
    }

    /// Each of them, by what is under it.
    pub(crate) fn each(self) -> impl Iterator<Item = (Under, Handle)> {
        let under = move |kek| (Under { kek, generation: self.generation }, self.get(kek));
        Kek::ALL.into_iter().map(under)
    }
}

/// The handles of a ring's keys on one member, for as long as the member's module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingHandles {
    /// The keys under which everything new is wrapped.
    pub newest: Keks,
    /// The ones that a rotation replaces, while it is under way.
    pub older: Option<Keks>,
    /// HMAC key of the log.
    pub log: Handle,
}

impl RingHandles {
    /// The handle of a key, of the newest generation.
    pub const fn get(&self, key: RingKey) -> Handle {
        match key {
            RingKey::Private => self.newest.private,
            RingKey::Secret => self.newest.secret,
            RingKey::Open => self.newest.open,
            RingKey::Log => self.log,
            RingKey::Data => self.newest.data,
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

/// What a member answers that lacks a key of the ring: it is not to blame.
pub(crate) fn lacking() -> Fault {
    Fault { class: Class::Unable, ..Fault::new(Call::Find, CKR_KEY_NEEDED) }
}

/// Keys of the ring that a rotation has replaced, and under which older backups are.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Replaced {
    /// Which.
    #[n(0)]
    pub generation: Generation,
    /// Their check values.
    #[n(1)]
    pub checks: Vec<ByteVec>,
    /// The modulus of the recovery that opened them, as [`Ring::recovery_mark`] has it; `None` without one.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub recovery: Option<Hash>,
}

/// What a rotation makes of a ring.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rotation {
    /// Every key that the new recovery opens: the new ones, the log key, and the ones that are replaced.
    #[n(0)]
    pub keys: Vec<RingEntry>,
    /// The new recovery.
    #[n(1)]
    pub recovery: Recovery,
    /// The members that hold the new keys, as they were found then.
    #[n(2)]
    pub members: Vec<Paired>,
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
    /// The oldest generation that members still hold.
    #[n(5)]
    #[cbor(default)]
    pub oldest: Generation,
    /// Generations before the newest under which there are backups that count.
    #[n(6)]
    #[cbor(default)]
    pub replaced: Vec<Replaced>,
}

impl Ring {
    /// The label of a key of the ring on the members: hidden from applications by it.
    pub fn label(id: &[u8; 16], key: RingKey, generation: Generation) -> String {
        format!("tandem:{}:{}", uuid::Uuid::from_bytes(*id).as_simple(), name_of(key, generation))
    }

    /// The generation under which everything new is wrapped.
    pub fn newest(&self) -> Generation {
        self.keys.iter().map(|entry| entry.generation).max().unwrap_or_default()
    }

    /// The generations whose keys are on members, the newest first.
    pub fn held(&self) -> impl Iterator<Item = Generation> + use<> {
        (self.oldest.0..=self.newest().0).rev().map(Generation)
    }

    /// The generations that a member holds, the newest first: all of them, where the ring does not know it.
    pub fn held_by(&self, name: &str) -> impl Iterator<Item = Generation> + use<> {
        let newest = self.member(name).map_or_else(|| self.newest(), |member| member.generation);
        self.held().filter(move |generation| *generation <= newest)
    }

    /// True while a rotation is under way: members hold the keys that it replaces.
    pub fn is_rotating(&self) -> bool {
        self.oldest < self.newest()
    }

    /// True if members hold this key.
    pub fn is_held(&self, entry: &RingEntry) -> bool {
        entry.key == RingKey::Log || entry.generation >= self.oldest
    }

    /// What tells the recovery from another: SHA-256 of its modulus.
    pub fn recovery_mark(&self) -> Option<Hash> {
        use sha2::{Digest, Sha256};
        self.recovery.as_ref().map(|recovery| Sha256::digest(&recovery.modulus).into())
    }

    /// The check values of a generation's keys.
    pub fn checks(&self, generation: Generation) -> Vec<ByteVec> {
        let of =
            self.keys.iter().filter(|it| it.key != RingKey::Log && it.generation == generation);
        of.map(|entry| entry.check.clone().into()).collect()
    }

    /// A rotation has begun.
    pub(crate) fn rotate(&mut self, rotation: Rotation) {
        let generation = self.newest();
        let (checks, recovery) = (self.checks(generation), self.recovery_mark());
        self.replaced.push(Replaced { generation, checks, recovery });
        (self.keys, self.recovery) = (rotation.keys, Some(rotation.recovery));
        for known in &mut self.members {
            let found = rotation.members.iter().find(|member| member.name == known.name);
            if let Some(found) = found {
                known.clone_from(found);
            }
        }
    }

    /// A member was given the newest keys.
    pub(crate) fn give(&mut self, name: &str, generation: Generation) {
        let given = self.members.iter_mut().filter(|member| member.name == name);
        given.for_each(|member| member.generation = generation);
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
    pub fn entry(&self, key: RingKey, generation: Generation) -> Option<&RingEntry> {
        let generation = if key == RingKey::Log { Generation::FIRST } else { generation };
        self.keys.iter().find(|entry| entry.key == key && entry.generation == generation)
    }

    /// A key's check value; empty if the ring has no such key.
    pub fn check(&self, key: RingKey, generation: Generation) -> &[u8] {
        self.entry(key, generation).map_or(&[], |entry| &entry.check)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: RingKey, generation: u32) -> RingEntry {
        let check = format!("{} {generation}", key.name()).into_bytes();
        RingEntry { key, check, recovery: Vec::new(), generation: Generation(generation) }
    }

    fn recovery(modulus: u8) -> Recovery {
        Recovery {
            modulus: vec![modulus],
            exponent: vec![3],
            private: Vec::new(),
            set: 7,
            shares: 3,
            threshold: 2,
            witness: [0; 32],
        }
    }

    fn paired(name: &str, generation: u32) -> Paired {
        let (name, generation) = (name.to_owned(), Generation(generation));
        Paired { name, serial: "1".into(), attacks: Vec::new(), generation }
    }

    fn ring() -> Ring {
        Ring {
            id: [7; 16],
            keys: RingKey::ALL.map(|key| entry(key, 1)).to_vec(),
            recovery: Some(recovery(1)),
            members: vec![paired("a", 1), paired("b", 1)],
            routes: Vec::new(),
            oldest: Generation::FIRST,
            replaced: Vec::new(),
        }
    }

    fn rotation(members: Vec<Paired>) -> Rotation {
        let mut keys = RingKey::ALL.map(|key| entry(key, 1)).to_vec();
        keys.extend(RingKey::ROTATED.map(|key| entry(key, 2)));
        Rotation { keys, recovery: recovery(2), members }
    }

    #[test]
    fn members_hold_both_generations_while_a_rotation_lasts() {
        let mut ring = ring();
        assert!(!ring.is_rotating());
        let before = ring.recovery_mark();
        ring.rotate(rotation(vec![paired("a", 2)]));
        assert!(ring.is_rotating());
        assert_eq!(ring.newest(), Generation(2));
        let held = |ring: &Ring, name: &str| ring.held_by(name).collect::<Vec<_>>();
        assert_eq!(held(&ring, "a"), [Generation(2), Generation(1)]);
        assert_eq!(held(&ring, "b"), [Generation(1)], "it was away");
        assert_eq!(held(&ring, "new"), [Generation(2), Generation(1)], "what it is to be given");
        ring.give("b", Generation(2));
        assert_eq!(held(&ring, "b"), held(&ring, "a"));
        ring.oldest = Generation(2);
        assert_eq!(held(&ring, "b"), [Generation(2)]);
        assert!(ring.is_held(&entry(RingKey::Log, 1)), "it stays");
        assert!(!ring.is_held(&entry(RingKey::Open, 1)));
        // What backups from before need is known.
        assert_ne!(ring.recovery_mark(), before);
        let [known] = ring.replaced.as_slice() else { panic!("one was replaced") };
        assert_eq!((known.generation, known.recovery), (Generation(1), before));
        assert_eq!(known.checks.len(), RingKey::ROTATED.len());
    }

    #[test]
    fn the_first_generation_bears_the_names_that_there_were_before() {
        assert_eq!(entry(RingKey::Open, 1).name(), "open");
        assert_eq!(entry(RingKey::Open, 2).name(), "open.2");
        assert_eq!(Generation(2).to_string(), "kek-2");
    }
}
