//! What is kept in memory of an object: enough to find it, and to tell whether its row is still the one that was taken in.

use crate::log::{Position, Row};
use crate::object::{Object, ObjectId};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use tandem_values::{Handle, Template, Value, ck::*};

/// The first bytes of the SHA-256 of a row's body.
type Fingerprint = [u8; 16];

/// An object as the shelf knows it without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its identity.
    pub(super) id: ObjectId,
    /// Position of the last event that changed it.
    pub(super) position: Position,
    /// Where its wrapped bytes are.
    pub(super) born: Position,
    /// Position of its first event; zero if that is not known.
    pub(super) since: Position,
    /// What its row's body must be.
    fingerprint: Fingerprint,
    /// CKA_ID and CKA_LABEL, as [`Names`] have them.
    names: [u64; 2],
    /// CKA_CLASS and CKA_KEY_TYPE; [`OTHER`] if absent, or too great for this.
    numbers: [u32; 2],
    /// CKA_TOKEN and CKA_PRIVATE, where they are there.
    flags: [Option<bool>; 2],
    /// It has a secret part that is in the log.
    pub(super) is_wrapped: bool,
    /// It is in stock: nobody has claimed it.
    pub(super) is_in_stock: bool,
}

/// What stands for numbers that are kept elsewhere only.
const OTHER: u32 = u32::MAX;

/// Attributes by which objects are told apart without reading them.
const NAMES: [u64; 2] = [CKA_ID, CKA_LABEL];
const NUMBERS: [u64; 2] = [CKA_CLASS, CKA_KEY_TYPE];
const FLAGS: [u64; 2] = [CKA_TOKEN, CKA_PRIVATE];

/// Names as numbers. They are drawn anew for each process, so that nobody can choose two names that are taken for one; that
/// two of a million are one by chance is as likely as a fault of the memory they are in.
#[derive(Default)]
pub(super) struct Names(RandomState);

impl Names {
    /// The number of a name, or of none.
    pub(super) fn of(&self, name: Option<&[u8]>) -> u64 {
        self.0.hash_one(name)
    }
}

/// How a row's body is known again.
fn fingerprint(body: &[u8]) -> Fingerprint {
    let digest = Sha256::digest(body);
    let mut fingerprint = Fingerprint::default();
    fingerprint.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    fingerprint
}

impl Slot {
    /// The slot of an object that was last changed at a position and began at another.
    pub(super) fn of(
        names: &Names,
        object: &Object,
        (position, since): (Position, Position),
        body: &[u8],
    ) -> Self {
        let template = &object.template;
        let number = |kind| template.number(kind).and_then(|number| u32::try_from(number).ok());
        Self {
            id: object.id,
            position,
            born: object.born,
            since,
            fingerprint: fingerprint(body),
            names: NAMES.map(|kind| names.of(template.bytes(kind))),
            numbers: NUMBERS.map(|kind| number(kind).unwrap_or(OTHER)),
            flags: FLAGS.map(|kind| template.flag(kind)),
            is_wrapped: object.kek.is_some(),
            is_in_stock: object.is_in_stock(),
        }
    }

    /// The same in a row whose body is another.
    pub(super) fn in_row(&self, body: &[u8]) -> Self {
        Self { fingerprint: fingerprint(body), ..self.clone() }
    }

    /// True if a row is the one that was taken in.
    pub(super) fn is_of(&self, row: &Row) -> bool {
        self.position == row.position
            && row.body.as_deref().is_some_and(|body| fingerprint(body) == self.fingerprint)
    }

    /// True of a public key.
    pub(super) fn is_public_key(&self) -> bool {
        self.numbers.first().is_some_and(|class| u64::from(*class) == CKO_PUBLIC_KEY)
    }

    /// True if only who is logged in may see it.
    pub(super) const fn is_private(&self) -> bool {
        matches!(self.flags, [_, Some(true)])
    }

