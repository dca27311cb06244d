//! `tandem recovery`: what brings the key ring back when every HSM is lost.

mod combine;
mod show;
mod split;

use crate::context::Context;
use crate::error::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show who can bring the key ring back, since when, and which backups need it
    Show,
    /// Make new shares from old ones, which are to be destroyed afterwards
    Split(split::Args),
    /// Bring the key ring back to every member that lacks it; `tandem restore` then needs no shares
    Combine(combine::Args),
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Show => show::run(context),
        Command::Split(args) => split::run(context, args),
        Command::Combine(args) => combine::run(context, args),
    }
}
