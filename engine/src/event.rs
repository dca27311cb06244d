//! Events, and the records that carry them in the log.

use crate::backup::{BackupId, Made};
use crate::log::Position;
use crate::object::{Hold, Kek, Object, ObjectId, Rewrapped};
use crate::ring::{Generation, Joined, Ring, Rotation};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use tandem_values::Template;

/// A change to what the virtual token holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// A key ring was made and is on every member. Always the first event of a log.
    #[n(0)]
    Paired(#[n(0)] Box<Ring>),
    /// An object was made; its secret part is the record's wrapped bytes.
    #[n(1)]
    Created(#[n(0)] Box<Object>),
    /// Attributes of an object were set.
    #[n(2)]
    Changed {
        /// The object.
        #[n(0)]
        id: ObjectId,
        /// The attributes that were set.
        #[n(1)]
        template: Template,
        /// The key was tightened: the record's wrapped bytes, under this key of the ring, take the old ones' place.
        #[n(2)]
        kek: Option<Kek>,
        /// A private data object got another value: its fingerprint. The record's wrapped bytes are the value.
        #[n(3)]
        #[cbor(with = "minicbor::bytes")]
        fingerprint: Option<[u8; 32]>,
        /// Of which generation that key of the ring is.
        #[n(4)]
        #[cbor(default)]
        generation: Generation,
    },
    /// An object was destroyed: a tombstone.
    #[n(3)]
    Destroyed(#[n(0)] ObjectId),
    /// A member has the key ring now, on this token: a new one, or one whose token was replaced.
    #[n(4)]
    Joined(#[n(0)] Box<Joined>),
    /// The member of this name has the key ring no longer, as far as the token is concerned.
    #[n(5)]
    Left(#[n(0)] String),
    /// A backup was begun: everything up to here is meant.
    #[n(6)]
    BackupPrepared(#[n(0)] BackupId),
    /// A backup was put on something.
    #[n(7)]
    BackupMade(#[n(0)] Box<Made>),
    /// A backup counts from now on.
    #[n(8)]
    BackupCommitted(#[n(0)] BackupId),
    /// A backup was rolled back before it counted, or withdrawn after.
    #[n(9)]
    BackupEnded {
        /// The backup.
        #[n(0)]
        id: BackupId,
        /// Why.
        #[n(1)]
        reason: String,
    },
    /// The log was restored from this backup and goes on from there.
    #[n(10)]
    Restored(#[n(0)] BackupId),
    /// The recovery's secret was split anew: these are the shares for people to keep, and older ones are to be destroyed.
    #[n(11)]
    RecoverySplit {
        /// Tells the shares from those of another split.
        #[n(0)]
        set: u16,
        /// How many there are.
        #[n(1)]
        shares: u8,
        /// How many of them open the ring.
        #[n(2)]
        threshold: u8,
    },
    /// The log as it stands is the true one, whatever members knew of another: a new era begins, and their head records of
    /// earlier ones are void.
    #[n(12)]
    Accepted(#[n(0)] u64),
    /// From now on members keep a key otherwise.
    #[n(13)]
    Held {
        /// The key.
        #[n(0)]
        id: ObjectId,
        /// Where they keep it.
        #[n(1)]
        hold: Hold,
    },
    /// A key that was in stock, or its public half, is an application's from now on.
    #[n(14)]
    Claimed {
        /// The object.
        #[n(0)]
        id: ObjectId,
        /// What the application calls it, and whatever else it wants otherwise than the stock had it.
        #[n(1)]
        template: Template,
        /// When, in milliseconds since the Unix epoch; for people, as if it had been made then.
        #[n(2)]
        at_ms: u64,
        /// Not of public halves: the type of key that the stock has one less of.
        #[n(3)]
        kind: Option<String>,
    },
    /// The ring has new keys, under which everything is wrapped from now on; what is wrapped under those before them is wrapped
    /// anew.
    #[n(15)]
    Rotating(#[n(0)] Box<Rotation>),
    /// A rotation has wrapped an object anew: the record's wrapped bytes take the old ones' place. Nothing else of it changed.
    #[n(16)]
    Rewrapped {
        /// The object.
        #[n(0)]
        id: ObjectId,
        /// Of which generation the key is that wraps it now.
        #[n(1)]
        generation: Generation,
        /// Position of the object's last change before.
        #[n(2)]
        changed: Position,
    },
    /// A member that was away when a rotation began has been given its keys.
    #[n(17)]
    Given {
        /// The member.
        #[n(0)]
        member: String,
        /// The generation.
        #[n(1)]
        generation: Generation,
    },
    /// A rotation is finished: nothing is wrapped under older keys than these, and members remove those.
    #[n(18)]
    Rotated(#[n(0)] Generation),
    /// Backups under the keys of this generation count no more.
    #[n(19)]
    Retired(#[n(0)] Generation),
}

/// The numbers of the events about who holds what, as they are encoded: who holds the ring and which keys of it, who can bring
/// it back, and which backups are on what.
const FOR_ROLL: [u32; 8] = [4, 5, 7, 11, 15, 17, 18, 19];
/// The number of claims.
const CLAIMED: [u32; 1] = [14];

impl Event {
    /// The object that this is about; `None` for the ring, its members and backups.
    pub fn about(&self) -> Option<ObjectId> {
        match self {
            Self::Created(object) => Some(object.id),
            Self::Changed { id, .. }
            | Self::Held { id, .. }
            | Self::Claimed { id, .. }
            | Self::Rewrapped { id, .. }
            | Self::Destroyed(id) => Some(*id),
            _ => None,
        }
    }

    /// True if it says all that there is to know of its object; false if what the object was before must be known too.
    pub const fn is_whole(&self) -> bool {
        !matches!(
            self,
            Self::Changed { .. }
                | Self::Held { .. }
                | Self::Claimed { .. }
                | Self::Rewrapped { .. }
        )
    }

    /// The generation of the keys under which the wrapped bytes are that come with it; `None` if none do.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Created(object) => object.under().map(|under| under.generation),
            Self::Changed { kek, generation, .. } => kek.map(|_| *generation),
            Self::Rewrapped { generation, .. } => Some(*generation),
            _ => None,
        }
    }

    /// The attributes that it sets of an object which was there before.
    pub fn sets(&self) -> Option<&Template> {
        match self {
            Self::Changed { template, .. } | Self::Claimed { template, .. } => Some(template),
            _ => None,
        }
    }

    /// True if the ledger of backups takes it in.
    pub const fn is_for_ledger(&self) -> bool {
        matches!(
            self,
            Self::Accepted(_)
                | Self::BackupPrepared(_)
                | Self::BackupMade(_)
                | Self::BackupCommitted(_)
                | Self::BackupEnded { .. }
        )
    }

    /// What an object is after this event at a position, given what it was before; `None` for no object.
    pub fn fold(self, before: Option<Object>, at: Position) -> Option<Object> {
        match self {
            Self::Created(mut object) => {
                (object.born, object.rewrapped) = (at, None);
                Some(*object)
            }
            Self::Changed { template, kek, fingerprint, generation, .. } => {
                before.map(|mut object| {
                    object.template.merge(&template);
                    if kek.is_some() {
                        (object.kek, object.generation) = (kek, generation);
                        (object.born, object.rewrapped) = (at, None);
                    }
                    object.fingerprint = fingerprint.or(object.fingerprint);
                    object
                })
            }
            Self::Held { hold, .. } => before.map(|object| Object { hold, ..object }),
            Self::Rewrapped { generation, changed, .. } => before.map(|object| Object {
                generation,
                rewrapped: Some(Rewrapped { at, changed }),
                ..object
            }),
            Self::Claimed { template, at_ms, .. } => before.map(|mut object| {
                object.template.merge(&template);
                Object { stock: None, created_at_ms: at_ms, ..object }
            }),
            Self::Destroyed(_) => None,
            _ => before,
        }
    }
}

/// A SHA-256 hash or MAC.
pub type Hash = [u8; 32];

/// Where a log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Position of the last record; zero for an empty log.
    pub position: Position,
    /// The last record's counter at this site; zero for an empty log.
    pub counter: u64,
    /// The last record's link; zeroes for an empty log.
    pub link: Hash,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// Its place in this log: 1, 2, 3, …
    #[n(0)]
    pub position: Position,
    /// The site that made it (UUID).
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub site: [u8; 16],
    /// The site's own sequence number: 1, 2, 3, …
    #[n(2)]
    pub counter: u64,
    /// The epoch of the site's right to write; decides ties between sites before the counter does.
    #[n(3)]
    pub epoch: u64,
    /// When, in milliseconds since the Unix epoch; for people, never for order.
    #[n(4)]
    pub at_ms: u64,
    /// The event in CBOR.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Wrapped key material; `None` if there never was any or it has been erased.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub wrapped: Option<Vec<u8>>,
    /// SHA-256 of the wrapped bytes, kept when they are erased; zeroes if there never were any.
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    pub wrapped_hash: Hash,
    /// SHA-256 over the previous record's link and everything above but the wrapped bytes themselves.
    #[n(8)]
    #[cbor(with = "minicbor::bytes")]
    pub link: Hash,
    /// HMAC-SHA-256 of the link under the log key that only a logged-in process has.
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    pub mac: Hash,
}

impl Record {
    /// The link this record must have, given the one before it.
    pub fn link_after(&self, previous: &Hash) -> Hash {
        Sha256::new()
            .chain_update(previous)
            .chain_update(self.position.to_be_bytes())
            .chain_update(self.site)
            .chain_update(self.counter.to_be_bytes())
            .chain_update(self.epoch.to_be_bytes())
            .chain_update(self.at_ms.to_be_bytes())
            .chain_update(Sha256::digest(&self.body))
            .chain_update(self.wrapped_hash)
            .finalize()
            .into()
    }

    /// The event it carries; `None` if the bytes are no event this version knows.
    pub fn event(&self) -> Option<Event> {
        minicbor::decode(&self.body).ok()
    }

    /// The object that it is about; `None` if about none, or if the bytes are no event this version knows.
    pub fn about(&self) -> Option<ObjectId> {
        self.event()?.about()
    }

    /// The event, if it is about the ring's members, its recovery, or what a backup is on. Others are told by their number and
    /// not decoded.
    pub fn event_for_roll(&self) -> Option<Event> {
        self.event_of(&FOR_ROLL)
    }

    /// The same of claims.
    pub fn event_of_claim(&self) -> Option<Event> {
        self.event_of(&CLAIMED)
    }

    fn event_of(&self, numbers: &[u32]) -> Option<Event> {
        let mut decoder = minicbor::Decoder::new(&self.body);
        let number = decoder.array().and_then(|_| decoder.u32()).ok()?;
        numbers.contains(&number).then(|| self.event()).flatten()
    }

    /// The hash that stands for wrapped bytes, or for none.
    pub fn hash_wrapped(wrapped: Option<&[u8]>) -> Hash {
        wrapped.map_or([0; 32], |bytes| Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Under;
    use crate::ring::{Paired, Recovery, RingKey};

    fn record(event: &Event) -> Record {
        Record {
            position: 1,
            site: [0; 16],
            counter: 1,
            epoch: 1,
            at_ms: 0,
            body: minicbor::to_vec(event).unwrap(),
            wrapped: None,
            wrapped_hash: [0; 32],
            link: [0; 32],
            mac: [0; 32],
        }
    }

    #[test]
    fn events_about_who_holds_what_are_told_from_others_by_their_number() {
        let generation = Generation::FIRST;
        let member =
            Paired { name: "c".into(), serial: "1".into(), attacks: Vec::new(), generation };
        let joined = Event::Joined(Box::new(Joined { member, routes: Vec::new() }));
        let split = Event::RecoverySplit { set: 7, shares: 5, threshold: 3 };
        assert_eq!(minicbor::to_vec(&split).unwrap()[1], 11, "logs keep this number for ever");
        let given = Event::Given { member: "c".into(), generation: Generation(2) };
        let ended = [Event::Rotated(Generation(2)), Event::Retired(Generation::FIRST)];
        let [rotated, retired] = ended;
        for (event, number) in [(&given, 17), (&rotated, 18), (&retired, 19)] {
            assert_eq!(
                minicbor::to_vec(event).unwrap()[1],
                number,
                "logs keep this number for ever"
            );
        }
        for event in [joined, Event::Left("c".into()), split, given, rotated, retired] {
            assert_eq!(record(&event).event_for_roll(), Some(event));
        }
        for other in [Event::Restored(BackupId([9; 16])), Event::BackupPrepared(BackupId([9; 16]))]
        {
            assert_eq!(record(&other).event_for_roll(), None);
        }
        let rewrapped =
            Event::Rewrapped { id: ObjectId([4; 16]), generation: Generation(2), changed: 1 };
        assert_eq!(minicbor::to_vec(&rewrapped).unwrap()[1], 16);
        assert_eq!(record(&rewrapped).event_for_roll(), None, "there may be a million of them");
        let destroyed = Event::Destroyed(ObjectId([4; 16]));
        let (id, template) = (ObjectId([5; 16]), Template::new());
        let claimed = Event::Claimed { id, template, at_ms: 7, kind: Some("ec:p256".into()) };
        assert_eq!(record(&claimed).event_for_roll(), None);
        assert_eq!(record(&destroyed).event_of_claim(), None);
        assert_eq!(record(&claimed).event_of_claim(), Some(claimed));
        assert_eq!(record(&destroyed).event_for_roll(), None);
        assert_eq!(record(&destroyed).event(), Some(destroyed));
    }

    fn object() -> Object {
        Object {
            id: ObjectId([4; 16]),
            template: Template::new(),
            mate: None,
            public: None,
            kek: Some(Kek::Open),
            fingerprint: None,
            holders: None,
            created_at_ms: 0,
            born: 0,
            found_on: None,
            hold: Hold::Resident,
            stock: None,
            generation: Generation::FIRST,
            rewrapped: None,
        }
    }

    #[test]
    fn what_was_written_before_there_were_rotations_is_under_the_first_keys() {
        let now = minicbor::to_vec(object()).unwrap();
        // Twelve fields, of which the last is the generation, in one byte.
        assert_eq!((now.first(), now.last()), (Some(&0x8c), Some(&1)));
        let before = [&[0x8b], &now[1..now.len() - 1]].concat();
        assert_eq!(minicbor::decode::<Object>(&before).unwrap(), object());
    }

    #[test]
    fn an_object_that_is_wrapped_anew_is_the_one_it_was() {
        let id = object().id;
        let made = Event::Created(Box::new(object())).fold(None, 5).unwrap();
        let label = Event::Changed {
            id,
            template: Template::new().with(tandem_values::ck::CKA_LABEL, "new"),
            kek: None,
            fingerprint: None,
            generation: Generation::FIRST,
        };
        let labelled = label.fold(Some(made), 7).unwrap();
        let rewrapped = Event::Rewrapped { id, generation: Generation(2), changed: 7 };
        let again = rewrapped.fold(Some(labelled.clone()), 9).unwrap();
        assert_eq!(
            (again.born, again.wrapped_at()),
            (5, 9),
            "since when it is that key, and where"
        );
        assert_eq!(again.under(), Some(Under { kek: Kek::Open, generation: Generation(2) }));
        assert_eq!(
            (again.changed_at(9), again.changed_at(12)),
            (7, 12),
            "no change, and a later one"
        );
        assert_eq!(again.template, labelled.template);
        // A tightened key is another one to backups, wherever its bytes were.
        let tightened = Event::Changed {
            id,
            template: Template::new(),
            kek: Some(Kek::Private),
            fingerprint: None,
            generation: Generation(2),
        };
        let tightened = tightened.fold(Some(again), 11).unwrap();
        assert_eq!((tightened.born, tightened.wrapped_at()), (11, 11));
    }

    #[test]
    fn a_rotation_is_told_of_by_its_number() {
        let recovery = Recovery {
            modulus: vec![1],
            exponent: vec![3],
            private: vec![2],
            set: 7,
            shares: 5,
            threshold: 3,
            witness: [0; 32],
        };
        let entry = crate::ring::RingEntry {
            key: RingKey::Open,
            check: vec![8],
            recovery: vec![9],
            generation: Generation(2),
        };
        let rotation = Rotation { keys: vec![entry], recovery, members: Vec::new() };
        let rotating = Event::Rotating(Box::new(rotation));
        assert_eq!(minicbor::to_vec(&rotating).unwrap()[1], 15);
        assert_eq!(record(&rotating).event_for_roll(), Some(rotating));
    }
}
