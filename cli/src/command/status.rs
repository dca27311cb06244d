//! `tandem status`: how the virtual tokens and their members are. Needs no login.

use crate::context::{self, Context};
use crate::error::Result;
use crate::report::{StatusReport, TokenStatus};

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(context: &mut Context<'_>, _: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let mut tokens = Vec::new();
    for live in context.tokens(&runtime)? {
        tokens.push(TokenStatus::of(&context::status(live)?));
    }
    runtime.stop();
    context.screen.report(&StatusReport { tokens })?;
    Ok(true)
}
