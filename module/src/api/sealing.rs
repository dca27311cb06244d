//! Wrapping with associated data (PKCS #11 3.2 sections 5.18.6 and 5.18.7) as C_WrapKey with the same mechanism does it: what differs
//! is where associated data and tag stand. So it needs no function that members of 2.40 don't have.

use crate::abi::RawParameter;
use tandem_engine::error::Result;
use tandem_values::{Mechanism, MechanismType, Parameter, Part, ck::*};
use zeroize::Zeroizing;

/// A mechanism that wraps with associated data, and the parameter of the application, which holds the tag.
pub(super) struct Sealing<'a> {
    /// The same as C_WrapKey takes it, which puts the tag behind what it wraps.
    pub(super) mechanism: Mechanism,
    raw: RawParameter<'a>,
    parts: Vec<Part>,
    tag: Zeroizing<Vec<u8>>,
}

impl<'a> Sealing<'a> {
    /// CKM_AES_GCM with an IV that the application has chosen: CKR_MECHANISM_INVALID for other mechanisms, and
    /// CKR_MECHANISM_PARAM_INVALID where the token is asked for an IV, which C_WrapKey has no way to answer.
    pub(super) fn new(kind: MechanismType, raw: RawParameter<'a>, aad: &[u8]) -> Result<Self> {
        if kind != CKM_AES_GCM {
            return Err(CKR_MECHANISM_INVALID.into());
        }
        let Parameter::Parts(parts) = raw.read(kind)? else {
            return Err(CKR_MECHANISM_PARAM_INVALID.into());
        };
        let [Part::Bytes(Some(iv)), _, Part::Number(CKG_NO_GENERATE), Part::Bytes(Some(tag))] =
            parts.as_slice()
        else {
            return Err(CKR_MECHANISM_PARAM_INVALID.into());
        };
        let bits = |bytes: &[u8]| Part::Number((bytes.len() as u64).saturating_mul(8));
        let parameter = Parameter::Parts(vec![
            Part::Bytes(Some(iv.clone())),
            bits(iv),
            Part::Bytes(Some(Zeroizing::new(aad.to_vec()))),
            bits(tag),
        ]);
        let tag = tag.clone();
        Ok(Self { mechanism: Mechanism { kind, parameter }, raw, parts, tag })
    }

    /// The tag that came with what is to be unwrapped.
    pub(super) fn tag(&self) -> &[u8] {
        &self.tag
    }

    /// What was wrapped, and its tag.
    pub(super) fn apart<'b>(&self, sealed: &'b [u8]) -> Result<(&'b [u8], &'b [u8])> {
        let len = sealed.len().checked_sub(self.tag.len());
        len.and_then(|len| sealed.split_at_checked(len)).ok_or_else(|| CKR_GENERAL_ERROR.into())
    }

    /// Hands the tag to the application.
    pub(super) fn write(mut self, tag: &[u8]) -> Result {
        if let Some(place) = self.parts.last_mut() {
            *place = Part::Bytes(Some(Zeroizing::new(tag.to_vec())));
        }
        self.raw.write(self.mechanism.kind, &Parameter::Parts(self.parts))
    }
}
