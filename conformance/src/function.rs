//! Every function of PKCS #11, once: the section of version 3.2 that has it, its name and its arguments in order.
//!
//! The arguments name kinds of [`crate::argument`]; `pointer + length: Kind` is one argument of two C parameters. Methods of
//! [`Module`] and the rows of [`FUNCTIONS`] follow from the table; the compiler holds them against `CK_FUNCTION_LIST_3_2`.

use crate::answer::Answer;
use crate::argument::*;
use crate::module::{Module, call};
use tandem_values::ck::*;

/// A function, for what is done with all of them.
pub struct Function {
    /// C_…
    pub name: &'static str,
    /// The section of PKCS #11 3.2.
    pub section: &'static str,
    /// The list that has it first.
    pub version: Version,
    /// True if its first argument is a session's handle.
    pub takes_session: bool,
    /// Calls it with ordinary arguments: places for all answers, no mechanism or object that there is, this session.
    pub plain: fn(&Module, CK_SESSION_HANDLE) -> Answer,
}

/// The versions that brought functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2.40
    V2_40,
    /// 3.0
    V3_0,
    /// 3.2
    V3_2,
}

/// The function of a name; the table has every name that a case may be of.
pub fn named(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The length of an argument that has one.
macro_rules! tail {
    ($len:ident <$kind:ty> $argument:ident) => {
        <$kind as Kind>::tail(&mut $argument)
    };
}

macro_rules! functions {
    ($($version:ident { $($section:literal $name:ident($first:ident $(+ $first_len:ident)?: $first_kind:ty $(, $a:ident $(+ $len:ident)?: $kind:ty)*);)* })*) => {
        /// Every function, in the specification's order within each version.
        pub const FUNCTIONS: &[Function] = &[$($(Function {
            name: stringify!($name),
            section: $section,
            version: Version::$version,
            takes_session: <$first_kind as Kind>::IS_SESSION,
            plain: |module, session| {
                let mut $first = <$first_kind as Kind>::plain(session);
                $(let mut $a = <$kind as Kind>::plain(session);)*
                module.$name(<$first_kind as Kind>::lend(&mut $first) $(, <$kind as Kind>::lend(&mut $a))*)
            },
        },)*)*];

        /// The functions as a case calls them. One that the module lacks answers CKR_FUNCTION_NOT_SUPPORTED.
        #[expect(non_snake_case, reason = "the specification's own names")]
        impl Module {
            $($(
                /// The function of this name.
                pub fn $name(&self, mut $first: <$first_kind as Kind>::Given<'_> $(, mut $a: <$kind as Kind>::Given<'_>)*) -> Answer {
                    let rv = match self.list().$name {
                        None => CKR_FUNCTION_NOT_SUPPORTED,
                        Some(function) => call!(function(
                            <$first_kind as Kind>::head(&mut $first) $(, tail!($first_len <$first_kind> $first))?
                            $(, <$kind as Kind>::head(&mut $a) $(, tail!($len <$kind> $a))?)*
                        )),
                    };
                    self.note(stringify!($name), rv);
                    Answer::new(stringify!($name), rv)
                }
            )*)*
        }
    };
}

