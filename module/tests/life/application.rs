//! An application that loads the module as applications do: dlopen, C_GetFunctionList.

use crate::world::LABEL;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use std::ptr;
use tandem_values::{ck::*, names};

/// The call must succeed.
#[track_caller]
pub(crate) fn check(rv: CK_RV) {
    assert_eq!(names::rv(rv), "CKR_OK");
}

/// A loaded module; unloaded when dropped.
pub(crate) struct Application {
    functions: CK_FUNCTION_LIST,
    _library: Library,
}

/// Calls a function of the list.
macro_rules! call {
    ($application:ident.$function:ident($($argument:expr),*)) => {
        // SAFETY: every pointer leads to what its length says, or to room for what is answered.
        unsafe { ($application.functions.$function.unwrap())($($argument),*) }
    };
}

impl Application {
    pub(crate) fn load() -> Self {
        let this = std::env::current_exe().unwrap();
        let module = this.parent().unwrap().join("libtandem.so");
        // SAFETY: the module that Cargo built beside this test.
        let library = unsafe { Library::open(Some(module), RTLD_NOW | RTLD_LOCAL) }.unwrap();
        // SAFETY: the function has this type by PKCS #11.
        let list: Symbol<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV> =
            unsafe { library.get(b"C_GetFunctionList\0") }.unwrap();
        let mut functions = ptr::null_mut();
        // SAFETY: room for a pointer; what it leads to stays while the library does.
        let functions = unsafe {
            check(list(&raw mut functions));
            *functions
        };
        Self { functions, _library: library }
    }

    pub(crate) fn initialize(&self) -> CK_RV {
        call!(self.C_Initialize(ptr::null_mut()))
    }

    pub(crate) fn finalize(&self) -> CK_RV {
        call!(self.C_Finalize(ptr::null_mut()))
    }

    /// The session's handle, or an invalid one.
    pub(crate) fn open(&self) -> CK_SESSION_HANDLE {
        let mut session = 0;
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        call!(self.C_OpenSession(0, flags, ptr::null_mut(), None, &raw mut session));
        session
    }

    pub(crate) fn login(&self, session: CK_SESSION_HANDLE, pin: &[u8]) -> CK_RV {
        let mut pin = pin.to_vec();
        call!(self.C_Login(session, CKU_USER, pin.as_mut_ptr(), pin.len() as u64))
    }

    /// Sets the virtual token up, and makes a key that signs.
    pub(crate) fn initialise_token(&self, so_pin: &[u8], user_pin: &[u8]) {
        let (mut so, mut user, mut label) = (so_pin.to_vec(), user_pin.to_vec(), *LABEL);
        check(self.initialize());
        check(call!(self.C_InitToken(0, so.as_mut_ptr(), so.len() as u64, label.as_mut_ptr())));
        let session = self.open();
        check(call!(self.C_Login(session, CKU_SO, so.as_mut_ptr(), so.len() as u64)));
        check(call!(self.C_InitPIN(session, user.as_mut_ptr(), user.len() as u64)));
        check(call!(self.C_Logout(session)));
        check(self.login(session, user_pin));
        self.make_key(session);
        check(self.finalize());
    }

    fn make_key(&self, session: CK_SESSION_HANDLE) {
        let mut p256 = [6u8, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let mut yes = CK_TRUE;
        let mut public = [row(CKA_EC_PARAMS, &mut p256), row(CKA_TOKEN, &mut yes)];
        let mut private = [row(CKA_TOKEN, &mut yes), row(CKA_SIGN, &mut yes)];
        let mut mechanism = plain(CKM_EC_KEY_PAIR_GEN);
        let (mut first, mut second) = (0, 0);
        check(call!(self.C_GenerateKeyPair(
            session,
            &raw mut mechanism,
            public.as_mut_ptr(),
            2,
            private.as_mut_ptr(),
            2,
            &raw mut first,
            &raw mut second
        )));
    }

    pub(crate) fn signing_key(&self, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        let mut class = CKO_PRIVATE_KEY;
        let mut rows = [row(CKA_CLASS, &mut class)];
        let (mut key, mut count) = (0, 0);
        check(call!(self.C_FindObjectsInit(session, rows.as_mut_ptr(), 1)));
        check(call!(self.C_FindObjects(session, &raw mut key, 1, &raw mut count)));
        check(call!(self.C_FindObjectsFinal(session)));
        assert_eq!(count, 1);
        key
    }

    /// Begins and ends a signature; the answer is that of the first call that isn't CKR_OK.
    pub(crate) fn sign(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
        let (mut data, mut signature, mut len) = ([7u8; 32], [0u8; 64], 64);
        let mut mechanism = plain(CKM_ECDSA);
        match call!(self.C_SignInit(session, &raw mut mechanism, key)) {
            CKR_OK => call!(self.C_Sign(
                session,
                data.as_mut_ptr(),
                32,
                signature.as_mut_ptr(),
                &raw mut len
            )),
            rv => rv,
        }
    }
}

fn row<T>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    let len = size_of::<T>() as CK_ULONG;
    CK_ATTRIBUTE { type_: kind, pValue: (&raw mut *value).cast(), ulValueLen: len }
}

const fn plain(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: ptr::null_mut(), ulParameterLen: 0 }
}
