//! What is to know of a function besides its signature.

use super::Function;
use std::fmt;
use tandem_engine::step::Verb;

impl Function {
    /// False for the functions that an application may call before C_Initialize, and for the two that begin and end it all.
    pub(crate) const fn needs_runtime(self) -> bool {
        use Function::*;
        !matches!(
            self,
            C_Initialize | C_Finalize | C_GetFunctionList | C_GetInterfaceList | C_GetInterface
        )
    }

    /// The operations that end when this function fails, even if its arguments already were bad (PKCS #11 3.2, the
    /// description of each function). CKR_BUFFER_TOO_SMALL and length queries are no such failure, and are not noticed
    /// before the engine is asked.
    pub(crate) const fn ends(self) -> &'static [Verb] {
        use Function::*;
        match self {
            C_Encrypt | C_EncryptUpdate | C_EncryptFinal => &[Verb::Encrypt],
            C_Decrypt | C_DecryptUpdate | C_DecryptFinal => &[Verb::Decrypt],
            C_Digest | C_DigestUpdate | C_DigestKey | C_DigestFinal => &[Verb::Digest],
            C_Sign | C_SignUpdate | C_SignFinal => &[Verb::Sign],
            C_SignRecover => &[Verb::SignRecover],
            C_Verify | C_VerifyUpdate | C_VerifyFinal => &[Verb::Verify],
            C_VerifyRecover => &[Verb::VerifyRecover],
            C_VerifySignature | C_VerifySignatureUpdate | C_VerifySignatureFinal => {
                &[Verb::VerifySignature]
            }
            C_DigestEncryptUpdate => &[Verb::Digest, Verb::Encrypt],
            C_DecryptDigestUpdate => &[Verb::Decrypt, Verb::Digest],
            C_SignEncryptUpdate => &[Verb::Sign, Verb::Encrypt],
            C_DecryptVerifyUpdate => &[Verb::Decrypt, Verb::Verify],
            _ => &[],
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Every kind of operation, with the flag that C_SessionCancel has for it.
pub(crate) const OPERATIONS: &[(Verb, u64)] = {
    use tandem_values::ck::*;
    &[
        (Verb::Encrypt, CKF_ENCRYPT),
        (Verb::Decrypt, CKF_DECRYPT),
        (Verb::Digest, CKF_DIGEST),
        (Verb::Sign, CKF_SIGN),
        (Verb::SignRecover, CKF_SIGN_RECOVER),
        (Verb::Verify, CKF_VERIFY),
        (Verb::VerifyRecover, CKF_VERIFY_RECOVER),
        (Verb::MessageEncrypt, CKF_MESSAGE_ENCRYPT),
        (Verb::MessageDecrypt, CKF_MESSAGE_DECRYPT),
        (Verb::MessageSign, CKF_MESSAGE_SIGN),
        (Verb::MessageVerify, CKF_MESSAGE_VERIFY),
        (Verb::VerifySignature, CKF_VERIFY),
    ]
};
