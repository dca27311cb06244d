//! What was found on a member: handles, each good for one life of the member only. When it has forgotten us, or
//! its module was started anew, the same number names something else there, which must not be wrapped with, signed with or destroyed.

use crate::heads::Seen;
use crate::object::{ObjectId, Under};
use crate::ring::{Generation, Keks, RingHandles};
use std::collections::HashMap;
use tandem_values::Handle;

/// A life of a member's sessions and handles: until it forgets us, or its module is started anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// The era of our sessions there ([`crate::station::Station::era`]).
    pub(crate) era: u64,
    /// The start of its module ([`crate::member::Member::life`]).
    pub(crate) module: u64,
}

/// A handle on a member, and the life in which it names what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The life.
    pub life: Life,
    /// The handle.
    pub handle: Handle,
}

impl Spot {
    /// The handle, in its own life only.
    pub fn within(self, life: Life) -> Option<Handle> {
        (self.life == life).then_some(self.handle)
    }
}

/// The key ring on a member that was recognised by its log key. Each KEK is looked for, and held against what the log tells of it,
/// where it is used for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingThere {
    /// The generations that it is to hold.
    held: Vec<Generation>,
    /// The KEKs that were checked.
    keks: Vec<(Under, Handle)>,
}

impl RingThere {
    /// None of whose KEKs was checked yet.
    pub(crate) fn of(held: impl IntoIterator<Item = Generation>) -> Self {
        Self { held: held.into_iter().collect(), keks: Vec::new() }
    }

    /// The KEK, if it was checked.
    pub(crate) fn kek(&self, under: Under) -> Option<Handle> {
        self.keks.iter().find(|(known, _)| *known == under).map(|(_, handle)| *handle)
    }

    /// True if the member is to hold this generation.
    pub(crate) fn holds(&self, generation: Generation) -> bool {
        self.held.contains(&generation)
    }
}

impl From<RingHandles> for RingThere {
    /// All of it was checked.
    fn from(handles: RingHandles) -> Self {
        let all = || [Some(handles.newest), handles.older].into_iter().flatten();
        Self {
            held: all().map(|keks| keks.generation).collect(),
            keks: all().flat_map(Keks::each).collect(),
        }
    }
}

/// The handles found in one life.
#[derive(Default)]
pub(crate) struct Found {
    life: Life,
    ring: Option<RingThere>,
    replicas: HashMap<ObjectId, Handle>,
    strays: HashMap<ObjectId, Handle>,
    head: Option<Seen>,
}

impl Found {
    /// Begins a life if it is another: of what was found before nothing is left.
    pub(crate) fn begin(&mut self, life: Life) -> &mut Self {
        if self.life != life {
            *self = Self { life, ..Self::default() };
        }
        self
    }

    /// Nothing is known any more.
    pub(crate) fn clear(&mut self) {
        *self = Self { life: self.life, ..Self::default() };
    }

    fn within(&self, life: Life) -> Option<&Self> {
        (self.life == life).then_some(self)
    }

    /// The ring.
    pub(crate) fn ring(&self, life: Life) -> Option<&RingThere> {
        self.within(life)?.ring.as_ref()
    }

    /// Where an object's replica is.
    pub(crate) fn replica(&self, life: Life, id: ObjectId) -> Option<Handle> {
        self.within(life)?.replicas.get(&id).copied()
    }

    /// Where an unproven copy stands.
    pub(crate) fn stray(&self, life: Life, id: ObjectId) -> Option<Handle> {
        self.within(life)?.strays.get(&id).copied()
    }

    /// True if a replica has this handle.
    pub(crate) fn is_replica(&self, spot: Spot) -> bool {
        self.within(spot.life)
            .is_some_and(|found| found.replicas.values().any(|replica| *replica == spot.handle))
    }

    /// What is known of the head record.
    pub(crate) fn head(&self, life: Life) -> Option<Seen> {
        self.within(life)?.head
    }

    /// Remembers what is known of the head record, or that nothing is.
    pub(crate) fn set_head(&mut self, head: Option<Seen>) {
        self.head = head;
    }

    /// Remembers the ring.
    pub(crate) fn set_ring(&mut self, ring: RingThere) {
        self.ring = Some(ring);
    }

    /// Remembers a KEK that was checked, and which generations the member is to hold, unless the ring was forgotten since.
    pub(crate) fn set_kek(&mut self, kek: (Under, Handle), held: &[Generation]) {
        if let Some(ring) = &mut self.ring {
            held.clone_into(&mut ring.held);
            ring.keks.retain(|(under, _)| *under != kek.0 && held.contains(&under.generation));
            ring.keks.push(kek);
        }
    }

