//! How C arguments become Rust values: a kind for each shape of argument.
//!
//! What an application points at is copied out before anything is done with it, so input and output may overlap (PKCS
//! #11 3.2 section 5.2 lets an application encrypt in place), and a thread that changes its data meanwhile hurts nobody.

use super::attributes::Asked;
use super::memory;
use super::{mechanism, parameter, template};
use crate::guard::Call;
use crate::limits::*;
use crate::state::{Open, Running};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;
use tandem_engine::error::{Error, Result};
use tandem_engine::member;
use tandem_engine::step::Bytes;
use tandem_engine::token::Token;
use tandem_values::{Secret, ck::*};

/// One argument of a PKCS #11 function: one C parameter (`Tail = ()`), or a pointer and its length.
pub trait Wire {
    /// The C parameter, or the pointer.
    type Head;
    /// The length, or nothing.
    type Tail;
    /// What the code that serves the call gets.
    type Value<'a>;
    /// Makes the value.
    ///
    /// # Safety
    /// The parameters are those an application passed to a function of PKCS #11, and live as long as the call.
    unsafe fn decode<'a>(
        head: Self::Head,
        tail: Self::Tail,
        call: &'a Call,
    ) -> Result<Self::Value<'a>>;
}

/// Declares kinds that need no memory of the application.
macro_rules! by_value {
    ($($(#[$doc:meta])* $name:ident($head:ident: $c:ty, $call:ident) -> $value:ty $body:block)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Wire for $name {
            type Head = $c;
            type Tail = ();
            type Value<'a> = $value;
            unsafe fn decode<'a>($head: $c, (): (), $call: &'a Call) -> Result<$value> $body
        }
    )*};
}

/// The application's session, opened before (CK_SESSION_HANDLE).
pub struct Caller<'a> {
    /// Its handle.
    pub handle: CK_SESSION_HANDLE,
    /// The session.
    pub open: Open,
    /// What C_Initialize made.
    pub running: &'a Running,
}

impl std::ops::Deref for Caller<'_> {
    type Target = tandem_engine::session::Session;
    fn deref(&self) -> &Self::Target {
        &self.open.session
    }
}

/// A slot and the token in it (CK_SLOT_ID).
pub struct Socket<'a> {
    /// The slot's id.
    pub id: CK_SLOT_ID,
    /// The token.
    pub token: &'a Arc<Token>,
    /// What C_Initialize made.
    pub running: &'a Running,
}

by_value! {
    /// A session that is open: CKR_SESSION_HANDLE_INVALID otherwise.
    Session(handle: CK_SESSION_HANDLE, call) -> Caller<'a> {
        let running = call.running()?;
        let open = running.sessions.find(handle)?;
        call.concerns(&open.session);
        Ok(Caller { handle, open, running })
    }
    /// A slot that exists: CKR_SLOT_ID_INVALID otherwise.
    Slot(id: CK_SLOT_ID, call) -> Socket<'a> {
        let running = call.running()?;
        Ok(Socket { id, token: running.token(id)?, running })
    }
    /// C_GetSlotList's `tokenPresent`. There is a token in every slot, whether its members are up or not.
    Present(_present: CK_BBOOL, call) -> &'a Running { call.running() }
    /// C_WaitForSlotEvent's flags: whether to wait, and on what.
    Wait(flags: CK_FLAGS, call) -> (bool, &'a Running) {
        Ok((flags & CKF_DONT_BLOCK == 0, call.running()?))
    }
    /// Who logs in: CKR_USER_TYPE_INVALID for anybody that PKCS #11 doesn't know.
    User(user: CK_USER_TYPE, _call) -> member::User {
        match user {
            CKU_SO => Ok(member::User::So),
            CKU_USER => Ok(member::User::User),
            CKU_CONTEXT_SPECIFIC => Ok(member::User::Context),
            _ => Err(CKR_USER_TYPE_INVALID.into()),
        }
    }
    /// A handle of an object; whether there is one, the engine knows.
    Object(handle: CK_OBJECT_HANDLE, _call) -> CK_OBJECT_HANDLE { Ok(handle) }
    /// Flags.
    Flags(flags: CK_FLAGS, _call) -> CK_FLAGS { Ok(flags) }
    /// A number.
    Number(number: CK_ULONG, _call) -> CK_ULONG { Ok(number) }
    /// The number of a mechanism.
    MechanismType(kind: CK_MECHANISM_TYPE, _call) -> CK_MECHANISM_TYPE { Ok(kind) }
    /// Reserved for a later version of PKCS #11: null, or CKR_ARGUMENTS_BAD.
    Reserved(reserved: *mut c_void, _call) -> () {
        if reserved.is_null() { Ok(()) } else { Err(CKR_ARGUMENTS_BAD.into()) }
    }
}

