//! `tandem backup`: the phases of a backup, and its artefacts.

pub(crate) mod choice;
mod drill;
mod enforcer;
pub(crate) mod file;
mod make;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{BackupLine, BackupReport, BackupsReport, BundleReport};
use std::path::{Path, PathBuf};
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
        file: PathBuf,
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
    /// List the backups, and whether each counts
    List,
    /// Rehearse the loss of everything: restore onto a scratch token, prove every key, and say how long it took
    Drill(drill::Args),
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Prepare => change(context, Token::prepare_backup),
        Command::Run(args) => make::run(context, args),
        Command::Verify { file } => verify(context, file),
        Command::Commit => change(context, Token::commit_backup),
        Command::Rollback => change(context, Token::roll_back_backup),
        Command::Withdraw { id, reason } => change(context, |token, turn| {
            token.withdraw_backup(turn, tandem_engine::backup::BackupId(*id.as_bytes()), reason)
        }),
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

/// What an object is called; empty if it is not known.
pub(crate) fn label(token: &Token, id: ObjectId) -> String {
    let shown = token.shown(id).unwrap_or_default();
    String::from_utf8_lossy(shown.bytes(CKA_LABEL).unwrap_or_default()).into_owned()
}

fn list(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let ledger = live.token.ledger()?;
    let backups = ledger.backups().iter().map(|backup| line(live.token, backup));
    let backups = backups.collect::<Result<_>>()?;
    let objects = live.token.objects()?;
    let backed_up = objects.iter().filter(|object| object.backed_up).count();
    let report = BackupsReport {
        token: live.token.label(),
        backed_up,
        not_backed_up: objects.len().saturating_sub(backed_up),
        backups,
    };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

fn verify(context: &mut Context<'_>, path: &Path) -> Result<bool> {
    // Before a PIN is asked for.
    file::open(path)?;
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let verified = live.token.verify_bundle(&file::BundleFile(path.to_owned()), &bar);
    bar.clear();
    let outcome = match verified {
        Ok(verified) => {
            let report =
                BundleReport::of(path.display().to_string(), &verified, |id| label(live.token, id));
            if !report.verified {
                let why = format!("{} of its keys were not proven", report.failed.len());
                withdraw(live.token, path, &why);
            }
            Ok(report)
        }
        Err(error) => {
            // What no HSM can be asked about says nothing of the bundle.
            if error.rv.0 == tandem_values::ck::CKR_DATA_INVALID {
                withdraw(live.token, path, &error.to_string());
            }
            Err(Error::from(error))
        }
    };
    session.close();
    runtime.stop();
    let report = outcome?;
    context.screen.report(&report)?;
    Ok(report.verified)
}

/// A committed backup whose bundle failed counts no more, if the bundle still says which it is.
fn withdraw(token: &Token, path: &Path, why: &str) {
    let named = file::open(path).ok().and_then(|mut from| {
        tandem_engine::backup::Bundle::open(&mut from).ok().map(|bundle| bundle.header().id)
    });
    let Some(id) = named else { return };
    let reason = format!("its bundle failed verification: {why}");
    let ended = token.backup_turn().and_then(|turn| token.withdraw_backup(&turn, id, &reason));
    if ended.is_ok() {
        log::error!("backup {id} counts no more: {reason}; make another, now");
    }
}
