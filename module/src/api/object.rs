//! Objects (PKCS #11 3.2 section 5.7).

use crate::abi::Asked;
use crate::abi::wire::{Caller, Place};
use tandem_engine::error::Result;
use tandem_values::{Handle, Template, ck::*};

/// C_CreateObject.
pub fn create(
    session: Caller<'_>,
    template: Template,
    object: Place<'_, CK_OBJECT_HANDLE>,
) -> Result {
    object.set(session.create(&template)?);
    Ok(())
}

/// C_CopyObject.
pub fn copy(
    session: Caller<'_>,
    from: Handle,
    template: Template,
    object: Place<'_, CK_OBJECT_HANDLE>,
) -> Result {
    object.set(session.copy(from, &template)?);
    Ok(())
}

/// C_DestroyObject.
pub fn destroy(session: Caller<'_>, object: Handle) -> Result {
    session.destroy(object)
}

/// C_GetObjectSize.
pub fn size(session: Caller<'_>, object: Handle, size: Place<'_, CK_ULONG>) -> Result {
    size.set(session.size(object)?);
    Ok(())
}

/// C_GetAttributeValue.
pub fn get(session: Caller<'_>, object: Handle, asked: Asked<'_>) -> Result {
    asked.answer(&session.read(object, asked.kinds())?)
}

/// C_SetAttributeValue.
pub fn set(session: Caller<'_>, object: Handle, template: Template) -> Result {
    session.write(object, &template)
}
