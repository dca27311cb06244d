//! The ring on the members: what it is there, and how it is found.

use crate::tokens::{Fixture, Vendor};
use crate::world::{self, Counted, Paired, TWO_OF_THREE, kept, objects};
use Vendor::{Kryoptic, SoftHsm};
use std::collections::BTreeSet;
use tandem_engine::desk::Desk;
use tandem_engine::pair;
use tandem_engine::report::Quiet;
use tandem_engine::ring::{Generation, Ring, RingEntry, RingKey};
use tandem_values::template::Reading;
use tandem_values::{Mechanism, Template, Value, ck::*};

/// Five keys, locked, hidden, the same on every member, and nothing else.
fn is_whole(paired: &Paired) {
    let checks: BTreeSet<_> = paired.ring.keys.iter().map(|entry| &entry.check).collect();
    assert_eq!(checks.len(), RingKey::ALL.len(), "each key has a check value of its own");
    assert!(checks.iter().all(|check| check.len() >= 16));
    for fixture in &paired.members {
        let desk = fixture.desk();
        assert_eq!(objects(&desk).len(), RingKey::ALL.len(), "nothing is left but the keys");
        let handles = pair::find(&desk, &paired.ring).unwrap();
        pair::verify(&desk, &paired.ring, &handles).unwrap();
        assert_eq!(pair::look(&desk, &paired.ring).unwrap(), handles);
        assert_eq!(pair::missing(&desk, &paired.ring).unwrap(), []);
        for key in RingKey::ALL {
            let read = |kind| {
                let readings = desk.member.read(desk.session, handles.get(key), &[kind]).unwrap();
                readings.into_iter().next().unwrap()
            };
            for (kind, flag) in [
                (CKA_TOKEN, true),
                (CKA_PRIVATE, true),
                (CKA_SENSITIVE, true),
                (CKA_EXTRACTABLE, false),
                (CKA_COPYABLE, false),
                (CKA_MODIFIABLE, false),
                (CKA_DERIVE, false),
            ] {
                assert_eq!(read(kind), Reading::Value(flag.into()), "{kind:x} of the {key:?} key");
            }
            let Reading::Value(Value::Bytes(label)) = read(CKA_LABEL) else { panic!("a label") };
            assert_eq!(*label, Ring::label(&paired.ring.id, key, Generation::FIRST).into_bytes());
            assert!(pair::is_ring_label(&label));
        }
        desk.leave();
    }
}

#[test]
fn softhsm_with_softhsm_has_one_ring() {
    is_whole(&Paired::new(&[SoftHsm, SoftHsm]));
}

#[test]
fn softhsm_with_kryoptic_has_one_ring() {
    is_whole(&Paired::new(&[SoftHsm, Kryoptic]));
}

#[test]
fn kryoptic_with_kryoptic_has_one_ring() {
    is_whole(&Paired::new(&[Kryoptic, Kryoptic]));
}

#[test]
fn three_members_and_one_have_one_ring_each() {
    is_whole(&Paired::new(&[Kryoptic, SoftHsm, Kryoptic]));
    is_whole(&Paired::new(&[Kryoptic]));
}

#[test]
fn nobody_can_be_paired() {
    assert!(world::pair(&[], Some(&TWO_OF_THREE), &Quiet).is_err());
}

#[test]
fn every_stage_of_a_pairing_ends() {
    let (a, b) = (Fixture::new(Kryoptic, "a"), Fixture::new(Kryoptic, "b"));
    let progress = Counted::default();
    let desks = [a.desk(), b.desk()];
    world::pair(&desks, Some(&TWO_OF_THREE), &progress).unwrap();
    let stages = progress.0.into_inner().unwrap();
    assert!(stages.order.len() >= 5, "{:?}", stages.order);
    for (stage, (total, made)) in stages.steps {
        assert_eq!(made, total, "{stage}");
        assert_ne!(total, 0, "{stage}");
    }
}

/// What someone with the user PIN might put in the place of a key.
fn plant(desk: &Desk<'_>, ring: &Ring, key: RingKey) {
    let template = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_AES)
        .with(CKA_VALUE_LEN, 32)
        .with(CKA_TOKEN, true)
        .with(CKA_PRIVATE, true)
        .with(CKA_ID, b"tandem key ring".as_slice())
        .with(CKA_LABEL, Ring::label(&ring.id, key, Generation::FIRST).as_str())
        .with(CKA_WRAP, true)
        .with(CKA_UNWRAP, true);
    desk.member.generate(desk.session, &Mechanism::plain(CKM_AES_KEY_GEN), &template).unwrap();
}

