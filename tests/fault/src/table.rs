//! Every function of PKCS #11 by name, in the order of the function lists. Nothing else of them is written down: their
//! signatures are those of the lists' fields (see `face`).

#[rustfmt::skip]
macro_rules! table {
    ($with:ident) => { $with! {
        v2_40 {
            C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
            C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession
            C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout
            C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
            C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate
            C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest
            C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit
            C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
            C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey
            C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus
            C_CancelFunction C_WaitForSlotEvent
        }
        v3_0 {
            C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel C_MessageEncryptInit C_EncryptMessage
            C_EncryptMessageBegin C_EncryptMessageNext C_MessageEncryptFinal C_MessageDecryptInit C_DecryptMessage
            C_DecryptMessageBegin C_DecryptMessageNext C_MessageDecryptFinal C_MessageSignInit C_SignMessage
            C_SignMessageBegin C_SignMessageNext C_MessageSignFinal C_MessageVerifyInit C_VerifyMessage
            C_VerifyMessageBegin C_VerifyMessageNext C_MessageVerifyFinal
        }
        v3_2 {
            C_EncapsulateKey C_DecapsulateKey C_VerifySignatureInit C_VerifySignature C_VerifySignatureUpdate
            C_VerifySignatureFinal C_GetSessionValidationFlags C_AsyncComplete C_AsyncGetID C_AsyncJoin
            C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated
        }
    }};
}
pub(crate) use table;

macro_rules! functions {
    (v2_40 { $($a:ident)* } v3_0 { $($b:ident)* } v3_2 { $($c:ident)* }) => {
        functions!(@ $($a)* $($b)* $($c)*);
    };
    (@ $($name:ident)*) => {
        /// A function of PKCS #11, by its name in C.
        #[expect(non_camel_case_types, reason = "the names of C")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function {$(
            #[doc = concat!("`", stringify!($name), "`")]
            $name,
        )*}

        impl Function {
            /// All of them, in the order of the newest function list.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in C.
            pub const fn name(self) -> &'static str {
                match self {$(Self::$name => stringify!($name),)*}
            }

            /// The function of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|function| function.name() == name)
            }

            /// Its place in the newest function list, counted from zero.
            pub const fn place(self) -> usize {
                self as usize
            }
        }
    };
}
table!(functions);

impl Function {
    /// True of what a vendor's module answers by itself: no HSM behind a network is asked for it.
    pub const fn is_local(self) -> bool {
        matches!(
            self,
            Self::C_Initialize
                | Self::C_Finalize
                | Self::C_GetInfo
                | Self::C_GetFunctionList
                | Self::C_GetInterfaceList
                | Self::C_GetInterface
                | Self::C_GetSlotList
                | Self::C_WaitForSlotEvent
                | Self::C_GetFunctionStatus
                | Self::C_CancelFunction
        )
    }
}