/// A parameter that is never looked at: what only a callback would be given, or what a function that isn't served takes.
pub struct Unread<T>(PhantomData<T>);
impl<T> Wire for Unread<T> {
    type Head = T;
    type Tail = ();
    type Value<'a> = ();
    unsafe fn decode<'a>(_: T, (): (), _: &'a Call) -> Result<()> {
        Ok(())
    }
}

/// What C_Initialize was told (CK_C_INITIALIZE_ARGS, section 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InitArguments {
    /// How many of the four mutex callbacks are given.
    pub callbacks: usize,
    /// CKF_…
    pub flags: CK_FLAGS,
    /// pReserved is given.
    pub reserved: bool,
}

/// CK_C_INITIALIZE_ARGS, or null for an application that asks for nothing.
pub struct InitArgs;
impl Wire for InitArgs {
    type Head = *mut c_void;
    type Tail = ();
    type Value<'a> = InitArguments;
    unsafe fn decode<'a>(head: *mut c_void, (): (), _: &'a Call) -> Result<InitArguments> {
        if head.is_null() {
            return Ok(InitArguments::default());
        }
        // SAFETY: not null, so it is a CK_C_INITIALIZE_ARGS: six words, of which none is ever called or followed.
        let words = unsafe { memory::read(head.cast::<[usize; 6]>()) };
        let [callbacks @ .., flags, reserved] = words;
        Ok(InitArguments {
            callbacks: callbacks.iter().filter(|callback| **callback != 0).count(),
            flags: CK_FLAGS::try_from(flags).map_err(|_| CKR_ARGUMENTS_BAD)?,
            reserved: reserved != 0,
        })
    }
}

/// The pointer and length of bytes to read: CKR_ARGUMENTS_BAD for a null pointer with a length, `too_long` above `max`.
///
/// # Safety
/// `head` points at `tail` bytes of the application, or is null.
unsafe fn bytes(head: *const u8, tail: CK_ULONG, max: usize, too_long: CK_RV) -> Result<Vec<u8>> {
    if head.is_null() && tail > 0 {
        return Err(CKR_ARGUMENTS_BAD.into());
    }
    let len = usize::try_from(tail).ok().filter(|len| *len <= max).ok_or(too_long)?;
    // SAFETY: by the caller's word.
    unsafe { memory::copy(head, len) }
}

/// Declares kinds of bytes to read, each with the CK_RV for more than anybody sends.
macro_rules! data {
    ($($(#[$doc:meta])* $name:ident: $max:ident, $too_long:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Wire for $name {
            type Head = *mut CK_BYTE;
            type Tail = CK_ULONG;
            type Value<'a> = Bytes;
            unsafe fn decode<'a>(head: *mut u8, tail: CK_ULONG, _: &'a Call) -> Result<Bytes> {
                // SAFETY: the application's word for this argument.
                unsafe { bytes(head, tail, $max, $too_long) }.map(Bytes::from)
            }
        }
    )*};
}
data! {
    /// Data to encrypt, digest, sign or verify.
    Data: DATA_BYTES_MAX, CKR_DATA_LEN_RANGE;
    /// Data to decrypt.
    Encrypted: DATA_BYTES_MAX, CKR_ENCRYPTED_DATA_LEN_RANGE;
    /// A signature or MAC.
    Signature: DATA_BYTES_MAX, CKR_SIGNATURE_LEN_RANGE;
    /// A wrapped key.
    Wrapped: DATA_BYTES_MAX, CKR_WRAPPED_KEY_LEN_RANGE;
    /// Bytes with no CK_RV of their own: associated data, a seed, a user's name, a saved state.
    Other: DATA_BYTES_MAX, CKR_ARGUMENTS_BAD;
}

