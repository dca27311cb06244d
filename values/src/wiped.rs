//! Bytes that are wiped.

use crate::spare;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use zeroize::optimization_barrier;

/// Bytes that are wiped when they are dropped: all at once, since data of a mebibyte is wiped as often as it is copied.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// Shortens it.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Wiped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        let room = self.0.capacity();
        self.0.clear();
        self.0.resize(room, 0);
        optimization_barrier(&*self.0);
        spare::keep(std::mem::take(&mut self.0));
    }
}

/// Data of an operation: shared by whoever keeps it, and wiped when the last of them lets go of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(Arc<Wiped>);

impl Bytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes.into()))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Wiped> for Bytes {
    fn from(bytes: Wiped) -> Self {
        Self(Arc::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// How many there are, not which.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_the_same_bytes() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let copy = bytes.clone();
        assert_eq!(bytes.as_slice().as_ptr(), copy.as_slice().as_ptr());
        assert_eq!(format!("{copy:?}"), "3 bytes");
    }

    #[test]
    fn what_is_shortened_is_short() {
        let mut wiped = Wiped::from(vec![7; 9]);
        wiped.truncate(4);
        assert_eq!(Bytes::from(wiped).as_slice(), [7; 4]);
    }
}
