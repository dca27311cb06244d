//! A module's library, and everything that is unsafe here: loading it, calling it, reading what it points at, and processes.

use crate::answer::Answer;
use crate::argument::Arguments;
use libloading::Library;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io::{Read, Write, pipe};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use tandem_values::ck::*;

/// What goes wrong outside a case, for people.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// Calls a function of a module with arguments of [`crate::argument`].
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: every argument is a number, null, or leads to something of ours with its true length that outlives the call
        // (`argument::Kind`); the operator named the library as a PKCS #11 module, so the function has this signature.
        unsafe { $function($($argument),*) }
    }};
}
pub(crate) use call;

/// How a module wants to be initialised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As the specification says.
    #[default]
    Standard,
    /// With a string in `pReserved`.
    Reserved(CString),
    /// With NSS's own structure and these parameters.
    Nss(CString),
}

impl std::str::FromStr for Start {
    type Err = String;
    fn from_str(text: &str) -> Result<Self> {
        let owned = |text: &str| CString::new(text).map_err(|_| "there is a zero in it".to_owned());
        match text.split_once(':') {
            Some(("reserved", text)) => Ok(Self::Reserved(owned(text)?)),
            Some(("nss", text)) => Ok(Self::Nss(owned(text)?)),
            _ if text == "standard" => Ok(Self::Standard),
            _ => Err("standard, reserved:TEXT or nss:PARAMETERS is expected".to_owned()),
        }
    }
}

impl Start {
    /// What C_Initialize is given, for several threads.
    pub fn arguments(&self) -> Arguments {
        match self {
            Self::Standard => Arguments::flags(CKF_OS_LOCKING_OK),
            Self::Reserved(text) => Arguments::reserved(text.clone()),
            Self::Nss(text) => Arguments::nss(text.clone()),
        }
    }
}

/// A loaded module.
pub struct Module {
    list: CK_FUNCTION_LIST_3_2,
    exports: Exports,
    done: Mutex<BTreeSet<&'static str>>,
    _library: Library,
}

/// What a module exports by name; each may be missing.
#[derive(Clone, Copy)]
struct Exports {
    list: CK_C_GetFunctionList,
    interface: CK_C_GetInterface,
    interfaces: CK_C_GetInterfaceList,
}

/// Versions asked for, the newest first. 3.1 has the list of 3.0.
const VERSIONS: [(u8, u8); 3] = [(3, 2), (3, 1), (3, 0)];

/// The name of the standard's own interface (section 5.4.6).
pub const INTERFACE: &CStr = c"PKCS 11";

impl Module {
    /// Loads a module. It isn't initialised.
    pub fn load(path: &Path) -> Result<Self> {
        // SAFETY: the operator named it as a PKCS #11 module, whose constructors are as trusted as it is.
        let library =
            unsafe { Library::new(path) }.map_err(|e| format!("{}: {e}", path.display()))?;
        let exports = Exports {
            list: exported(&library, c"C_GetFunctionList"),
            interface: exported(&library, c"C_GetInterface"),
            interfaces: exported(&library, c"C_GetInterfaceList"),
        };
        let mut list = CK_FUNCTION_LIST_3_2::default();
        if let Some(old) = exports.function_list() {
            list = widened(old);
        }
        if let Some(newer) = exports.newest() {
            list = widened(newer);
        }
        if list.C_Initialize.is_none() {
            return Err(format!(
                "{} has neither C_GetFunctionList nor C_GetInterface that answers a list with C_Initialize",
                path.display()
            ));
        }
        Ok(Self { list, exports, done: Mutex::default(), _library: library })
    }

    /// Keeps in mind that a function has done what it was asked.
    pub(crate) fn note(&self, function: &'static str, rv: CK_RV) {
        if rv == CKR_OK {
            self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(function);
        }
    }

    /// The functions that have answered CKR_OK since this was asked last.
    pub fn done(&self) -> BTreeSet<&'static str> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest list that the module has, and nothing where it ends.
    pub const fn list(&self) -> &CK_FUNCTION_LIST_3_2 {
        &self.list
    }

    /// The version of that list.
    pub const fn version(&self) -> (u8, u8) {
        (self.list.version.major, self.list.version.minor)
    }

    /// True if the symbol C_GetInterface is there.
    pub const fn has_interfaces(&self) -> bool {
        self.exports.interface.is_some() && self.exports.interfaces.is_some()
    }

    /// The list that the exported C_GetFunctionList answers, asked anew.
    pub fn old_list(&self) -> Option<CK_FUNCTION_LIST_3_2> {
        self.exports.function_list().map(widened)
    }

    /// The list of an interface that C_GetInterface has answered.
    pub(crate) fn list_of(interface: *mut CK_INTERFACE) -> Option<CK_FUNCTION_LIST_3_2> {
        // SAFETY: null, or the module's own, which lives as long as its library.
        let interface = unsafe { interface.as_ref() }?;
        let list = interface.pFunctionList.cast::<CK_FUNCTION_LIST>();
        (!list.is_null()).then(|| widened(list))
    }