#[test]
fn a_planted_key_is_never_taken_for_the_true_one() {
    for vendor in [SoftHsm, Kryoptic] {
        let paired = Paired::new(&[vendor, Kryoptic]);
        let desk = paired.members[0].desk();
        let before = pair::find(&desk, &paired.ring).unwrap();
        plant(&desk, &paired.ring, RingKey::Private);
        // Beside the true one.
        assert_eq!(pair::find(&desk, &paired.ring).unwrap(), before);
        assert_eq!(pair::look(&desk, &paired.ring).unwrap(), before);
        // In its place.
        desk.member.destroy(desk.session, before.newest.private).unwrap();
        let error = pair::find(&desk, &paired.ring).unwrap_err();
        assert!(error.message.contains("another key"), "{error}");
        assert!(error.message.contains("member a"), "{error}");
        // A look by labels alone doesn't notice; whoever uses the ring must find it.
        assert!(pair::look(&desk, &paired.ring).is_ok());
        // The shares put the true one back.
        let opened = pair::open(&desk, &paired.ring, &paired.words(&[1, 3]), &Quiet).unwrap();
        assert_eq!(pair::find(&desk, &paired.ring).unwrap(), opened);
        assert_eq!(objects(&desk).len(), RingKey::ALL.len());
    }
}

#[test]
fn a_member_that_lost_its_ring_is_told_from_one_that_has_it() {
    let paired = Paired::new(&[Kryoptic, Kryoptic]);
    let stranger = Fixture::new(Kryoptic, "c");
    let desk = stranger.desk();
    for error in
        [pair::find(&desk, &paired.ring).unwrap_err(), pair::look(&desk, &paired.ring).unwrap_err()]
    {
        assert_eq!(error.rv.0, CKR_TOKEN_NOT_RECOGNIZED);
        assert!(
            error.message.contains("member c") && error.message.contains("tandem member replace")
        );
    }
    let mut missing = pair::missing(&desk, &paired.ring).unwrap();
    missing.sort();
    assert_eq!(missing, RingKey::ALL);
    // One key of five.
    let desk = paired.members[1].desk();
    let handles = pair::find(&desk, &paired.ring).unwrap();
    desk.member.destroy(desk.session, handles.log).unwrap();
    assert_eq!(pair::missing(&desk, &paired.ring).unwrap(), [RingKey::Log]);
    let error = pair::find(&desk, &paired.ring).unwrap_err();
    assert!(error.message.contains("log key missing"), "{error}");
}

#[test]
fn check_values_tell_keys_apart() {
    let paired = Paired::new(&[SoftHsm, Kryoptic]);
    for fixture in &paired.members {
        let desk = fixture.desk();
        let handles = pair::find(&desk, &paired.ring).unwrap();
        let mut swapped = handles;
        let (now, before) = (&mut swapped.newest, handles.newest);
        (now.private, now.secret) = (before.secret, before.private);
        assert!(pair::verify(&desk, &paired.ring, &swapped).is_err());
        // And a ring whose log was edited is not the one on the members.
        let mut edited = paired.ring.clone();
        edited.keys.iter_mut().for_each(|RingEntry { check, .. }| check.reverse());
        assert!(pair::find(&desk, &edited).is_err());
        desk.leave();
    }
}

#[test]
fn rings_of_others_are_left_alone() {
    let paired = Paired::new(&[SoftHsm, Kryoptic]);
    let id = paired.ring.id;
    for fixture in &paired.members {
        let desk = fixture.desk();
        assert_eq!(pair::rings(&desk).unwrap(), BTreeSet::from([id]));
        assert_eq!(pair::tidy(&desk, Some(&id), &[]).unwrap(), 0);
        let error = pair::tidy(&desk, None, &[[7; 16]]).unwrap_err();
        assert!(error.message.contains("another Tandem"), "{error}");
        assert_eq!(pair::tidy(&desk, Some(&[7; 16]), &[]).unwrap_err().rv, error.rv);
        assert!(pair::find(&desk, &paired.ring).is_ok(), "an error touches nothing");
        // Begun here and never finished, it goes; and keys of applications stay.
        let own = Template::new()
            .with(CKA_LABEL, "tandem")
            .with(CKA_ID, b"tandem key ring".as_slice())
            .with(CKA_TOKEN, true)
            .with(CKA_VALUE_LEN, 16);
        desk.member.generate(desk.session, &Mechanism::plain(CKM_AES_KEY_GEN), &own).unwrap();
        assert_eq!(pair::tidy(&desk, None, &[[7; 16], id]).unwrap(), RingKey::ALL.len());
        assert_eq!(kept(&fixture.member).len(), 1);
        desk.leave();
    }
}
