//! A PKCS #11 module as a C program uses it, with as little around a call as can be: what is measured is the module.

use cryptoki_sys::*;
use libloading::Library;
use serde::{Deserialize, Serialize};
use std::ffi::{CString, c_void};
use std::fmt;
use std::path::Path;
use std::ptr;

/// What went wrong, for people.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// C_GetFunctionList.
type GetList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;

/// How many objects are asked for in one call.
const FOUND_MAX: usize = 256;

/// What C_Initialize takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Initialise {
    /// What the specification says.
    #[default]
    Standard,
    /// The same with a string in `pReserved`.
    Reserved(String),
    /// NSS's own structure with these parameters.
    Nss(String),
}

/// NSS's CK_C_INITIALIZE_ARGS: one field more, before `pReserved`.
#[repr(C)]
struct NssArguments {
    mutexes: [*mut c_void; 4],
    flags: CK_FLAGS,
    parameters: *mut c_void,
    reserved: *mut c_void,
}

/// Which of a module's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chosen {
    /// The one with this label.
    Label(String),
    /// The one with this serial number.
    Serial(String),
    /// The one in the slot with this number.
    Slot(CK_SLOT_ID),
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "labelled {label:?}"),
            Self::Serial(serial) => write!(f, "with the serial number {serial:?}"),
            Self::Slot(slot) => write!(f, "in slot {slot}"),
        }
    }
}

/// A loaded module.
pub struct Module {
    list: CK_FUNCTION_LIST,
    /// What was given to C_Initialize: nobody says that a vendor copies it.
    text: CString,
    _library: Library,
}

/// Calls a function of the module; an error names it and its answer.
macro_rules! call {
    ($module:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        match $module.list.$name {
            None => Err(concat!(stringify!($name), " is missing").to_owned()),
            // SAFETY: every pointer is to something of ours that outlives the call, with its true length.
            Some(function) => match unsafe { function($($argument),*) } {
                CKR_OK => Ok(()),
                rv => Err(format!(concat!(stringify!($name), ": {:#x}"), rv)),
            },
        }
    }};
}

impl Module {
    /// Loads a module and initialises it for several threads.
    pub fn start(path: &Path, initialise: &Initialise) -> Result<Self> {
        // SAFETY: the operator named it as a PKCS #11 module, whose constructors are as trusted as it is.
        let library =
            unsafe { Library::new(path) }.map_err(|e| format!("{}: {e}", path.display()))?;
        // SAFETY: the function has this signature since PKCS #11 1.0.
        let get =
            unsafe { library.get::<GetList>(b"C_GetFunctionList\0") }.map_err(|e| e.to_string())?;
        let mut found = ptr::null_mut();
        // SAFETY: the answer has a place.
        let rv = unsafe { get(&raw mut found) };
        if rv != CKR_OK || found.is_null() {
            return Err(format!("C_GetFunctionList: {rv:#x}"));
        }
        // SAFETY: the list lives as long as the library, and is copied.
        let list = unsafe { *found };
        let text = match initialise {
            Initialise::Standard => "",
            Initialise::Reserved(text) | Initialise::Nss(text) => text.as_str(),
        };
        let text = CString::new(text).map_err(|_| "a zero in what C_Initialize takes")?;
        let module = Self { list, text, _library: library };
        module.initialise(initialise)?;
        Ok(module)
    }

    fn initialise(&self, initialise: &Initialise) -> Result<()> {
        let (flags, text) = (CKF_OS_LOCKING_OK, self.text.as_ptr().cast_mut().cast::<c_void>());
        if matches!(initialise, Initialise::Nss(_)) {
            let (mutexes, reserved) = ([ptr::null_mut(); 4], ptr::null_mut());
            let mut wanted = NssArguments { mutexes, flags, parameters: text, reserved };
            return call!(self, C_Initialize((&raw mut wanted).cast::<c_void>()));
        }
        let is_standard = *initialise == Initialise::Standard;
        let reserved = if is_standard { ptr::null_mut() } else { text };
        let mut wanted = CK_C_INITIALIZE_ARGS { flags, pReserved: reserved, ..Default::default() };
        call!(self, C_Initialize((&raw mut wanted).cast::<c_void>()))
    }

