//! Keys in stock, as they are found: by the label of their stock, the oldest first.

use crate::log::Position;
use crate::object::ObjectId;
use tandem_values::Handle;

/// A key in stock, as far as it is known without being read. Public halves are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stocked {
    /// Its label, as [`super::Names`] have it.
    pub(super) label: u64,
    /// Its handle.
    pub(crate) handle: Handle,
    /// Its identity.
    pub(crate) id: ObjectId,
    /// Since when it is the key that it is.
    pub(crate) born: Position,
    /// Position of the last event that changed it.
    pub(super) position: Position,
}
