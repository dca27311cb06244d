//! Message-based functions (PKCS #11 3.2 sections 5.9, 5.11, 5.14 and 5.16).

use super::{Functions, Sink, have, input};
use crate::buffer::ulong;
use crate::parameter::Encoded;
use std::ffi::c_void;
use std::ptr;
use tandem_engine::step::Verb;
use tandem_values::ck::*;
use tandem_values::{Rv, rv::Result};

type Session = CK_SESSION_HANDLE;

/// A message's parameter as C takes it.
fn parameter_of(parameter: &mut Encoded) -> (*mut c_void, CK_ULONG) {
    (parameter.as_mut_ptr(), parameter.len())
}

impl Functions {
    /// C_EncryptMessage, C_DecryptMessage, C_SignMessage (which takes no associated data).
    pub(crate) fn message(
        &self,
        session: Session,
        verb: Verb,
        parameter: &mut Encoded,
        associated: &[u8],
        data: &[u8],
        out: &mut Sink<'_>,
    ) -> Result {
        let (parameter, parameter_len) = parameter_of(parameter);
        let (pointer, len) = out.parts();
        if verb == Verb::MessageSign {
            let function = have(self.list.C_SignMessage)?;
            let (data, data_len) = (input(data), ulong(data.len()));
            // SAFETY: parameter and data are as long as they say, and there is room for `len` bytes or none.
            return Rv::check(unsafe {
                function(session, parameter, parameter_len, data, data_len, pointer, len)
            });
        }
        let function = have(match verb {
            Verb::MessageEncrypt => self.list.C_EncryptMessage,
            Verb::MessageDecrypt => self.list.C_DecryptMessage,
            _ => None,
        })?;
        // SAFETY: parameter and inputs are as long as they say, and there is room for `len` bytes or none.
        Rv::check(unsafe {
            function(
                session,
                parameter,
                parameter_len,
                input(associated),
                ulong(associated.len()),
                input(data),
                ulong(data.len()),
                pointer,
                len,
            )
        })
    }

    /// C_EncryptMessageBegin, C_DecryptMessageBegin, C_SignMessageBegin, C_VerifyMessageBegin.
    pub(crate) fn message_begin(
        &self,
        session: Session,
        verb: Verb,
        parameter: &mut Encoded,
        associated: &[u8],
    ) -> Result {
        let (parameter, parameter_len) = parameter_of(parameter);
        let sealed = match verb {
            Verb::MessageEncrypt => self.list.C_EncryptMessageBegin,
            Verb::MessageDecrypt => self.list.C_DecryptMessageBegin,
            _ => None,
        };
        if let Some(function) = sealed {
            let (data, data_len) = (input(associated), ulong(associated.len()));
            // SAFETY: parameter and associated data are as long as they say.
            return Rv::check(unsafe {
                function(session, parameter, parameter_len, data, data_len)
            });
        }
        let function = have(match verb {
            Verb::MessageSign => self.list.C_SignMessageBegin,
            Verb::MessageVerify => self.list.C_VerifyMessageBegin,
            _ => None,
        })?;
        // SAFETY: the parameter is as long as it says.
        Rv::check(unsafe { function(session, parameter, parameter_len) })
    }

    /// C_EncryptMessageNext, C_DecryptMessageNext.
    pub(crate) fn message_next(
        &self,
        session: Session,
        verb: Verb,
        parameter: &mut Encoded,
        data: &[u8],
        out: &mut Sink<'_>,
        last: bool,
    ) -> Result {
        let function = have(match verb {
            Verb::MessageEncrypt => self.list.C_EncryptMessageNext,
            Verb::MessageDecrypt => self.list.C_DecryptMessageNext,
            _ => None,
        })?;
        let (parameter, parameter_len) = parameter_of(parameter);
        let (pointer, len) = out.parts();
        let flags = if last { CKF_END_OF_MESSAGE } else { 0 };
        let (data, data_len) = (input(data), ulong(data.len()));
        // SAFETY: parameter and input are as long as they say, and there is room for `len` bytes or none.
        Rv::check(unsafe {
            function(session, parameter, parameter_len, data, data_len, pointer, len, flags)
        })
    }

    /// C_SignMessageNext: without a sink when more data follows.
    pub(crate) fn message_sign_next(
        &self,
        session: Session,
        parameter: &mut Encoded,
        data: &[u8],
        out: Option<&mut Sink<'_>>,
    ) -> Result {
        let function = have(self.list.C_SignMessageNext)?;
        let (parameter, parameter_len) = parameter_of(parameter);
        let (pointer, len) = out.map_or((ptr::null_mut(), ptr::null_mut()), Sink::parts);
        let (data, data_len) = (input(data), ulong(data.len()));
        // SAFETY: parameter and input are as long as they say; a null length says that more data follows.
        Rv::check(unsafe {
            function(session, parameter, parameter_len, data, data_len, pointer, len)
        })
    }

    /// C_VerifyMessage, or C_VerifyMessageNext, whose signature is `None` when more data follows.
    pub(crate) fn message_check(
        &self,
        session: Session,
        parameter: &mut Encoded,
        data: &[u8],
        signature: Option<&[u8]>,
        whole: bool,
    ) -> Result {
        let function =
            have(if whole { self.list.C_VerifyMessage } else { self.list.C_VerifyMessageNext })?;
        let (parameter, parameter_len) = parameter_of(parameter);
        let (signature, signature_len) = signature
            .map_or((ptr::null_mut(), 0), |signature| (input(signature), ulong(signature.len())));
        let (data, data_len) = (input(data), ulong(data.len()));
        // SAFETY: parameter and inputs are as long as they say; a null signature says that more data follows.
        Rv::check(unsafe {
            function(session, parameter, parameter_len, data, data_len, signature, signature_len)
        })
    }
}