    /// The name of an interface that the module has answered.
    pub fn name_of(interface: &CK_INTERFACE) -> String {
        let name = interface.pInterfaceName.cast_const().cast::<std::ffi::c_char>();
        if name.is_null() {
            return String::new();
        }
        // SAFETY: the specification wants a string that ends with a zero and lives as long as the library.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    /// C_GetInfo of another list of the same module.
    pub fn info_of(list: &CK_FUNCTION_LIST_3_2, info: &mut CK_INFO) -> Answer {
        let rv = match list.C_GetInfo {
            None => CKR_FUNCTION_NOT_SUPPORTED,
            Some(function) => call!(function(&raw mut *info)),
        };
        Answer::new("C_GetInfo", rv)
    }
}

impl Exports {
    fn function_list(&self) -> Option<*mut CK_FUNCTION_LIST> {
        let (function, mut list) = (self.list?, ptr::null_mut());
        let rv = call!(function(&raw mut list));
        (rv == CKR_OK && !list.is_null()).then_some(list)
    }

    fn newest(&self) -> Option<*mut CK_FUNCTION_LIST> {
        let function = self.interface?;
        VERSIONS.into_iter().find_map(|(major, minor)| {
            let (mut version, mut found) = (CK_VERSION { major, minor }, ptr::null_mut());
            let name = INTERFACE.as_ptr().cast_mut().cast();
            let rv = call!(function(name, &raw mut version, &raw mut found, 0));
            // SAFETY: null, or the module's own, which lives as long as its library.
            let interface = unsafe { found.as_ref() }.filter(|_| rv == CKR_OK)?;
            let list = interface.pFunctionList.cast::<CK_FUNCTION_LIST>();
            (!list.is_null()).then_some(list)
        })
    }
}

/// A function that a library exports; `T` is its `Option`.
fn exported<T: Copy + Default>(library: &Library, name: &CStr) -> T {
    // SAFETY: symbols of these names have these signatures, by the specification's reserved names.
    let found = unsafe { library.get::<T>(name.to_bytes_with_nul()) };
    found.map_or_else(|_| T::default(), |found| *found)
}

/// Each newer list begins with all of the older one, so a copy of as much as its version has, over nothing, is all of it.
fn widened(list: *mut CK_FUNCTION_LIST) -> CK_FUNCTION_LIST_3_2 {
    // SAFETY: every list begins with its version; it lives as long as the library.
    let version = unsafe { list.cast::<CK_VERSION>().read() };
    let bytes = match (version.major, version.minor) {
        (3, 0..=1) => size_of::<CK_FUNCTION_LIST_3_0>(),
        (3.., _) => size_of::<CK_FUNCTION_LIST_3_2>(),
        _ => size_of::<CK_FUNCTION_LIST>(),
    };
    let mut wide = CK_FUNCTION_LIST_3_2::default();
    // SAFETY: the list is that long by its version, a local variable can't overlap with it, and every field may be all zeros.
    unsafe { ptr::copy_nonoverlapping(list.cast::<u8>(), (&raw mut wide).cast::<u8>(), bytes) };
    wide
}

/// Does something in a forked child, which tells a line of what came of it. `None`: it ended without a word.
pub fn in_child(work: impl FnOnce() -> String) -> Result<Option<String>> {
    let (mut reader, mut writer) = pipe().map_err(|error| error.to_string())?;
    // SAFETY: the child does what the case is about, which is calls of the module, and ends without unwinding or destructors.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().to_string()),
        0 => {
            let told = work();
            let _ = writer.write_all(told.as_bytes());
            // SAFETY: ends this process, which has nothing to clean up that isn't its parent's.
            unsafe { libc::_exit(0) }
        }
        child => {
            drop(writer);
            let mut told = String::new();
            let read = reader.read_to_string(&mut told);
            let mut status = 0;
            // SAFETY: a child of ours, waited for once.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            read.map_err(|error| error.to_string())?;
            Ok(Some(told).filter(|told| !told.is_empty()))
        }
    }
}

/// Ends a process of ours and those that it has forked: it was started as the first of its group.
pub fn end_group(leader: u32) {
    if let Ok(group) = libc::pid_t::try_from(leader) {
        // SAFETY: no memory is concerned.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_says_so() {
        let error = Module::load(Path::new("/nonexistent.so")).err().unwrap();
        assert!(error.contains("/nonexistent.so"), "{error}");
    }

    #[test]
    fn a_start_is_written_as_in_the_configuration() {
        assert_eq!("standard".parse(), Ok(Start::Standard));
        assert_eq!("nss:flags=".parse(), Ok(Start::Nss(c"flags=".to_owned())));
        assert_eq!("reserved:a:b".parse(), Ok(Start::Reserved(c"a:b".to_owned())));
        assert!("other".parse::<Start>().is_err());
    }

    #[test]
    fn a_child_tells_what_came_of_it() {
        assert_eq!(in_child(|| "done".to_owned()), Ok(Some("done".to_owned())));
        assert_eq!(in_child(String::new), Ok(None));
    }
}
