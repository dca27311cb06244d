//! Memory that is handed to a vendor: aligned for any C type, of a known length, wiped when dropped.

use tandem_values::ck::*;
use tandem_values::{Rv, rv::Result};
use zeroize::Zeroizing;

/// CK_UNAVAILABLE_INFORMATION: as a length, that there is no value to see.
pub(crate) const UNAVAILABLE: CK_ULONG = CK_ULONG::MAX;

const WORD: usize = size_of::<u64>();

// Parameters are rows of eight-byte words, and lengths travel between usize and CK_ULONG unchanged.
const _: () = assert!(size_of::<usize>() == WORD && size_of::<CK_ULONG>() == WORD);

/// A length as C has it.
pub(crate) const fn ulong(len: usize) -> CK_ULONG {
    len as CK_ULONG
}

/// A length as Rust has it.
#[expect(clippy::cast_possible_truncation, reason = "both are eight bytes, asserted above")]
pub(crate) const fn len(len: CK_ULONG) -> usize {
    len as usize
}

/// Bytes whose address is a multiple of eight: some vendors read CK_ULONGs where they stand.
#[derive(Default)]
pub(crate) struct Buffer {
    words: Zeroizing<Vec<u64>>,
    len: usize,
}

impl Buffer {
    /// So many zeroes. CKR_HOST_MEMORY if there is no room: the length may be another's idea.
    pub(crate) fn zeroed(len: usize) -> Result<Self> {
        let mut words = Vec::new();
        let count = len.div_ceil(WORD);
        words.try_reserve_exact(count).map_err(|_| Rv(CKR_HOST_MEMORY))?;
        words.resize(count, 0);
        Ok(Self { words: Zeroizing::new(words), len })
    }

    /// A copy of bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let words = bytes.chunks(WORD).map(|chunk| {
            let mut word = [0; WORD];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            u64::from_ne_bytes(word)
        });
        Self { words: Zeroizing::new(words.collect()), len: bytes.len() }
    }

    /// Where it begins: valid for reading and writing [`Buffer::len`] bytes while the buffer lives unmoved or moved,
    /// and never null.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast()
    }

    /// How many bytes it has.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Its first bytes, at most as many as there are.
    pub(crate) fn take(&self, count: usize) -> Zeroizing<Vec<u8>> {
        let count = count.min(self.len);
        // Room for all of it at once: growing would leave copies behind that nobody wipes.
        let words = count.div_ceil(WORD);
        let mut bytes = Zeroizing::new(Vec::with_capacity(words * WORD));
        for word in self.words.iter().take(words) {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        for len in 0..=33_u8 {
            let bytes: Vec<u8> = (1..=len).collect();
            let mut buffer = Buffer::from_bytes(&bytes);
            assert_eq!(*buffer.take(usize::MAX), bytes);
            assert_eq!(buffer.as_mut_ptr() as usize % 8, 0);
            assert!(!buffer.as_mut_ptr().is_null());
            assert_eq!(*buffer.take(3), bytes.get(..3).unwrap_or(&bytes));
        }
    }

    #[test]
    fn an_absurd_length_is_refused_without_an_abort() {
        assert!(Buffer::zeroed(usize::MAX - 7).is_err_and(|rv| rv == Rv(CKR_HOST_MEMORY)));
    }
}
