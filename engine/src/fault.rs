//! What a failed call says of the member and of the request: one table over CK_RV and call.

use std::fmt;
use tandem_values::{Rv, ck::*};

/// What a call on a member was for. Names the C functions behind it, for logs and for the table of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Loading the library, C_Initialize and finding the token.
    Start,
    /// C_Finalize.
    Stop,
    /// C_GetTokenInfo, C_GetSlotInfo, C_GetMechanismList, C_GetMechanismInfo.
    Info,
    /// C_OpenSession, C_CloseSession, C_GetSessionInfo.
    Session,
    /// C_Login and C_Logout.
    Login,
    /// C_InitToken, C_InitPIN, C_SetPIN.
    Admin,
    /// C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal.
    Find,
    /// C_GetAttributeValue, C_GetObjectSize.
    Read,
    /// C_SetAttributeValue.
    Write,
    /// C_CreateObject, C_CopyObject.
    Create,
    /// C_DestroyObject.
    Destroy,
    /// C_GenerateKey, C_GenerateKeyPair.
    Generate,
    /// C_WrapKey.
    Wrap,
    /// C_UnwrapKey.
    Unwrap,
    /// C_DeriveKey.
    Derive,
    /// C_EncapsulateKey, C_DecapsulateKey.
    Encapsulate,
    /// Every function of an operation: C_SignInit, C_Sign, C_EncryptUpdate, …
    Step,
    /// C_GenerateRandom, C_SeedRandom.
    Random,
}

/// What follows from a fault (see the table below).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Any member would refuse: the application hears it, and it is never tried elsewhere.
    Refused,
    /// Our session, login or handle there is gone: opened anew on the same member, once.
    Lost,
    /// This member can't do it, another may.
    Unable,
    /// The member is ill. What was asked may or may not have been done there.
    Ill,
}

/// Whose fault an ill answer is, when its member is well a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The member's.
    Member,
    /// The request's, if no other member does what was asked; otherwise the member's.
    Either,
    /// The request's: a module has no better word for what it can't make sense of.
    Request,
}

/// A call on a member that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What was called.
    pub call: Call,
    /// What it answered.
    pub rv: Rv,
    /// What follows.
    pub class: Class,
}

/// What a member answers.
pub type Answer<T = ()> = Result<T, Fault>;

impl Fault {
    /// Classes a CK_RV.
    pub const fn new(call: Call, rv: CK_RV) -> Self {
        Self { call, rv: Rv(rv), class: class(call, rv) }
    }

    /// What an application hears of it: that a member lacks a KEK is nothing that a specification has a word for.
    pub(crate) const fn heard(self) -> CK_RV {
        match self.rv.0 {
            CKR_KEY_NEEDED => CKR_DEVICE_ERROR,
            rv => rv,
        }
    }

    /// True if the member did not answer in time: it may do what it was asked all the same.
    pub(crate) const fn is_late(self) -> bool {
        self.rv.0 == CKR_FUNCTION_CANCELED
    }

    /// True if the member may have failed for what it was asked, and not for what it is.
    pub(crate) const fn may_be_the_request(self) -> bool {
        matches!(self.weight(), Weight::Request)
    }

    /// Whose fault an ill answer is, once its member has shown that it is well.
    pub(crate) const fn weight(self) -> Weight {
        weight(self.call, self.rv.0)
    }

    /// What the application hears when every member that was asked answered so and is well: nothing ails the device.
    pub(crate) const fn of_the_request(self) -> CK_RV {
        match (self.call, self.rv.0) {
            // The key and the template are checked before: what is left is the other party's public value.
            (Call::Derive, _) => CKR_MECHANISM_PARAM_INVALID,
            (_, CKR_DEVICE_ERROR) => CKR_FUNCTION_FAILED,
            (_, rv) => rv,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a member with a deadline answers for a module that doesn't.
        match self.rv.0 {
            CKR_FUNCTION_CANCELED => write!(f, "no answer in time in {:?}", self.call),
            CKR_KEY_NEEDED => write!(f, "the KEK that wraps it is not on that member"),
            CKR_FUNCTION_REJECTED => {
                write!(f, "too many calls hang there, {:?} is not risked", self.call)
            }
            _ => write!(f, "{} in {:?}", self.rv, self.call),
        }
    }
}
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.class)
    }
}
impl std::error::Error for Fault {}

