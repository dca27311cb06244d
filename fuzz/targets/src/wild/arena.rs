//! Memory of an application that is watched closely: an allocation for each value, at any alignment.

use crate::random::Random;
use tandem_values::ck::*;
use tandem_values::{Field, Form, Layout, Part, mechanism::layout};
use zeroize::Zeroizing;

/// What stands beside values, and must be there still.
const UNTOUCHED: u8 = 0xa5;

/// Values of one call, freed when it is over.
#[derive(Default)]
pub struct Arena {
    held: Vec<Held>,
    fence: usize,
}

/// A value, and what stands before and behind it.
struct Held {
    memory: Box<[u8]>,
    before: usize,
    len: usize,
}

impl Held {
    fn is_alone(&self) -> bool {
        let (before, rest) = self.memory.split_at(self.before);
        let behind = &rest[self.len..];
        before.iter().chain(behind).all(|byte| *byte == UNTOUCHED)
    }
}

/// What an attribute's value is, before it is lied about.
#[derive(Clone)]
pub(crate) enum Shape {
    Bytes(Vec<u8>),
    Rows(Vec<(u64, Self)>),
}

impl From<u64> for Shape {
    fn from(number: u64) -> Self {
        Self::Bytes(number.to_ne_bytes().to_vec())
    }
}
impl From<bool> for Shape {
    fn from(flag: bool) -> Self {
        Self::Bytes(vec![u8::from(flag)])
    }
}
impl From<&[u8]> for Shape {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}
impl From<&str> for Shape {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// Attributes that mutations make of others.
pub(crate) const KINDS: &[u64] = &[
    CKA_CLASS,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_LABEL,
    CKA_UNIQUE_ID,
    CKA_VALUE,
    CKA_APPLICATION,
    CKA_OBJECT_ID,
    CKA_CERTIFICATE_TYPE,
    CKA_ISSUER,
    CKA_TRUSTED,
    CKA_CHECK_VALUE,
    CKA_KEY_TYPE,
    CKA_SUBJECT,
    CKA_ID,
    CKA_SENSITIVE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_DERIVE,
    CKA_START_DATE,
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT,
    CKA_VALUE_LEN,
    CKA_EXTRACTABLE,
    CKA_LOCAL,
    CKA_NEVER_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_KEY_GEN_MECHANISM,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_ALWAYS_AUTHENTICATE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_WRAP_TEMPLATE,
    CKA_UNWRAP_TEMPLATE,
    CKA_DERIVE_TEMPLATE,
    CKA_ALLOWED_MECHANISMS,
    CKA_PARAMETER_SET,
    0x9444_0001,
    0x9444_0005,
    0x9444_0006,
    0x8000_0042,
    0xffff_ffff,
    u64::MAX,
];

/// Numbers that mutations make of others: edges, and nothing that is merely slow.
const NUMBERS: &[u64] =
    &[0, 1, 3, 7, 16, 24, 32, 33, 255, 1000, 0x8000_0000, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];

/// Lengths that no memory has.
pub(crate) const HUGE: &[u64] = &[u64::MAX, u64::MAX - 23, 1 << 63, 1 << 40, (64 << 20) + 1];

impl Arena {
    /// One in which values end where their allocations do, so that AddressSanitizer sees a byte too many.
    pub fn exact() -> Self {
        Self::default()
    }

    /// One with bytes behind each value that are looked at afterwards, for whoever has no sanitizer.
    pub fn fenced() -> Self {
        Self { held: Vec::new(), fence: 16 }
    }

    /// Bytes at any alignment.
    pub(crate) fn place(&mut self, random: &mut Random<'_>, bytes: &[u8]) -> *mut u8 {
        let before = random.below(8);
        let mut memory = vec![UNTOUCHED; before + bytes.len() + self.fence].into_boxed_slice();
        memory[before..before + bytes.len()].copy_from_slice(bytes);
        let place = memory.as_mut_ptr().wrapping_add(before);
        self.held.push(Held { memory, before, len: bytes.len() });
        place
    }

    pub(crate) fn number(&mut self, random: &mut Random<'_>, number: u64) -> *mut u64 {
        self.place(random, &number.to_ne_bytes()).cast()
    }

    /// What stands at a place of this arena.
    pub(crate) fn read(place: *mut u64) -> u64 {
        // SAFETY: made by `number`, and the arena is not yet cleared.
        unsafe { place.read_unaligned() }
    }

    /// Ends a call: nothing beside its values was written.
    pub(crate) fn clear(&mut self) {
        for held in self.held.drain(..) {
            assert!(held.is_alone(), "something beside a value of {} bytes was written", held.len);
        }
    }

