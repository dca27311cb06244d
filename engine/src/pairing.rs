//! Pairing a token: its members get a key ring in common, and what they hold is taken over.

use crate::error::{Error, Result};
use crate::report::{PairReport, Progress};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};
impl Token {
    /// Makes the key ring on every member, and takes over what they hold. Does nothing when that is done.
    pub fn pair(self: &Arc<Self>, _pin: &Secret, _progress: &dyn Progress) -> Result<PairReport> { Err(Error::from(CKR_GENERAL_ERROR)) }
    pub(crate) fn pair_fresh(self: &Arc<Self>) -> Result { Err(Error::from(CKR_GENERAL_ERROR)) }
}
