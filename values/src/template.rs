//! A list of attributes: what a call asks of an object, and what an object shows.

use crate::{Attribute, AttributeType, Handle, Value};
use cryptoki_sys::{CKA_CLASS, CKA_KEY_TYPE};
use minicbor::{Decode, Encode};
use std::fmt;

/// Attributes in order. The order matters to some vendors (SoftHSM applies CKA_MODIFIABLE where it stands).
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Template(#[n(0)] Vec<Attribute>);

impl Template {
    /// An empty template.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of an attribute; the first one if it is named twice.
    pub fn get(&self, kind: AttributeType) -> Option<&Value> {
        self.0.iter().find(|attribute| attribute.kind == kind).map(|attribute| &attribute.value)
    }

    /// The attribute as a CK_BBOOL; `None` if absent or of another form.
    pub fn flag(&self, kind: AttributeType) -> Option<bool> {
        match self.get(kind)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// True if the attribute is there and true.
    pub fn is(&self, kind: AttributeType) -> bool {
        self.flag(kind) == Some(true)
    }

    /// The attribute as a CK_ULONG; `None` if absent or of another form.
    pub fn number(&self, kind: AttributeType) -> Option<u64> {
        match self.get(kind)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The attribute as bytes; `None` if absent or of another form.
    pub fn bytes(&self, kind: AttributeType) -> Option<&[u8]> {
        match self.get(kind)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The attribute as a list of numbers; `None` if absent or of another form.
    pub fn numbers(&self, kind: AttributeType) -> Option<&[u64]> {
        match self.get(kind)? {
            Value::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The attribute as a template; `None` if absent or of another form.
    pub fn template(&self, kind: AttributeType) -> Option<&Self> {
        match self.get(kind)? {
            Value::Template(template) => Some(template),
            _ => None,
        }
    }

    /// CKA_CLASS.
    pub fn class(&self) -> Option<u64> {
        self.number(CKA_CLASS)
    }

    /// CKA_KEY_TYPE.
    pub fn key_type(&self) -> Option<u64> {
        self.number(CKA_KEY_TYPE)
    }

    /// True if the attribute is named, whatever its value.
    pub fn has(&self, kind: AttributeType) -> bool {
        self.get(kind).is_some()
    }

    /// Sets an attribute where it stands, or appends it.
    pub fn set(&mut self, kind: AttributeType, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|attribute| attribute.kind == kind) {
            Some(attribute) => attribute.value = value,
            None => self.0.push(Attribute { kind, value }),
        }
    }

    /// The same template with an attribute set.
    #[must_use]
    pub fn with(mut self, kind: AttributeType, value: impl Into<Value>) -> Self {
        self.set(kind, value);
        self
    }

    /// Sets an attribute unless it is there.
    pub fn set_default(&mut self, kind: AttributeType, value: impl Into<Value>) {
        if !self.has(kind) {
            self.0.push(Attribute::new(kind, value));
        }
    }

    /// Removes an attribute, every time it is named.
    pub fn remove(&mut self, kind: AttributeType) {
        self.0.retain(|attribute| attribute.kind != kind);
    }

    /// The same template with only the attributes that `keep` chooses.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(AttributeType) -> bool) -> Self {
        self.0.iter().filter(|attribute| keep(attribute.kind)).cloned().collect()
    }

    /// Sets every attribute of another template.
    pub fn merge(&mut self, other: &Self) {
        for attribute in other {
            self.set(attribute.kind, attribute.value.clone());
        }
    }

    /// True if every attribute of `wanted` is here with an equal value.
    pub fn matches(&self, wanted: &Self) -> bool {
        wanted.iter().all(|attribute| self.get(attribute.kind) == Some(&attribute.value))
    }

    /// The attributes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.0.iter()
    }

    /// The numbers of the attributes in order.
    pub fn kinds(&self) -> impl Iterator<Item = AttributeType> + '_ {
        self.0.iter().map(|attribute| attribute.kind)
    }

    /// Appends an attribute as it is, even one that is already named (an application may do so).
    pub fn push(&mut self, attribute: Attribute) {
        self.0.push(attribute);
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Attribute> for Template {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Template {
    type Item = &'a Attribute;
    type IntoIter = std::slice::Iter<'a, Attribute>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

/// What a member or the catalogue answers for one attribute that was asked (PKCS #11 3.2 section 5.7.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Its value.
    Value(Value),
    /// It may not be seen (CKR_ATTRIBUTE_SENSITIVE).
    Sensitive,
    /// The object has no such attribute (CKR_ATTRIBUTE_TYPE_INVALID).
    Invalid,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value alone has no name, so it is shown as nameless as it is.
        write!(f, "{:?}", self.form())
    }
}

/// A made key pair: two handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The public key.
    pub public: Handle,
    /// The private key.
    pub private: Handle,
}
