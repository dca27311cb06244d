//! What happens around every call: is the module initialised, has its code panicked, what does the log say.

use crate::abi::Function;
use crate::state::{self, InFlight, Running};
use std::cell::{Cell, OnceCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tandem_engine::error::{Error, Result};
use tandem_engine::fault::{Call as On, Class, Fault};
use tandem_engine::session::Session;
use tandem_engine::step::Verb;
use tandem_values::ck::*;

/// A call of the application while it is served.
pub struct Call {
    function: Function,
    running: Option<InFlight>,
    session: OnceCell<Arc<Session>>,
    decoded: Cell<bool>,
}

impl Call {
    fn begin(function: Function) -> Result<Self> {
        let running = if function.needs_runtime() { Some(state::enter()?) } else { None };
        let (session, decoded) = (OnceCell::new(), Cell::new(false));
        Ok(Self { function, running, session, decoded })
    }

    /// What C_Initialize made.
    pub fn running(&self) -> Result<&Running> {
        self.running.as_deref().ok_or_else(|| CKR_CRYPTOKI_NOT_INITIALIZED.into())
    }

    /// Remembers the session of the call, whose operation ends should the call fail before it is served.
    pub fn concerns(&self, session: &Arc<Session>) {
        // A call has one session, so nothing is set before.
        let _ = self.session.set(Arc::clone(session));
    }

    /// Every argument is a value now.
    pub fn decoded(&self) {
        self.decoded.set(true);
    }

    /// A call of no application.
    #[cfg(test)]
    pub(crate) fn nobody() -> Self {
        Self::begin(Function::C_GetFunctionList).unwrap()
    }

    fn serve(&self, body: impl FnOnce(&Self) -> Result) -> CK_RV {
        match catch_unwind(AssertUnwindSafe(|| body(self))) {
            Ok(Ok(())) => CKR_OK,
            Ok(Err(error)) => {
                if !self.decoded.get() {
                    self.end(self.function.ends());
                }
                report(self.function, &error);
                error.rv.0
            }
            Err(_) => {
                log::error!("{}: internal error; please report it", self.function);
                let end = || self.session.get().map(|session| session.end_operations());
                if catch_unwind(AssertUnwindSafe(end)).is_err() {
                    log::error!("{}: the session's operations could not be ended", self.function);
                }
                CKR_GENERAL_ERROR
            }
        }
    }

    /// Ends operations of the call's session, as a call that fails does.
    fn end(&self, verbs: &[Verb]) {
        let Some(session) = self.session.get() else { return };
        for verb in verbs {
            if let Err(error) = session.cancel(*verb) {
                log::debug!("{}: ending {verb:?}: {error}", self.function);
            }
        }
    }
}

/// Serves one call. Nothing unwinds into the application.
pub(crate) fn guard(function: Function, body: impl FnOnce(&Call) -> Result) -> CK_RV {
    let served = catch_unwind(AssertUnwindSafe(|| match Call::begin(function) {
        Ok(call) => call.serve(body),
        Err(error) => error.rv.0,
    }));
    served.unwrap_or(CKR_GENERAL_ERROR)
}

/// One line for each call that fails.
fn report(function: Function, error: &Error) {
    if function == Function::C_Initialize && error.message.is_empty() {
        // The runtime has told why.
        return;
    }
    log::log!(level(error), "{function}: {error}");
}

/// What an application does wrong is its own affair; what an operator can act on has a sentence; an ill HSM is a warning.
fn level(error: &Error) -> log::Level {
    let fault = Fault::new(On::Step, error.rv.0);
    match error.rv.0 {
        CKR_GENERAL_ERROR => log::Level::Error,
        _ if fault.class == Class::Ill => log::Level::Warn,
        _ if error.message.is_empty() => log::Level::Debug,
        _ => log::Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stops_here() {
        let rv = guard(Function::C_GetFunctionList, |_| panic!("as a test"));
        assert_eq!(rv, CKR_GENERAL_ERROR);
    }

    #[test]
    fn lines_are_as_loud_as_they_matter() {
        assert_eq!(level(&CKR_PIN_INCORRECT.into()), log::Level::Debug);
        let actionable = Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, "not backed up; run …");
        assert_eq!(level(&actionable), log::Level::Info);
        assert_eq!(level(&CKR_DEVICE_REMOVED.into()), log::Level::Warn);
        assert_eq!(level(&CKR_GENERAL_ERROR.into()), log::Level::Error);
    }
}
