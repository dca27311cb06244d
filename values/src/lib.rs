//! What PKCS #11 talks about, as owned Rust values: attributes and templates, mechanisms with their
//! parameters, return values, and what a token says of itself.
//!
//! Nothing here points into memory of an application or a vendor: a value may be kept, compared,
//! sent to another thread or asked again of another HSM.

#![forbid(unsafe_code)]

pub mod attribute;
pub mod info;
pub mod keytype;
pub mod mechanism;
pub mod names;
pub mod pattern;
pub mod rv;
pub mod secret;
pub mod spare;
pub mod template;
pub mod vendor_attributes;
pub mod wiped;

pub use attribute::{Attribute, AttributeType, Form, Value};
pub use mechanism::{Field, Layout, Mechanism, MechanismType, Parameter, Part};
pub use rv::Rv;
pub use secret::Secret;
pub use template::Template;
pub use wiped::{Bytes, Wiped};

/// The constants and C types of PKCS #11 3.2, for every crate that names one.
pub use cryptoki_sys as ck;

/// An object handle, an application's or a vendor's (CK_OBJECT_HANDLE). Zero is no object.
pub type Handle = u64;
