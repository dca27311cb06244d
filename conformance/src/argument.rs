//! The kinds of arguments that functions of PKCS #11 take.
//!
//! Each owns or borrows what its pointers lead to for as long as the call, and gives true lengths: that, or null, is all that a
//! module is handed, so no case can hand it anything else.

use crate::value::{Mechanism, Parameter, Template};
use std::ffi::{CStr, c_void};
use std::ptr;
use tandem_values::ck::*;

/// An argument: one C parameter (the head), or a pointer and its length (the tail).
pub trait Kind {
    /// True for a session's handle.
    const IS_SESSION: bool = false;
    /// What an ordinary one is made of.
    type Stored;
    /// What a case gives.
    type Given<'a>;
    /// The C parameter.
    type Head;
    /// The length, or its place.
    type Tail;
    /// An ordinary one.
    fn plain(session: CK_SESSION_HANDLE) -> Self::Stored;
    /// The ordinary one, as a case gives it.
    fn lend(stored: &mut Self::Stored) -> Self::Given<'_>;
    /// The C parameter. What it leads to lives as long as what was given.
    fn head(given: &mut Self::Given<'_>) -> Self::Head;
    /// The second C parameter.
    fn tail(given: &mut Self::Given<'_>) -> Self::Tail;
}

/// Declares kinds that are numbers.
macro_rules! by_value {
    ($($(#[$doc:meta])* $name:ident($is_session:literal): $c:ty, $session:ident => $plain:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Kind for $name {
            const IS_SESSION: bool = $is_session;
            type Stored = $c;
            type Given<'a> = $c;
            type Head = $c;
            type Tail = ();
            fn plain($session: CK_SESSION_HANDLE) -> $c { $plain }
            fn lend(stored: &mut $c) -> $c { *stored }
            fn head(given: &mut $c) -> $c { *given }
            fn tail(_: &mut $c) {}
        }
    )*};
}

by_value! {
    /// A session's handle.
    Session(true): CK_SESSION_HANDLE, session => session;
    /// Any other number: a slot, an object, flags, a kind of user.
    Number(false): CK_ULONG, _session => 0;
    /// CK_BBOOL.
    Flag(false): CK_BBOOL, _session => CK_TRUE;
}

/// Declares kinds that lead to something of ours.
macro_rules! by_reference {
    ($($(#[$doc:meta])* $name:ident $(<$t:ident>)?: $given:ty => $plain:expr;
        $it:ident => $head:ty: $head_value:expr, $tail:ty: $tail_value:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name $(<$t>(std::marker::PhantomData<$t>))?;
        impl $(<$t: Ordinary + 'static>)? Kind for $name $(<$t>)? {
            type Stored = $given;
            type Given<'a> = &'a mut $given;
            type Head = $head;
            type Tail = $tail;
            fn plain(_: CK_SESSION_HANDLE) -> $given { $plain }
            fn lend(stored: &mut $given) -> &mut $given { stored }
            fn head($it: &mut Self::Given<'_>) -> $head { $head_value }
            fn tail($it: &mut Self::Given<'_>) -> $tail { let _ = $it; $tail_value }
        }
    )*};
}

/// Where one answer goes, or nowhere.
#[derive(Debug)]
pub struct Place<T> {
    /// What is there.
    pub value: T,
    is_null: bool,
}

impl<T> Place<T> {
    /// A place in which this stands.
    pub const fn of(value: T) -> Self {
        Self { value, is_null: false }
    }

    const fn pointer(&mut self) -> *mut T {
        if self.is_null { ptr::null_mut() } else { &raw mut self.value }
    }
}

impl<T: Ordinary> Place<T> {
    /// An empty place.
    pub fn new() -> Self {
        Self::of(T::ordinary())
    }

    /// No place: the null pointer.
    pub fn null() -> Self {
        Self { value: T::ordinary(), is_null: true }
    }
}

impl<T: Ordinary> Default for Place<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What stands in a place before a call.
pub trait Ordinary {
    /// It.
    fn ordinary() -> Self;
}

macro_rules! ordinary {
    ($($t:ty => $value:expr;)*) => {$(
        impl Ordinary for $t {
            fn ordinary() -> Self { $value }
        }
    )*};
}

ordinary! {
    CK_ULONG => 0;
    CK_INFO => Self::default();
    CK_SLOT_INFO => Self::default();
    CK_TOKEN_INFO => Self::default();
    CK_SESSION_INFO => Self::default();
    CK_MECHANISM_INFO => Self::default();
    CK_VERSION => Self { major: 2, minor: 40 };
    *mut CK_FUNCTION_LIST => ptr::null_mut();
    *mut CK_INTERFACE => ptr::null_mut();
    CK_ASYNC_DATA => Self { ulVersion: 0, pValue: ptr::null_mut(), ulValue: 0, hObject: 0, hAdditionalObject: 0 };
}

/// Room for an answer of bytes, by the convention of section 5.2.
#[derive(Clone, Debug)]
pub struct Out {
    room: Option<Vec<u8>>,
    /// The length: of the room before a call, of the answer after it.
    pub len: CK_ULONG,
    has_len: bool,
}

impl Out {
    /// Room for so many bytes.
    pub fn room(len: usize) -> Self {
        Self { room: Some(vec![0xa5; len]), len: number(len), has_len: true }
    }

    /// No room: asks for the length.
    pub const fn query() -> Self {
        Self { room: None, len: 0, has_len: true }
    }

    /// No room, and so many bytes that should go there.
    pub const fn nowhere(len: CK_ULONG) -> Self {
        Self { room: None, len, has_len: true }
    }

    /// Room, and a null pointer for the length.
    pub fn without_length() -> Self {
        Self { has_len: false, ..Self::room(512) }
    }

    /// What was answered. The length is the module's word, and may be anything.
    pub fn bytes(&self) -> &[u8] {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        self.room.as_deref().and_then(|room| room.get(..len)).unwrap_or_default()
    }

    /// True if every byte of the room is as it was.
    pub fn is_untouched(&self) -> bool {
        self.room.as_deref().unwrap_or_default().iter().all(|byte| *byte == 0xa5)
    }

    fn pointer(&mut self) -> *mut u8 {
        self.room.as_mut().map_or(ptr::null_mut(), Vec::as_mut_ptr)
    }

    const fn place(&mut self) -> *mut CK_ULONG {
        if self.has_len { &raw mut self.len } else { ptr::null_mut() }
    }
}

/// Room for an answer of several numbers, or of several interfaces.
#[derive(Clone, Debug)]
pub struct Several<T> {
    room: Option<Vec<T>>,
    /// How many: of the room before a call, of the answer after it.
    pub count: CK_ULONG,
    has_count: bool,
}

impl<T: Clone> Several<T> {
    /// Room for so many.
    pub fn room(empty: T, count: usize) -> Self {
        Self { room: Some(vec![empty; count]), count: number(count), has_count: true }
    }

    /// No room: asks how many.
    pub const fn query() -> Self {
        Self { room: None, count: 0, has_count: true }
    }

    /// No room for this many.
    pub const fn nowhere(count: CK_ULONG) -> Self {
        Self { room: None, count, has_count: true }
    }

    /// A null pointer for the count.
    pub const fn without_count() -> Self {
        Self { room: None, count: 0, has_count: false }
    }

    /// The first of them, as many as that.
    pub fn first(&self, count: CK_ULONG) -> &[T] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.room.as_deref().and_then(|room| room.get(..count)).unwrap_or_default()
    }

    fn pointer(&mut self) -> *mut T {
        self.room.as_mut().map_or(ptr::null_mut(), Vec::as_mut_ptr)
    }

    const fn place(&mut self) -> *mut CK_ULONG {
        if self.has_count { &raw mut self.count } else { ptr::null_mut() }
    }
}

/// No interface.
pub const NO_INTERFACE: CK_INTERFACE =
    CK_INTERFACE { pInterfaceName: ptr::null_mut(), pFunctionList: ptr::null_mut(), flags: 0 };

/// What C_Initialize takes.
#[derive(Debug)]
pub struct Arguments {
    wanted: Wanted,
    /// A structure of NSS's is longer than the standard's, which it begins like.
    words: [usize; 7],
    text: Option<std::ffi::CString>,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    Null,
    Flags(CK_FLAGS),
    SomeMutexes,
    Reserved,
    Nss,
}

impl Arguments {
    const fn with(wanted: Wanted, text: Option<std::ffi::CString>) -> Self {
        Self { wanted, words: [0; 7], text }
    }

    /// A null pointer.
    pub const fn null() -> Self {
        Self::with(Wanted::Null, None)
    }

    /// These flags.
    pub const fn flags(flags: CK_FLAGS) -> Self {
        Self::with(Wanted::Flags(flags), None)
    }

    /// Some of the four functions for mutexes, and not the others, which the specification forbids.
    pub const fn some_mutexes() -> Self {
        Self::with(Wanted::SomeMutexes, None)
    }

    /// Something in `pReserved`.
    pub const fn reserved(text: std::ffi::CString) -> Self {
        Self::with(Wanted::Reserved, Some(text))
    }

    /// NSS's structure, which has one field more, with these parameters.
    pub const fn nss(text: std::ffi::CString) -> Self {
        Self::with(Wanted::Nss, Some(text))
    }

    fn pointer(&mut self) -> *mut c_void {
        let text = self.text.as_ref().map_or(0, |text| text.as_ptr().expose_provenance());
        let threads = word(CKF_OS_LOCKING_OK);
        // CreateMutex, DestroyMutex, LockMutex, UnlockMutex, flags, pReserved; with NSS its parameters before the last.
        self.words = match self.wanted {
            Wanted::Null => return ptr::null_mut(),
            Wanted::Flags(flags) => [0, 0, 0, 0, word(flags), 0, 0],
            Wanted::SomeMutexes => {
                let function: fn() = || {};
                [(function as *const ()).expose_provenance(), 0, 0, 0, 0, 0, 0]
            }
            Wanted::Reserved | Wanted::Nss => [0, 0, 0, 0, threads, text, 0],
        };
        self.words.as_mut_ptr().cast()
    }
}

const fn word(flags: CK_FLAGS) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "flags of 32 bits")]
    let word = flags as usize;
    word
}

by_reference! {
    /// Where one answer goes.
    Put<T>: Place<T> => Place::new(); it => *mut T: it.pointer(), (): ();
    /// Bytes that are answered, and the place of their length.
    Output: Out => Out::room(512); it => *mut u8: it.pointer(), *mut CK_ULONG: it.place();
    /// Bytes that are filled in, and how many.
    Fill: Out => Out::room(16); it => *mut u8: it.pointer(), CK_ULONG: it.len;
    /// Numbers that are answered, and the place of their count.
    Numbers: Several<CK_ULONG> => Several::room(0, 64); it => *mut CK_ULONG: it.pointer(), *mut CK_ULONG: it.place();
    /// Handles that are filled in, and how many at most.
    Batch: Several<CK_ULONG> => Several::room(0, 4); it => *mut CK_ULONG: it.pointer(), CK_ULONG: it.count;
    /// Interfaces, and the place of their count.
    Interfaces: Several<CK_INTERFACE> => Several::room(NO_INTERFACE, 8); it => *mut CK_INTERFACE: it.pointer(), *mut CK_ULONG: it.place();
    /// A template, and how many attributes it has.
    Attributes: Template => Template::default(); it => *mut CK_ATTRIBUTE: it.pointer(), CK_ULONG: it.count();
    /// A mechanism.
    Method: Mechanism => Mechanism::plain(CKM_SHA256); it => *mut CK_MECHANISM: it.pointer(), (): ();
    /// A message's parameter, and its length.
    OfMessage: Parameter => Parameter::none(); it => *mut c_void: it.pointer(), CK_ULONG: it.len();
    /// What C_Initialize takes.
    Initialise: Arguments => Arguments::flags(CKF_OS_LOCKING_OK); it => *mut c_void: it.pointer(), (): ();
}

/// Bytes that a module reads: their length is true, or the pointer is null.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    bytes: Option<&'a [u8]>,
    len: CK_ULONG,
}

