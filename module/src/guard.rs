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

    /// A call of no application: for whoever wants arguments decoded and nothing served.
    pub const fn nobody() -> Self {
        Self {
            function: Function::C_GetFunctionList,
            running: None,
            session: OnceCell::new(),
            decoded: Cell::new(false),
        }
    }

    fn serve(&self, body: impl FnOnce(&Self) -> Result) -> CK_RV {
        match catch_unwind(AssertUnwindSafe(|| body(self))) {
            Ok(Ok(())) => CKR_OK,
            Ok(Err(error)) => {
                if !self.decoded.get() {
                    self.end(self.function.ends());
                }
                report(self.function, self.decoded.get(), &error);
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

thread_local! {
    /// This thread is inside a call of the application.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

/// True if this thread is inside a call of the application.
#[cfg(not(test))]
pub(crate) fn is_serving() -> bool {
    SERVING.get()
}

/// Serves one call. Nothing unwinds into the application.
pub(crate) fn guard(function: Function, body: impl FnOnce(&Call) -> Result) -> CK_RV {
    let outer = SERVING.replace(true);
    let time = tandem_runtime::Serving::begin();
    let served = catch_unwind(AssertUnwindSafe(|| match Call::begin(function) {
        Ok(call) => call.serve(body),
        Err(error) => error.rv.0,
    }));
    drop(time);
    SERVING.set(outer);
    served.unwrap_or(CKR_GENERAL_ERROR)
}

/// One line for each call that fails. `served`: its arguments were such that it could be.
fn report(function: Function, served: bool, error: &Error) {
    if function == Function::C_Initialize && error.message.is_empty() {
        // The runtime has told why.
        return;
    }
    log::log!(level(function, served, error), "{function}: {error}");
}

/// What an application does wrong is its own affair; what an operator can act on has a sentence; an ill HSM is a warning.
/// A fault of our own panics, and is told where it is caught.
fn level(function: Function, served: bool, error: &Error) -> log::Level {
    use Function::{C_Finalize, C_Initialize};
    let ill = Fault::new(On::Step, error.rv.0).class == Class::Ill;
    match served {
        _ if matches!(function, C_Initialize | C_Finalize) => log::Level::Warn,
        true if ill => log::Level::Warn,
        true if !error.message.is_empty() => log::Level::Info,
        _ => log::Level::Debug,
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
        let sign = |error| level(Function::C_SignInit, true, &error);
        assert_eq!(sign(CKR_PIN_INCORRECT.into()), log::Level::Debug);
        let backup = Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, "not backed up; run …");
        assert_eq!(sign(backup), log::Level::Info);
        assert_eq!(sign(CKR_DEVICE_REMOVED.into()), log::Level::Warn);

        let arguments = Error::new(CKR_ARGUMENTS_BAD, "pReserved is not null");
        assert_eq!(level(Function::C_SignInit, false, &arguments), log::Level::Debug);
        assert_eq!(level(Function::C_Initialize, false, &arguments), log::Level::Warn);
        // No HSM has said so.
        let slot = CKR_SLOT_ID_INVALID.into();
        assert_eq!(level(Function::C_GetTokenInfo, false, &slot), log::Level::Debug);
    }
}