    /// Ends what [`Module::start`] began.
    pub fn stop(self) -> Result<()> {
        call!(self, C_Finalize(ptr::null_mut()))
    }

    /// The slot of a token.
    pub fn slot(&self, chosen: &Chosen) -> Result<CK_SLOT_ID> {
        if let Chosen::Slot(slot) = chosen {
            return Ok(*slot);
        }
        let mut slots = [0; FOUND_MAX];
        let mut count: CK_ULONG = FOUND_MAX as CK_ULONG;
        call!(self, C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &raw mut count))?;
        let count = usize::try_from(count).unwrap_or(0);
        for slot in slots.into_iter().take(count) {
            let mut info = CK_TOKEN_INFO::default();
            call!(self, C_GetTokenInfo(slot, &raw mut info))?;
            let is_it = |padded: &[u8], wanted: &str| {
                String::from_utf8_lossy(padded).trim_end_matches([' ', '\0']) == wanted
            };
            if match chosen {
                Chosen::Label(label) => is_it(&info.label, label),
                Chosen::Serial(serial) => is_it(&info.serialNumber, serial),
                Chosen::Slot(_) => true,
            } {
                return Ok(slot);
            }
        }
        Err(format!("there is no token {chosen}"))
    }

    /// A session that may change objects.
    pub fn open(&self, slot: CK_SLOT_ID) -> Result<Session<'_>> {
        let (mut handle, flags) = (0, CKF_SERIAL_SESSION | CKF_RW_SESSION);
        call!(self, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut handle))?;
        Ok(Session { module: self, handle })
    }
}

/// An attribute of a template.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// CKA_ number.
    pub kind: CK_ATTRIBUTE_TYPE,
    /// Its value.
    pub value: Vec<u8>,
}

impl Attribute {
    /// One of bytes.
    pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> Self {
        Self { kind, value: value.into() }
    }

    /// One of a number.
    pub fn number(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Self {
        Self::bytes(kind, value.to_ne_bytes())
    }

    /// One of yes or no.
    pub fn flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Self {
        Self::bytes(kind, [u8::from(value)])
    }
}

/// The template as C has it. It points into the attributes.
fn template(attributes: &[Attribute]) -> Vec<CK_ATTRIBUTE> {
    let each = |attribute: &Attribute| CK_ATTRIBUTE {
        type_: attribute.kind,
        pValue: attribute.value.as_ptr().cast_mut().cast::<c_void>(),
        ulValueLen: length(&attribute.value),
    };
    attributes.iter().map(each).collect()
}

fn length(bytes: &[u8]) -> CK_ULONG {
    CK_ULONG::try_from(bytes.len()).unwrap_or(CK_ULONG::MAX)
}

/// A mechanism without a parameter.
const fn plain(mechanism: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 }
}

/// A session. It closes itself.
pub struct Session<'a> {
    module: &'a Module,
    handle: CK_SESSION_HANDLE,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let _ = call!(self.module, C_CloseSession(self.handle));
    }
}

