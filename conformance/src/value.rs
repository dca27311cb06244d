//! Templates and mechanisms: they own all that their pointers lead to.

use crate::argument::number;
use std::ffi::c_void;
use std::ptr;
use tandem_values::ck::*;

/// An attribute's value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Bytes, as they are.
    Bytes(Vec<u8>),
    /// Room for so many bytes.
    Room(usize),
    /// A null pointer with this length.
    Null(CK_ULONG),
    /// Attributes, as in CKA_UNWRAP_TEMPLATE.
    Template(Template),
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bytes(vec![u8::from(flag)])
    }
}

impl From<CK_ULONG> for Value {
    fn from(number: CK_ULONG) -> Self {
        Self::Bytes(number.to_ne_bytes().to_vec())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&Vec<u8>> for Value {
    fn from(bytes: &Vec<u8>) -> Self {
        Self::Bytes(bytes.clone())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<Template> for Value {
    fn from(template: Template) -> Self {
        Self::Template(template)
    }
}

/// A template: `template! { CKA_CLASS: CKO_DATA, CKA_TOKEN: false }`.
#[macro_export]
macro_rules! template {
    ($($kind:ident: $value:expr),* $(,)?) => {
        $crate::value::Template::of(vec![$(($kind, $crate::value::Value::from($value))),*])
    };
}

/// Attributes.
#[derive(Clone, Debug, Default)]
pub struct Template {
    held: Vec<(CK_ATTRIBUTE_TYPE, Value)>,
    rows: Vec<CK_ATTRIBUTE>,
    null: Option<CK_ULONG>,
}

impl Template {
    /// These.
    pub const fn of(held: Vec<(CK_ATTRIBUTE_TYPE, Value)>) -> Self {
        Self { held, rows: Vec::new(), null: None }
    }

    /// A null pointer with this count.
    pub const fn null(count: CK_ULONG) -> Self {
        Self { held: Vec::new(), rows: Vec::new(), null: Some(count) }
    }

    /// Asks for attributes, each of at most so many bytes.
    pub fn ask(kinds: &[CK_ATTRIBUTE_TYPE], room: usize) -> Self {
        Self::of(kinds.iter().map(|kind| (*kind, Value::Room(room))).collect())
    }

    /// Asks how long attributes are.
    pub fn lengths(kinds: &[CK_ATTRIBUTE_TYPE]) -> Self {
        Self::of(kinds.iter().map(|kind| (*kind, Value::Null(0))).collect())
    }

    /// The same with one more attribute; one of the same kind is replaced.
    #[must_use]
    pub fn with(mut self, kind: CK_ATTRIBUTE_TYPE, value: impl Into<Value>) -> Self {
        self = self.without(kind);
        self.held.push((kind, value.into()));
        self
    }

    /// The same without an attribute.
    #[must_use]
    pub fn without(mut self, kind: CK_ATTRIBUTE_TYPE) -> Self {
        self.held.retain(|(held, _)| *held != kind);
        self
    }

    /// The same with all of another.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        other.held.iter().fold(self, |all, (kind, value)| all.with(*kind, value.clone()))
    }

    pub(crate) fn pointer(&mut self) -> *mut CK_ATTRIBUTE {
        if self.null.is_some() {
            return ptr::null_mut();
        }
        self.rows = self.held.iter_mut().map(|(kind, value)| row(*kind, value)).collect();
        self.rows.as_mut_ptr()
    }

    pub(crate) fn count(&self) -> CK_ULONG {
        self.null.unwrap_or_else(|| number(self.held.len()))
    }

    /// The length that the module has told of the attribute at a place.
    pub fn told(&self, at: usize) -> CK_ULONG {
        self.rows.get(at).map_or(CK_UNAVAILABLE_INFORMATION, |row| row.ulValueLen)
    }

    /// What the module has told of the attribute at a place; `None` if it told nothing.
    pub fn value(&self, at: usize) -> Option<&[u8]> {
        let len = usize::try_from(self.told(at)).ok()?;
        match &self.held.get(at)?.1 {
            Value::Bytes(bytes) => bytes.get(..len),
            _ => None,
        }
    }
}

fn row(kind: CK_ATTRIBUTE_TYPE, value: &mut Value) -> CK_ATTRIBUTE {
    if let Value::Room(room) = value {
        *value = Value::Bytes(vec![0xa5; *room]);
    }
    let (pointer, len) = match value {
        Value::Bytes(bytes) => (bytes.as_mut_ptr().cast::<c_void>(), number(bytes.len())),
        Value::Room(_) => (ptr::null_mut(), 0),
        Value::Null(len) => (ptr::null_mut(), *len),
        Value::Template(inner) => {
            let pointer = inner.pointer().cast::<c_void>();
            (pointer, inner.count() * number(size_of::<CK_ATTRIBUTE>()))
        }
    };
    CK_ATTRIBUTE { type_: kind, pValue: pointer, ulValueLen: len }
}

/// A word of a parameter's structure.
#[derive(Clone, Debug)]
pub enum Word {
    /// A number.
    Number(CK_ULONG),
    /// A pointer to these bytes.
    Pointer(Vec<u8>),
    /// Eight bytes that stand in the structure itself.
    Inline([u8; 8]),
}

/// A mechanism's parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    words: Vec<Word>,
    bytes: Vec<u8>,
    /// The structure, in words, so that it stands where a structure may.
    laid_out: Vec<u64>,
    is_null: bool,
}

impl Parameter {
    /// None: a null pointer and the length zero.
    pub const fn none() -> Self {
        Self { words: Vec::new(), bytes: Vec::new(), laid_out: Vec::new(), is_null: true }
    }

    /// Bytes, as an initialisation vector is given.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), is_null: false, ..Self::none() }
    }

    /// A structure. On the platforms served each field takes eight bytes.
    pub const fn words(words: Vec<Word>) -> Self {
        Self { words, bytes: Vec::new(), laid_out: Vec::new(), is_null: false }
    }

    /// What a pointer of the structure leads to, as the module has left it.
    pub fn behind(&self, at: usize) -> &[u8] {
        match self.words.get(at) {
            Some(Word::Pointer(bytes)) => bytes,
            _ => &[],
        }
    }

    pub(crate) fn pointer(&mut self) -> *mut c_void {
        if self.is_null {
            return ptr::null_mut();
        }
        if self.words.is_empty() {
            return self.bytes.as_mut_ptr().cast();
        }
        self.laid_out = self.words.iter_mut().map(laid_out).collect();
        self.laid_out.as_mut_ptr().cast()
    }

    pub(crate) fn len(&self) -> CK_ULONG {
        number(if self.words.is_empty() { self.bytes.len() } else { self.words.len() * 8 })
    }
}

fn laid_out(word: &mut Word) -> u64 {
    match word {
        Word::Number(number) => *number,
        Word::Pointer(bytes) => {
            // A structure of pointers is handed to C as words; what they lead to stays reachable for it.
            u64::try_from(bytes.as_mut_ptr().expose_provenance()).unwrap_or(0)
        }
        Word::Inline(bytes) => u64::from_ne_bytes(*bytes),
    }
}

/// A mechanism with its parameter.
#[derive(Clone, Debug)]
pub struct Mechanism {
    /// CKM_…
    pub kind: CK_MECHANISM_TYPE,
    /// Its parameter.
    pub parameter: Parameter,
    raw: CK_MECHANISM,
    is_null: bool,
}

impl Mechanism {
    /// One with a parameter.
    pub const fn new(kind: CK_MECHANISM_TYPE, parameter: Parameter) -> Self {
        let raw = CK_MECHANISM { mechanism: kind, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        Self { kind, parameter, raw, is_null: false }
    }

    /// One without a parameter.
    pub const fn plain(kind: CK_MECHANISM_TYPE) -> Self {
        Self::new(kind, Parameter::none())
    }

    /// None: a null pointer.
    pub const fn null() -> Self {
        let mut none = Self::plain(0);
        none.is_null = true;
        none
    }

    /// One with an initialisation vector.
    pub fn with_iv(kind: CK_MECHANISM_TYPE, iv: &[u8]) -> Self {
        Self::new(kind, Parameter::bytes(iv))
    }

    /// CKM_AES_GCM (CK_GCM_PARAMS).
    pub fn gcm(iv: &[u8], aad: &[u8], tag_bits: CK_ULONG) -> Self {
        let words = vec![
            Word::Pointer(iv.to_vec()),
            Word::Number(number(iv.len())),
            Word::Number(number(iv.len()) * 8),
            Word::Pointer(aad.to_vec()),
            Word::Number(number(aad.len())),
            Word::Number(tag_bits),
        ];
        Self::new(CKM_AES_GCM, Parameter::words(words))
    }

    /// CKM_AES_CCM (CK_CCM_PARAMS) for so much data.
    pub fn ccm(len: usize, nonce: &[u8], aad: &[u8], tag: CK_ULONG) -> Self {
        let words = vec![
            Word::Number(number(len)),
            Word::Pointer(nonce.to_vec()),
            Word::Number(number(nonce.len())),
            Word::Pointer(aad.to_vec()),
            Word::Number(number(aad.len())),
            Word::Number(tag),
        ];
        Self::new(CKM_AES_CCM, Parameter::words(words))
    }

    /// CKM_AES_CTR (CK_AES_CTR_PARAMS).
    pub fn ctr(bits: CK_ULONG, block: [u8; 16]) -> Self {
        let [first, second] = halves(block);
        let words = vec![Word::Number(bits), Word::Inline(first), Word::Inline(second)];
        Self::new(CKM_AES_CTR, Parameter::words(words))
    }

    /// CKM_RSA_PKCS_OAEP with SHA-1 (CK_RSA_PKCS_OAEP_PARAMS).
    pub fn oaep() -> Self {
        let words = vec![
            Word::Number(CKM_SHA_1),
            Word::Number(CKG_MGF1_SHA1),
            Word::Number(CKZ_DATA_SPECIFIED),
            Word::Number(0),
            Word::Number(0),
        ];
        Self::new(CKM_RSA_PKCS_OAEP, Parameter::words(words))
    }

    /// A PSS mechanism with SHA-256 (CK_RSA_PKCS_PSS_PARAMS).
    pub fn pss(kind: CK_MECHANISM_TYPE, hash: CK_MECHANISM_TYPE) -> Self {
        let words = vec![Word::Number(hash), Word::Number(CKG_MGF1_SHA256), Word::Number(32)];
        Self::new(kind, Parameter::words(words))
    }

    /// CKM_ECDH1_DERIVE with the other side's point (CK_ECDH1_DERIVE_PARAMS).
    pub fn ecdh(point: &[u8]) -> Self {
        let words = vec![
            Word::Number(CKD_NULL),
            Word::Number(0),
            Word::Number(0),
            Word::Number(number(point.len())),
            Word::Pointer(point.to_vec()),
        ];
        Self::new(CKM_ECDH1_DERIVE, Parameter::words(words))
    }

    /// CKM_AES_ECB_ENCRYPT_DATA (CK_KEY_DERIVATION_STRING_DATA).
    pub fn encrypt_data(data: &[u8]) -> Self {
        let words = vec![Word::Pointer(data.to_vec()), Word::Number(number(data.len()))];
        Self::new(CKM_AES_ECB_ENCRYPT_DATA, Parameter::words(words))
    }

    /// A message's parameter of CKM_AES_GCM (CK_GCM_MESSAGE_PARAMS): the vector stands at word 0, the tag at word 4.
    pub fn gcm_message(iv: &[u8; 12], tag: &[u8; 16]) -> Parameter {
        Parameter::words(vec![
            Word::Pointer(iv.to_vec()),
            Word::Number(12),
            Word::Number(0),
            Word::Number(CKG_NO_GENERATE),
            Word::Pointer(tag.to_vec()),
            Word::Number(128),
        ])
    }

    pub(crate) fn pointer(&mut self) -> *mut CK_MECHANISM {
        if self.is_null {
            return ptr::null_mut();
        }
        self.raw = CK_MECHANISM {
            mechanism: self.kind,
            pParameter: self.parameter.pointer(),
            ulParameterLen: self.parameter.len(),
        };
        &raw mut self.raw
    }
}

fn halves(block: [u8; 16]) -> [[u8; 8]; 2] {
    let half = |at: usize| std::array::from_fn(|byte| block.get(at + byte).copied().unwrap_or(0));
    [half(0), half(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_leads_to_its_own_values() {
        let mut wanted = template! { CKA_CLASS: CKO_DATA, CKA_LABEL: "name" };
        wanted.pointer();
        assert_eq!((wanted.count(), wanted.told(0), wanted.told(1)), (2, 8, 4));
        assert_eq!(wanted.value(1), Some(b"name".as_slice()));
        let replaced = wanted.with(CKA_LABEL, "other").without(CKA_CLASS);
        assert_eq!(replaced.count(), 1);
        assert_eq!(Template::null(3).count(), 3);
    }

    #[test]
    fn a_structure_has_the_layout_of_its_c_type() {
        assert_eq!(
            number(size_of::<CK_GCM_PARAMS>()),
            Mechanism::gcm(&[1; 12], &[], 128).parameter.len()
        );
        assert_eq!(
            number(size_of::<CK_CCM_PARAMS>()),
            Mechanism::ccm(1, &[1; 12], &[], 16).parameter.len()
        );
        assert_eq!(
            number(size_of::<CK_AES_CTR_PARAMS>()),
            Mechanism::ctr(128, [0; 16]).parameter.len()
        );
        assert_eq!(number(size_of::<CK_RSA_PKCS_OAEP_PARAMS>()), Mechanism::oaep().parameter.len());
        let pss = Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256);
        assert_eq!(number(size_of::<CK_RSA_PKCS_PSS_PARAMS>()), pss.parameter.len());
        assert_eq!(
            number(size_of::<CK_ECDH1_DERIVE_PARAMS>()),
            Mechanism::ecdh(&[4]).parameter.len()
        );
        let message = Mechanism::gcm_message(&[1; 12], &[0; 16]);
        assert_eq!(number(size_of::<CK_GCM_MESSAGE_PARAMS>()), message.len());
        assert_eq!(message.behind(0), [1; 12]);
    }
}
