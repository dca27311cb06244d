//! The next generation of a ring's keys, beside the one that it replaces.

use crate::tokens::{Fixture, Vendor};
use crate::world::{Different, Paired, TWO_OF_THREE, objects};
use Vendor::{Kryoptic, SoftHsm};
use tandem_engine::carry;
use tandem_engine::desk::Desk;
use tandem_engine::error::Result;
use tandem_engine::object::{Hold, Kek, Object, ObjectId, Under, Wrapped};
use tandem_engine::pair::{self, Bench, Rotating};
use tandem_engine::report::Quiet;
use tandem_engine::ring::{Generation, Ring, RingKey, Rotation};
use tandem_engine::shares::Share;
use tandem_values::{Mechanism, Secret, Template, ck::*};

const NEXT: Generation = Generation(2);
/// Keys of both generations, and the log key.
const BOTH: usize = RingKey::ALL.len() + RingKey::ROTATED.len();

fn rotate(paired: &Paired, shares: &[Secret]) -> Result<(Rotation, Vec<Share>)> {
    let desks: Vec<_> = paired.members.iter().map(Fixture::desk).collect();
    let rotating = Rotating {
        ring: &paired.ring,
        shares,
        recovery: &TWO_OF_THREE,
        sets: &[paired.set()],
        alone: &|_, work| work(),
        entropy: &Different::default(),
        progress: &Quiet,
    };
    let rotated = pair::rotate(&desks, &rotating);
    desks.into_iter().for_each(Desk::leave);
    rotated
}

/// The ring as the log tells of it from then on.
fn after(ring: &Ring, rotation: Rotation) -> Ring {
    let (keys, members) = (rotation.keys, rotation.members);
    Ring { keys, members, recovery: Some(rotation.recovery), ..ring.clone() }
}

#[test]
fn new_keys_stand_beside_the_old_ones_and_open_with_shares_of_their_own() {
    let paired = Paired::new(&[SoftHsm, Kryoptic]);
    let (old, (rotation, new)) =
        (paired.words(&[1, 3]), rotate(&paired, &paired.words(&[2, 3])).unwrap());
    let ring = after(&paired.ring, rotation);
    assert_ne!(ring.recovery.as_ref().unwrap().set, paired.set());
    let new: Vec<_> = new.iter().skip(1).map(|share| share.words.clone()).collect();
    for (fixture, member) in paired.members.iter().zip(&ring.members) {
        let desk = fixture.desk();
        assert_eq!(objects(&desk).len(), BOTH, "nothing is left but the keys");
        let found = pair::find(&desk, &ring).unwrap();
        assert_eq!(found.newest.generation, NEXT);
        assert_eq!(found.older, Some(pair::find(&desk, &paired.ring).unwrap().newest));
        assert_eq!(member.generation, NEXT);
        // They withstand what the first ones withstand.
        let before = paired.ring.member(&member.name).unwrap();
        assert_eq!(member.attacks, before.attacks);
        for (ring, shares, others) in [(&ring, &new, &old), (&paired.ring, &old, &new)] {
            assert!(pair::opens(ring, shares).unwrap() && !pair::opens(ring, others).unwrap());
            let error = pair::prove(&desk, ring, others).map(drop).unwrap_err();
            assert!(error.message.contains("don't open this ring"), "{error}");
            pair::prove(&desk, ring, shares).map(drop).unwrap();
        }
        desk.leave();
    }
    // A new member is given both, and one that was away what it lacks.
    let third = Fixture::new(Kryoptic, "c");
    let desk = third.desk();
    pair::open(&desk, &paired.ring, &old, &Quiet).unwrap();
    assert!(pair::open(&desk, &ring, &old, &Quiet).is_err());
    assert_eq!(objects(&desk).len(), RingKey::ALL.len());
    pair::open(&desk, &ring, &new, &Quiet).unwrap();
    assert_eq!(objects(&desk).len(), BOTH);
    // Nothing needs the old ones any more.
    let ring = Ring { oldest: NEXT, ..ring };
    assert_eq!(
        pair::leftover(&desk, &ring).unwrap().into_iter().collect::<Vec<_>>(),
        [Generation::FIRST]
    );
    assert_eq!(pair::remove_older(&desk, &ring).unwrap(), RingKey::ROTATED.len());
    assert_eq!(pair::find(&desk, &ring).unwrap().older, None);
    assert_eq!(objects(&desk).len(), RingKey::ALL.len());
}