impl Data<'_> {
    /// A null pointer with this length.
    pub const fn null(len: CK_ULONG) -> Self {
        Self { bytes: None, len }
    }
}

impl<'a> Data<'a> {
    /// These bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes), len: number(bytes.len()) }
    }
}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::of(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'a> From<&'a Vec<u8>> for Data<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

/// Declares kinds that a case gives as something to read.
macro_rules! by_borrow {
    ($($(#[$doc:meta])* $name:ident: $given:ty => $plain:expr; $it:ident => $head:ty: $head_value:expr, $tail:ty: $tail_value:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Kind for $name {
            type Stored = ();
            type Given<'a> = $given;
            type Head = $head;
            type Tail = $tail;
            fn plain(_: CK_SESSION_HANDLE) {}
            fn lend((): &mut ()) -> Self::Given<'_> { $plain }
            fn head($it: &mut Self::Given<'_>) -> $head { $head_value }
            fn tail($it: &mut Self::Given<'_>) -> $tail { let _ = $it; $tail_value }
        }
    )*};
}

by_borrow! {
    /// Bytes, and how many. A module that writes to what it should read is stopped by the processor: `const` memory of ours
    /// is handed out as it is.
    Input: Data<'a> => Data::from(&[7; 16]); it => *mut u8: it.bytes.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut()), CK_ULONG: it.len;
    /// A token's label of 32 characters.
    Label: Option<&'a [u8; 32]> => Some(&[b' '; 32]); it => *mut u8: it.map_or(ptr::null_mut(), |label| label.as_ptr().cast_mut()), (): ();
    /// A name that ends with a zero.
    Name: Option<&'a CStr> => Some(c"C_Sign"); it => *mut u8: it.map_or(ptr::null_mut(), |name| name.as_ptr().cast_mut().cast()), (): ();
    /// `pReserved`: something, or as it should be nothing.
    Reserved: bool => false; it => *mut c_void: if *it { NOT_NULL.as_ptr().cast_mut().cast() } else { ptr::null_mut() }, (): ();
    /// An application's own pointer for callbacks: none.
    Own: () => (); _it => *mut c_void: ptr::null_mut(), (): ();
    /// A callback: none.
    Notify: () => (); _it => CK_NOTIFY: None, (): ();
}

static NOT_NULL: [u8; 64] = [0; 64];

/// A length as C has it.
pub fn number(len: usize) -> CK_ULONG {
    CK_ULONG::try_from(len).unwrap_or(CK_ULONG::MAX)
}