functions! {
    V2_40 {
        "5.4.1" C_Initialize(args: Initialise);
        "5.4.2" C_Finalize(reserved: Reserved);
        "5.4.3" C_GetInfo(info: Put<CK_INFO>);
        "5.4.4" C_GetFunctionList(list: Put<*mut CK_FUNCTION_LIST>);
        "5.5.1" C_GetSlotList(present: Flag, slots + count: Numbers);
        "5.5.2" C_GetSlotInfo(slot: Number, info: Put<CK_SLOT_INFO>);
        "5.5.3" C_GetTokenInfo(slot: Number, info: Put<CK_TOKEN_INFO>);
        "5.5.5" C_GetMechanismList(slot: Number, types + count: Numbers);
        "5.5.6" C_GetMechanismInfo(slot: Number, kind: Number, info: Put<CK_MECHANISM_INFO>);
        "5.5.7" C_InitToken(slot: Number, pin + pin_len: Input, label: Label);
        "5.5.8" C_InitPIN(session: Session, pin + pin_len: Input);
        "5.5.9" C_SetPIN(session: Session, old + old_len: Input, new + new_len: Input);
        "5.6.1" C_OpenSession(slot: Number, flags: Number, own: Own, notify: Notify, session: Put<CK_ULONG>);
        "5.6.2" C_CloseSession(session: Session);
        "5.6.3" C_CloseAllSessions(slot: Number);
        "5.6.4" C_GetSessionInfo(session: Session, info: Put<CK_SESSION_INFO>);
        "5.6.6" C_GetOperationState(session: Session, state + len: Output);
        "5.6.7" C_SetOperationState(session: Session, state + len: Input, encryption: Number, authentication: Number);
        "5.6.8" C_Login(session: Session, user: Number, pin + pin_len: Input);
        "5.6.10" C_Logout(session: Session);
        "5.7.1" C_CreateObject(session: Session, template + count: Attributes, object: Put<CK_ULONG>);
        "5.7.2" C_CopyObject(session: Session, from: Number, template + count: Attributes, object: Put<CK_ULONG>);
        "5.7.3" C_DestroyObject(session: Session, object: Number);
        "5.7.4" C_GetObjectSize(session: Session, object: Number, size: Put<CK_ULONG>);
        "5.7.5" C_GetAttributeValue(session: Session, object: Number, template + count: Attributes);
        "5.7.6" C_SetAttributeValue(session: Session, object: Number, template + count: Attributes);
        "5.7.7" C_FindObjectsInit(session: Session, template + count: Attributes);
        "5.7.8" C_FindObjects(session: Session, found + room: Batch, count: Put<CK_ULONG>);
        "5.7.9" C_FindObjectsFinal(session: Session);
        "5.8.1" C_EncryptInit(session: Session, mechanism: Method, key: Number);
        "5.8.2" C_Encrypt(session: Session, data + len: Input, out + out_len: Output);
        "5.8.3" C_EncryptUpdate(session: Session, part + len: Input, out + out_len: Output);
        "5.8.4" C_EncryptFinal(session: Session, out + out_len: Output);
        "5.10.1" C_DecryptInit(session: Session, mechanism: Method, key: Number);
        "5.10.2" C_Decrypt(session: Session, data + len: Input, out + out_len: Output);
        "5.10.3" C_DecryptUpdate(session: Session, part + len: Input, out + out_len: Output);
        "5.10.4" C_DecryptFinal(session: Session, out + out_len: Output);
        "5.12.1" C_DigestInit(session: Session, mechanism: Method);
        "5.12.2" C_Digest(session: Session, data + len: Input, out + out_len: Output);
        "5.12.3" C_DigestUpdate(session: Session, part + len: Input);
        "5.12.4" C_DigestKey(session: Session, key: Number);
        "5.12.5" C_DigestFinal(session: Session, out + out_len: Output);
        "5.13.1" C_SignInit(session: Session, mechanism: Method, key: Number);
        "5.13.2" C_Sign(session: Session, data + len: Input, out + out_len: Output);
        "5.13.3" C_SignUpdate(session: Session, part + len: Input);
        "5.13.4" C_SignFinal(session: Session, out + out_len: Output);
        "5.13.5" C_SignRecoverInit(session: Session, mechanism: Method, key: Number);
        "5.13.6" C_SignRecover(session: Session, data + len: Input, out + out_len: Output);
        "5.15.1" C_VerifyInit(session: Session, mechanism: Method, key: Number);
        "5.15.2" C_Verify(session: Session, data + len: Input, signature + signature_len: Input);
        "5.15.3" C_VerifyUpdate(session: Session, part + len: Input);
        "5.15.4" C_VerifyFinal(session: Session, signature + len: Input);
        "5.15.5" C_VerifyRecoverInit(session: Session, mechanism: Method, key: Number);
        "5.15.6" C_VerifyRecover(session: Session, signature + len: Input, out + out_len: Output);
        "5.17.1" C_DigestEncryptUpdate(session: Session, part + len: Input, out + out_len: Output);
        "5.17.2" C_DecryptDigestUpdate(session: Session, part + len: Input, out + out_len: Output);
        "5.17.3" C_SignEncryptUpdate(session: Session, part + len: Input, out + out_len: Output);
        "5.17.4" C_DecryptVerifyUpdate(session: Session, part + len: Input, out + out_len: Output);
        "5.18.1" C_GenerateKey(session: Session, mechanism: Method, template + count: Attributes, key: Put<CK_ULONG>);
        "5.18.2" C_GenerateKeyPair(session: Session, mechanism: Method, public + public_count: Attributes, private + private_count: Attributes, public_key: Put<CK_ULONG>, private_key: Put<CK_ULONG>);
        "5.18.3" C_WrapKey(session: Session, mechanism: Method, by: Number, key: Number, out + out_len: Output);
        "5.18.4" C_UnwrapKey(session: Session, mechanism: Method, by: Number, wrapped + len: Input, template + count: Attributes, key: Put<CK_ULONG>);
        "5.18.5" C_DeriveKey(session: Session, mechanism: Method, base: Number, template + count: Attributes, key: Put<CK_ULONG>);
        "5.19.1" C_SeedRandom(session: Session, seed + len: Input);
        "5.19.2" C_GenerateRandom(session: Session, out + len: Fill);
        "5.20.1" C_GetFunctionStatus(session: Session);
        "5.20.2" C_CancelFunction(session: Session);
        "5.5.4" C_WaitForSlotEvent(flags: Number, slot: Put<CK_ULONG>, reserved: Reserved);
    }
    V3_0 {
        "5.4.5" C_GetInterfaceList(list + count: Interfaces);
        "5.4.6" C_GetInterface(name: Name, version: Put<CK_VERSION>, interface: Put<*mut CK_INTERFACE>, flags: Number);
        "5.6.9" C_LoginUser(session: Session, user: Number, pin + pin_len: Input, name + name_len: Input);
        "5.6.5" C_SessionCancel(session: Session, flags: Number);
        "5.9.1" C_MessageEncryptInit(session: Session, mechanism: Method, key: Number);
        "5.9.2" C_EncryptMessage(session: Session, parameter + parameter_len: OfMessage, aad + aad_len: Input, data + len: Input, out + out_len: Output);
        "5.9.3" C_EncryptMessageBegin(session: Session, parameter + parameter_len: OfMessage, aad + aad_len: Input);
        "5.9.4" C_EncryptMessageNext(session: Session, parameter + parameter_len: OfMessage, part + len: Input, out + out_len: Output, flags: Number);
        "5.9.5" C_MessageEncryptFinal(session: Session);
        "5.11.1" C_MessageDecryptInit(session: Session, mechanism: Method, key: Number);
        "5.11.2" C_DecryptMessage(session: Session, parameter + parameter_len: OfMessage, aad + aad_len: Input, data + len: Input, out + out_len: Output);
        "5.11.3" C_DecryptMessageBegin(session: Session, parameter + parameter_len: OfMessage, aad + aad_len: Input);
        "5.11.4" C_DecryptMessageNext(session: Session, parameter + parameter_len: OfMessage, part + len: Input, out + out_len: Output, flags: Number);
        "5.11.5" C_MessageDecryptFinal(session: Session);
        "5.14.1" C_MessageSignInit(session: Session, mechanism: Method, key: Number);
        "5.14.2" C_SignMessage(session: Session, parameter + parameter_len: OfMessage, data + len: Input, out + out_len: Output);
        "5.14.3" C_SignMessageBegin(session: Session, parameter + parameter_len: OfMessage);
        "5.14.4" C_SignMessageNext(session: Session, parameter + parameter_len: OfMessage, part + len: Input, out + out_len: Output);
        "5.14.5" C_MessageSignFinal(session: Session);
        "5.16.1" C_MessageVerifyInit(session: Session, mechanism: Method, key: Number);
        "5.16.2" C_VerifyMessage(session: Session, parameter + parameter_len: OfMessage, data + len: Input, signature + signature_len: Input);
        "5.16.3" C_VerifyMessageBegin(session: Session, parameter + parameter_len: OfMessage);
        "5.16.4" C_VerifyMessageNext(session: Session, parameter + parameter_len: OfMessage, part + len: Input, signature + signature_len: Input);
        "5.16.5" C_MessageVerifyFinal(session: Session);
    }
    V3_2 {
        "5.18.8" C_EncapsulateKey(session: Session, mechanism: Method, public: Number, template + count: Attributes, out + out_len: Output, key: Put<CK_ULONG>);
        "5.18.9" C_DecapsulateKey(session: Session, mechanism: Method, private: Number, template + count: Attributes, data + len: Input, key: Put<CK_ULONG>);
        "5.15.7" C_VerifySignatureInit(session: Session, mechanism: Method, key: Number, signature + signature_len: Input);
        "5.15.8" C_VerifySignature(session: Session, data + len: Input);
        "5.15.9" C_VerifySignatureUpdate(session: Session, part + len: Input);
        "5.15.10" C_VerifySignatureFinal(session: Session);
        "5.6.11" C_GetSessionValidationFlags(session: Session, kind: Number, flags: Put<CK_ULONG>);
        "5.21.1" C_AsyncComplete(session: Session, name: Name, result: Put<CK_ASYNC_DATA>);
        "5.21.2" C_AsyncGetID(session: Session, name: Name, id: Put<CK_ULONG>);
        "5.21.3" C_AsyncJoin(session: Session, name: Name, id: Number, data + len: Fill);
        "5.18.6" C_WrapKeyAuthenticated(session: Session, mechanism: Method, by: Number, key: Number, aad + aad_len: Input, out + out_len: Output);
        "5.18.7" C_UnwrapKeyAuthenticated(session: Session, mechanism: Method, by: Number, wrapped + len: Input, template + count: Attributes, aad + aad_len: Input, key: Put<CK_ULONG>);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_function_is_there_once_in_a_section_of_its_own() {
        let names: HashSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        let sections: HashSet<_> = FUNCTIONS.iter().map(|function| function.section).collect();
        assert_eq!((FUNCTIONS.len(), names.len(), sections.len()), (104, 104, 104));
        let sessionless = FUNCTIONS.iter().filter(|function| !function.takes_session).count();
        // C_GetInterfaceList and C_GetInterface, and those that section 5.1.2 lists.
        assert_eq!(sessionless, 15);
        assert!(named("C_Sign").is_some() && named("C_Other").is_none());
    }
}
