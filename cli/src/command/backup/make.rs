//! `tandem backup run`: makes what the prepared backup is put on.

use super::choice::Chosen;
use super::enforcer::Enforcer;
use super::file::BundleFile;
use super::{file, label, line};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{BackupReport, BundleReport, LeftOutLine};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tandem_engine::backup::{Artefact, Backup, Bundle, Choice, Plan, Turn, Verified};
use tandem_engine::token::Token;

#[derive(clap::Args)]
#[group(id = "artefact", required = true, multiple = false, args = ["out", "vendor"])]
pub(crate) struct Args {
    /// Write a bundle file; never over one that is there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The vendors' own procedures have made the backup: how it is found again. Taken on your word, and not verified
    #[arg(long, value_name = "REFERENCE")]
    vendor: Option<String>,
    /// Commit it at once, if it is verified
    #[arg(long)]
    commit: bool,
    /// Only what came after the last committed bundle, which it then builds on
    #[arg(long, conflicts_with_all = ["keys", "labels", "vendor"])]
    incremental: bool,
    #[command(flatten)]
    chosen: Chosen,
    /// Take OpenDNSSEC's own bookkeeping along: `ods-enforcer backup prepare` first, and commit or rollback in both
    #[arg(
        long,
        value_name = "PROGRAM",
        num_args = 0..=1,
        default_missing_value = "ods-enforcer",
        requires = "commit",
        conflicts_with_all = ["keys", "labels"]
    )]
    opendnssec: Option<PathBuf>,
}

/// What was made, and how it came out.
struct Outcome {
    plan: Plan,
    artefact: Artefact,
    bundle: Option<Verified>,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let chosen = args.chosen.choices()?;
    let enforcer = args.opendnssec.as_deref().map(Enforcer);
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let token = live.token;
    let turn = token.backup_turn()?;
    enforcer.as_ref().map_or(Ok(()), Enforcer::prepare)?;
    let bar = Bar::new(context.screen.json());
    let made = make(token, &turn, args, chosen.as_deref(), &bar);
    bar.clear();
    let made = match (made, &enforcer) {
        (Ok(outcome), Some(_)) if !outcome.plan.left_out.is_empty() => {
            let many = outcome.plan.left_out.len();
            Err(Error::failed(format!(
                "{many} objects could not be put in, and OpenDNSSEC can't be told which: nothing was committed; without --opendnssec \
                 they are listed"
            )))
        }
        (made, _) => made,
    };
    let outcome = made.map_err(|error| give_up(token, &turn, enforcer.as_ref(), error))?;
    let left_out = LeftOutLine::all(&outcome.plan.left_out, |id| label(token, id));
    let now = if args.commit { token.commit_backup(&turn)? } else { token.open_backup()? };
    enforcer.as_ref().map_or(Ok(()), Enforcer::commit)?;
    drop(turn);
    let path = args.out.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let bundle =
        outcome.bundle.map(|verified| BundleReport::of(path, &verified, |id| label(token, id)));
    let report =
        BackupReport { token: token.label(), backup: line(token, &now)?, bundle, left_out };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.left_out.is_empty())
}

/// Makes the artefact and has the log tell of it.
fn make(
    token: &Token,
    turn: &Turn,
    args: &Args,
    chosen: Option<&[Choice]>,
    bar: &Bar,
) -> Result<Outcome> {
    let backup = prepared(token, turn)?;
    let plan = token.plan_backup(&backup, chosen, args.incremental)?;
    let outcome = match (&args.out, &args.vendor) {
        (Some(path), _) => bundle(token, &backup, plan, path, bar)?,
        (None, Some(reference)) => on_word(reference),
        (None, None) => {
            return Err(Error::usage("say what to put the backup on: --out or --vendor"));
        }
    };
    let verified = outcome.bundle.is_some();
    let (plan, artefact) = (outcome.plan.clone(), outcome.artefact.clone());
    token.note_made(turn, &backup, plan, artefact, verified)?;
    if let Some(place) = args.out.as_ref().and_then(|path| path.canonicalize().ok()) {
        token.set_bundle_place(backup.id, &place.display().to_string())?;
    }
    Ok(outcome)
}

/// Where OpenDNSSEC was prepared, what failed is rolled back in both. Answers the error.
fn give_up(token: &Token, turn: &Turn, enforcer: Option<&Enforcer<'_>>, error: Error) -> Error {
    let Some(enforcer) = enforcer else { return error };
    // There may be none yet.
    let _ = token.roll_back_backup(turn);
    Error::failed(format!("{error}{}", enforcer.roll_back()))
}

/// The backup that is prepared, or one that is prepared now.
fn prepared(token: &Token, turn: &Turn) -> Result<Backup> {
    match token.ledger()?.open() {
        Some(backup) => Ok(backup.clone()),
        None => Ok(token.prepare_backup(turn)?),
    }
}

fn on_word(reference: &str) -> Outcome {
    Outcome {
        // The vendors' procedures take everything, also what can't be copied.
        plan: Plan::default(),
        artefact: Artefact::Vendor { reference: reference.to_owned() },
        bundle: None,
    }
}

/// Writes a bundle, reads it back and gives it its name. One that was written and not noted before a crash is taken as it is.
fn bundle(
    token: &Token,
    backup: &Backup,
    mut plan: Plan,
    path: &Path,
    bar: &Bar,
) -> Result<Outcome> {
    let is_there = path.try_exists().map_err(|error| file::unwritable(path, &error))?;
    let verified = if is_there {
        if !is_of(path, backup, &plan) {
            return Err(file::unwritable(path, &std::io::ErrorKind::AlreadyExists.into()));
        }
        token.verify_bundle(&BundleFile(path.to_owned()), bar)?
    } else {
        let mut part = file::beside(path)?;
        let mut out = BufWriter::new(part.as_file_mut());
        token.write_bundle(backup, &plan, &mut out, bar)?;
        out.flush().map_err(|error| file::unwritable(path, &error))?;
        drop(out);
        let verified = token.verify_bundle(&BundleFile(part.path().to_owned()), bar)?;
        file::keep(part, path)?;
        verified
    };
    // What no HSM could open is in no backup.
    plan.left_out.extend(verified.failed.iter().cloned());
    let artefact = file::artefact(path, verified.written);
    Ok(Outcome { plan, artefact, bundle: Some(verified) })
}

/// True if a file is a bundle of this backup, made as it is wanted now.
fn is_of(path: &Path, backup: &Backup, plan: &Plan) -> bool {
    let Ok(mut from) = file::open(path) else { return false };
    Bundle::open(&mut from).is_ok_and(|bundle| {
        let header = bundle.header();
        header.id == backup.id
            && header.since == plan.since
            && header.base == plan.base
            && header.whole
            && plan.selection.is_none()
    })
}
