//! The ring comes back with shares, on a member that never had it.

use crate::tokens::{Fixture, Vendor};
use crate::world::{self, Different, Paired, objects};
use Vendor::{Kryoptic, SoftHsm};
use tandem_engine::desk::Desk;
use tandem_engine::pair;
use tandem_engine::report::Quiet;
use tandem_engine::ring::{Ring, RingKey};
use tandem_engine::settings::RecoverySettings;
use tandem_values::Secret;

#[test]
fn any_two_of_three_shares_bring_the_ring_to_a_new_member() {
    let paired = Paired::new(&[SoftHsm, Kryoptic]);
    let old: Vec<_> = paired.members.iter().map(Fixture::desk).collect();
    for (vendor, shares) in [(SoftHsm, [1, 2]), (Kryoptic, [3, 1]), (SoftHsm, [2, 3])] {
        let new = Fixture::new(vendor, "new");
        let desk = new.desk();
        let opened = pair::open(&desk, &paired.ring, &paired.words(&shares), &Quiet).unwrap();
        assert_eq!(pair::find(&desk, &paired.ring).unwrap(), opened);
        assert_eq!(objects(&desk).len(), RingKey::ALL.len(), "nothing is left but the keys");
        // Run again it changes nothing, and asks for no shares.
        assert_eq!(pair::open(&desk, &paired.ring, &[], &Quiet).unwrap(), opened);
        // It is locked like the others: there is one way to install a ring.
        let known =
            paired.ring.members.iter().zip([SoftHsm, Kryoptic]).find(|(_, of)| *of == vendor);
        assert_eq!(pair::attack(&desk, &opened).unwrap(), known.unwrap().0.attacks);
        // What the others wrap it opens, and the other way round.
        if vendor == Kryoptic {
            let mut places = vec![(desk, opened)];
            places.extend(old.iter().map(|desk| (*desk, pair::find(desk, &paired.ring).unwrap())));
            let routes = pair::probe(&places, |_, _| true, &Different::default(), &Quiet);
            let failures: Vec<_> = routes
                .iter()
                .filter(|route| {
                    route.from == "new" && route.to == "b" || route.from == "b" && route.to == "new"
                })
                .filter(|route| route.failure.is_some())
                .collect();
            assert!(failures.is_empty(), "{failures:?}");
        }
    }
}

#[test]
fn all_shares_work_too_and_a_part_of_a_ring_is_made_whole() {
    let paired = Paired::new(&[Kryoptic, SoftHsm]);
    for fixture in &paired.members {
        let desk = fixture.desk();
        let handles = pair::find(&desk, &paired.ring).unwrap();
        desk.member.destroy(desk.session, handles.newest.open).unwrap();
        let opened = pair::open(&desk, &paired.ring, &paired.words(&[1, 2, 3]), &Quiet).unwrap();
        pair::verify(&desk, &paired.ring, &opened).unwrap();
        assert_eq!(objects(&desk).len(), RingKey::ALL.len());
        desk.leave();
    }
}

