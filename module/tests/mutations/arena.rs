//! Memory of an application that is watched closely: an allocation for each value, which ends where the value ends.

use crate::random::Random;
use tandem_values::ck::*;
use tandem_values::{Field, Form, Layout, mechanism::layout};

/// Values of one call, freed when it is over.
#[derive(Default)]
pub(crate) struct Arena(Vec<Box<[u8]>>);

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
const KINDS: &[u64] = &[
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
const HUGE: &[u64] = &[u64::MAX, u64::MAX - 23, 1 << 63, 1 << 40, (64 << 20) + 1];

impl Arena {
    /// Bytes at any alignment, with nothing behind them.
    pub(crate) fn place(&mut self, random: &mut Random, bytes: &[u8]) -> *mut u8 {
        let shift = random.below(8);
        let mut memory = Vec::with_capacity(shift + bytes.len());
        memory.resize(shift, 0xa5);
        memory.extend_from_slice(bytes);
        let mut memory = memory.into_boxed_slice();
        let place = memory.as_mut_ptr().wrapping_add(shift);
        self.0.push(memory);
        place
    }

    pub(crate) fn number(&mut self, random: &mut Random, number: u64) -> *mut u64 {
        self.place(random, &number.to_ne_bytes()).cast()
    }

    /// What stands at a place of this arena.
    pub(crate) fn read(place: *mut u64) -> u64 {
        // SAFETY: made by `number`, and the arena is not yet cleared.
        unsafe { place.read_unaligned() }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// A template with mutations, as C has it.
    pub(crate) fn template(
        &mut self,
        random: &mut Random,
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

    fn rows(
        &mut self,
        random: &mut Random,
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
        random: &mut Random,
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
    pub(crate) fn questions(&mut self, random: &mut Random) -> (*mut CK_ATTRIBUTE, u64) {
        let rows: Vec<_> = (0..random.below(6))
            .map(|_| {
                let room = random.pick(&[0, 1, 7, 8, 9, 16, 24, 48, 65, 256, 600]);
                let mut row = CK_ATTRIBUTE {
                    type_: random.pick(KINDS),
                    pValue: self.place(random, &vec![0; room]).cast(),
                    ulValueLen: room as u64,
                };
                if random.one_in(3) {
                    (row.pValue, row.ulValueLen) = (std::ptr::null_mut(), random.next());
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
        random: &mut Random,
        kind: u64,
        good: &[u8],
    ) -> *mut CK_MECHANISM {
        let kind = if random.one_in(30) { random.next() % 0x2500 } else { kind };
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
    pub(crate) fn structure(&mut self, random: &mut Random, fields: &[Field]) -> Vec<u8> {
        let mut words: Vec<u8> = Vec::new();
        for field in fields {
            match field {
                Field::Number => words.extend(random.pick(NUMBERS).to_ne_bytes()),
                Field::Key => words.extend((random.next() % 9).to_ne_bytes()),
                Field::Bytes | Field::LengthBytes | Field::Bits => {
                    let len = random.pick(&[0, 1, 12, 16, 65]);
                    let bytes = random.bytes(len);
                    let mut place = self.place(random, &bytes);
                    let mut len = if *field == Field::Bits { len as u64 * 8 } else { len as u64 };
                    match random.below(12) {
                        0 => place = std::ptr::null_mut(),
                        1 => len = random.pick(HUGE),
                        _ => {}
                    }
                    let (place, len) = ((place as u64).to_ne_bytes(), len.to_ne_bytes());
                    let pair =
                        if *field == Field::LengthBytes { [len, place] } else { [place, len] };
                    words.extend(pair.as_flattened());
                }
                Field::Inline(len) => words.extend(random.bytes(*len)),
                Field::Nested(fields) => {
                    let inner = self.structure(random, fields);
                    let place = self.place(random, &inner);
                    let place = if random.one_in(8) { 0 } else { place as u64 };
                    words.extend(place.to_ne_bytes());
                }
            }
        }
        words
    }
}

fn mutate(random: &mut Random, rows: &mut Vec<(u64, Shape)>) {
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
