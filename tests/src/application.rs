//! An application, by the crate `cryptoki`.

use crate::artefacts;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::fmt::Debug;
use std::ops::Deref;

/// The user PIN of a demo and of its members.
pub const USER_PIN: &str = "123456";
/// The SO PIN of a demo and of its members.
pub const SO_PIN: &str = "12345678";

/// A PIN as the crate wants it.
pub fn pin(text: &str) -> AuthPin {
    AuthPin::new(text.into())
}

/// A module that is initialised, and one of its slots. Dropping it is C_Finalize.
pub struct Application {
    pkcs11: Option<Pkcs11>,
    /// The slot of the token.
    pub slot: Slot,
}

/// Tandem, initialised with the configuration of the environment.
pub fn initialised() -> Application {
    labelled("demo")
}

/// The same where the token has another label.
pub fn labelled(label: &str) -> Application {
    start(Pkcs11::new(artefacts::module()).expect("libtandem.so can be loaded"), label)
}

/// Tandem with the user logged in.
pub fn application() -> (Application, Session) {
    let application = initialised();
    let session = application.log_in();
    (application, session)
}

/// Has Tandem log everything that it will, from the next C_Initialize on.
pub fn verbose() {
    // SAFETY: tests have a process each, and no other thread of it reads the environment now.
    unsafe { std::env::set_var("TANDEM_LOG", "debug") };
}

/// Initialises a module and chooses the slot of a token.
pub(crate) fn start(pkcs11: Pkcs11, label: &str) -> Application {
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    pkcs11.initialize(arguments).expect("C_Initialize");
    let mut slots = pkcs11.get_slots_with_token().expect("the slots").into_iter();
    let slot =
        slots.find(|slot| pkcs11.get_token_info(*slot).is_ok_and(|token| token.label() == label));
    let slot = slot.unwrap_or_else(|| panic!("no slot has the token {label}"));
    Application { pkcs11: Some(pkcs11), slot }
}

impl Application {
    /// A session that writes, or one that only reads.
    pub fn open(&self, writes: bool) -> Session {
        let opened =
            if writes { self.open_rw_session(self.slot) } else { self.open_ro_session(self.slot) };
        opened.expect("a session")
    }

    /// A session in which the user is logged in.
    pub fn log_in(&self) -> Session {
        let session = self.open(true);
        session.login(UserType::User, Some(&pin(USER_PIN))).expect("a login");
        session
    }

    /// C_Finalize now.
    pub fn finalize(mut self) {
        let pkcs11 = self.pkcs11.take().expect("a module");
        pkcs11.finalize().expect("C_Finalize");
    }
}

impl Deref for Application {
    type Target = Pkcs11;
    fn deref(&self) -> &Pkcs11 {
        self.pkcs11.as_ref().expect("a module")
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if let Some(pkcs11) = self.pkcs11.take() {
            let _ = pkcs11.finalize();
        }
    }
}

/// What a call that failed answered.
pub fn rv<T: Debug>(answer: Result<T, Error>) -> RvError {
    match answer {
        Err(Error::Pkcs11(rv, _)) => rv,
        other => panic!("a CK_RV that is no CKR_OK was expected, not {other:?}"),
    }
}

/// The call must have failed with one of these.
#[track_caller]
pub fn refused<T: Debug>(what: &str, answer: Result<T, Error>, with: &[RvError]) {
    match answer {
        Err(Error::Pkcs11(rv, _)) if with.contains(&rv) => {}
        other => panic!("{what}: one of {with:?} was expected, not {other:?}"),
    }
}

/// An attribute of bytes.
pub fn value(session: &Session, object: ObjectHandle, kind: AttributeType) -> Vec<u8> {
    let read = session.get_attributes(object, &[kind]).expect("an attribute");
    match read.first() {
        Some(
            Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::EcPoint(bytes)
            | Attribute::EcParams(bytes)
            | Attribute::Id(bytes)
            | Attribute::Label(bytes)
            | Attribute::Value(bytes)
            | Attribute::UniqueId(bytes)
            | Attribute::VendorDefined((_, bytes)),
        ) => bytes.clone(),
        other => panic!("{kind} should be bytes, not {other:?}"),
    }
}

/// An attribute that is a number.
pub fn number(session: &Session, object: ObjectHandle, kind: AttributeType) -> u64 {
    match session.get_attributes(object, &[kind]).expect("an attribute").first() {
        Some(Attribute::ModulusBits(number) | Attribute::ValueLen(number)) => **number,
        Some(Attribute::VendorDefined((_, bytes))) => {
            u64::from_ne_bytes(bytes.as_slice().try_into().expect("a CK_ULONG"))
        }
        other => panic!("{kind} should be a number, not {other:?}"),
    }
}
