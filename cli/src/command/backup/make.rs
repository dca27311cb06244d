//! `tandem backup run`: makes what the prepared backup is put on.

use super::choice::Chosen;
use super::enforcer::Enforcer;
use super::file::BundleFile;
use super::{file, label, line, place};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{BackupReport, BundleReport, JoinedReport, LeftOutLine};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tandem_engine::backup::{
    Artefact, Backup, Bundle, Choice, Medium, Plan, Turn, Vault, Verified,
};
use tandem_engine::joining::Bringing;
use tandem_engine::report::JoinReport;
use tandem_engine::token::Token;
use tandem_runtime::{Live, shares};
use tandem_values::Secret;

#[derive(clap::Args)]
#[group(id = "artefact", required = true, multiple = false, args = ["out", "to", "vendor"])]
pub(crate) struct Args {
    /// Write a bundle file; never over one that is there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Fill this backup token: a member with role = "backup", connected now
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// The folder with the files of the recovery's shares, or one of the files, for a backup token that was never filled; may be
    /// given more than once
    #[arg(long, value_name = "DIR", requires = "to")]
    shares: Vec<PathBuf>,
    /// Leave what a new backup token holds and is not Tandem's as it is, rather than refuse the token
    #[arg(long, requires = "to")]
    keep_foreign: bool,
    /// The vendors' own procedures have made the backup: how it is found again. Taken on your word, and not verified
    #[arg(long, value_name = "REFERENCE")]
    vendor: Option<String>,
    /// Commit it at once, if it is verified
    #[arg(long)]
    commit: bool,
    /// Only what came after the last committed bundle in a file, or on the same token, which it then builds on
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
    joined: Option<JoinReport>,
}

/// What the backup is put on.
enum Onto<'a> {
    File(&'a Path),
    Token(Box<Filling>),
    Word(&'a str),
}

/// A backup token that is open, and what it is filled with.
struct Filling {
    vault: Vault,
    shares: Vec<Secret>,
    keep_foreign: bool,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let chosen = args.chosen.choices()?;
    let enforcer = args.opendnssec.as_deref().map(Enforcer);
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let token = live.token;
    let turn = token.backup_turn()?;
    // Before anything is begun: it may not be there.
    let onto = onto(live, args)?;
    if let Some(enforcer) = &enforcer {
        begin_both(token, enforcer)?;
    }
    let bar = Bar::new(context.screen.json());
    let made = make(token, &turn, (&onto, args.incremental), chosen.as_deref(), &bar);
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
    let now = if args.commit { token.commit_backup(&turn) } else { token.open_backup() };
    let now = now.map_err(|error| give_up(token, &turn, enforcer.as_ref(), error.into()))?;
    enforcer.as_ref().map_or(Ok(()), Enforcer::commit)?;
    if let (Onto::Token(filling), true) = (&onto, args.commit)
        && let Err(error) = filling.vault.tidy()
    {
        log::warn!("{error}; what is not needed any more is removed the next time");
    }
    drop(turn);
    let called = |id| label(token, id);
    let bundle = outcome.bundle.as_ref().map(|verified| match &onto {
        Onto::Token(filling) => BundleReport::on(filling.vault.name(), verified, called),
        Onto::File(path) => BundleReport::of(path.display().to_string(), verified, called),
        Onto::Word(_) => BundleReport::of(String::new(), verified, called),
    });
    drop(onto);
    let report = BackupReport {
        token: token.label(),
        backup: line(token, &now)?,
        bundle,
        member: outcome.joined.map(|joined| JoinedReport::of(token.label(), "filled", &joined)),
        left_out,
    };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.left_out.is_empty())
}

/// Makes the artefact and has the log tell of it.
fn make(
    token: &Token,
    turn: &Turn,
    (onto, incremental): (&Onto<'_>, bool),
    chosen: Option<&[Choice]>,
    bar: &Bar,
) -> Result<Outcome> {
    let backup = prepared(token, turn)?;
    let medium = match onto {
        Onto::File(_) => Medium::Files,
        Onto::Token(filling) => filling.vault.medium(),
        Onto::Word(_) => Medium::Unknown,
    };
    let plan = token.plan_backup(&backup, chosen, incremental.then_some(&medium))?;
    let outcome = match onto {
        Onto::File(path) => bundle(token, &backup, plan, path, bar)?,
        Onto::Token(filling) => filling.fill(&backup, plan, bar)?,
        Onto::Word(reference) => on_word(reference),
    };
    let verified = outcome.bundle.is_some();
    let (plan, artefact) = (outcome.plan.clone(), outcome.artefact.clone());
    token.note_made(turn, &backup, plan, artefact, verified)?;
    if let Onto::File(path) = onto
        && let Ok(place) = path.canonicalize()
    {
        token.set_bundle_place(backup.id, &place.display().to_string())?;
    }
    Ok(outcome)
}

/// Has OpenDNSSEC prepare. What it calls backed up in the end is what it has by now, so Tandem's backup must begin after it.
fn begin_both(token: &Token, enforcer: &Enforcer<'_>) -> Result {
    if let Some(open) = token.ledger()?.open() {
        return Err(Error::failed(format!(
            "backup {} is prepared already, and OpenDNSSEC may have keys that came after it: `tandem backup commit` or `rollback` it, \
             then run this again",
            open.id
        )));
    }
    enforcer.prepare()
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
        joined: None,
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
    plan.leave_out(verified.failed.clone());
    let artefact = file::artefact(path, verified.written);
    Ok(Outcome { plan, artefact, bundle: Some(verified), joined: None })
}

/// What the operator wants it put on, with a backup token open.
fn onto<'a>(live: Live<'_>, args: &'a Args) -> Result<Onto<'a>> {
    match (&args.out, &args.to, &args.vendor) {
        (Some(path), ..) => Ok(Onto::File(path)),
        (None, Some(name), _) => {
            let ring = live.token.status()?.ring;
            let recovery = ring.as_ref().and_then(|ring| ring.recovery.as_ref());
            let shares = shares::gather(&args.shares, recovery).map_err(Error::Failed)?;
            let vault = place::open(live, None, name)?;
            let keep_foreign = args.keep_foreign;
            Ok(Onto::Token(Box::new(Filling { vault, shares, keep_foreign })))
        }
        (None, None, Some(reference)) => Ok(Onto::Word(reference)),
        (None, None, None) => {
            Err(Error::usage("say what to put the backup on: --out, --to or --vendor"))
        }
    }
}

impl Filling {
    fn fill(&self, backup: &Backup, plan: Plan, bar: &Bar) -> Result<Outcome> {
        let Self { vault, shares, keep_foreign } = self;
        let bringing = Bringing { shares, keep_foreign: *keep_foreign, progress: bar };
        let filled = vault.fill(backup, plan, &bringing)?;
        Ok(Outcome {
            plan: filled.plan,
            artefact: vault.artefact(),
            bundle: Some(filled.verified),
            joined: Some(filled.joined),
        })
    }
}

/// True if a file is a bundle of this backup, made as it is wanted now.
fn is_of(path: &Path, backup: &Backup, plan: &Plan) -> bool {
    let Ok(mut from) = file::open(path) else { return false };
    Bundle::open(&mut from).is_ok_and(|bundle| plan.is_that_of(bundle.header(), backup))
}