/// Each mistake is told from the others, and leaves the member as it was.
#[test]
fn wrong_shares_open_nothing() {
    let paired = Paired::new(&[Kryoptic, Kryoptic]);
    let other = Paired::new(&[Kryoptic]);
    for vendor in [SoftHsm, Kryoptic] {
        let new = Fixture::new(vendor, "new");
        let desk = new.desk();
        let fails = |shares: &[Secret], part: &str| {
            let error = pair::open(&desk, &paired.ring, shares, &Quiet).unwrap_err();
            assert!(error.message.contains(part), "{error}");
            assert_eq!(objects(&desk), [], "{part}");
        };
        let words = paired.words(&[1, 2]);
        fails(&[], "no share");
        fails(&words[..1], "1 of 2 shares");
        fails(&[words[0].clone(), words[0].clone()], "the same share");
        fails(&[words[0].clone(), other.words(&[2])[0].clone()], "don't belong together");
        let of_sets = format!(
            "of set {} don't open this ring, whose recovery is known as set {}",
            other.set(),
            paired.set()
        );
        fails(&other.words(&[1, 2]), &of_sets);
        fails(
            &[words[0].clone(), edited(&words[1], |words| words[7] = "zoo")],
            "word 8 is mistyped",
        );
        fails(
            &[words[0].clone(), edited(&words[1], |words| words[7] = "zooo")],
            "word 8 is not in",
        );
        fails(&[words[0].clone(), edited(&words[1], |words| words.swap(3, 4))], "words 4 and 5");
        // Shares of another ring that happen to be of a set of the same number.
        let mut ring = paired.ring.clone();
        ring.recovery.as_mut().unwrap().set = other.ring.recovery.as_ref().unwrap().set;
        let error = pair::open(&desk, &ring, &other.words(&[1, 2]), &Quiet).unwrap_err();
        assert!(error.message.contains("they are of another ring"), "{error}");
        assert_eq!(objects(&desk), []);
    }
}

fn edited(share: &Secret, edit: impl FnOnce(&mut Vec<&str>)) -> Secret {
    let text = String::from_utf8(share.expose().to_vec()).unwrap();
    let mut words: Vec<_> = text.split(' ').collect();
    edit(&mut words);
    Secret::new(words.join(" "))
}

/// The secret stays: what was wrapped by it before opens with shares of any split, and those of two splits don't mix.
#[test]
fn old_shares_and_new_ones_open_the_ring_and_do_not_mix() {
    for vendor in [SoftHsm, Kryoptic] {
        let paired = Paired::new(&[vendor]);
        let member = &paired.members[0];
        let desk = member.desk();
        let before = objects(&desk);
        let settings = RecoverySettings { shares: 7, threshold: 3 };
        let chance = Different::default();
        let split = |shares: &[Secret], used: &[u16]| {
            pair::split(&desk, &paired.ring, shares, &settings, used, &chance)
        };
        let old = paired.words(&[3, 1]);
        let (terms, shares) = split(&old, &[paired.set()]).unwrap();
        assert_eq!((terms.shares, terms.threshold, shares.len()), (7, 3, 7));
        assert_ne!(terms.set, paired.set());
        assert_eq!(
            objects(&desk),
            before,
            "nothing is left on {vendor:?}, session objects included"
        );
        let new: Vec<_> = shares.iter().map(|share| share.words.clone()).collect();
        let some = |numbers: [usize; 3]| numbers.map(|number| new[number - 1].clone()).to_vec();
        // The ring knows the first set only, as a bundle does that was made before.
        for shares in [some([7, 2, 4]), some([1, 5, 6]), paired.words(&[1, 2])] {
            pair::prove(&desk, &paired.ring, &shares).unwrap();
            let token = Fixture::new(vendor, "new");
            let opened = pair::open(&token.desk(), &paired.ring, &shares, &Quiet).unwrap();
            pair::verify(&token.desk(), &paired.ring, &opened).unwrap();
        }
        // Of the new ones come others, of none of the sets before.
        let (again, _) = split(&some([3, 4, 5]), &[paired.set(), terms.set]).unwrap();
        assert!(again.set != terms.set && again.set != paired.set());

        let fails = |shares: &[Secret], says: &str| {
            let error = split(shares, &[]).unwrap_err();
            assert!(error.message.contains(says), "{error}");
            assert_eq!(objects(&desk), before);
        };
        fails(&[old[0].clone(), new[0].clone()], "don't belong together");
        fails(&new[..2], "2 of 3 shares");
        fails(&Paired::new(&[Kryoptic]).words(&[1, 2]), "they are of another ring");
        desk.leave();
    }
}

