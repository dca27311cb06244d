//! Random bytes for pairing, from two sources: whoever can tell one of them can't tell what comes of both.

use crate::desk::Desk;
use crate::fault::{Answer, Call, Fault};
use crate::ports::Entropy;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_values::ck::CKR_GENERAL_ERROR;
use zeroize::Zeroizing;

/// How many bytes the member gives: as strong as the strongest key that comes of them.
const SEED_LEN: usize = 32;

/// The operating system's random bytes, each XORed with a stream that a member's random bytes seed.
pub(super) struct Chance<'a> {
    system: &'a dyn Entropy,
    seed: Zeroizing<Vec<u8>>,
    block: AtomicU64,
}

impl<'a> Chance<'a> {
    /// Asks the member for its part.
    pub(super) fn new(system: &'a dyn Entropy, desk: &Desk<'_>) -> Answer<Self> {
        let seed = Zeroizing::new(desk.member.random(desk.session, SEED_LEN)?);
        if seed.len() != SEED_LEN {
            return Err(Fault::new(Call::Random, CKR_GENERAL_ERROR));
        }
        Ok(Self { system, seed, block: AtomicU64::new(0) })
    }

    /// So many random bytes.
    pub(super) fn bytes<const N: usize>(&self) -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        self.fill(bytes.as_mut_slice());
        bytes
    }

    fn next_block(&self) -> Zeroizing<[u8; 32]> {
        let block = self.block.fetch_add(1, Ordering::Relaxed);
        let hash = Sha256::new()
            .chain_update(b"tandem chance")
            .chain_update(self.seed.as_slice())
            .chain_update(block.to_be_bytes());
        Zeroizing::new(hash.finalize().into())
    }
}

impl Entropy for Chance<'_> {
    fn fill(&self, buffer: &mut [u8]) {
        self.system.fill(buffer);
        for chunk in buffer.chunks_mut(32) {
            for (byte, other) in chunk.iter_mut().zip(self.next_block().iter()) {
                *byte ^= other;
            }
        }
    }
}
