//! Mapping a vendor's library into the process: as the file it is, or as a private copy.
//!
//! dlopen takes the same file for the same library, however often it is opened, and a library has one set of global
//! variables: one C_Initialize, one login. A copy in a memory file is another file to it, so it is another instance
//! (`facts.md` g: SoftHSM, Kryoptic and NSS work so).

use crate::binding;
use crate::error::LoadError;
use crate::file::Module;
use libloading::os::unix::Library;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts copies, in this process and on in its children.
static COPIES: AtomicU32 = AtomicU32::new(0);

/// MFD_EXEC (Linux 6.3): the file may be mapped for execution whatever the system's default.
const MFD_EXEC: libc::c_uint = 0x10;

/// Maps the file itself. Whoever maps it as well gets the same instance.
pub(crate) fn shared(module: &Module) -> Result<Library, LoadError> {
    open(&module.path).map_err(|reason| no_module(module, reason))
}

/// Maps a copy that nobody else has.
pub(crate) fn private(module: &Module) -> Result<Library, LoadError> {
    let copy = || -> io::Result<File> {
        let mut copy = memory_file(module)?;
        copy_into(module, &mut copy)?;
        Ok(copy)
    };
    let memory = match copy() {
        Ok(copy) => match open(&path_of(&copy)) {
            // The mapping outlives the descriptor.
            Ok(library) => return Ok(library),
            Err(reason) => reason,
        },
        Err(error) => error.to_string(),
    };
    // Memory files may be forbidden, or /proc may be missing.
    match in_temporary_folder(module) {
        Ok(Ok(library)) => Ok(library),
        // Whole and readable, and yet no library: then it is the file's own fault.
        Ok(Err(reason)) => Err(no_module(module, reason)),
        Err(error) => Err(LoadError::NoCopy {
            path: module.path.clone(),
            reason: format!("in memory: {memory}; in a file: {error}"),
        }),
    }
}

fn no_module(module: &Module, reason: String) -> LoadError {
    LoadError::NoModule { path: module.path.clone(), reason }
}

/// Opens a library whose names are nobody else's.
fn open(path: &Path) -> Result<Library, String> {
    // SAFETY: loading runs the library's constructors. That they are to be trusted is what the operator says by
    // naming the module, and what `Module::open` checks as far as it can be checked.
    unsafe { Library::open(Some(path), binding::flags()) }.map_err(|error| error.to_string())
}

fn memory_file(module: &Module) -> io::Result<File> {
    let file = module.path.file_name().unwrap_or_default();
    // The name is only for /proc/PID/maps; the system allows 249 bytes.
    let mut name = b"tandem:".to_vec();
    name.extend(file.as_bytes().iter().take(200));
    let name = CString::new(name)?;
    let create = |flags| {
        // SAFETY: the name ends with a zero.
        let descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(descriptor) }
    };
    // Systems older than 6.3 don't know the flag, and need none.
    let descriptor = create(libc::MFD_CLOEXEC | MFD_EXEC).or_else(|_| create(libc::MFD_CLOEXEC))?;
    // SAFETY: a descriptor that was just made and that nobody else has.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Copies from the file that was checked, not from whatever its path means by now.
fn copy_into(module: &Module, copy: &mut File) -> io::Result<()> {
    let mut from = module.file.try_clone()?;
    io::Seek::rewind(&mut from)?;
    io::copy(&mut from, copy).map(drop)
}

/// A path to an open file that was never used before. dlopen compares paths before it compares files, and a
/// descriptor's number comes back once it is closed, so each path is spelt its own way: slashes are a number.
fn path_of(file: &File) -> PathBuf {
    let serial = COPIES.fetch_add(1, Ordering::Relaxed);
    let spelling: String =
        (0..u32::BITS).map(|bit| if serial >> bit & 1 == 1 { "//" } else { "/." }).collect();
    format!("/proc/self/fd{spelling}/{}", file.as_raw_fd()).into()
}

/// Maps a copy in a file of a name that is gone again afterwards. Outside: it could not be written. Inside: it
/// could not be mapped.
fn in_temporary_folder(module: &Module) -> io::Result<Result<Library, String>> {
    let serial = COPIES.fetch_add(1, Ordering::Relaxed);
    let name = format!("tandem-{}-{serial}.so", std::process::id());
    let path = std::env::temp_dir().join(name);
    // A file that is there already is another's: in a folder of everybody's it is never opened.
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
    let written = copy_into(module, &mut copy);
    drop(copy);
    let library = written.map(|()| open(&path));
    fs::remove_file(&path)?;
    library
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MemberConfig, TokenSelector};
    use libloading::os::unix::Symbol;

    /// Any library of the system's, with a variable of its own.
    fn library() -> Module {
        let path = ["/usr/lib/softhsm/libsofthsm2.so", "/lib/x86_64-linux-gnu/libm.so.6"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("a library to copy");
        Module::open(&MemberConfig::new("a", path, TokenSelector::Slot(0))).unwrap()
    }

    fn place_of(library: &Library) -> *mut libc::c_void {
        let name: &[u8] = b"_fini\0";
        let known: &[u8] = b"C_GetFunctionList\0";
        let find = |name| {
            // SAFETY: only its address is looked at.
            unsafe { library.get::<*mut libc::c_void>(name) }.ok().map(Symbol::into_raw)
        };
        find(known).or_else(|| find(name)).or_else(|| find(b"sin\0")).expect("a symbol")
    }

    #[test]
    fn copies_are_instances_of_their_own() {
        let module = library();
        let (one, two) = (private(&module).unwrap(), private(&module).unwrap());
        let (three, four) = (shared(&module).unwrap(), shared(&module).unwrap());
        assert_ne!(place_of(&one), place_of(&two));
        assert_ne!(place_of(&one), place_of(&three));
        assert_eq!(place_of(&three), place_of(&four));
        let five = in_temporary_folder(&module).unwrap().unwrap();
        assert_ne!(place_of(&five), place_of(&three));
    }

    #[test]
    fn a_copy_leaves_no_descriptor_and_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leaves-nothing.so");
        fs::copy(library().path, &path).unwrap();
        let module = Module::open(&MemberConfig::new("a", &path, TokenSelector::Slot(0))).unwrap();
        let _library = private(&module).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.contains("memfd:tandem:leaves-nothing.so"), "it is a memory file");
        for descriptor in fs::read_dir("/proc/self/fd").unwrap().flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            assert!(!target.to_string_lossy().contains("memfd:tandem:leaves-nothing.so"));
        }
    }

    #[test]
    fn what_is_no_library_is_named_by_its_own_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.so");
        fs::write(&path, "text").unwrap();
        let module = Module::open(&MemberConfig::new("a", &path, TokenSelector::Slot(0))).unwrap();
        for refused in [shared(&module).unwrap_err(), private(&module).unwrap_err()] {
            assert!(matches!(&refused, LoadError::NoModule { .. }), "{refused}");
            assert!(refused.to_string().contains("text.so is no PKCS #11 module"), "{refused}");
        }
    }
}
