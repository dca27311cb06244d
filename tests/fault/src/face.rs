//! The C face: 104 functions, none of them written down. Each field of a function list has a type, a function of so
//! many arguments; for every number of arguments there is one generic function, and the compiler makes one of each
//! field. Every argument is a number, a pointer or a callback: a word, which is what the rest of this module sees.

use crate::gate;
use crate::table::{Function, table};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::OnceLock;
use tandem_values::ck::*;

/// A function list of the newest version, whatever the wrapped module's is.
pub(crate) type List = CK_FUNCTION_LIST_3_2;

/// An argument as a word.
pub(crate) trait Word: Copy {
    /// The word.
    fn word(self) -> CK_ULONG;
    /// The argument again.
    fn argument(word: CK_ULONG) -> Self;
}

impl Word for CK_ULONG {
    fn word(self) -> CK_ULONG {
        self
    }
    fn argument(word: CK_ULONG) -> Self {
        word
    }
}

impl Word for CK_BBOOL {
    fn word(self) -> CK_ULONG {
        self.into()
    }
    fn argument(word: CK_ULONG) -> Self {
        Self::try_from(word).unwrap_or(CK_TRUE)
    }
}

/// A number of a CK_ULONG's width as one of this machine's.
pub(crate) fn size(word: CK_ULONG) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

impl<T> Word for *mut T {
    fn word(self) -> CK_ULONG {
        CK_ULONG::try_from(self.expose_provenance()).unwrap_or(CK_ULONG::MAX)
    }
    fn argument(word: CK_ULONG) -> Self {
        ptr::with_exposed_provenance_mut(size(word))
    }
}

impl Word for CK_NOTIFY {
    fn word(self) -> CK_ULONG {
        self.map_or(0, |callback| (callback as *mut u8).word())
    }
    fn argument(word: CK_ULONG) -> Self {
        let callback = <*mut u8>::argument(word);
        // SAFETY: null is `None`, and anything else was a callback before it was a word.
        unsafe { std::mem::transmute::<*mut u8, Self>(callback) }
    }
}

/// The type of a C function.
pub(crate) trait Signature: Sized {
    /// A function of this type that goes through the gate.
    fn face<const PLACE: usize>() -> Self;
}

macro_rules! signature {
    ($($argument:ident: $type:ident),*) => {
        impl<$($type: Word),*> Signature for unsafe extern "C" fn($($type),*) -> CK_RV {
            fn face<const PLACE: usize>() -> Self {
                unsafe extern "C" fn face<const PLACE: usize, $($type: Word),*>($($argument: $type),*) -> CK_RV {
                    gate::pass(PLACE, [$($argument.word()),*], |list, [$($argument),*]| {
                        let function: unsafe extern "C" fn($($type),*) -> CK_RV = at(list, PLACE)?;
                        // SAFETY: the arguments are the application's, or the gate's in their place.
                        Some(unsafe { function($($type::argument($argument)),*) })
                    })
                }
                face::<PLACE, $($type),*>
            }
        }
    };
}
signature!(a: A);
signature!(a: A, b: B);
signature!(a: A, b: B, c: C);
signature!(a: A, b: B, c: C, d: D);
signature!(a: A, b: B, c: C, d: D, e: E);
signature!(a: A, b: B, c: C, d: D, e: E, f: F);
signature!(a: A, b: B, c: C, d: D, e: E, f: F, g: G);
signature!(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H);
signature!(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I);
signature!(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I, j: J);

/// Where the first function is in a list, and from there one after the other.
const FIRST: usize = offset_of!(List, C_Initialize);

/// The wrapped module's function at a place of its list.
fn at<S: Copy>(list: &List, place: usize) -> Option<S> {
    const { assert!(size_of::<Option<S>>() == size_of::<usize>()) };
    let field = ptr::from_ref(list).cast::<u8>().wrapping_add(FIRST + place * size_of::<usize>());
    // SAFETY: `faces` checks that the field at this place is of this type, and where it is.
    unsafe { field.cast::<Option<S>>().read() }
}

macro_rules! faces {
    (v2_40 { $($a:ident)* } v3_0 { $($b:ident)* } v3_2 { $($c:ident)* }) => {
        $(const _: () = assert!(offset_of!(List, $a) == FIRST + Function::$a.place() * size_of::<usize>());)*
        $(const _: () = assert!(offset_of!(List, $b) == FIRST + Function::$b.place() * size_of::<usize>());)*
        $(const _: () = assert!(offset_of!(List, $c) == FIRST + Function::$c.place() * size_of::<usize>());)*

        fn lists() -> (CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, List) {
            let version = |major, minor| CK_VERSION { major, minor };
            (
                CK_FUNCTION_LIST {
                    version: version(2, 40),
                    $($a: Some(Signature::face::<{ Function::$a.place() }>()),)*
                },
                CK_FUNCTION_LIST_3_0 {
                    version: version(3, 0),
                    $($a: Some(Signature::face::<{ Function::$a.place() }>()),)*
                    $($b: Some(Signature::face::<{ Function::$b.place() }>()),)*
                },
                List {
                    version: version(3, 2),
                    $($a: Some(Signature::face::<{ Function::$a.place() }>()),)*
                    $($b: Some(Signature::face::<{ Function::$b.place() }>()),)*
                    $($c: Some(Signature::face::<{ Function::$c.place() }>()),)*
                },
            )
        }
    };
}
table!(faces);

/// The lists that applications ask for, and the interfaces with them, the default first.
pub(crate) struct Face {
    lists: Box<(CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, List)>,
    interfaces: [CK_INTERFACE; 3],
}

// SAFETY: the pointers lead to lists that live as long as the face and that nobody writes.
unsafe impl Sync for Face {}
// SAFETY: as above.
unsafe impl Send for Face {}

const NAME: &std::ffi::CStr = c"PKCS 11";

impl Face {
    /// The module's own.
    pub(crate) fn own() -> &'static Self {
        static FACE: OnceLock<Face> = OnceLock::new();
        FACE.get_or_init(|| {
            let lists = Box::new(lists());
            let interface = |list: *const CK_FUNCTION_LIST| CK_INTERFACE {
                pInterfaceName: NAME.as_ptr().cast_mut().cast(),
                pFunctionList: list.cast_mut().cast(),
                flags: 0,
            };
            let interfaces = [
                interface((&raw const lists.2).cast()),
                interface((&raw const lists.1).cast()),
                interface(&raw const lists.0),
            ];
            Self { lists, interfaces }
        })
    }

    /// What C_GetFunctionList answers.
    pub(crate) fn list(&self) -> *mut CK_FUNCTION_LIST {
        (&raw const self.lists.0).cast_mut()
    }

    /// What C_GetInterfaceList answers.
    pub(crate) const fn interfaces(&self) -> &[CK_INTERFACE] {
        &self.interfaces
    }

    /// The interface of this version; the default without one.
    pub(crate) fn interface(&self, version: Option<(u8, u8)>) -> Option<*mut CK_INTERFACE> {
        const VERSIONS: [(u8, u8); 3] = [(3, 2), (3, 0), (2, 40)];
        let mut interfaces = self.interfaces.iter().zip(VERSIONS);
        let found = interfaces.find(|(_, its)| version.is_none_or(|version| version == *its));
        found.map(|(interface, _)| ptr::from_ref(interface).cast_mut())
    }

    /// True if this is the name of these interfaces.
    pub(crate) fn is_name(name: &std::ffi::CStr) -> bool {
        name == NAME
    }
}
