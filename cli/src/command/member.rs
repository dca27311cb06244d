//! `tandem member`: the members of the virtual tokens.

use crate::context::{self, Context};
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{
    JoinedReport, LeftReport, MemberChange, MemberLine, MembersReport, NotConfigured, TokenMembers,
};
use std::path::PathBuf;
use std::sync::Arc;
use tandem_engine::joining::Bringing;
use tandem_engine::leaving::Belongings;
use tandem_engine::report::JoinReport;
use tandem_engine::token::Token;
use tandem_runtime::shares;
use tandem_values::Secret;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the members: what the configuration says of them, and how they are
    List,
    /// Bring in a new member, whose section is in the configuration already; run it again if it was interrupted
    Add(Bring),
    /// Bring in a member anew whose token was replaced by an empty one; run it again if it was interrupted
    Replace(Bring),
    /// Take a member out: nothing waits for it any more
    Remove(Remove),
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

#[derive(clap::Args)]
struct Bring {
    /// The member's name
    name: String,
    /// The folder with the files of the recovery's shares, or one of the files; may be given more than once
    #[arg(long, value_name = "DIR")]
    shares: Vec<PathBuf>,
    /// Leave what its token holds and is not Tandem's as it is, rather than refuse the token
    #[arg(long)]
    keep_foreign: bool,
}

#[derive(clap::Args)]
struct Remove {
    /// The member's name
    name: String,
    /// Destroy Tandem's objects and the keys of the ring on it
    #[arg(long)]
    wipe: bool,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::List => list(context),
        Command::Add(bring) => self::bring(context, bring, "added", Token::add_member),
        Command::Replace(bring) => self::bring(context, bring, "replaced", Token::replace_member),
        Command::Remove(args) => remove(context, args),
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
        let members =
            live.config.members.iter().map(|member| MemberLine::of(member, &status)).collect();
        let not_configured = NotConfigured::all(&status);
        tokens.push(TokenMembers { label: live.token.label(), members, not_configured });
    }
    runtime.stop();
    context.screen.report(&MembersReport { tokens })?;
    Ok(true)
}

/// What brings a member in.
type Way =
    fn(&Arc<Token>, &Secret, &str, &Bringing<'_>) -> tandem_engine::error::Result<JoinReport>;

fn bring(context: &mut Context<'_>, args: &Bring, done: &'static str, way: Way) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let ring = live.token.status()?.ring;
    let recovery = ring.as_ref().and_then(|ring| ring.recovery.as_ref());
    let shares = shares::gather(&args.shares, recovery).map_err(Error::Failed)?;
    let pin = context.pin(live.config)?;
    let bar = Bar::new(context.screen.json());
    let bringing = Bringing { shares: &shares, keep_foreign: args.keep_foreign, progress: &bar };
    let joined = way(live.token, &pin, &args.name, &bringing);
    bar.clear();
    let joined = joined.map_err(|error| context::explained(live, &args.name, &error))?;
    let report = JoinedReport::of(live.token.label(), done, &joined);
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.exceptions.is_empty())
}

fn remove(context: &mut Context<'_>, args: &Remove) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let pin = context.pin(live.config)?;
    let belongings = if args.wipe { Belongings::Wiped } else { Belongings::Left };
    let bar = Bar::new(context.screen.json());
    let left = live.token.remove_member(&pin, &args.name, belongings, &bar);
    bar.clear();
    let configured = live.config.members.iter().any(|member| member.name == args.name);
    let report = LeftReport::of(live, &args.name, configured, &left?);
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}
