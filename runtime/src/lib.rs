//! A configuration made live: vendors' modules behind members, stores opened, virtual tokens put together.
//!
//! [`start`] is C_Initialize's; [`Runtime::open`] is the operator's tool's. A member whose module is missing, refused or
//! ill doesn't keep either from starting: it is down, with the reason, and is tried again. What does is a configuration
//! that makes no sense and a state folder that can't be used, since no key is safe without them.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "this is the outside world: clocks, environment, programs that tell PINs"
)]

mod assemble;
mod caretaker;
mod error;
pub mod harden;
pub mod logging;
pub mod names;
pub mod pin;
mod ports;
pub mod shares;
mod verifier;

pub use assemble::member_config;
pub use error::Error;
pub use ports::{HostClock, HostEntropy};
pub use tandem_vendor::{Serving, after_fork, before_fork, in_child};
pub use verifier::HostVerifier;

use caretaker::Caretaker;
use logging::Program;
use names::NameFile;
use shares::ShareFolder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tandem_config::{Config, meant};
use tandem_engine::log::Stored;
use tandem_engine::member::Member;
use tandem_engine::token::{NameSink, Parts, ShareSink, Token};
use tandem_store::SqliteStore;
use tandem_values::ck::CKR_FUNCTION_FAILED;
use tandem_vendor::{Deadlined, HostHands, VendorMember};

/// What the application said when it called C_Initialize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// How many forks lie between the process that first loaded the module and this one.
    pub fork_generation: u32,
    /// CKF_LIBRARY_CANT_CREATE_OS_THREADS: neither Tandem nor a vendor may make threads.
    pub forbids_threads: bool,
}

/// Virtual tokens at work. Dropping it stops them.
pub struct Runtime {
    // First, so that it is dropped when the tokens are stopped at the latest.
    caretaker: Option<Caretaker>,
    config: Config,
    tokens: Vec<Arc<Token>>,
    members: Vec<Vec<Arc<VendorMember>>>,
}

/// One virtual token at work, and what it is made of.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    /// The token.
    pub token: &'a Arc<Token>,
    /// What the configuration says of it.
    pub config: &'a meant::Token,
    /// Its members, in the order of the configuration.
    pub members: &'a [Arc<VendorMember>],
}

/// Makes the host's configuration live, for an application: C_Initialize.
pub fn start(fork_generation: u32) -> Result<Runtime, Error> {
    start_for(Application { fork_generation, ..Application::default() })
}

/// Makes the host's configuration live, for an application that may forbid threads: C_Initialize.
pub fn start_for(application: Application) -> Result<Runtime, Error> {
    // So that what follows can be told.
    logging::set_up(Program::Module, &meant::Log::default());
    forget_parent(application.fork_generation);
    let started = locate_and_load().and_then(|config| {
        logging::set_up(Program::Module, &config.log);
        for warning in &config.warnings {
            log::warn!("{warning}");
        }
        let mut runtime =
            Runtime::assembled(config, application.forbids_threads, SqliteStore::open)?;
        if !application.forbids_threads {
            runtime.caretaker = Some(Caretaker::new(&runtime.tokens));
        }
        Ok(runtime)
    });
    if let Err(error) = &started {
        log::error!("C_Initialize: {error}");
    }
    started
}

fn locate_and_load() -> Result<Config, Error> {
    Ok(tandem_config::load(&tandem_config::locate()?)?)
}

/// In a forked child, the first time: the vendors' libraries are the parent's, and may be logged in.
fn forget_parent(fork_generation: u32) {
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    if KNOWN.swap(fork_generation, Ordering::AcqRel) != fork_generation {
        tandem_vendor::forget_after_fork();
    }
}

impl Runtime {
    /// Makes a configuration live, for the operator's tool. State folders are made where they are missing.
    pub fn open(config: Config) -> Result<Self, Error> {
        Self::assembled(config, false, SqliteStore::open)
    }

    /// The same for whoever only looks: a state folder that is missing is an error.
    pub fn open_existing(config: Config) -> Result<Self, Error> {
        for token in &config.tokens {
            if !token.state.exists() {
                return Err(Error::new(
                    CKR_FUNCTION_FAILED,
                    format!(
                        "token {}: its state folder {} does not exist; `tandem pair` makes it, `tandem restore FILE` brings one back",
                        token.label,
                        token.state.display()
                    ),
                ));
            }
        }
        Self::assembled(config, false, SqliteStore::open_existing)
    }

    fn assembled(config: Config, forbids_threads: bool, open: OpenStore) -> Result<Self, Error> {
        let mut runtime = Self { caretaker: None, config, tokens: Vec::new(), members: Vec::new() };
        for config in &runtime.config.tokens {
            // Should a later token fail, dropping `runtime` stops the ones before it.
            let members = members(config, forbids_threads);
            let token = Token::new(parts(config, &members, forbids_threads, open)?);
            token.start();
            runtime.tokens.push(token);
            runtime.members.push(members);
        }
        Ok(runtime)
    }

    /// The virtual tokens, in the order of the configuration.
    pub fn tokens(&self) -> &[Arc<Token>] {
        &self.tokens
    }

    /// The same with what they are made of.
    pub fn live(&self) -> impl Iterator<Item = Live<'_>> {
        let parts = self.tokens.iter().zip(&self.config.tokens).zip(&self.members);
        parts.map(|((token, config), members)| Live { token, config, members })
    }

    /// The configuration, whose tokens are in the same order.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Stops every token: sessions are closed, members logged out and their modules finalised.
    pub fn stop(self) {}
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.caretaker = None;
        for token in &self.tokens {
            token.stop();
        }
    }
}

fn members(config: &meant::Token, forbids_threads: bool) -> Vec<Arc<VendorMember>> {
    let member = |member| VendorMember::new(member_config(config, member, forbids_threads));
    config.members.iter().map(|config| Arc::new(member(config))).collect()
}

/// How a state folder is opened.
type OpenStore = fn(&Path, Option<u32>) -> Stored<SqliteStore>;

fn parts(
    config: &meant::Token,
    members: &[Arc<VendorMember>],
    forbids_threads: bool,
    open: OpenStore,
) -> Result<Parts, Error> {
    let store = open(&config.state, config.group.as_ref().map(|group| group.gid))?;
    let sink = |folder: &PathBuf| -> Arc<dyn ShareSink> {
        Arc::new(ShareFolder::new(folder, &config.label))
    };
    let names = |path: &Path| -> Arc<dyn NameSink> {
        Arc::new(NameFile::new(path, config.group.as_ref().map(|group| group.gid)))
    };
    let member = |(vendor, member): (&Arc<VendorMember>, &meant::Member)| {
        let vendor = Arc::clone(vendor);
        let engines: Arc<dyn Member> = match assemble::deadlines(member, forbids_threads) {
            Some(deadlines) => Arc::new(Deadlined::new(vendor, deadlines)),
            None => vendor,
        };
        (engines, assemble::member_settings(config, member))
    };
    Ok(Parts {
        settings: assemble::settings(config),
        members: members.iter().zip(&config.members).map(member).collect(),
        store: Arc::new(store),
        clock: Arc::new(HostClock::new()),
        entropy: Arc::new(HostEntropy),
        verifier: Arc::new(HostVerifier),
        hands: Arc::new(HostHands::new(forbids_threads)),
        shares: config.recovery.shares_dir.as_ref().map(sink),
        names: config.stock.names.as_deref().map(names),
    })
}
