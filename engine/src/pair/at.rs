//! Faults told to people: which member, and what it was doing.

use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::Answer;
use tandem_values::ck::CKR_DEVICE_ERROR;

/// An answer of a member as a result that says where it came from.
pub(super) trait At<T> {
    /// `doing` completes "member ams: … failed".
    fn at(self, desk: &Desk<'_>, doing: &str) -> Result<T>;
}

impl<T> At<T> for Answer<T> {
    fn at(self, desk: &Desk<'_>, doing: &str) -> Result<T> {
        self.map_err(|fault| {
            let message = format!("member {}: {doing} failed in {:?}", desk.name(), fault.call);
            Error::new(fault.rv.0, message)
        })
    }
}

/// An error about what a member holds or made.
pub(super) fn wrong(desk: &Desk<'_>, what: &str) -> Error {
    Error::new(CKR_DEVICE_ERROR, format!("member {}: {what}", desk.name()))
}