/// A set's number is never used twice for one ring, whatever is drawn.
#[test]
fn every_split_has_a_set_of_its_own() {
    let paired = Paired::new(&[Kryoptic]);
    let desk = paired.members[0].desk();
    let settings = RecoverySettings { shares: 2, threshold: 2 };
    let mut used = vec![paired.set()];
    for _ in 0..4 {
        let (old, chance) = (paired.words(&[1, 2]), Different::default());
        let (split, _) = pair::split(&desk, &paired.ring, &old, &settings, &used, &chance).unwrap();
        assert!(!used.contains(&split.set), "{} in {used:?}", split.set);
        used.push(split.set);
    }
    let all_but: Vec<u16> = (0..=u16::MAX).filter(|set| *set != 4711).collect();
    let old = paired.words(&[1, 2]);
    let last = pair::split(&desk, &paired.ring, &old, &settings, &all_but, &Different::default());
    assert_eq!(last.unwrap().0.set, 4711);
    desk.leave();
}

/// A log that was edited doesn't bring another key in: what arrives is checked.
#[test]
fn a_ring_with_an_exchanged_copy_is_refused() {
    let paired = Paired::new(&[Kryoptic, Kryoptic]);
    let mut ring = paired.ring.clone();
    let swapped = ring.keys[0].recovery.clone();
    ring.keys[0].recovery = std::mem::replace(&mut ring.keys[1].recovery, swapped);
    for vendor in [SoftHsm, Kryoptic] {
        let new = Fixture::new(vendor, "new");
        let desk = new.desk();
        let error = pair::open(&desk, &ring, &paired.words(&[1, 2]), &Quiet).unwrap_err();
        assert!(error.message.contains("arrived there as another key"), "{error}");
        assert_eq!(objects(&desk), []);
    }
}

/// Anybody can wrap keys to the recovery's public half, with check values that fit. The secret bears witness of the true
/// ones, and nothing is put on a new member but these.
#[test]
fn a_ring_whose_keys_are_not_those_of_the_pairing_is_refused() {
    let paired = Paired::new(&[Kryoptic]);
    let words = paired.words(&[1, 2]);
    let new = Fixture::new(SoftHsm, "new");
    let desk = new.desk();
    let refused = |change: &dyn Fn(&mut Ring)| {
        let mut ring = paired.ring.clone();
        change(&mut ring);
        let error = pair::open(&desk, &ring, &words, &Quiet).unwrap_err();
        assert!(error.message.contains("what tells of the ring was changed"), "{error}");
        assert_eq!(objects(&desk), []);
    };
    // One key in the place of another, each with its own copy and check value.
    refused(&|ring| {
        let [first, second] = [ring.keys[0].key, ring.keys[1].key];
        (ring.keys[0].key, ring.keys[1].key) = (second, first);
    });
    refused(&|ring| _ = ring.keys.pop());
    refused(&|ring| ring.keys[2].check[7] ^= 1);
    refused(&|ring| ring.id[0] ^= 1);
    refused(&|ring| ring.recovery.as_mut().unwrap().modulus[9] ^= 1);
    refused(&|ring| ring.recovery.as_mut().unwrap().witness[9] ^= 1);
    // What comes and goes without the shares is not part of it.
    let mut ring = paired.ring.clone();
    ring.members.clear();
    ring.recovery.as_mut().unwrap().set ^= 1;
    pair::open(&desk, &ring, &words, &Quiet).unwrap();
}

#[test]
fn a_ring_without_a_recovery_says_so() {
    let fixture = Fixture::new(Kryoptic, "a");
    let desks = [fixture.desk()];
    let (ring, shares) = world::pair(&desks, None, &Quiet).unwrap();
    assert!(shares.is_empty() && ring.recovery.is_none());
    assert!(ring.keys.iter().all(|entry| entry.recovery.is_empty()));
    let new = Fixture::new(Kryoptic, "new");
    let error = pair::open(&new.desk(), &ring, &Paired::new(&[Kryoptic]).words(&[1, 2]), &Quiet);
    assert!(error.unwrap_err().message.contains("without a recovery"));
    desks.into_iter().for_each(Desk::leave);
}
