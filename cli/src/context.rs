//! What commands have in common: the configuration made live, one token of it, a login.

use crate::args::Common;
use crate::error::{Error, Result};
use crate::pin;
use crate::screen::Screen;
use std::path::PathBuf;
use std::sync::Arc;
use tandem_config::{Config, meant};
use tandem_engine::report::{Condition, Status};
use tandem_engine::session::Session;
use tandem_runtime::logging::{self, Program};
use tandem_runtime::{Live, Runtime, harden};
use tandem_values::Secret;
use tandem_vendor::VendorMember;

/// What a command works with.
pub(crate) struct Context<'a> {
    pub(crate) common: &'a Common,
    pub(crate) screen: &'a mut Screen,
}

impl Context<'_> {
    /// The configuration's file.
    pub(crate) fn config_file(&self) -> Result<PathBuf> {
        match &self.common.config {
            Some(file) => Ok(file.clone()),
            None => Ok(tandem_config::locate()?),
        }
    }

    /// The configuration, with messages going where it says.
    pub(crate) fn config(&self) -> Result<Config> {
        let config = tandem_config::load(&self.config_file()?)?;
        logging::set_up(Program::Tool, &config.log);
        Ok(config)
    }

    /// The configuration made live.
    pub(crate) fn open(&self) -> Result<Runtime> {
        harden::no_core_dumps();
        Ok(Runtime::open(self.config()?)?)
    }

    /// The configuration made live, to look at what is there: nothing is made that is missing.
    pub(crate) fn look(&self) -> Result<Runtime> {
        harden::no_core_dumps();
        Ok(Runtime::open_existing(self.config()?)?)
    }

    /// The token that is meant.
    pub(crate) fn token<'r>(&self, runtime: &'r Runtime) -> Result<Live<'r>> {
        let tokens = self.tokens(runtime)?;
        match tokens.as_slice() {
            [token] => Ok(*token),
            _ => Err(Error::usage(format!(
                "the configuration has more than one token; choose one with --token: {}",
                labels(runtime.config()).join(", ")
            ))),
        }
    }

    /// Every token that is meant: the one of `--token`, or all.
    pub(crate) fn tokens<'r>(&self, runtime: &'r Runtime) -> Result<Vec<Live<'r>>> {
        let Some(wanted) = &self.common.token else { return Ok(runtime.live().collect()) };
        // C_InitToken may have given it another label since.
        let is_it = |live: &Live<'_>| live.config.label == *wanted || live.token.label() == *wanted;
        let chosen: Vec<_> = runtime.live().filter(is_it).collect();
        if chosen.is_empty() {
            return Err(unknown(wanted, runtime.config()));
        }
        Ok(chosen)
    }

    /// True if the PIN can be had without asking a person.
    pub(crate) fn has_pin(&self) -> bool {
        self.common.pin_source.is_some() || pin::in_environment()
    }

    /// The user PIN of a token.
    pub(crate) fn pin(&mut self, token: &meant::Token) -> Result<Secret> {
        // What was said so far comes before a prompt.
        self.screen.flush()?;
        pin::user_pin(self, &token.label, token.group.as_ref().map(|group| group.gid))
    }

    /// A login as the user. The session stands for it: keep it as long as the login is needed.
    pub(crate) fn login(&mut self, live: Live<'_>) -> Result<Arc<Session>> {
        let pin = self.pin(live.config)?;
        Ok(live.token.login(&pin)?)
    }
}

/// `--token` names none of the configuration's tokens.
pub(crate) fn unknown(wanted: &str, config: &Config) -> Error {
    Error::usage(format!(
        "--token {wanted}: {} has no such token; it has {}",
        config.file.display(),
        labels(config).join(", ")
    ))
}

fn labels(config: &Config) -> Vec<&str> {
    config.tokens.iter().map(|token| token.label.as_str()).collect()
}

/// The vendor's side of a member.
pub(crate) fn vendor<'a>(live: Live<'a>, name: &str) -> Option<&'a Arc<VendorMember>> {
    let mut all = live.config.members.iter().zip(live.members);
    all.find(|(member, _)| member.name == name).map(|(_, vendor)| vendor)
}

/// What went wrong with a member. Where its module can't be loaded the reason is the loader's, with what to do.
pub(crate) fn explained(live: Live<'_>, name: &str, error: &tandem_engine::error::Error) -> Error {
    match vendor(live, name).and_then(|vendor| vendor.problem()) {
        Some(problem) => Error::failed(format!("member {name}: {problem}; {}", problem.remedy())),
        None => Error::failed(error.to_string()),
    }
}

/// How a token and its members are. Where a module can't be loaded the reason is the loader's, which says more than a
/// CK_RV, with what to do.
pub(crate) fn status(live: Live<'_>) -> Result<Status> {
    let mut status = live.token.status()?;
    for member in &mut status.members {
        if member.condition != Condition::Up
            && let Some(problem) = vendor(live, &member.name).and_then(|it| it.problem())
        {
            member.reason = format!("{problem}; {}", problem.remedy());
        }
    }
    Ok(status)
}
