//! `tandem member`: the members of the virtual tokens.

use crate::context::{self, Context};
use crate::error::Result;
use crate::report::{MemberChange, MemberLine, MembersReport, TokenMembers};
use tandem_engine::token::Token;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the members: what the configuration says of them, and how they are
    List,
    /// Give a member no work, in any process, until it is enabled: before its maintenance
    Drain {
        /// The member's name
        name: String,
    },
    /// Let a member work again that was drained or fenced, or that refused a PIN
    Enable {
        /// The member's name
        name: String,
    },
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::List => list(context),
        Command::Drain { name } => change(context, name, "drained", Token::drain),
        Command::Enable { name } => change(context, name, "enabled", Token::enable),
    }
}

fn change(
    context: &mut Context<'_>,
    name: &str,
    done: &'static str,
    change: impl FnOnce(&Token, &str) -> tandem_engine::error::Result<bool>,
) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let changed = change(live.token, name)?;
    let report = MemberChange { token: live.token.label(), member: name.to_owned(), done, changed };
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
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
