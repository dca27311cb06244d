//! Random numbers (PKCS #11 3.2 section 5.19).

use crate::abi::wire::{Caller, Room};
use crate::limits::{RANDOM_BYTES_MAX, RANDOM_CHUNK_BYTES};
use tandem_engine::error::Result;
use tandem_engine::step::Bytes;
use tandem_values::ck::*;

/// C_SeedRandom.
pub fn seed(session: Caller<'_>, seed: Bytes) -> Result {
    session.seed(&seed)
}

/// C_GenerateRandom, a chunk at a time.
pub fn fill(session: Caller<'_>, mut room: Room<'_>) -> Result {
    if room.len() > RANDOM_BYTES_MAX {
        return Err(CKR_ARGUMENTS_BAD.into());
    }
    while !room.is_empty() {
        let wanted = room.len().min(RANDOM_CHUNK_BYTES);
        let bytes = Bytes::from(session.random(wanted)?);
        if bytes.len() != wanted {
            return Err(CKR_GENERAL_ERROR.into());
        }
        room.push(&bytes)?;
    }
    Ok(())
}
