//! Slots and tokens of a library (PKCS #11 3.2 section 5.5).

use crate::config::TokenSelector;
use crate::decode;
use crate::functions::Functions;
use crate::messages::with_messages;
use tandem_values::ck::*;
use tandem_values::info::{MechanismInfo, TokenInfo};
use tandem_values::{MechanismType, Rv, rv::Result};

/// The most slots or mechanisms that a module is believed to have.
const LIST_MAX: usize = 1 << 16;
/// How many mechanisms a token is thought to have at most before it is asked how many.
const MECHANISMS: usize = 512;
/// How often a list may grow between two calls.
const ATTEMPTS_MAX: usize = 4;

/// What was found of a token that was looked for.
pub(crate) enum Found {
    One(CK_SLOT_ID, Box<TokenInfo>),
    Several,
    /// The tokens that are there instead, for the message.
    None(String),
}

/// Looks for a token.
pub(crate) fn find(functions: &Functions, wanted: &TokenSelector) -> Result<Found> {
    if let TokenSelector::Slot(slot) = wanted {
        let info = functions.token_info(*slot)?;
        return Ok(Found::One(*slot, Box::new(decode::token_info(&info))));
    }
    let mut found = None;
    let mut seen = Vec::new();
    for slot in slots(functions)? {
        // A slot whose token can't be looked at is another's trouble.
        let Ok(info) = functions.token_info(slot) else { continue };
        let info = decode::token_info(&info);
        let initialised = info.flags & CKF_TOKEN_INITIALIZED != 0;
        let fits = match wanted {
            TokenSelector::Label(label) => initialised && info.label == *label,
            TokenSelector::Serial(serial) => info.serial == *serial,
            TokenSelector::Slot(_) => false,
            TokenSelector::Uninitialised => !initialised,
        };
        if initialised {
            seen.push(format!("\"{}\" (serial {})", info.label, info.serial));
        }
        if fits && found.is_some() && *wanted != TokenSelector::Uninitialised {
            return Ok(Found::Several);
        }
        if fits && found.is_none() {
            found = Some(Found::One(slot, Box::new(info)));
        }
    }
    let none = || if seen.is_empty() { "no tokens".into() } else { seen.join(", ") };
    Ok(found.unwrap_or_else(|| Found::None(none())))
}

/// Every slot that has a token.
fn slots(functions: &Functions) -> Result<Vec<CK_SLOT_ID>> {
    list(|slots| functions.slots(slots))
}

/// The mechanisms that a token lists.
pub(crate) fn mechanism_list(
    functions: &Functions,
    slot: CK_SLOT_ID,
) -> Result<Vec<MechanismType>> {
    // There are seldom more, so one call is enough.
    let mut kinds = vec![0; MECHANISMS];
    match functions.mechanisms(slot, Some(&mut kinds)) {
        Ok(filled) if filled <= kinds.len() => {
            kinds.truncate(filled);
            Ok(kinds)
        }
        Err(Rv(CKR_BUFFER_TOO_SMALL)) | Ok(_) => list(|kinds| functions.mechanisms(slot, kinds)),
        Err(rv) => Err(rv),
    }
}

/// The same with the key sizes and flags of each. One that is listed and not known after all is left out.
pub(crate) fn mechanisms(
    functions: &Functions,
    slot: CK_SLOT_ID,
) -> Result<Vec<(MechanismType, MechanismInfo)>> {
    let mut known = Vec::new();
    for kind in mechanism_list(functions, slot)? {
        match functions.mechanism_info(slot, kind) {
            Ok(info) => known.push((kind, with_messages(kind, decode::mechanism_info(&info)))),
            Err(Rv(CKR_MECHANISM_INVALID)) => {}
            Err(rv) => return Err(rv),
        }
    }
    Ok(known)
}

/// A list by its two calls: how many, then which. It may grow between them.
fn list(call: impl Fn(Option<&mut [CK_ULONG]>) -> Result<usize>) -> Result<Vec<CK_ULONG>> {
    for _ in 0..ATTEMPTS_MAX {
        let count = call(None)?;
        if count > LIST_MAX {
            return Err(Rv(CKR_GENERAL_ERROR));
        }
        // At least one: room for none is a question for the count.
        let mut all = vec![0; count.max(1)];
        match call(Some(&mut all)) {
            Ok(filled) if filled <= all.len() => {
                all.truncate(filled);
                return Ok(all);
            }
            Ok(_) => return Err(Rv(CKR_GENERAL_ERROR)),
            Err(Rv(CKR_BUFFER_TOO_SMALL)) => {}
            Err(rv) => return Err(rv),
        }
    }
    Err(Rv(CKR_GENERAL_ERROR))
}

/// A label as C_InitToken takes it: 32 bytes, padded with blanks. CKR_ARGUMENTS_BAD if it is longer.
pub(crate) fn padded(label: &str) -> Result<[u8; 32]> {
    let mut padded = [b' '; 32];
    let place = padded.get_mut(..label.len()).ok_or(Rv(CKR_ARGUMENTS_BAD))?;
    place.copy_from_slice(label.as_bytes());
    Ok(padded)
}

/// A session's state (CKS_…).
pub(crate) fn state(functions: &Functions, session: CK_SESSION_HANDLE) -> Result<u64> {
    functions.session_info(session).map(|info| info.state)
}

/// Random bytes.
pub(crate) fn random(
    functions: &Functions,
    session: CK_SESSION_HANDLE,
    count: usize,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(count).map_err(|_| Rv(CKR_HOST_MEMORY))?;
    bytes.resize(count, 0);
    functions.random(session, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_list_that_grows_between_the_calls_is_asked_again() {
        let there = Cell::new(1);
        let all = list(|room| match room {
            None => Ok(there.get()),
            Some(room) => {
                let count = there.replace(3);
                if room.len() < 3 || count < 3 {
                    return Err(Rv(CKR_BUFFER_TOO_SMALL));
                }
                room.copy_from_slice(&[4, 5, 6]);
                Ok(3)
            }
        });
        assert_eq!(all, Ok(vec![4, 5, 6]));
    }

    #[test]
    fn a_list_longer_than_its_room_is_not_believed() {
        let liar = |room: Option<&mut [CK_ULONG]>| Ok(room.map_or(1, |_| 7));
        assert_eq!(list(liar), Err(Rv(CKR_GENERAL_ERROR)));
        assert_eq!(list(|_| Ok(usize::MAX)), Err(Rv(CKR_GENERAL_ERROR)));
        let grows = |room: Option<&mut [CK_ULONG]>| match room {
            None => Ok(1),
            Some(_) => Err(Rv(CKR_BUFFER_TOO_SMALL)),
        };
        assert_eq!(list(grows), Err(Rv(CKR_GENERAL_ERROR)));
        assert_eq!(list(|_| Ok(0)), Ok(vec![]));
    }

    #[test]
    fn labels_are_padded_with_blanks() {
        assert_eq!(&padded("abc").unwrap(), b"abc                             ");
        assert!(padded(&"x".repeat(32)).is_ok());
        assert_eq!(padded(&"x".repeat(33)), Err(Rv(CKR_ARGUMENTS_BAD)));
    }
}
