//! Bytes that must not be seen: PINs and shares.

use memmap2::{Advice, MmapMut};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// A PIN or another secret: wiped when dropped, in no core dump, and without `Debug` or `Display`, so that it can't reach a log
/// by accident. Copies share the same bytes.
#[derive(Clone)]
pub struct Secret(Arc<Place>);

/// Where the bytes are.
enum Place {
    /// In memory of their own, of which so many bytes are theirs.
    Own(MmapMut, usize),
    /// Among others: there are none, or the system has no memory to give for them alone.
    Shared(Zeroizing<Vec<u8>>),
}

impl Secret {
    /// Takes over bytes that hold a secret. Where the system lets it, they are kept out of core dumps and swap.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Zeroizing::new(bytes.into());
        Self(Arc::new(Place::own(&bytes).unwrap_or(Place::Shared(bytes))))
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &[u8] {
        match &*self.0 {
            Place::Own(memory, len) => memory.get(..*len).unwrap_or_default(),
            Place::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl Place {
    fn own(bytes: &[u8]) -> Option<Self> {
        // Of no bytes there is no memory.
        let mut memory = MmapMut::map_anon(bytes.len()).ok()?;
        memory.advise(Advice::DontDump).ok()?;
        // How much a process may lock is its host's to say.
        let _ = memory.lock();
        memory.copy_from_slice(bytes);
        Some(Self::Own(memory, bytes.len()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Own(memory, _) = self {
            memory.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says of the memory at an address, in letters of two.
    fn flags(address: usize) -> String {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_there = false;
        for line in text.lines() {
            let ends = line.split(' ').next().and_then(|range| range.split_once('-'));
            let ends = ends.map(|(from, to)| [from, to].map(|end| usize::from_str_radix(end, 16)));
            if let Some([Ok(from), Ok(to)]) = ends {
                is_there = (from..to).contains(&address);
            } else if is_there && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.to_owned();
            }
        }
        panic!("{address:x} is nowhere in {text}");
    }

    #[test]
    fn a_secret_is_in_memory_that_no_core_dump_shows() {
        let secret = Secret::new("1234");
        let there = |bytes: &[u8]| flags(bytes.as_ptr().addr()).contains(" dd");
        assert!(there(secret.expose()));
        let other = b"1234".to_vec();
        assert!(!there(&other), "other memory is");
        assert_eq!(secret.expose(), b"1234");
        assert!(secret == Secret::new(*b"1234") && secret != Secret::new("12345"));
    }

    #[test]
    fn one_without_bytes_is_one_too() {
        assert_eq!(Secret::new(Vec::new()).expose(), b"");
        let long = vec![7; 10_000];
        assert_eq!(Secret::new(long.clone()).expose(), long);
    }
}
