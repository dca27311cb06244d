//! What was found on a member: handles, each good for one life of the member only. When it has forgotten us, or
//! its module was started anew, the same number names something else there, which must not be wrapped with, signed with or destroyed.

use crate::heads::Seen;
use crate::object::ObjectId;
use crate::ring::RingHandles;
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

/// The handles found in one life.
#[derive(Default)]
pub(crate) struct Found {
    life: Life,
    ring: Option<RingHandles>,
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

    /// The ring's keys.
    pub(crate) fn ring(&self, life: Life) -> Option<RingHandles> {
        self.within(life)?.ring
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

    /// Remembers the ring's keys.
    pub(crate) fn set_ring(&mut self, ring: RingHandles) {
        self.ring = Some(ring);
    }

    /// Forgets the ring's keys.
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

    #[test]
    fn what_was_found_in_one_life_is_nothing_in_the_next() {
        let (first, id) = (Life::default(), ObjectId([7; 16]));
        for next in [Life { era: 1, module: 0 }, Life { era: 0, module: 1 }] {
            let mut found = Found::default();
            found.begin(first).set_replica(id, 5);
            found.begin(first).set_stray(id, Some(6));
            assert_eq!((found.replica(first, id), found.stray(first, id)), (Some(5), Some(6)));
            assert!(found.is_replica(Spot { life: first, handle: 5 }));
            assert!(!found.is_replica(Spot { life: next, handle: 5 }));
            assert_eq!((found.replica(next, id), found.ring(next)), (None, None));
            found.begin(next);
            assert_eq!((found.replica(first, id), found.replica(next, id)), (None, None));
        }
    }

    #[test]
    fn a_handle_is_nothing_in_another_life() {
        let spot = Spot { life: Life::default(), handle: 9 };
        assert_eq!(spot.within(Life::default()), Some(9));
        assert_eq!(spot.within(Life { era: 1, module: 0 }), None);
    }
}
