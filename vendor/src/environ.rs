//! Setting a variable of the process while others may be reading.
//!
//! setenv of the C library frees the array that a getenv on another thread may be walking through: that thread then reads
//! whatever is there, and the process ends by a signal. Here each change is an array of its own, which takes the place of the
//! one before in one step, and no array and no string is ever freed. They are used again when the same environment comes
//! back, so that there are no more of them than there are different environments.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    /// The process's variables: strings `NAME=value`, and null at the end (environ(7)).
    #[link_name = "environ"]
    static ENVIRON: AtomicPtr<AtomicPtr<c_char>>;
}

/// Everything that has been put into the environment.
static KEPT: Mutex<Kept> = Mutex::new(Kept { strings: BTreeSet::new(), arrays: Vec::new() });

struct Kept {
    strings: BTreeSet<&'static CStr>,
    arrays: Vec<&'static [AtomicPtr<c_char>]>,
}

impl Kept {
    fn string(&mut self, text: CString) -> &'static CStr {
        if let Some(string) = self.strings.get(text.as_c_str()) {
            return string;
        }
        let string: &'static CStr = Box::leak(text.into_boxed_c_str());
        self.strings.insert(string);
        string
    }

    /// An array of these and null. Somebody may have changed one that was made here, so it is what is in it that tells.
    fn array(&mut self, entries: &[*mut c_char]) -> &'static [AtomicPtr<c_char>] {
        let ends = || entries.iter().copied().chain([ptr::null_mut()]);
        let is_it = |array: &&&'static [AtomicPtr<c_char>]| {
            array.iter().map(|entry| entry.load(Ordering::Acquire)).eq(ends())
        };
        if let Some(array) = self.arrays.iter().find(is_it) {
            return array;
        }
        let array: &'static [AtomicPtr<c_char>] =
            Box::leak(ends().map(AtomicPtr::new).collect::<Box<[_]>>());
        self.arrays.push(array);
        array
    }
}

/// Sets a variable, or removes it. A name or value that no variable can have changes nothing.
pub(crate) fn set(name: &str, value: Option<&OsStr>) {
    let mut kept = KEPT.lock();
    let entry = value.map(|value| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()));
    let Ok(entry) = entry.transpose() else { return };
    let entry = entry.map(|text| kept.string(text).as_ptr().cast_mut());
    let mut entries = now();
    let place = entries.iter().position(|entry| is_named(*entry, name));
    entries.retain(|entry| !is_named(*entry, name));
    if let Some(entry) = entry {
        entries.insert(place.unwrap_or(entries.len()), entry);
    }
    let array = kept.array(&entries);
    // SAFETY: a variable of the C library, as wide as a pointer, which everybody reads and writes as a whole.
    unsafe { &ENVIRON }.store(array.as_ptr().cast_mut(), Ordering::Release);
}

/// The environment as it is now.
fn now() -> Vec<*mut c_char> {
    // SAFETY: as in `set`.
    let array = unsafe { &ENVIRON }.load(Ordering::Acquire);
    let mut entries = Vec::new();
    if array.is_null() {
        return entries;
    }
    loop {
        // SAFETY: the array goes on as long as no null was met.
        let entry = unsafe { array.add(entries.len()) };
        // SAFETY: an element of the array, which holds a pointer.
        let entry = unsafe { &*entry }.load(Ordering::Acquire);
        if entry.is_null() {
            return entries;
        }
        entries.push(entry);
    }
}

fn is_named(entry: *mut c_char, name: &str) -> bool {
    // SAFETY: what the environment holds are strings that end with a null byte.
    let entry = unsafe { CStr::from_ptr(entry) };
    entry.to_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::sync::atomic::AtomicBool;

    /// What the C library, which knows nothing of the locks of Rust's, finds.
    fn getenv(name: &CStr) -> Option<Vec<u8>> {
        // SAFETY: a string that ends with a null byte.
        let value = unsafe { libc::getenv(name.as_ptr()) };
        // SAFETY: a string of the environment, which is never freed here.
        (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
    }

    #[test]
    fn variables_are_set_changed_and_removed_for_everybody() {
        let name = c"TANDEM_ENVIRON_A";
        for value in ["one", "", "t=wo"] {
            set("TANDEM_ENVIRON_A", Some(value.as_ref()));
            assert_eq!(getenv(name), Some(value.into()));
            assert_eq!(env::var("TANDEM_ENVIRON_A").as_deref(), Ok(value));
        }
        set("TANDEM_ENVIRON_A", Some("with \0".as_ref()));
        assert_eq!(getenv(name), Some(b"t=wo".to_vec()), "nothing can be so");
        set("TANDEM_ENVIRON_A", None);
        assert_eq!((getenv(name), env::var_os("TANDEM_ENVIRON_A")), (None, None));
        assert!(env::var_os("PATH").is_some(), "the others stay");
    }

    /// With setenv this ends by a signal within moments.
    #[test]
    fn whoever_reads_meanwhile_finds_what_was_there() {
        set("TANDEM_ENVIRON_Z", Some("stays".as_ref()));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        assert_eq!(getenv(c"TANDEM_ENVIRON_Z"), Some(b"stays".to_vec()));
                    }
                });
            }
            let names: Vec<_> = (0..24).map(|n| format!("TANDEM_ENVIRON_{n}_")).collect();
            for round in 0..2_000 {
                let mut others = Vec::new();
                for name in names.iter().take(1 + round % 24) {
                    set(name, Some("something".as_ref()));
                    // What lies behind the array is taken, so that it moves when it grows.
                    others.extend((1..20).map(|size| vec![0_u64; 2 * size]));
                }
                for name in &names {
                    set(name, None);
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        set("TANDEM_ENVIRON_Z", None);
        assert!(KEPT.lock().arrays.len() < 20_000, "what was made is used again");
    }
}