    /// Forgets the ring.
    pub(crate) fn forget_ring(&mut self) {
        self.ring = None;
    }

    /// Remembers a replica.
    pub(crate) fn set_replica(&mut self, id: ObjectId, handle: Handle) {
        self.replicas.insert(id, handle);
    }

    /// Forgets a replica.
    pub(crate) fn forget_replica(&mut self, id: ObjectId) {
        self.replicas.remove(&id);
    }

    /// Remembers an unproven copy, or that there is none any more.
    pub(crate) fn set_stray(&mut self, id: ObjectId, handle: Option<Handle>) {
        match handle {
            Some(handle) => self.strays.insert(id, handle),
            None => self.strays.remove(&id),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Kek;

    #[test]
    fn what_was_found_in_one_life_is_nothing_in_the_next() {
        let (first, id) = (Life::default(), ObjectId([7; 16]));
        for next in [Life { era: 1, module: 0 }, Life { era: 0, module: 1 }] {
            let mut found = Found::default();
            found.begin(first).set_replica(id, 5);
            found.begin(first).set_stray(id, Some(6));
            found.begin(first).set_ring(RingThere::of([Generation::FIRST]));
            assert!(found.ring(first).is_some());
            assert_eq!((found.replica(first, id), found.stray(first, id)), (Some(5), Some(6)));
            assert!(found.is_replica(Spot { life: first, handle: 5 }));
            assert!(!found.is_replica(Spot { life: next, handle: 5 }));
            assert_eq!((found.replica(next, id), found.ring(next)), (None, None));
            found.begin(next);
            assert_eq!((found.replica(first, id), found.replica(next, id)), (None, None));
        }
    }

    #[test]
    fn a_kek_is_known_once_it_was_checked_and_for_as_long_as_members_hold_it() {
        let under = |kek, generation| Under { kek, generation: Generation(generation) };
        let (life, mut found) = (Life::default(), Found::default());
        let known = |found: &Found, under| found.ring(life).and_then(|ring| ring.kek(under));
        found.set_kek((under(Kek::Open, 1), 5), &[Generation(1)]);
        assert_eq!(known(&found, under(Kek::Open, 1)), None, "no ring was found there");
        found.set_ring(RingThere::of([Generation(1)]));
        assert_eq!(known(&found, under(Kek::Open, 1)), None);
        found.set_kek((under(Kek::Open, 1), 5), &[Generation(1)]);
        found.set_kek((under(Kek::Open, 2), 6), &[Generation(2), Generation(1)]);
        assert_eq!(known(&found, under(Kek::Open, 1)), Some(5));
        assert_eq!(known(&found, under(Kek::Open, 2)), Some(6));
        assert_eq!(known(&found, under(Kek::Data, 2)), None);
        // The rotation is finished: those before are gone.
        found.set_kek((under(Kek::Data, 2), 7), &[Generation(2)]);
        assert_eq!(known(&found, under(Kek::Open, 1)), None);
        assert_eq!(known(&found, under(Kek::Open, 2)), Some(6));
        let holds = |generation| found.ring(life).unwrap().holds(Generation(generation));
        assert_eq!([1, 2, 3].map(holds), [false, true, false]);
    }

    #[test]
    fn of_a_ring_that_was_found_whole_every_kek_is_known() {
        let keks = |generation, first: Handle| Keks {
            generation: Generation(generation),
            private: first,
            secret: first + 1,
            open: first + 2,
            data: first + 3,
        };
        let handles = RingHandles { newest: keks(3, 30), older: Some(keks(2, 20)), log: 9 };
        let there = RingThere::from(handles);
        let known = |kek, generation| there.kek(Under { kek, generation: Generation(generation) });
        assert_eq!(known(Kek::Secret, 3), Some(31));
        assert_eq!(known(Kek::Data, 2), Some(23));
        assert_eq!(known(Kek::Open, 1), None);
        assert!(there.holds(Generation(2)) && !there.holds(Generation(1)));
    }

    #[test]
    fn a_handle_is_nothing_in_another_life() {
        let spot = Spot { life: Life::default(), handle: 9 };
        assert_eq!(spot.within(Life::default()), Some(9));
        assert_eq!(spot.within(Life { era: 1, module: 0 }), None);
    }
}
