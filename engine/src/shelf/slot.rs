//! What is kept in memory of an object: enough to find it, and to tell whether its row is still the one that was taken in.

use super::stocked::Stocked;
use crate::log::{Position, Row};
use crate::object::{Object, ObjectId};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;
use std::hash::{BuildHasher, Hasher, RandomState};
use tandem_values::{Handle, Template, Value, ck::*};

/// The first bytes of the SHA-256 of a row's body.
pub(super) type Fingerprint = [u8; 16];

/// An object as the shelf knows it without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its identity.
    pub(super) id: ObjectId,
    /// Position of the last event that changed it.
    pub(super) position: Position,
    /// Since when it is the key that it is.
    pub(super) born: Position,
    /// Position of its first event; zero if that is not known.
    pub(super) since: Position,
    /// What its row's body must be.
    pub(super) fingerprint: Fingerprint,
    /// CKA_ID and CKA_LABEL, as [`Names`] have them.
    pub(super) names: [u64; 2],
    /// CKA_CLASS and CKA_KEY_TYPE; [`OTHER`] if absent, or too great for this.
    pub(super) numbers: [u32; 2],
    /// CKA_TOKEN and CKA_PRIVATE, where they are there.
    pub(super) flags: [Option<bool>; 2],
    /// Where its secret part is in the log, if it has one.
    pub(super) wrapped_at: Option<Position>,
    /// It is in stock: nobody has claimed it.
    pub(super) is_in_stock: bool,
}

/// What stands for numbers that are kept elsewhere only.
const OTHER: u32 = u32::MAX;

/// Attributes by which objects are told apart without reading them.
pub(super) const NAMES: [u64; 2] = [CKA_ID, CKA_LABEL];
const NUMBERS: [u64; 2] = [CKA_CLASS, CKA_KEY_TYPE];
const FLAGS: [u64; 2] = [CKA_TOKEN, CKA_PRIVATE];

/// Names as numbers, under a key that is drawn for each checkpoint and for each process that has none, so that nobody can choose
/// two names that are taken for one; that two of a million are one by chance is as likely as a fault of the memory they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names(pub(super) [u8; 16]);

impl Default for Names {
    fn default() -> Self {
        let half = || RandomState::new().hash_one(0_u8).to_le_bytes();
        let mut key = [0; 16];
        key.iter_mut().zip(half().into_iter().chain(half())).for_each(|(to, from)| *to = from);
        Self(key)
    }
}

impl Names {
    /// The number of a name, or of none.
    pub(super) fn of(&self, name: Option<&[u8]>) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write_u8(u8::from(name.is_some()));
        hasher.write(name.unwrap_or_default());
        hasher.finish()
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
            wrapped_at: object.kek.map(|_| object.wrapped_at()),
            is_in_stock: object.is_in_stock(),
        }
    }

    /// The same in a row whose body is another.
    pub(super) fn in_row(&self, body: &[u8]) -> Self {
        Self { fingerprint: fingerprint(body), ..self.clone() }
    }

    /// True if this object, written as a row's body, is what it must be.
    pub(super) fn is_body_of(&self, object: &Object) -> bool {
        minicbor::to_vec(object).is_ok_and(|body| fingerprint(&body) == self.fingerprint)
    }

    /// True if a row is the one that was taken in.
    pub(super) fn is_of(&self, row: &Row) -> bool {
        self.position == row.position
            && row.body.as_deref().is_some_and(|body| fingerprint(body) == self.fingerprint)
    }

    /// The key that is in stock, and the number of its label; `None` if it isn't, and of public halves.
    pub(super) fn stocked(&self, handle: Handle) -> Option<Stocked> {
        let ([_, label], [class, _]) = (self.names, self.numbers);
        let is_key = self.is_in_stock && u64::from(class) != CKO_PUBLIC_KEY;
        let (id, born, position) = (self.id, self.born, self.position);
        is_key.then_some(Stocked { label, handle, id, born, position })
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::object::Hold;
    use crate::ring::Generation;

    pub(in super::super) fn object(number: u8, template: Template) -> Object {
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
            generation: Generation::default(),
            rewrapped: None,
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
}
