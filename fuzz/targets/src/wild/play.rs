//! The application: a session, some keys, and memory to be careless with.

use super::arena::{Arena, Shape};
use crate::random::Random;
use crate::scene::P256;
use std::collections::BTreeMap;
use std::ptr;
use tandem::abi::*;
use tandem_values::{ck::*, names};

/// Objects are destroyed again beyond this many.
const OBJECTS_MAX: usize = 40;

/// An application that is logged in, with keys and data.
pub struct Play<'a> {
    pub(crate) random: Random<'a>,
    pub(crate) arena: Arena,
    pub(crate) session: CK_SESSION_HANDLE,
    /// AES, generic secret, EC public, EC private, data.
    pub(crate) keys: Vec<CK_OBJECT_HANDLE>,
    made: Vec<CK_OBJECT_HANDLE>,
    pin: Vec<u8>,
    answers: BTreeMap<String, u64>,
    calls: u64,
}

impl<'a> Play<'a> {
    /// Begins in the first slot of a module that is initialised, with the user's PIN.
    pub fn new(random: Random<'a>, arena: Arena, pin: &[u8]) -> Self {
        let mut play = Self {
            random,
            arena,
            session: 0,
            keys: Vec::new(),
            made: Vec::new(),
            pin: pin.to_vec(),
            answers: BTreeMap::new(),
            calls: 0,
        };
        play.log_in();
        play.make_keys();
        play
    }

    /// A session in which the user is logged in, whatever happened to the last one.
    pub(crate) fn log_in(&mut self) {
        let mut pin = self.pin.clone();
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        // SAFETY: room for a handle.
        ok(unsafe { C_OpenSession(0, flags, ptr::null_mut(), None, &raw mut self.session) });
        // SAFETY: a PIN with its length.
        let rv = unsafe { C_Login(self.session, CKU_USER, pin.as_mut_ptr(), pin.len() as u64) };
        assert!([CKR_OK, CKR_USER_ALREADY_LOGGED_IN].contains(&rv), "{}", names::rv(rv));
    }

    fn make_keys(&mut self) {
        let secret = |kind: u64| -> Vec<(u64, Shape)> {
            let mut template: Vec<(u64, Shape)> =
                vec![(CKA_CLASS, CKO_SECRET_KEY.into()), (CKA_KEY_TYPE, kind.into())];
            template.push((CKA_VALUE, (&[7u8; 32][..]).into()));
            for usage in [CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP] {
                template.push((usage, true.into()));
            }
            template.extend([(CKA_SENSITIVE, false.into()), (CKA_EXTRACTABLE, true.into())]);
            template
        };
        self.create_exactly(&secret(CKK_AES));
        self.create_exactly(&secret(CKK_GENERIC_SECRET));
        self.generate_pair_exactly();
        self.create_exactly(&[(CKA_CLASS, CKO_DATA.into()), (CKA_VALUE, "some data".into())]);
    }

    fn create_exactly(&mut self, template: &[(u64, Shape)]) {
        let mut rows: Vec<_> = template.iter().map(|(kind, shape)| exact(*kind, shape)).collect();
        let mut handle = 0;
        // SAFETY: attributes with their lengths, room for a handle.
        ok(unsafe {
            let count = rows.len() as u64;
            C_CreateObject(self.session, rows.as_mut_ptr(), count, &raw mut handle)
        });
        self.keys.push(handle);
    }

    fn generate_pair_exactly(&mut self) {
        let shapes: [Shape; 3] = [P256.into(), true.into(), true.into()];
        let [params, verify, sign] = &shapes;
        let mut public = [exact(CKA_EC_PARAMS, params), exact(CKA_VERIFY, verify)];
        let mut private = [exact(CKA_SIGN, sign), exact(CKA_DERIVE, sign)];
        let mut mechanism = CK_MECHANISM {
            mechanism: CKM_EC_KEY_PAIR_GEN,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let mut pair = [0; 2];
        let [public_key, private_key] = &mut pair;
        // SAFETY: two templates with their lengths, room for two handles.
        ok(unsafe {
            C_GenerateKeyPair(
                self.session,
                &raw mut mechanism,
                public.as_mut_ptr(),
                2,
                private.as_mut_ptr(),
                2,
                public_key,
                private_key,
            )
        });
        self.keys.extend(pair);
    }

    /// A handle that is right, mostly.
    pub(crate) fn object(&mut self, right: usize) -> CK_OBJECT_HANDLE {
        match self.random.below(20) {
            0 => 0,
            1 => self.random.number(),
            2..5 => self.random.pick(&self.keys),
            5..8 if !self.made.is_empty() => self.random.pick(&self.made),
            _ => self.keys.get(right).copied().unwrap(),
        }
    }

    pub(crate) fn session(&mut self) -> CK_SESSION_HANDLE {
        if self.random.one_in(100) { self.random.pick(&[0, u64::MAX, 1]) } else { self.session }
    }

    /// Notes an answer to a mutated call.
    #[track_caller]
    pub(crate) fn note(&mut self, function: &str, rv: CK_RV) -> CK_RV {
        self.calls += 1;
        self.hear(function, rv)
    }

    /// Hears an answer, which PKCS #11 must know.
    #[track_caller]
    pub(crate) fn hear(&mut self, function: &str, rv: CK_RV) -> CK_RV {
        let name = names::rv(rv);
        assert!(!name.starts_with("CKR_0x"), "{function} answers {name}");
        *self.answers.entry(format!("{function} {name}")).or_default() += 1;
        rv
    }

    /// Notes an object that was made.
    pub(crate) fn keep(&mut self, rv: CK_RV, handle: CK_OBJECT_HANDLE) {
        if rv == CKR_OK {
            assert_ne!(handle, 0);
            self.made.push(handle);
        }
        if self.made.len() > OBJECTS_MAX {
            let at = self.random.below(self.made.len());
            let oldest = self.made.swap_remove(at);
            // SAFETY: handles only.
            let rv = unsafe { C_DestroyObject(self.session, oldest) };
            self.hear("C_DestroyObject", rv);
        }
    }

    /// How many calls were made with arguments that may be wrong.
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// True if nothing is left to draw from.
    pub const fn is_over(&self) -> bool {
        self.random.is_spent()
    }

    /// How often each function gave each answer.
    pub const fn answers(&self) -> &BTreeMap<String, u64> {
        &self.answers
    }

    /// Ends this life and tells how often each function gave each answer.
    pub fn end(self) -> String {
        // SAFETY: null, as it must be.
        ok(unsafe { C_Finalize(ptr::null_mut()) });
        let lines: Vec<_> = self.answers.iter().map(|(what, n)| format!("{n:6} {what}")).collect();
        lines.join("\n")
    }
}

/// An attribute without a lie.
fn exact(kind: u64, shape: &Shape) -> CK_ATTRIBUTE {
    let Shape::Bytes(bytes) = shape else { panic!("no template inside here") };
    CK_ATTRIBUTE {
        type_: kind,
        pValue: bytes.as_ptr().cast_mut().cast(),
        ulValueLen: bytes.len() as u64,
    }
}

/// The call must succeed.
#[track_caller]
fn ok(rv: CK_RV) {
    assert_eq!(names::rv(rv), "CKR_OK");
}
