//! `tandem kek`: the keys of the ring that wrap.

mod list;
mod retire;
mod rotate;

use crate::context::Context;
use crate::error::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make new KEKs on every member and wrap every key in the log under them; run it again if it was interrupted
    Rotate(rotate::Args),
    /// List the KEKs that there were, since when, and the backups under them
    List,
    /// Let backups under KEKs that were rotated out count no more
    Retire(retire::Args),
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Rotate(args) => rotate::run(context, args),
        Command::List => list::run(context),
        Command::Retire(args) => retire::run(context, args),
    }
}
