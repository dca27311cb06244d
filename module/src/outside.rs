//! The world that the module starts: what the configuration says, or in unit tests a toy without tokens.

#[cfg(not(test))]
pub(crate) use real::{listen, start};
#[cfg(not(test))]
pub(crate) use tandem_runtime::Runtime;
#[cfg(test)]
pub(crate) use toy::{Runtime, listen, start};

#[cfg(not(test))]
mod real {
    use crate::guard::is_serving;
    use std::panic;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tandem_config::meant::Log;
    use tandem_engine::error::Result;
    use tandem_runtime::logging::{self, Program};
    use tandem_runtime::{Application, Runtime};

    /// Starts what the configuration says. Why it can't is in the log then, so the error is without a sentence.
    pub(crate) fn start(fork_generation: u32, forbids_threads: bool) -> Result<Runtime> {
        catch_panics();
        tandem_runtime::start_for(Application { fork_generation, forbids_threads })
            .map_err(|error| error.rv().into())
    }

    /// Gives messages a place to go, before a configuration says where.
    pub(crate) fn listen() {
        logging::set_up(Program::Module, &Log::default());
    }

    /// What goes wrong inside a call goes to the log, not to the application's standard error.
    fn catch_panics() {
        static CATCHING: AtomicBool = AtomicBool::new(false);
        if !CATCHING.swap(true, Ordering::Relaxed) {
            let elsewhere = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                log::error!("internal error: {panic}");
                if !is_serving() {
                    elsewhere(panic);
                }
            }));
        }
    }
}

#[cfg(test)]
pub(crate) mod toy {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tandem_engine::error::Result;
    use tandem_engine::token::Token;

    /// How many runtimes were stopped.
    pub(crate) static STOPPED: AtomicU32 = AtomicU32::new(0);

    /// A runtime of no tokens.
    pub(crate) struct Runtime(Vec<Arc<Token>>);

    impl Runtime {
        pub(crate) fn tokens(&self) -> &[Arc<Token>] {
            &self.0
        }

        pub(crate) fn stop(self) {
            assert!(self.0.is_empty());
            STOPPED.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real one may fail")]
    pub(crate) const fn start(_generation: u32, _forbids_threads: bool) -> Result<Runtime> {
        Ok(Runtime(Vec::new()))
    }

    pub(crate) const fn listen() {}
}
