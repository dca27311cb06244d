//! `tandem member`: the members of the virtual tokens.

use crate::context::{self, Context};
use crate::error::Result;
use crate::report::{MemberLine, MembersReport, TokenMembers};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the members: what the configuration says of them, and how they are
    List,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match args.command {
        Command::List => list(context),
    }
}

fn list(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let mut tokens = Vec::new();
    for live in context.tokens(&runtime)? {
        let status = context::status(live)?;
        let members = live
            .config
            .members
            .iter()
            .map(|member| {
                let status = status.members.iter().find(|status| status.name == member.name);
                MemberLine::of(member, status)
            })
            .collect();
        tokens.push(TokenMembers { label: live.token.label(), members });
    }
    runtime.stop();
    context.screen.report(&MembersReport { tokens })?;
    Ok(true)
}
