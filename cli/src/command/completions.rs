//! `tandem completions`

use crate::context::Context;
use crate::error::Result;
use clap::CommandFactory;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::args::Args::command(), "tandem", &mut script);
    context.screen.raw(&script)?;
    Ok(true)
}
