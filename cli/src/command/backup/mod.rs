//! `tandem backup`: the phases of a backup, and its artefacts.

pub(crate) mod choice;
mod drill;
mod enforcer;
pub(crate) mod file;
mod make;
mod names;
pub(crate) mod place;
mod verify;

use crate::context::Context;
use crate::error::Result;
use crate::report::{BackupLine, BackupReport, BackupsReport};
use place::From;
use std::path::PathBuf;
use tandem_engine::backup::{Backup, Turn};
use tandem_engine::object::ObjectId;
use tandem_engine::token::Token;
use tandem_values::ck::CKA_LABEL;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Freeze the position of a new backup: keys made later are not in it
    Prepare,
    /// Make the prepared backup, read it back and prove every key in it; prepares one if none is
    Run(make::Args),
    /// Read a bundle back and prove every key in it. A committed backup whose bundle fails counts no more
    Verify {
        /// The bundle
        #[arg(required_unless_present = "name", conflicts_with = "name")]
        file: Option<PathBuf>,
        #[command(flatten)]
        from: From,
    },
    /// Let the backup that was made count
    Commit,
    /// Give the prepared backup up
    Rollback,
    /// Let a committed backup count no more: its bundle is lost, or out of your hands
    Withdraw {
        /// The backup's identity
        id: uuid::Uuid,
        /// Why, for the log
        #[arg(long)]
        reason: String,
    },
    /// Write the names under which keys of the stock were claimed since the last backup, without any key
    Names(names::Args),
    /// List the backups, and whether each counts
    List,
    /// Rehearse the loss of everything: restore onto a scratch token, prove every key, and say how long it took
    Drill(drill::Args),
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Prepare => change(context, Token::prepare_backup),
        Command::Run(args) => make::run(context, args),
        Command::Verify { file: Some(file), .. } => verify::file(context, file),
        Command::Verify { file: None, from } => verify::token(context, from),
        Command::Commit => change(context, Token::commit_backup),
        Command::Rollback => change(context, Token::roll_back_backup),
        Command::Withdraw { id, reason } => change(context, |token, turn| {
            token.withdraw_backup(turn, tandem_engine::backup::BackupId(*id.as_bytes()), reason)
        }),
        Command::Names(args) => names::run(context, args),
        Command::List => list(context),
        Command::Drill(args) => drill::run(context, args),
    }
}

/// Takes a backup a phase further.
fn change(
    context: &mut Context<'_>,
    act: impl FnOnce(&Token, &Turn) -> tandem_engine::error::Result<Backup>,
) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let turn = live.token.backup_turn()?;
    let backup = act(live.token, &turn)?;
    drop(turn);
    let report = BackupReport {
        token: live.token.label(),
        backup: line(live.token, &backup)?,
        bundle: None,
        member: None,
        left_out: Vec::new(),
    };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

/// A backup, and whether it counts.
pub(crate) fn line(token: &Token, backup: &Backup) -> Result<BackupLine> {
    Ok(BackupLine::of(backup, token.why_not_counting(backup)?))
}

/// What an object is called; empty if it is not known, or that can't be told now.
pub(crate) fn label(token: &Token, id: ObjectId) -> String {
    let shown = token.shown(id).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(shown.bytes(CKA_LABEL).unwrap_or_default()).into_owned()
}

fn list(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let ledger = live.token.ledger()?;
    let backups = ledger.backups().iter().map(|backup| line(live.token, backup));
    let backups = backups.collect::<Result<_>>()?;
    let (mut backed_up, mut not_backed_up) = (0_usize, 0_usize);
    live.token.each_object(|object| {
        let count = if object.backed_up { &mut backed_up } else { &mut not_backed_up };
        *count = count.saturating_add(1);
    })?;
    let report = BackupsReport { token: live.token.label(), backed_up, not_backed_up, backups };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}
