//! Functions of the parallel sessions that PKCS #11 gave up, and of the asynchronous ones that Tandem doesn't offer (PKCS
//! #11 3.2 sections 5.20 and 5.21).

use crate::abi::wire::{Caller, Place, Room};
use tandem_engine::error::Result;
use tandem_values::ck::*;

/// C_GetFunctionStatus, C_CancelFunction.
pub fn not_parallel(_session: Caller<'_>) -> Result {
    Err(CKR_FUNCTION_NOT_PARALLEL.into())
}

/// C_AsyncComplete.
pub fn async_complete(_session: Caller<'_>, (): (), _result: Place<'_, CK_ASYNC_DATA>) -> Result {
    Err(CKR_FUNCTION_NOT_SUPPORTED.into())
}

/// C_AsyncGetID.
pub fn async_id(_session: Caller<'_>, (): (), _id: Place<'_, CK_ULONG>) -> Result {
    Err(CKR_FUNCTION_NOT_SUPPORTED.into())
}

/// C_AsyncJoin.
pub fn async_join(_session: Caller<'_>, (): (), _id: CK_ULONG, _data: Room<'_>) -> Result {
    Err(CKR_FUNCTION_NOT_SUPPORTED.into())
}