/// C_VerifyMessageNext's signature: null while the message goes on.
pub struct SignatureMaybe;
impl Wire for SignatureMaybe {
    type Head = *mut CK_BYTE;
    type Tail = CK_ULONG;
    type Value<'a> = Option<Bytes>;
    unsafe fn decode<'a>(head: *mut u8, tail: CK_ULONG, call: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Ok(None);
        }
        // SAFETY: the same argument.
        unsafe { Signature::decode(head, tail, call) }.map(Some)
    }
}

/// A PIN: null with no length is the protected authentication path, which is not the same as an empty PIN.
///
/// # Safety
/// `head` points at `tail` bytes of the application, or is null.
unsafe fn pin(head: *mut u8, tail: CK_ULONG, too_long: CK_RV) -> Result<Option<Secret>> {
    // SAFETY: by the caller's word.
    let pin = unsafe { bytes(head, tail, PIN_BYTES_MAX, too_long) }?;
    Ok((!head.is_null()).then(|| Secret::new(pin)))
}

/// The PIN of somebody who logs in.
pub struct Pin;
impl Wire for Pin {
    type Head = *mut CK_UTF8CHAR;
    type Tail = CK_ULONG;
    type Value<'a> = Option<Secret>;
    unsafe fn decode<'a>(head: *mut u8, tail: CK_ULONG, _: &'a Call) -> Result<Self::Value<'a>> {
        // SAFETY: the application's word for this argument.
        unsafe { pin(head, tail, CKR_PIN_INCORRECT) }
    }
}

/// A PIN to be.
pub struct NewPin;
impl Wire for NewPin {
    type Head = *mut CK_UTF8CHAR;
    type Tail = CK_ULONG;
    type Value<'a> = Option<Secret>;
    unsafe fn decode<'a>(head: *mut u8, tail: CK_ULONG, _: &'a Call) -> Result<Self::Value<'a>> {
        // SAFETY: the application's word for this argument.
        unsafe { pin(head, tail, CKR_PIN_LEN_RANGE) }
    }
}

/// C_InitToken's label: 32 bytes of UTF-8, padded with blanks.
pub struct Label;
impl Wire for Label {
    type Head = *mut CK_UTF8CHAR;
    type Tail = ();
    type Value<'a> = String;
    unsafe fn decode<'a>(head: *mut CK_UTF8CHAR, (): (), _: &'a Call) -> Result<String> {
        if head.is_null() {
            return Err(CKR_ARGUMENTS_BAD.into());
        }
        // SAFETY: not null, so by section 5.5 there are 32 bytes.
        let label = unsafe { memory::copy(head, 32) }?;
        let label = String::from_utf8(label)
            .map_err(|_| Error::new(CKR_ARGUMENTS_BAD, "the token's label is not UTF-8"))?;
        Ok(label.trim_end_matches(' ').to_owned())
    }
}

/// C_GetInterface's name: null for any.
pub struct InterfaceName;
impl Wire for InterfaceName {
    type Head = *mut CK_UTF8CHAR;
    type Tail = ();
    type Value<'a> = Option<Vec<u8>>;
    unsafe fn decode<'a>(head: *mut u8, (): (), _: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Ok(None);
        }
        let mut name = Vec::new();
        while name.len() < INTERFACE_NAME_BYTES_MAX {
            // SAFETY: the name ends with a zero, and no byte before was one.
            let byte = unsafe { memory::read(head.wrapping_add(name.len())) };
            if byte == 0 {
                break;
            }
            name.push(byte);
        }
        Ok(Some(name))
    }
}

/// C_GetInterface's version: null for any.
pub struct Version;
impl Wire for Version {
    type Head = *mut CK_VERSION;
    type Tail = ();
    type Value<'a> = Option<(u8, u8)>;
    unsafe fn decode<'a>(head: *mut CK_VERSION, (): (), _: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Ok(None);
        }
        // SAFETY: not null, so it points at a CK_VERSION.
        let version = unsafe { memory::read(head) };
        Ok(Some((version.major, version.minor)))
    }
}

/// A template to read.
pub struct Template;
impl Wire for Template {
    type Head = *mut CK_ATTRIBUTE;
    type Tail = CK_ULONG;
    type Value<'a> = tandem_values::Template;
    unsafe fn decode<'a>(head: Self::Head, tail: CK_ULONG, _: &'a Call) -> Result<Self::Value<'a>> {
        // SAFETY: the application's word for this argument.
        unsafe { template::template(head, tail) }
    }
}

