//! Finding objects and wrapping keys: what takes more than one call (PKCS #11 3.2 sections 5.7 and 5.18).

use crate::encode::Attributes;
use crate::functions::Functions;
use crate::output::{Outcome, output};
use crate::parameter::CMechanism;
use tandem_engine::step::{Output, Room};
use tandem_values::ck::*;
use tandem_values::{Handle, Mechanism, Rv, Template, rv::Result};

/// How many handles are fetched with one call.
const BATCH: usize = 256;
/// More handles than any token has: a module that goes on for ever is stopped here.
const HANDLES_MAX: usize = 1 << 24;
/// Room for a wrapped key whose length isn't known yet, in bytes: an RSA-8192 private key has less.
const WRAPPED_BYTES: usize = 8 << 10;
/// How often the length of a wrapped key may grow between two calls.
const ATTEMPTS_MAX: usize = 4;

/// Every object that matches a template.
pub(crate) fn find(
    functions: &Functions,
    session: CK_SESSION_HANDLE,
    template: &Template,
) -> Result<Vec<Handle>> {
    let mut template = Attributes::new(template);
    match functions.find_init(session, &mut template) {
        // A search whose end was lost: it is ended now, and ours begun.
        Err(Rv(CKR_OPERATION_ACTIVE)) => {
            functions.find_final(session)?;
            functions.find_init(session, &mut template)?;
        }
        begun => begun?,
    }
    let found = find_all(functions, session);
    // In any case, or the session could search no more.
    let ended = functions.find_final(session);
    let found = found?;
    ended.map(|()| found)
}

fn find_all(functions: &Functions, session: CK_SESSION_HANDLE) -> Result<Vec<Handle>> {
    let mut all = Vec::new();
    let mut batch = vec![0; BATCH];
    // Until none comes: some modules answer fewer than there is room for before the end.
    loop {
        let count = functions.find(session, &mut batch)?;
        if count == 0 {
            return Ok(all);
        }
        if all.len() > HANDLES_MAX {
            return Err(Rv(CKR_GENERAL_ERROR));
        }
        all.extend(batch.iter().take(count));
    }
}

/// C_WrapKey, with room first: some modules can't say how long the wrapped key will be.
pub(crate) fn wrap(
    functions: &Functions,
    session: CK_SESSION_HANDLE,
    mechanism: &Mechanism,
    by: Handle,
    key: Handle,
) -> Result<Vec<u8>> {
    let mut mechanism = CMechanism::new(mechanism)?;
    let mut room = WRAPPED_BYTES;
    for _ in 0..ATTEMPTS_MAX {
        let wrapped = output(Room::Bytes(room), true, |sink| {
            functions.wrap(session, &mut mechanism, by, key, sink)
        })?;
        match wrapped {
            Outcome::Bytes(bytes) => return Ok(bytes.to_vec()),
            Outcome::Short(needed) | Outcome::Length(needed) => {
                room = needed.max(room.saturating_mul(2));
            }
        }
    }
    Err(Rv(CKR_GENERAL_ERROR))
}

/// C_EncapsulateKey with so much room. There is a key only if there are bytes.
pub(crate) fn encapsulate(
    functions: &Functions,
    session: CK_SESSION_HANDLE,
    mechanism: &Mechanism,
    public: Handle,
    template: &Template,
    room: Room,
) -> Result<(Output, Handle)> {
    let mut mechanism = CMechanism::new(mechanism)?;
    let mut template = Attributes::new(template);
    let mut key = CK_INVALID_HANDLE;
    let sent = output(room, true, |sink| {
        key = functions.encapsulate(session, &mut mechanism, public, &mut template, sink)?;
        Ok(())
    })?;
    match sent {
        // Bytes without a key are of no use.
        Outcome::Bytes(_) if key == CK_INVALID_HANDLE => Err(Rv(CKR_GENERAL_ERROR)),
        sent => Ok((sent.into(), key)),
    }
}

#[cfg(test)]
mod tests;
