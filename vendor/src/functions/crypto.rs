//! Operations (PKCS #11 3.2 sections 5.8 to 5.17): five shapes of functions, and which verb has which.

use super::{Functions, have, input};
use crate::buffer::ulong;
use crate::parameter::CMechanism;
use std::ptr;
use tandem_engine::step::Verb;
use tandem_values::ck::*;
use tandem_values::{Rv, rv::Result};

type Session = CK_SESSION_HANDLE;
type Init = unsafe extern "C" fn(Session, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV;
type End = unsafe extern "C" fn(Session) -> CK_RV;
type Take = unsafe extern "C" fn(Session, *mut CK_BYTE, CK_ULONG) -> CK_RV;
type Give = unsafe extern "C" fn(Session, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;
type Turn =
    unsafe extern "C" fn(Session, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

/// Where a vendor puts output: room of a known length, or nothing but a question for the length (PKCS #11
/// 3.2 section 5.2).
pub(crate) struct Sink<'a> {
    room: Option<&'a mut [u8]>,
    len: CK_ULONG,
}

impl<'a> Sink<'a> {
    /// Asks how much there would be.
    pub(crate) const fn query() -> Self {
        Self { room: None, len: 0 }
    }

    /// Room for `len` bytes. The buffer may be longer, so that room for none is still not a null pointer.
    pub(crate) fn new(buffer: &'a mut [u8], len: usize) -> Self {
        let len = ulong(len.min(buffer.len()));
        Self { room: Some(buffer), len }
    }

    /// What the vendor wrote as the length. May be anything.
    pub(crate) const fn len(&self) -> CK_ULONG {
        self.len
    }

    /// Pointer (null for a query, or valid for writing the length) and where the length is.
    pub(super) fn parts(&mut self) -> (*mut CK_BYTE, *mut CK_ULONG) {
        let pointer = self.room.as_mut().map_or(ptr::null_mut(), |buffer| buffer.as_mut_ptr());
        (pointer, &raw mut self.len)
    }

    /// What a vendor sees.
    #[cfg(test)]
    pub(crate) fn for_tests(&mut self) -> (Option<&mut [u8]>, &mut CK_ULONG) {
        (self.room.as_deref_mut(), &mut self.len)
    }
}

impl Functions {
    /// What the module knows a verb as. Before PKCS #11 3.2 a signature came at the end of its verification: each of the functions
    /// that want it first is the same as one that wants it last, and steps tell it both times.
    fn known(&self, verb: Verb) -> Verb {
        match verb {
            Verb::VerifySignature if self.list.C_VerifySignatureInit.is_none() => Verb::Verify,
            verb => verb,
        }
    }

    /// C_…Init. Without a key for a digest, with the signature for C_VerifySignatureInit.
    pub(crate) fn init(
        &self,
        session: Session,
        verb: Verb,
        mechanism: &mut CMechanism,
        key: Option<CK_OBJECT_HANDLE>,
        signature: Option<&[u8]>,
    ) -> Result {
        self.init_or_end(session, verb, mechanism.as_mut_ptr(), key, signature)
    }

    /// C_…Init with a null mechanism: ends an operation of this kind (PKCS #11 3.0 and newer).
    pub(crate) fn end_by_init(&self, session: Session, verb: Verb) -> Result {
        self.init_or_end(session, verb, Self::null_mechanism(), None, None)
    }

    /// `mechanism` is null or leads to a whole mechanism.
    fn init_or_end(
        &self,
        session: Session,
        verb: Verb,
        mechanism: *mut CK_MECHANISM,
        key: Option<CK_OBJECT_HANDLE>,
        signature: Option<&[u8]>,
    ) -> Result {
        let key = key.unwrap_or(CK_INVALID_HANDLE);
        let rv = match self.known(verb) {
            Verb::Digest => {
                let function = have(self.list.C_DigestInit)?;
                // SAFETY: the mechanism is whole or null.
                unsafe { function(session, mechanism) }
            }
            Verb::VerifySignature => {
                let function = have(self.list.C_VerifySignatureInit)?;
                let signature = signature.unwrap_or_default();
                let len = ulong(signature.len());
                // SAFETY: the mechanism is whole or null, the signature has that length.
                unsafe { function(session, mechanism, key, input(signature), len) }
            }
            _ => {
                let function = have(self.init_of(self.known(verb)))?;
                // SAFETY: the mechanism is whole or null.
                unsafe { function(session, mechanism, key) }
            }
        };
        Rv::check(rv)
    }

    const fn init_of(&self, verb: Verb) -> Option<Init> {
        match verb {
            Verb::Encrypt => self.list.C_EncryptInit,
            Verb::Decrypt => self.list.C_DecryptInit,
            Verb::Sign => self.list.C_SignInit,
            Verb::SignRecover => self.list.C_SignRecoverInit,
            Verb::Verify => self.list.C_VerifyInit,
            Verb::VerifyRecover => self.list.C_VerifyRecoverInit,
            Verb::MessageEncrypt => self.list.C_MessageEncryptInit,
            Verb::MessageDecrypt => self.list.C_MessageDecryptInit,
            Verb::MessageSign => self.list.C_MessageSignInit,
            Verb::MessageVerify => self.list.C_MessageVerifyInit,
            Verb::Digest | Verb::VerifySignature => None,
        }
    }

    /// C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover, C_VerifyRecover.
    pub(crate) fn whole(
        &self,
        session: Session,
        verb: Verb,
        data: &[u8],
        out: &mut Sink<'_>,
    ) -> Result {
        let function = match verb {
            Verb::Encrypt => self.list.C_Encrypt,
            Verb::Decrypt => self.list.C_Decrypt,
            Verb::Digest => self.list.C_Digest,
            Verb::Sign => self.list.C_Sign,
            Verb::SignRecover => self.list.C_SignRecover,
            Verb::VerifyRecover => self.list.C_VerifyRecover,
            _ => None,
        };
        turn(function, session, data, out)
    }

    /// C_EncryptUpdate, C_DecryptUpdate.
    pub(crate) fn part(
        &self,
        session: Session,
        verb: Verb,
        data: &[u8],
        out: &mut Sink<'_>,
    ) -> Result {
        let function = match verb {
            Verb::Encrypt => self.list.C_EncryptUpdate,
            Verb::Decrypt => self.list.C_DecryptUpdate,
            _ => None,
        };
        turn(function, session, data, out)
    }

    /// C_DigestEncryptUpdate, C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate.
    pub(crate) fn both(
        &self,
        session: Session,
        verbs: (Verb, Verb),
        data: &[u8],
        out: &mut Sink<'_>,
    ) -> Result {
        let function = match verbs {
            (Verb::Digest, Verb::Encrypt) | (Verb::Encrypt, Verb::Digest) => {
                self.list.C_DigestEncryptUpdate
            }
            (Verb::Decrypt, Verb::Digest) | (Verb::Digest, Verb::Decrypt) => {
                self.list.C_DecryptDigestUpdate
            }
            (Verb::Sign, Verb::Encrypt) | (Verb::Encrypt, Verb::Sign) => {
                self.list.C_SignEncryptUpdate
            }
            (Verb::Decrypt, Verb::Verify) | (Verb::Verify, Verb::Decrypt) => {
                self.list.C_DecryptVerifyUpdate
            }
            _ => None,
        };
        turn(function, session, data, out)
    }

    /// C_DigestUpdate, C_SignUpdate, C_VerifyUpdate, C_VerifySignatureUpdate.
    pub(crate) fn feed(&self, session: Session, verb: Verb, data: &[u8]) -> Result {
        take(
            match self.known(verb) {
                Verb::Digest => self.list.C_DigestUpdate,
                Verb::Sign => self.list.C_SignUpdate,
                Verb::Verify => self.list.C_VerifyUpdate,
                Verb::VerifySignature => self.list.C_VerifySignatureUpdate,
                _ => None,
            },
            session,
            data,
        )
    }

    /// C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal.
    pub(crate) fn last(&self, session: Session, verb: Verb, out: &mut Sink<'_>) -> Result {
        let function: Option<Give> = match verb {
            Verb::Encrypt => self.list.C_EncryptFinal,
            Verb::Decrypt => self.list.C_DecryptFinal,
            Verb::Digest => self.list.C_DigestFinal,
            Verb::Sign => self.list.C_SignFinal,
            _ => None,
        };
        let function = have(function)?;
        let (pointer, len) = out.parts();
        // SAFETY: there is room for `len` bytes or none.
        Rv::check(unsafe { function(session, pointer, len) })
    }

    /// C_Verify, C_VerifySignature (to which the signature was given before).
    pub(crate) fn check(
        &self,
        session: Session,
        verb: Verb,
        data: &[u8],
        signature: &[u8],
    ) -> Result {
        let verb = self.known(verb);
        if verb == Verb::VerifySignature {
            return take(self.list.C_VerifySignature, session, data);
        }
        let function = have(self.list.C_Verify.filter(|_| verb == Verb::Verify))?;
        let (data_len, signature_len) = (ulong(data.len()), ulong(signature.len()));
        // SAFETY: both inputs are as long as they say.
        Rv::check(unsafe {
            function(session, input(data), data_len, input(signature), signature_len)
        })
    }

    /// C_VerifyFinal, C_VerifySignatureFinal (whose signature was given before).
    pub(crate) fn check_last(&self, session: Session, verb: Verb, signature: &[u8]) -> Result {
        match self.known(verb) {
            Verb::Verify => take(self.list.C_VerifyFinal, session, signature),
            Verb::VerifySignature => end(self.list.C_VerifySignatureFinal, session),
            _ => Err(Rv(CKR_FUNCTION_NOT_SUPPORTED)),
        }
    }

    /// C_MessageEncryptFinal and its like.
    pub(crate) fn message_final(&self, session: Session, verb: Verb) -> Result {
        let function = match verb {
            Verb::MessageEncrypt => self.list.C_MessageEncryptFinal,
            Verb::MessageDecrypt => self.list.C_MessageDecryptFinal,
            Verb::MessageSign => self.list.C_MessageSignFinal,
            Verb::MessageVerify => self.list.C_MessageVerifyFinal,
            _ => None,
        };
        end(function, session)
    }
}

fn end(function: Option<End>, session: Session) -> Result {
    let function = have(function)?;
    // SAFETY: no pointers.
    Rv::check(unsafe { function(session) })
}

fn take(function: Option<Take>, session: Session, data: &[u8]) -> Result {
    let function = have(function)?;
    // SAFETY: the input has that length.
    Rv::check(unsafe { function(session, input(data), ulong(data.len())) })
}

fn turn(function: Option<Turn>, session: Session, data: &[u8], out: &mut Sink<'_>) -> Result {
    let function = have(function)?;
    let (pointer, len) = out.parts();
    // SAFETY: the input has that length, and there is room for `len` bytes of output or none.
    Rv::check(unsafe { function(session, input(data), ulong(data.len()), pointer, len) })
}
