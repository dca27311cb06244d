//! The module that is wrapped: loaded as a copy of its own, so that two faults around the same file are two instances.

use crate::face::List;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::ptr;
use tandem_values::ck::*;

/// A wrapped module.
pub(crate) struct Wrapped {
    /// Its file.
    pub(crate) path: PathBuf,
    /// Its functions.
    pub(crate) list: List,
    _library: Library,
    /// Stays open: dlopen knows libraries by their paths, and the path of a closed descriptor comes back.
    _copy: File,
}

impl Wrapped {
    /// Loads a copy of a module.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let copy = copy(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
        // SAFETY: its constructors are the operator's choice, as those of any module.
        let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let list = by_interface(&library)
            .or_else(|| by_list(&library))
            .ok_or_else(|| format!("{} is no PKCS #11 module", path.display()))?;
        // SAFETY: both answer a pointer to a list that begins with its version and lives as long as the library.
        let list = unsafe { widen(list) };
        Ok(Self { path: path.to_owned(), list, _library: library, _copy: copy })
    }
}

fn copy(path: &Path) -> io::Result<File> {
    // SAFETY: the name ends with a zero.
    let descriptor = unsafe { libc::memfd_create(c"tandem-fault".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and that nobody else has.
    let mut copy = unsafe { File::from_raw_fd(descriptor) };
    io::copy(&mut File::open(path)?, &mut copy)?;
    Ok(copy)
}

fn by_interface(library: &Library) -> Option<*const CK_FUNCTION_LIST> {
    // SAFETY: a symbol of this name has this type, by the specification.
    let get = unsafe { library.get::<CK_C_GetInterface>(b"C_GetInterface\0") }.ok()?;
    let get = (*get)?;
    let mut interface: *mut CK_INTERFACE = ptr::null_mut();
    // SAFETY: nulls ask for the default interface; the answer has a place to go.
    let rv = unsafe { get(ptr::null_mut(), ptr::null_mut(), &raw mut interface, 0) };
    if rv != CKR_OK {
        return None;
    }
    // SAFETY: null, or an interface of the library's own.
    let interface = unsafe { interface.as_ref() }?;
    let list = interface.pFunctionList.cast::<CK_FUNCTION_LIST>().cast_const();
    (!list.is_null()).then_some(list)
}

fn by_list(library: &Library) -> Option<*const CK_FUNCTION_LIST> {
    // SAFETY: a symbol of this name has this type, by the specification.
    let get = unsafe { library.get::<CK_C_GetFunctionList>(b"C_GetFunctionList\0") }.ok()?;
    let get = (*get)?;
    let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
    // SAFETY: the answer has a place to go.
    let rv = unsafe { get(&raw mut list) };
    (rv == CKR_OK && !list.is_null()).then_some(list.cast_const())
}

/// Each newer list begins with all of the older one: what an older one lacks is left empty.
///
/// # Safety
/// `list` points at a function list of the version in its first field.
unsafe fn widen(list: *const CK_FUNCTION_LIST) -> List {
    // SAFETY: every list begins with its version.
    let version = unsafe { list.cast::<CK_VERSION>().read() };
    let bytes = match (version.major, version.minor) {
        (3, 0..=1) => size_of::<CK_FUNCTION_LIST_3_0>(),
        (3.., _) => size_of::<List>(),
        _ => size_of::<CK_FUNCTION_LIST>(),
    };
    let mut wide = List::default();
    // SAFETY: the list is that long by its version, and `None` of a field is the null pointer.
    unsafe {
        ptr::copy_nonoverlapping(list.cast::<u8>(), (&raw mut wide).cast::<u8>(), bytes);
    }
    wide
}