    /// Whether the object has these attributes, if that can be told without reading it.
    pub(super) fn has(&self, names: &Names, wanted: &Template) -> Option<bool> {
        let mut all = Some(true);
        for attribute in wanted {
            match self.has_one(names, attribute.kind, &attribute.value) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => all = None,
            }
        }
        all
    }

    fn has_one(&self, names: &Names, kind: u64, value: &Value) -> Option<bool> {
        let at = |kinds: &[u64; 2]| kinds.iter().position(|known| *known == kind);
        match value {
            Value::Bytes(bytes) => Some(*self.names.get(at(&NAMES)?)? == names.of(Some(bytes))),
            Value::Number(number) => {
                let known = *self.numbers.get(at(&NUMBERS)?)?;
                u32::try_from(*number).ok().filter(|number| *number != OTHER).map(|n| n == known)
            }
            Value::Flag(flag) => Some(*self.flags.get(at(&FLAGS)?)? == Some(*flag)),
            Value::Numbers(_) | Value::Template(_) => None,
        }
    }
}

/// The slots of all objects, and by what they are found.
#[derive(Default)]
pub(super) struct Slots {
    by_handle: BTreeMap<Handle, Slot>,
    handles: BTreeMap<ObjectId, Handle>,
    /// By CKA_ID and by CKA_LABEL.
    by_name: [BTreeSet<(u64, Handle)>; 2],
    in_stock: BTreeSet<Handle>,
}

impl Slots {
    /// What was found of each of these; in order of handle.
    pub(super) fn of(placed: Vec<(Handle, Slot)>) -> Self {
        let names = |at: usize| {
            placed.iter().filter_map(move |(handle, slot)| Some((*slot.names.get(at)?, *handle)))
        };
        let stocked = placed.iter().filter(|(_, slot)| slot.is_in_stock);
        Self {
            in_stock: stocked.map(|(handle, _)| *handle).collect(),
            handles: placed.iter().map(|(handle, slot)| (slot.id, *handle)).collect(),
            by_name: [names(0).collect(), names(1).collect()],
            by_handle: placed.into_iter().collect(),
        }
    }

    pub(super) fn put(&mut self, handle: Handle, slot: Slot) {
        self.take(handle);
        self.handles.insert(slot.id, handle);
        for (by_name, name) in self.by_name.iter_mut().zip(slot.names) {
            by_name.insert((name, handle));
        }
        if slot.is_in_stock {
            self.in_stock.insert(handle);
        }
        self.by_handle.insert(handle, slot);
    }

    pub(super) fn take(&mut self, handle: Handle) {
        let Some(slot) = self.by_handle.remove(&handle) else { return };
        self.handles.remove(&slot.id);
        self.in_stock.remove(&handle);
        for (by_name, name) in self.by_name.iter_mut().zip(slot.names) {
            by_name.remove(&(name, handle));
        }
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&Slot> {
        self.by_handle.get(&handle)
    }

    /// The handle of an identity.
    pub(super) fn handle(&self, id: ObjectId) -> Option<Handle> {
        self.handles.get(&id).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_handle.len()
    }

    /// Every slot, in order of handle.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle, &Slot)> {
        self.by_handle.iter().map(|(handle, slot)| (*handle, slot))
    }

