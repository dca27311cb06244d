//! One attribute of an object (PKCS #11 3.2 section 4), owned and typed.

use crate::{Template, names};
use cryptoki_sys::*;
use minicbor::{Decode, Encode};
use std::fmt;
use zeroize::Zeroizing;

/// The number of an attribute (CKA_…).
pub type AttributeType = CK_ATTRIBUTE_TYPE;

/// What an attribute's bytes mean. Anything not known to be otherwise is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CK_BBOOL, one byte.
    Flag,
    /// CK_ULONG.
    Number,
    /// Bytes, of any length.
    Bytes,
    /// An array of CK_ULONG (CKA_ALLOWED_MECHANISMS).
    Numbers,
    /// An array of CK_ATTRIBUTE (CKA_WRAP_TEMPLATE and its like).
    Template,
}

impl Form {
    #[expect(
        clippy::too_many_lines,
        reason = "one table, a line for each attribute that is no byte string"
    )]
    /// The form of an attribute, by the tables of PKCS #11 3.2 sections 4 and 6.
    pub const fn of(kind: AttributeType) -> Self {
        use crate::vendor_attributes::{CKA_TANDEM_BACKED_UP, CKA_TANDEM_REPLICAS};
        match kind {
            CKA_TOKEN
            | CKA_PRIVATE
            | CKA_TRUSTED
            | CKA_SENSITIVE
            | CKA_ENCRYPT
            | CKA_DECRYPT
            | CKA_WRAP
            | CKA_UNWRAP
            | CKA_SIGN
            | CKA_SIGN_RECOVER
            | CKA_VERIFY
            | CKA_VERIFY_RECOVER
            | CKA_DERIVE
            | CKA_EXTRACTABLE
            | CKA_LOCAL
            | CKA_NEVER_EXTRACTABLE
            | CKA_ALWAYS_SENSITIVE
            | CKA_MODIFIABLE
            | CKA_COPYABLE
            | CKA_DESTROYABLE
            | CKA_ALWAYS_AUTHENTICATE
            | CKA_WRAP_WITH_TRUSTED
            | CKA_ENCAPSULATE
            | CKA_DECAPSULATE
            | CKA_OTP_USER_FRIENDLY_MODE
            | CKA_RESET_ON_INIT
            | CKA_HAS_RESET
            | CKA_COLOR
            | CKA_SECONDARY_AUTH
            | CKA_TANDEM_BACKED_UP => Self::Flag,
            CKA_CLASS
            | CKA_CERTIFICATE_TYPE
            | CKA_CERTIFICATE_CATEGORY
            | CKA_JAVA_MIDP_SECURITY_DOMAIN
            | CKA_NAME_HASH_ALGORITHM
            | CKA_KEY_TYPE
            | CKA_MODULUS_BITS
            | CKA_PRIME_BITS
            | CKA_SUBPRIME_BITS
            | CKA_VALUE_BITS
            | CKA_VALUE_LEN
            | CKA_KEY_GEN_MECHANISM
            | CKA_OTP_FORMAT
            | CKA_OTP_LENGTH
            | CKA_OTP_TIME_INTERVAL
            | CKA_OTP_CHALLENGE_REQUIREMENT
            | CKA_OTP_TIME_REQUIREMENT
            | CKA_OTP_COUNTER_REQUIREMENT
            | CKA_OTP_PIN_REQUIREMENT
            | CKA_OTP_SERVICE_LOGO_TYPE
            | CKA_HW_FEATURE_TYPE
            | CKA_PIXEL_X
            | CKA_PIXEL_Y
            | CKA_RESOLUTION
            | CKA_CHAR_ROWS
            | CKA_CHAR_COLUMNS
            | CKA_BITS_PER_PIXEL
            | CKA_MECHANISM_TYPE
            | CKA_PROFILE_ID
            | CKA_HSS_LEVELS
            | CKA_HSS_LMS_TYPE
            | CKA_HSS_LMOTS_TYPE
            | CKA_HSS_KEYS_REMAINING
            | CKA_PARAMETER_SET
            | CKA_OBJECT_VALIDATION_FLAGS
            | CKA_VALIDATION_TYPE
            | CKA_VALIDATION_LEVEL
            | CKA_VALIDATION_FLAG
            | CKA_VALIDATION_AUTHORITY_TYPE
            | CKA_AUTH_PIN_FLAGS
            | CKA_TANDEM_REPLICAS => Self::Number,
            CKA_ALLOWED_MECHANISMS | CKA_HSS_LMS_TYPES | CKA_HSS_LMOTS_TYPES => Self::Numbers,
            CKA_WRAP_TEMPLATE
            | CKA_UNWRAP_TEMPLATE
            | CKA_DERIVE_TEMPLATE
            | CKA_ENCAPSULATE_TEMPLATE
            | CKA_DECAPSULATE_TEMPLATE => Self::Template,
            _ => Self::Bytes,
        }
    }
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Value {
    /// CK_BBOOL.
    #[n(0)]
    Flag(#[n(0)] bool),
    /// CK_ULONG; CK_UNAVAILABLE_INFORMATION is kept as its own number.
    #[n(1)]
    Number(#[n(0)] u64),
    /// Bytes; wiped when dropped, since CKA_VALUE is among them.
    #[n(2)]
    Bytes(#[cbor(n(0), with = "wiped")] Zeroizing<Vec<u8>>),
    /// An array of CK_ULONG.
    #[n(3)]
    Numbers(#[n(0)] Vec<u64>),
    /// A template inside an attribute.
    #[n(4)]
    Template(#[n(0)] Template),
}

/// CBOR of wiped bytes: a byte string.
mod wiped {
    use minicbor::{Decoder, Encoder, decode as de, encode as en};
    use zeroize::Zeroizing;

    pub(super) fn encode<C, W: en::Write>(
        bytes: &Zeroizing<Vec<u8>>,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), en::Error<W::Error>> {
        e.bytes(bytes)?.ok()
    }

    pub(super) fn decode<C>(
        d: &mut Decoder<'_>,
        _: &mut C,
    ) -> Result<Zeroizing<Vec<u8>>, de::Error> {
        Ok(Zeroizing::new(d.bytes()?.to_vec()))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Zeroizing::new(bytes.to_vec()))
    }
}
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Zeroizing::new(bytes))
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}
impl From<Vec<u64>> for Value {
    fn from(numbers: Vec<u64>) -> Self {
        Self::Numbers(numbers)
    }
}
impl From<Template> for Value {
    fn from(template: Template) -> Self {
        Self::Template(template)
    }
}

impl Value {
    /// The form this value has.
    pub const fn form(&self) -> Form {
        match self {
            Self::Flag(_) => Form::Flag,
            Self::Number(_) => Form::Number,
            Self::Bytes(_) => Form::Bytes,
            Self::Numbers(_) => Form::Numbers,
            Self::Template(_) => Form::Template,
        }
    }
}

/// An attribute: its number and its value.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Attribute {
    /// Which attribute (CKA_…).
    #[n(0)]
    pub kind: AttributeType,
    /// Its value.
    #[n(1)]
    pub value: Value,
}

impl Attribute {
    /// An attribute of this number and value.
    pub fn new(kind: AttributeType, value: impl Into<Value>) -> Self {
        Self { kind, value: value.into() }
    }
}

/// Names the attribute and never shows bytes, which may be a key.
impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", names::attribute(self.kind))?;
        match &self.value {
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Bytes(bytes) => write!(f, "[{} bytes]", bytes.len()),
            Value::Numbers(numbers) => write!(f, "{numbers:?}"),
            Value::Template(template) => write!(f, "{template:?}"),
        }
    }
}
