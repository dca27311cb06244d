//! Finding objects (PKCS #11 3.2 section 5.7).

use crate::abi::wire::{Caller, Place, Room};
use tandem_engine::error::Result;
use tandem_values::{Template, ck::*};

/// C_FindObjectsInit.
pub fn init(session: Caller<'_>, template: Template) -> Result {
    session.find_init(&template)
}

/// C_FindObjects.
pub fn next(
    session: Caller<'_>,
    mut found: Room<'_, CK_OBJECT_HANDLE>,
    count: Place<'_, CK_ULONG>,
) -> Result {
    let handles = session.find_next(found.len())?;
    found.push(&handles)?;
    count.set(CK_ULONG::try_from(handles.len()).map_err(|_| CKR_GENERAL_ERROR)?);
    Ok(())
}

/// C_FindObjectsFinal.
pub fn finish(session: Caller<'_>) -> Result {
    session.find_final()
}
