//! Calls that a broken application makes.

use crate::{Demo, Raw, name_of};
use cryptoki_sys::{CK_RV, CK_SESSION_HANDLE};

/// Makes calls that must fail, each with a CK_RV and with one line in the log. The log must be [`crate::verbose`].
pub struct Broken<'a> {
    demo: &'a Demo,
    /// Tandem, as a C program calls it.
    pub raw: Raw,
    /// A session in which the user is logged in.
    pub session: CK_SESSION_HANDLE,
}

impl<'a> Broken<'a> {
    /// An application that has this session.
    pub fn new(demo: &'a Demo, session: CK_SESSION_HANDLE) -> Self {
        Self { demo, raw: Raw::tandem(), session }
    }

    /// `what` begins with the name of the function.
    #[track_caller]
    pub fn expect(
        &self,
        what: &str,
        wanted: CK_RV,
        call: impl FnOnce(&Raw, CK_SESSION_HANDLE) -> CK_RV,
    ) {
        self.expect_one_of(what, &[wanted], call);
    }

    /// The same where the specification leaves a choice.
    #[track_caller]
    pub fn expect_one_of(
        &self,
        what: &str,
        wanted: &[CK_RV],
        call: impl FnOnce(&Raw, CK_SESSION_HANDLE) -> CK_RV,
    ) {
        let before = self.demo.log().len();
        let got = call(&self.raw, self.session);
        let names: Vec<_> = wanted.iter().map(|rv| name_of(*rv)).collect();
        assert!(wanted.contains(&got), "{what}: {names:?} was expected, not {}", name_of(got));
        let function = what.split([' ', ':']).next().expect("a function");
        let log = self.demo.log();
        let lines = log[before..].lines().filter(|line| line.contains(&format!(" {function}: ")));
        assert_eq!(lines.count(), 1, "one line for {what}: {}", &log[before..]);
    }
}