#[test]
fn wrong_shares_leave_nothing_on_any_member() {
    let (paired, other) = (Paired::new(&[SoftHsm, Kryoptic]), Paired::new(&[Kryoptic]));
    for shares in [other.words(&[1, 2]), paired.words(&[1])] {
        assert!(rotate(&paired, &shares).is_err());
        for fixture in &paired.members {
            let desk = fixture.desk();
            assert_eq!(objects(&desk).len(), RingKey::ALL.len());
            pair::find(&desk, &paired.ring).unwrap();
            desk.leave();
        }
    }
}

/// What a rotation that was interrupted has left is no key of the ring, and the next one removes it.
#[test]
fn keys_that_never_counted_are_gone_with_the_next_rotation() {
    let paired = Paired::new(&[Kryoptic, SoftHsm]);
    let (first, _) = rotate(&paired, &paired.words(&[1, 2])).unwrap();
    let (second, _) = rotate(&paired, &paired.words(&[1, 2])).unwrap();
    for fixture in &paired.members {
        let desk = fixture.desk();
        assert_eq!(objects(&desk).len(), BOTH);
        assert!(pair::find(&desk, &after(&paired.ring, first.clone())).is_err());
        pair::find(&desk, &after(&paired.ring, second.clone())).unwrap();
        desk.leave();
    }
}

fn object(under: Under) -> Object {
    let template = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_AES)
        .with(CKA_VALUE_LEN, 32);
    Object {
        id: ObjectId([5; 16]),
        template,
        mate: None,
        public: None,
        kek: Some(under.kek),
        fingerprint: None,
        holders: None,
        created_at_ms: 0,
        born: 1,
        found_on: None,
        hold: Hold::Resident,
        stock: None,
        generation: under.generation,
        rewrapped: None,
    }
}

/// A key under a closed KEK, which lets out nothing that can be wrapped, goes under the next one all the same, with the shares.
#[test]
fn what_a_closed_kek_wraps_is_wrapped_anew_on_the_bench_alone() {
    for vendors in [[SoftHsm, Kryoptic], [Kryoptic, SoftHsm]] {
        let paired = Paired::new(&vendors);
        let (rotation, _) = rotate(&paired, &paired.words(&[1, 2])).unwrap();
        let ring = after(&paired.ring, rotation);
        let (a, b) = (paired.members[0].desk(), paired.members[1].desk());
        let (at_a, at_b) = (pair::find(&a, &ring).unwrap(), pair::find(&b, &ring).unwrap());
        let under = Under { kek: Kek::Secret, generation: Generation::FIRST };
        let fresh = object(under).template.with(CKA_TOKEN, false).with(CKA_EXTRACTABLE, true);
        let made =
            a.member.generate(a.session, &Mechanism::plain(CKM_AES_KEY_GEN), &fresh).unwrap();
        let bytes = carry::wrap(&a, at_a.older.unwrap().secret, made).unwrap();
        let check = carry::wrap(&a, at_a.newest.secret, made).unwrap();
        a.discard(made);

        let passing = carry::passing(&object(under));
        if let Ok(key) = carry::unwrap(&a, at_a.older.unwrap().secret, &bytes, &passing) {
            let wrapped = carry::wrap(&a, at_a.newest.secret, key);
            assert!(wrapped.is_err(), "the KEK on the token let a key out");
            a.discard(key);
        }
        let before = objects(&b).len();
        let old = paired.words(&[3, 1]);
        let bench = Bench::open(&b, at_b.newest, &paired.ring, &old, |generation| {
            generation == Generation::FIRST
        });
        let bench = bench.unwrap();
        let wrapped = Wrapped { under, bytes };
        let again = bench.rewrap(&object(under), &wrapped, &[0; 12]).unwrap();
        // RFC 5649 makes the same of the same.
        assert_eq!(again, check, "another key came out");
        drop(bench);
        assert_eq!(objects(&b).len(), before, "nothing is left on the bench");
    }
}