    /// What is in stock, in order of handle; of one label, if one is given.
    pub(super) fn in_stock<'s>(
        &'s self,
        names: &Names,
        label: Option<&[u8]>,
    ) -> impl Iterator<Item = (Handle, &'s Slot)> {
        let name = label.map(|label| names.of(Some(label)));
        let [_, by_label] = &self.by_name;
        let range = name.map(|name| by_label.range((name, 0)..=(name, Handle::MAX)));
        let labelled = range.into_iter().flatten().map(|(_, handle)| *handle);
        let all = self.in_stock.iter().copied().filter(move |_| name.is_none());
        labelled
            .chain(all)
            .filter_map(|handle| Some((handle, self.get(handle)?)))
            .filter(|(_, slot)| slot.is_in_stock)
    }

    /// What may have these attributes, of those that are to be looked at, in order of handle; and whether it is known to.
    pub(super) fn like(
        &self,
        names: &Names,
        wanted: &Template,
        is_meant: impl Fn(&Slot) -> bool,
    ) -> Vec<(Handle, bool)> {
        let chosen = |(handle, slot): (Handle, &Slot)| match slot.has(names, wanted) {
            Some(false) => None,
            known => is_meant(slot).then_some((handle, known.is_some())),
        };
        let named = NAMES.iter().zip(&self.by_name).find_map(|(kind, by_name)| {
            let name = names.of(Some(wanted.bytes(*kind)?));
            Some(by_name.range((name, 0)..=(name, Handle::MAX)))
        });
        match named {
            Some(named) => named
                .filter_map(|(_, handle)| Some((*handle, self.get(*handle)?)))
                .filter_map(chosen)
                .collect(),
            None => self.iter().filter_map(chosen).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Hold;

    fn object(number: u8, template: Template) -> Object {
        Object {
            id: ObjectId([number; 16]),
            template,
            mate: None,
            public: None,
            kek: None,
            fingerprint: None,
            holders: None,
            created_at_ms: 0,
            born: 1,
            found_on: None,
            hold: Hold::Resident,
            stock: None,
        }
    }

    /// What can be told without reading an object is what is told of it when it is read.
    #[test]
    fn slots_answer_as_their_objects_do() {
        let plain = || Template::new().with(CKA_CLASS, CKO_PRIVATE_KEY).with(CKA_TOKEN, true);
        let objects = [
            Template::new(),
            plain(),
            plain().with(CKA_ID, &b"one"[..]).with(CKA_PRIVATE, true),
            plain().with(CKA_ID, &b""[..]).with(CKA_PRIVATE, false).with(CKA_LABEL, "one"),
            plain().with(CKA_LABEL, &b""[..]).with(CKA_KEY_TYPE, CKK_EC),
            Template::new().with(CKA_CLASS, u64::MAX).with(CKA_KEY_TYPE, u64::from(OTHER)),
        ];
        let mut wanted = vec![Template::new(), Template::new().with(CKA_SIGN, true)];
        for kind in NAMES {
            wanted.extend([&b""[..], b"one", b"two"].map(|name| Template::new().with(kind, name)));
        }
        for kind in NUMBERS {
            let numbers = [0, CKO_PRIVATE_KEY, CKK_EC, u64::from(OTHER), u64::MAX];
            wanted.extend(numbers.map(|number| Template::new().with(kind, number)));
        }
        for kind in FLAGS {
            wanted.extend([true, false].map(|flag| Template::new().with(kind, flag)));
        }
        let (names, mut told) = (Names::default(), 0);
        for (number, template) in (1..).zip(objects) {
            let slot = Slot::of(&names, &object(number, template.clone()), (1, 1), b"");
            for wanted in &wanted {
                if let Some(has) = slot.has(&names, wanted) {
                    assert_eq!(has, template.matches(wanted), "{template:?} {wanted:?}");
                    told += 1;
                }
            }
        }
        assert!(told > 100, "{told}");
    }

    #[test]
    fn what_is_put_is_found_and_what_is_taken_is_not() {
        let names = Names::default();
        let slot = |number: u8, id: &[u8]| {
            let template = Template::new().with(CKA_ID, id).with(CKA_LABEL, "label");
            Slot::of(&names, &object(number, template), (1, 1), b"")
        };
        let mut slots = Slots::of(vec![(1, slot(1, b"a")), (2, slot(2, b"b"))]);
        slots.put(3, slot(3, b"a"));
        slots.put(2, slot(2, b"c"));
        let found = |slots: &Slots, kind, name: &[u8]| {
            slots.like(&names, &Template::new().with(kind, name), |_| true)
        };
        assert_eq!(found(&slots, CKA_ID, b"a"), [(1, true), (3, true)]);
        assert_eq!(found(&slots, CKA_ID, b"b"), []);
        assert_eq!(found(&slots, CKA_LABEL, b"label"), [(1, true), (2, true), (3, true)]);
        slots.take(1);
        assert_eq!(found(&slots, CKA_ID, b"a"), [(3, true)]);
        assert_eq!((slots.len(), slots.handle(ObjectId([1; 16]))), (2, None));
        assert_eq!(slots.handle(ObjectId([3; 16])), Some(3));
    }
}