/// C_GetAttributeValue's template: what is asked, and where the answers go.
pub struct Ask;
impl Wire for Ask {
    type Head = *mut CK_ATTRIBUTE;
    type Tail = CK_ULONG;
    type Value<'a> = Asked<'a>;
    unsafe fn decode<'a>(head: Self::Head, tail: CK_ULONG, _: &'a Call) -> Result<Self::Value<'a>> {
        // SAFETY: the application's word for this argument.
        unsafe { Asked::new(head, tail) }
    }
}

/// A mechanism: CKR_ARGUMENTS_BAD for null.
pub struct Mechanism;
impl Wire for Mechanism {
    type Head = *mut CK_MECHANISM;
    type Tail = ();
    type Value<'a> = tandem_values::Mechanism;
    unsafe fn decode<'a>(head: Self::Head, (): (), _: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Err(CKR_ARGUMENTS_BAD.into());
        }
        // SAFETY: not null, so it points at a CK_MECHANISM.
        unsafe { mechanism::mechanism(head) }
    }
}

/// The mechanism of an operation that begins: null ends the one that is active (since PKCS #11 3.0).
pub struct MechanismMaybe;
impl Wire for MechanismMaybe {
    type Head = *mut CK_MECHANISM;
    type Tail = ();
    type Value<'a> = Option<tandem_values::Mechanism>;
    unsafe fn decode<'a>(head: Self::Head, (): (), call: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Ok(None);
        }
        // SAFETY: the same argument.
        unsafe { Mechanism::decode(head, (), call) }.map(Some)
    }
}

/// The mechanism of messages that begin: null ends the operation that is active. Each message brings the parameter, so
/// one that is given here for nothing is not looked at.
pub struct MechanismOfMessages;
impl Wire for MechanismOfMessages {
    type Head = *mut CK_MECHANISM;
    type Tail = ();
    type Value<'a> = Option<tandem_values::Mechanism>;
    unsafe fn decode<'a>(head: Self::Head, (): (), _: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Ok(None);
        }
        // SAFETY: not null, so it points at a CK_MECHANISM.
        unsafe { mechanism::mechanism_of_messages(head) }.map(Some)
    }
}

/// A mechanism with the parameter of a message, into which something is written (C_WrapKeyAuthenticated).
pub struct MechanismWithMessage;
impl Wire for MechanismWithMessage {
    type Head = *mut CK_MECHANISM;
    type Tail = ();
    type Value<'a> = (tandem_values::MechanismType, parameter::RawParameter<'a>);
    unsafe fn decode<'a>(head: Self::Head, (): (), _: &'a Call) -> Result<Self::Value<'a>> {
        if head.is_null() {
            return Err(CKR_ARGUMENTS_BAD.into());
        }
        // SAFETY: not null, so it points at a CK_MECHANISM.
        let raw = unsafe { memory::read(head) };
        // SAFETY: the application's words in it for its parameter.
        let parameter = unsafe { parameter::RawParameter::new(raw.pParameter, raw.ulParameterLen) };
        Ok((raw.mechanism, parameter))
    }
}

/// A message's parameter: what it means depends on the operation's mechanism.
pub struct Param;
impl Wire for Param {
    type Head = *mut c_void;
    type Tail = CK_ULONG;
    type Value<'a> = parameter::RawParameter<'a>;
    unsafe fn decode<'a>(head: Self::Head, tail: CK_ULONG, _: &'a Call) -> Result<Self::Value<'a>> {
        // SAFETY: the application's word for this argument.
        Ok(unsafe { parameter::RawParameter::new(head, tail) })
    }
}

/// One value to write: CKR_ARGUMENTS_BAD for null.
pub struct Put<T>(PhantomData<T>);

/// Where a value goes.
pub struct Place<'a, T> {
    place: *mut T,
    call: PhantomData<&'a mut T>,
}

impl<T: Copy + 'static> Wire for Put<T> {
    type Head = *mut T;
    type Tail = ();
    type Value<'a> = Place<'a, T>;
    unsafe fn decode<'a>(head: *mut T, (): (), _: &'a Call) -> Result<Place<'a, T>> {
        if head.is_null() {
            return Err(CKR_ARGUMENTS_BAD.into());
        }
        Ok(Place { place: head, call: PhantomData })
    }
}

impl<T: Copy> Place<'_, T> {
    /// Writes the value.
    pub fn set(&self, value: T) {
        // SAFETY: not null, so the application has room for a `T` there.
        unsafe { memory::write(self.place, value) };
    }
}

