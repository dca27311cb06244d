//! Bytes that must not be seen: PINs and shares.

use zeroize::Zeroizing;

/// A PIN or another secret: wiped when dropped, and without `Debug` or `Display`, so that it can't reach
/// a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over bytes that hold a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}