impl Session<'_> {
    /// Logs the user in. That another session has done so is no error.
    pub fn login(&self, pin: &[u8]) -> Result<()> {
        let answer = call!(
            self.module,
            C_Login(self.handle, CKU_USER, pin.as_ptr().cast_mut(), length(pin))
        );
        match answer {
            Err(error) if error.ends_with(&format!("{CKR_USER_ALREADY_LOGGED_IN:#x}")) => Ok(()),
            answer => answer,
        }
    }

    /// Every object like this.
    pub fn find(&self, wanted: &[Attribute]) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let mut wanted_c = template(wanted);
        let count = CK_ULONG::try_from(wanted_c.len()).unwrap_or(0);
        call!(self.module, C_FindObjectsInit(self.handle, wanted_c.as_mut_ptr(), count))?;
        let mut found = Vec::new();
        let mut batch = [0; FOUND_MAX];
        loop {
            let (most, mut got) = (FOUND_MAX as CK_ULONG, 0);
            call!(self.module, C_FindObjects(self.handle, batch.as_mut_ptr(), most, &raw mut got))?;
            found.extend(batch.iter().take(usize::try_from(got).unwrap_or(0)));
            if got < most {
                break;
            }
        }
        call!(self.module, C_FindObjectsFinal(self.handle))?;
        Ok(found)
    }

    /// Reads attributes of an object in one call, each of at most 512 bytes; the bytes of the last are answered.
    pub fn read(&self, object: CK_OBJECT_HANDLE, kinds: &[CK_ATTRIBUTE_TYPE]) -> Result<Vec<u8>> {
        let mut values = vec![[0_u8; 512]; kinds.len()];
        let mut wanted: Vec<_> = kinds
            .iter()
            .zip(&mut values)
            .map(|(kind, value)| CK_ATTRIBUTE {
                type_: *kind,
                pValue: value.as_mut_ptr().cast::<c_void>(),
                ulValueLen: 512,
            })
            .collect();
        let count = CK_ULONG::try_from(wanted.len()).unwrap_or(0);
        call!(self.module, C_GetAttributeValue(self.handle, object, wanted.as_mut_ptr(), count))?;
        let len = wanted.last().map_or(0, |last| usize::try_from(last.ulValueLen).unwrap_or(0));
        let last = values.last().and_then(|value| value.get(..len));
        Ok(last.unwrap_or_default().to_vec())
    }

    /// C_SignInit and C_Sign, with room for the signature.
    pub fn sign(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        room: &mut [u8],
    ) -> Result<()> {
        let mut mechanism = plain(mechanism);
        call!(self.module, C_SignInit(self.handle, &raw mut mechanism, key))?;
        let (data, len) = (data.as_ptr().cast_mut(), length(data));
        let mut got = length(room);
        call!(self.module, C_Sign(self.handle, data, len, room.as_mut_ptr(), &raw mut got))
    }

    /// C_EncryptInit and C_Encrypt by AES-GCM with a tag of 16 bytes.
    pub fn encrypt_gcm(
        &self,
        key: CK_OBJECT_HANDLE,
        iv: &mut [u8; 12],
        data: &[u8],
        room: &mut [u8],
    ) -> Result<()> {
        let mut parameter = CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: 12,
            ulIvBits: 96,
            pAAD: ptr::null_mut(),
            ulAADLen: 0,
            ulTagBits: 128,
        };
        let mut mechanism = CK_MECHANISM {
            mechanism: CKM_AES_GCM,
            pParameter: (&raw mut parameter).cast::<c_void>(),
            ulParameterLen: size_of::<CK_GCM_PARAMS>() as CK_ULONG,
        };
        call!(self.module, C_EncryptInit(self.handle, &raw mut mechanism, key))?;
        let (data, len) = (data.as_ptr().cast_mut(), length(data));
        let mut got = length(room);
        call!(self.module, C_Encrypt(self.handle, data, len, room.as_mut_ptr(), &raw mut got))
    }

    /// Makes a key pair and answers its halves, the public one first.
    pub fn generate_pair(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<[CK_OBJECT_HANDLE; 2]> {
        let mut mechanism = plain(mechanism);
        let (mut public, mut private) = (template(public), template(private));
        let count = |template: &[CK_ATTRIBUTE]| CK_ULONG::try_from(template.len()).unwrap_or(0);
        let (public_count, private_count) = (count(&public), count(&private));
        let (mut one, mut other) = (0, 0);
        call!(
            self.module,
            C_GenerateKeyPair(
                self.handle,
                &raw mut mechanism,
                public.as_mut_ptr(),
                public_count,
                private.as_mut_ptr(),
                private_count,
                &raw mut one,
                &raw mut other
            )
        )?;
        Ok([one, other])
    }

    /// Destroys an object.
    pub fn destroy(&self, object: CK_OBJECT_HANDLE) -> Result<()> {
        call!(self.module, C_DestroyObject(self.handle, object))
    }
}
