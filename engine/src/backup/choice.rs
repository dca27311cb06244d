//! What an operator chooses: one object, or all of a name.

use crate::object::{Object, ObjectId};
use std::fmt;
use tandem_values::{Template, ck::*};

/// What an operator chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The object of this identity.
    Object(ObjectId),
    /// Every object that has these attributes.
    Like(Template),
}

impl Choice {
    /// True if it means this object.
    pub(crate) fn means(&self, object: &Object) -> bool {
        match self {
            Self::Object(id) => object.id == *id,
            Self::Like(template) => object.template.matches(template),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(id) => write!(f, "{id}"),
            Self::Like(template) => match (template.bytes(CKA_LABEL), template.bytes(CKA_ID)) {
                (Some(label), _) => write!(f, "labelled {:?}", String::from_utf8_lossy(label)),
                (None, Some(id)) => {
                    f.write_str("of CKA_ID ")?;
                    id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                }
                (None, None) => f.write_str("like that"),
            },
        }
    }
}
