//! Bytes that must not be seen: PINs and shares.

use memmap2::{Advice, MmapMut};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// A PIN or another secret: wiped when dropped, in no core dump where the system lets it, and without `Debug` or `Display`, so that it
/// can't reach a log by accident. Copies share the same bytes.
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
