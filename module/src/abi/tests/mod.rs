//! The C face as C sees it: raw pointers in, memory compared after. None of this needs a token.

#![expect(
    clippy::multiple_unsafe_ops_per_block,
    clippy::cast_ptr_alignment,
    reason = "tests play the application in C, which aligns nothing"
)]

mod attributes;
pub(crate) mod faces;
mod mechanism;
mod parameter;
mod template;
mod wire;

use super::*;
use tandem_engine::error::Result;

/// What a result says to the application.
pub(super) fn rv<T>(result: Result<T>) -> CK_RV {
    result.map_or_else(|error| error.rv.0, |_| CKR_OK)
}

/// An attribute as an application makes it.
pub(super) fn row<T: ?Sized>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    let len = size_of_val(value) as CK_ULONG;
    CK_ATTRIBUTE { type_: kind, pValue: (&raw mut *value).cast(), ulValueLen: len }
}

/// An attribute that asks for a length.
pub(super) const fn asking(kind: CK_ATTRIBUTE_TYPE) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: std::ptr::null_mut(), ulValueLen: 0 }
}
