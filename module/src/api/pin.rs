//! PINs (PKCS #11 3.2 section 5.5). A null PIN is the token's protected authentication path.

use crate::abi::wire::Caller;
use tandem_engine::error::Result;
use tandem_values::Secret;

/// C_InitPIN.
pub fn init(session: Caller<'_>, pin: Option<Secret>) -> Result {
    session.init_pin(pin.as_ref())
}

/// C_SetPIN.
pub fn set(session: Caller<'_>, old: Option<Secret>, new: Option<Secret>) -> Result {
    session.set_pin(old.as_ref(), new.as_ref())
}
