//! A member used by its own vendor's module: what an operator who leaves Tandem does, and what a thief does.

use crate::{Application, Raw, Vendor, application, pin};
use cryptoki::context::Pkcs11;
use cryptoki::session::{Session, UserType};
use std::fs;
use std::ops::Deref;

/// A session with a member without Tandem, in which the user is logged in.
pub struct Direct {
    session: Option<Session>,
    application: Option<Application>,
    folder: tempfile::TempDir,
}

/// The name of the library's copy.
const COPY: &str = "vendor.so";

impl Direct {
    /// Logs in to the token of this label. The vendor's library is loaded as a copy of its own, so that it is neither the
    /// one that Tandem has loaded nor logged in with it.
    pub fn new(vendor: Vendor, config: &str, label: &str, user_pin: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = folder.path().join(COPY);
        fs::copy(vendor.module(), &copy).expect("a copy of the vendor's module");
        // SAFETY: tests have a process each, and no other thread of it reads the environment now.
        unsafe { std::env::set_var(vendor.variable(), config) };
        let pkcs11 = Pkcs11::new(&copy).expect("the vendor's module");
        let application = application::start(pkcs11, label);
        let session = application.open(true);
        session.login(UserType::User, Some(&pin(user_pin))).expect("a login");
        Self { session: Some(session), application: Some(application), folder }
    }

    /// The same module's functions, as a C program calls them.
    pub fn raw(&self) -> Raw {
        Raw::of(&self.folder.path().join(COPY))
    }

    /// Another session.
    pub fn open(&self) -> Session {
        self.application.as_ref().expect("an application").open(true)
    }
}

impl Deref for Direct {
    type Target = Session;
    fn deref(&self) -> &Session {
        self.session.as_ref().expect("a session")
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        drop(self.session.take());
        drop(self.application.take());
    }
}