/// The table of ill answers to requests. Other calls say nothing but how the member is.
const fn weight(call: Call, rv: CK_RV) -> Weight {
    match call {
        Call::Create
        | Call::Derive
        | Call::Encapsulate
        | Call::Find
        | Call::Generate
        | Call::Read
        | Call::Step
        | Call::Unwrap
        | Call::Wrap
        | Call::Write => match rv {
            CKR_GENERAL_ERROR | CKR_FUNCTION_FAILED => Weight::Request,
            CKR_DEVICE_ERROR => Weight::Either,
            _ => Weight::Member,
        },
        Call::Start
        | Call::Stop
        | Call::Info
        | Call::Session
        | Call::Login
        | Call::Admin
        | Call::Destroy
        | Call::Random => Weight::Member,
    }
}

/// The table. A CK_RV that it doesn't name was meant for the application.
const fn class(call: Call, rv: CK_RV) -> Class {
    match rv {
        CKR_SESSION_HANDLE_INVALID
        | CKR_SESSION_CLOSED
        | CKR_USER_NOT_LOGGED_IN
        | CKR_CRYPTOKI_NOT_INITIALIZED
        | CKR_OPERATION_NOT_INITIALIZED
        // A handle we hold names nothing there any more: the object, or the whole token, has gone.
        | CKR_OBJECT_HANDLE_INVALID
        | CKR_KEY_HANDLE_INVALID
        | CKR_WRAPPING_KEY_HANDLE_INVALID
        | CKR_UNWRAPPING_KEY_HANDLE_INVALID => Class::Lost,

        CKR_MECHANISM_INVALID
        | CKR_FUNCTION_NOT_SUPPORTED
        | CKR_FUNCTION_NOT_PARALLEL
        | CKR_DEVICE_MEMORY
        | CKR_HOST_MEMORY
        | CKR_SESSION_COUNT
        | CKR_OPERATION_ACTIVE
        | CKR_USER_TOO_MANY_TYPES
        | CKR_RANDOM_NO_RNG
        | CKR_RANDOM_SEED_NOT_SUPPORTED
        | CKR_KEY_NOT_WRAPPABLE
        | CKR_CURVE_NOT_SUPPORTED
        | CKR_TOKEN_WRITE_PROTECTED => Class::Unable,

        // The C face has checked the arguments: what a module calls bad is a parameter that it alone doesn't know
        // (SoftHSM answers so to OAEP with SHA-256).
        CKR_ARGUMENTS_BAD if matches!(call, Call::Step | Call::Random) => Class::Unable,

        // A key that a module can't take in: it says nothing worse of the module (SoftHSM and Ed25519).
        CKR_FUNCTION_FAILED
            if matches!(
                call,
                Call::Unwrap
                    | Call::Create
                    | Call::Wrap
                    | Call::Derive
                    | Call::Encapsulate
                    | Call::Generate
            ) =>
        {
            Class::Unable
        }

        // A PIN that is locked or expired on one member says nothing of the others.
        CKR_PIN_LOCKED | CKR_PIN_EXPIRED | CKR_USER_PIN_NOT_INITIALIZED => match call {
            Call::Admin => Class::Refused,
            _ => Class::Unable,
        },

        CKR_DEVICE_ERROR
        | CKR_DEVICE_REMOVED
        | CKR_TOKEN_NOT_PRESENT
        | CKR_TOKEN_NOT_RECOGNIZED
        | CKR_SLOT_ID_INVALID
        | CKR_GENERAL_ERROR
        | CKR_FUNCTION_FAILED
        | CKR_FUNCTION_CANCELED
        | CKR_FUNCTION_REJECTED
        | CKR_CANT_LOCK
        | CKR_MUTEX_BAD
        | CKR_MUTEX_NOT_LOCKED
        | CKR_LIBRARY_LOAD_FAILED
        | CKR_VENDOR_DEFINED.. => Class::Ill,

        _ => Class::Refused,
    }
}