    /// A template with mutations, as C has it.
    pub(crate) fn template(
        &mut self,
        random: &mut Random<'_>,
        base: &[(u64, Shape)],
    ) -> (*mut CK_ATTRIBUTE, u64) {
        let mut rows = base.to_vec();
        while !rows.is_empty() && random.one_in(3) {
            mutate(random, &mut rows);
        }
        let place = self.rows(random, &rows, true);
        let count = rows.len() as u64;
        match random.below(60) {
            0 => (std::ptr::null_mut(), count),
            1 => (place, random.pick(HUGE)),
            2 => (place, 0),
            _ => (place, count),
        }
    }

    pub(crate) fn rows(
        &mut self,
        random: &mut Random<'_>,
        rows: &[(u64, Shape)],
        lies: bool,
    ) -> *mut CK_ATTRIBUTE {
        let size = size_of::<CK_ATTRIBUTE>();
        let place = self.place(random, &vec![0; rows.len() * size]).cast::<CK_ATTRIBUTE>();
        for (at, (kind, shape)) in rows.iter().enumerate() {
            let row = self.row(random, *kind, shape, lies.then_some((place, rows.len())));
            // SAFETY: as many rows as the place has.
            unsafe { place.wrapping_add(at).write_unaligned(row) };
        }
        place
    }

    fn row(
        &mut self,
        random: &mut Random<'_>,
        kind: u64,
        shape: &Shape,
        lies: Option<(*mut CK_ATTRIBUTE, usize)>,
    ) -> CK_ATTRIBUTE {
        let (place, mut len, wild) = match shape {
            Shape::Bytes(bytes) => (self.place(random, bytes), bytes.len() as u64, true),
            Shape::Rows(rows) => {
                (self.rows(random, rows, false).cast(), (rows.len() * 24) as u64, false)
            }
        };
        let mut row = CK_ATTRIBUTE { type_: kind, pValue: place.cast(), ulValueLen: len };
        if let Some((all, count)) = lies {
            match random.below(40) {
                0 => row.pValue = std::ptr::null_mut(),
                1 => (row.pValue, row.ulValueLen) = (std::ptr::null_mut(), 0),
                2 => {
                    row.ulValueLen = random.pick(HUGE);
                    return row;
                }
                3 => len = random.below(usize::try_from(len).unwrap() + 1) as u64,
                4 => {
                    // A template that contains itself.
                    let len = (count * 24) as u64;
                    let kind = CKA_UNWRAP_TEMPLATE;
                    return CK_ATTRIBUTE { type_: kind, pValue: all.cast(), ulValueLen: len };
                }
                _ => {}
            }
        }
        row.ulValueLen = if row.pValue.is_null() { row.ulValueLen } else { len };
        // Bytes that are no attributes must not be taken for some: an application that does this crashes by itself.
        if wild && Form::of(kind) == Form::Template && row.ulValueLen.is_multiple_of(24) {
            row.ulValueLen = row.ulValueLen.saturating_sub(1);
        }
        row
    }

    /// Room for so many attributes, as C_GetAttributeValue wants it: empty, exact, too short or plenty.
    pub(crate) fn questions(&mut self, random: &mut Random<'_>) -> (*mut CK_ATTRIBUTE, u64) {
        let rows: Vec<_> = (0..random.below(6))
            .map(|_| {
                let room = random.pick(&[0, 1, 7, 8, 9, 16, 24, 48, 65, 256, 600]);
                let mut row = CK_ATTRIBUTE {
                    type_: random.pick(KINDS),
                    pValue: self.place(random, &vec![0; room]).cast(),
                    ulValueLen: room as u64,
                };
                if random.one_in(3) {
                    (row.pValue, row.ulValueLen) = (std::ptr::null_mut(), random.number());
                }
                row
            })
            .collect();
        let place = self.place(random, &vec![0; rows.len() * 24]).cast::<CK_ATTRIBUTE>();
        for (at, row) in rows.iter().enumerate() {
            // SAFETY: as many rows as the place has.
            unsafe { place.wrapping_add(at).write_unaligned(*row) };
        }
        match random.below(30) {
            0 => (std::ptr::null_mut(), rows.len() as u64),
            1 => (place, random.pick(HUGE)),
            _ => (place, rows.len() as u64),
        }
    }

    /// A mechanism with a parameter that may be wrong.
    pub(crate) fn mechanism(
        &mut self,
        random: &mut Random<'_>,
        kind: u64,
        good: &[u8],
    ) -> *mut CK_MECHANISM {
        let kind = if random.one_in(30) { random.number() % 0x2500 } else { kind };
        let parameter = match layout(kind) {
            Some(Layout::Fields(fields) | Layout::OptionalFields(fields)) if !random.one_in(4) => {
                self.structure(random, fields)
            }
            Some(Layout::Flat) | None if random.one_in(4) => {
                let len = random.below(40);
                random.bytes(len)
            }
            // A structure is not made of random bytes: its pointers would be the application's own mistake.
            Some(Layout::Fields(_) | Layout::OptionalFields(_)) => Vec::new(),
            _ => good.to_vec(),
        };
        let place = self.place(random, &parameter);
        let len = parameter.len() as u64;
        let (place, len) = match random.below(40) {
            0 => (std::ptr::null_mut(), len),
            1 => (place, random.pick(HUGE)),
            2 => (place, len.saturating_sub(1)),
            3 => (place, len.saturating_sub(8)),
            _ => (place, len),
        };
        let raw = CK_MECHANISM { mechanism: kind, pParameter: place.cast(), ulParameterLen: len };
        let place = self.place(random, &[0; size_of::<CK_MECHANISM>()]).cast::<CK_MECHANISM>();
        // SAFETY: room for one.
        unsafe { place.write_unaligned(raw) };
        if random.one_in(60) { std::ptr::null_mut() } else { place }
    }