/// Room for so many values, all or some of which are written (`T *buffer, CK_ULONG len`).
pub struct Fill<T = CK_BYTE>(PhantomData<T>);

/// Where values go, one after the other.
pub struct Room<'a, T = CK_BYTE> {
    place: *mut T,
    len: usize,
    call: PhantomData<&'a mut T>,
}

impl<T: Copy + 'static> Wire for Fill<T> {
    type Head = *mut T;
    type Tail = CK_ULONG;
    type Value<'a> = Room<'a, T>;
    unsafe fn decode<'a>(head: *mut T, tail: CK_ULONG, _: &'a Call) -> Result<Room<'a, T>> {
        if head.is_null() && tail > 0 {
            return Err(CKR_ARGUMENTS_BAD.into());
        }
        let len = usize::try_from(tail).map_err(|_| CKR_ARGUMENTS_BAD)?;
        Ok(Room { place: head, len, call: PhantomData })
    }
}

impl<T: Copy> Room<'_, T> {
    /// How many values there is still room for.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there is no room left.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes values and leaves the room after them. CKR_GENERAL_ERROR, and nothing written, if they are too many.
    pub fn push(&mut self, values: &[T]) -> Result {
        let rest = self.len.checked_sub(values.len()).ok_or(CKR_GENERAL_ERROR)?;
        // SAFETY: the application has room for `len` values, and there are no more than that.
        unsafe { memory::fill(self.place, values) };
        (self.place, self.len) = (self.place.wrapping_add(values.len()), rest);
        Ok(())
    }
}

/// Room for output of a length that the application may not know (`T *out, CK_ULONG *len`, section 5.2).
pub struct Out<T = CK_BYTE>(PhantomData<T>);

/// Where output goes: the convention of two calls.
pub struct Output<'a, T = CK_BYTE> {
    buffer: *mut T,
    len: *mut CK_ULONG,
    call: PhantomData<&'a mut T>,
}

impl<T: Copy + 'static> Wire for Out<T> {
    type Head = *mut T;
    type Tail = *mut CK_ULONG;
    type Value<'a> = Output<'a, T>;
    unsafe fn decode<'a>(head: *mut T, tail: *mut CK_ULONG, _: &'a Call) -> Result<Output<'a, T>> {
        if tail.is_null() {
            return Err(CKR_ARGUMENTS_BAD.into());
        }
        Ok(Output { buffer: head, len: tail, call: PhantomData })
    }
}

/// C_SignMessageNext's output: no length while the message goes on.
pub struct OutMaybe;
impl Wire for OutMaybe {
    type Head = *mut CK_BYTE;
    type Tail = *mut CK_ULONG;
    type Value<'a> = Option<Output<'a>>;
    unsafe fn decode<'a>(
        head: *mut CK_BYTE,
        tail: *mut CK_ULONG,
        call: &'a Call,
    ) -> Result<Self::Value<'a>> {
        if tail.is_null() {
            return Ok(None);
        }
        // SAFETY: the same argument.
        unsafe { Out::<CK_BYTE>::decode(head, tail, call) }.map(Some)
    }
}

impl<T: Copy> Output<'_, T> {
    /// How many values the application has room for; `None` if it asks how long the output will be.
    pub fn room(&self) -> Option<usize> {
        // SAFETY: not null, so it points at the application's CK_ULONG.
        let len = unsafe { memory::read(self.len) };
        (!self.buffer.is_null()).then(|| usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// Tells the length that is needed, and writes no output.
    pub fn needs(&self, len: usize) -> Result {
        let len = CK_ULONG::try_from(len).map_err(|_| CKR_GENERAL_ERROR)?;
        // SAFETY: not null, so it points at the application's CK_ULONG.
        unsafe { memory::write(self.len, len) };
        Ok(())
    }

    /// Answers a length query, a short buffer (CKR_BUFFER_TOO_SMALL), or writes the output.
    pub fn put(&self, values: &[T]) -> Result {
        let room = self.room();
        self.needs(values.len())?;
        match room {
            None => Ok(()),
            Some(room) if room < values.len() => Err(CKR_BUFFER_TOO_SMALL.into()),
            Some(_) => {
                // SAFETY: the application has room for `room` values, and there are no more than that.
                unsafe { memory::fill(self.buffer, values) };
                Ok(())
            }
        }
    }
}