    /// A parameter with pointers: each leads to bytes, or is null, or has a length that no memory has.
    pub(crate) fn structure(&mut self, random: &mut Random<'_>, fields: &[Field]) -> Vec<u8> {
        self.parts(random, fields).0
    }

    /// The same, with what it says; `None` if it must be refused.
    pub(crate) fn parts(
        &mut self,
        random: &mut Random<'_>,
        fields: &[Field],
    ) -> (Vec<u8>, Option<Vec<Part>>) {
        let mut words = Vec::new();
        let mut parts = Some(Vec::new());
        for field in fields {
            let (more, part) = self.part(random, *field);
            words.extend(more);
            parts = parts.zip(part).map(|(mut parts, part)| {
                parts.push(part);
                parts
            });
        }
        (words, parts)
    }

    fn part(&mut self, random: &mut Random<'_>, field: Field) -> (Vec<u8>, Option<Part>) {
        match field {
            Field::Number => {
                let number = random.pick(NUMBERS);
                (number.to_ne_bytes().to_vec(), Some(Part::Number(number)))
            }
            Field::Key => {
                let key = random.number() % 9;
                (key.to_ne_bytes().to_vec(), Some(Part::Key(key)))
            }
            Field::Bytes | Field::LengthBytes | Field::Bits => self.span(random, field),
            Field::Inline(len) => {
                let bytes = random.bytes(len);
                (bytes.clone(), Some(Part::Inline(bytes)))
            }
            Field::Nested(_) if random.one_in(8) => (vec![0; 8], Some(Part::Nested(None))),
            Field::Nested(fields) => {
                let (inner, parts) = self.parts(random, fields);
                let place = self.place(random, &inner) as u64;
                (place.to_ne_bytes().to_vec(), parts.map(|parts| Part::Nested(Some(parts))))
            }
        }
    }

    /// A pointer and a length.
    fn span(&mut self, random: &mut Random<'_>, field: Field) -> (Vec<u8>, Option<Part>) {
        let len = random.pick(&[0, 1, 12, 16, 65]);
        let bytes = random.bytes(len);
        let unit = if field == Field::Bits { 8 } else { 1 };
        let (mut place, mut told) = (self.place(random, &bytes), len as u64 * unit);
        let mut part = Some(Part::Bytes(Some(Zeroizing::new(bytes))));
        match random.below(12) {
            0 => {
                place = std::ptr::null_mut();
                part = (len == 0).then_some(Part::Bytes(None));
            }
            1 => (told, part) = (random.pick(HUGE), None),
            _ => {}
        }
        let (place, told) = ((place as u64).to_ne_bytes(), told.to_ne_bytes());
        let pair = if field == Field::LengthBytes { [told, place] } else { [place, told] };
        (pair.as_flattened().to_vec(), part)
    }
}

fn mutate(random: &mut Random<'_>, rows: &mut Vec<(u64, Shape)>) {
    let at = random.below(rows.len());
    let other = random.below(rows.len());
    let Some(row) = rows.get_mut(at) else { return };
    match random.below(9) {
        0 => {
            rows.remove(at);
        }
        1 => {
            let row = row.clone();
            rows.insert(other, row);
        }
        2 => rows.swap(at, other),
        3 => row.0 = random.pick(KINDS),
        4 => row.1 = random.pick(NUMBERS).into(),
        5 => row.1 = random.one_in(2).into(),
        6 => {
            let len = random.pick(&[0, 1, 7, 8, 9, 23, 24, 25, 600, 5000]);
            row.1 = Shape::Bytes(random.bytes(len));
        }
        7 => {
            let inner = vec![(random.pick(KINDS), true.into()), (CKA_CLASS, CKO_SECRET_KEY.into())];
            let kind = random.pick(&[CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE]);
            *row = (kind, Shape::Rows(inner));
        }
        _ => rows.push((random.pick(KINDS), random.pick(NUMBERS).into())),
    }
    // Attributes inside an array stay real attributes: see `Arena::row`.
    for (kind, shape) in rows.iter_mut() {
        if let Shape::Rows(_) = shape
            && Form::of(*kind) != Form::Template
        {
            *shape = Shape::Bytes(vec![0; 9]);
        }
    }
}
