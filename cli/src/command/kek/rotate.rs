//! `tandem kek rotate`: new KEKs, and every key in the log wrapped under them.

use crate::command::handing::Handing;
use crate::command::{asking, backup};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::RotatedReport;
use std::path::PathBuf;
use tandem_config::meant::{self, SHARES_MAX};
use tandem_engine::ring::Generation;
use tandem_engine::settings::RecoverySettings;
use tandem_runtime::{Live, shares};
use tandem_values::Secret;

/// The fewest that make sense: one share that opens the ring alone is a key under a doormat.
const SHARES_MIN: i64 = 2;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder with the files of the shares in force, or one of the files; may be given more than once [default: asked for on a
    /// terminal]
    #[arg(long, value_name = "DIR")]
    shares: Vec<PathBuf>,
    /// Write the shares of the new KEKs to this folder, which must hold no file, instead of showing them [default: shown on a
    /// terminal; without one, shares_dir of the configuration]
    #[arg(long, value_name = "DIR")]
    shares_dir: Option<PathBuf>,
    /// How many shares to make [default: shares of the configuration]
    #[arg(long, value_name = "NUMBER", value_parser = number())]
    count: Option<u8>,
    /// How many of them are to be enough [default: threshold of the configuration]
    #[arg(long, value_name = "NUMBER", value_parser = number())]
    threshold: Option<u8>,
}

fn number() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(SHARES_MIN..=SHARES_MAX.cast_signed())
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let settings = args.settings(&live.config.recovery)?;
    let known = live.token.recovery()?;
    let handing = Handing::of(context.screen, live, args.shares_dir.as_deref());
    // One that is gone on with has handed its shares out.
    if !known.ring.is_rotating() {
        handing.prepare_alone(context.screen)?;
    }
    let recovery = known.ring.recovery.as_ref();
    let old = asking::gather(context.screen, &live.token.label(), &args.shares, recovery)?;
    if old.is_empty() {
        return Err(Error::usage(
            "what the KEKs wrap is opened by the recovery's shares: name these with --shares DIR, or type them on a terminal without \
             --json",
        ));
    }
    let session = context.login(live)?;
    let done = rotate(context, live, (&old, &settings), &handing, known.ring.newest());
    session.close();
    runtime.stop();
    let report = done?;
    context.screen.report(&report)?;
    Ok(report.finished)
}

fn rotate(
    context: &mut Context<'_>,
    live: Live<'_>,
    (old, settings): (&[Secret], &RecoverySettings),
    handing: &Handing,
    before: Generation,
) -> Result<RotatedReport> {
    let bar = Bar::new(context.screen.json());
    let mut files = Vec::new();
    let rotated = live.token.rotate_keks(old, settings, &bar, &mut |made| {
        bar.clear();
        files = handing.hand_out(context.screen, made).map_err(|error| error.to_string())?;
        Ok(())
    });
    bar.clear();
    let rotated = rotated.inspect_err(|_| {
        // Shares of KEKs that are in force must not be lost, and where it can't be told whether they are neither.
        if live.token.recovery().is_ok_and(|known| known.ring.newest() == before) {
            shares::take_back(&files);
        }
    })?;
    let label = |id| backup::label(live.token, id);
    Ok(RotatedReport::of(live.token.label(), &rotated, files, label))
}

impl Args {
    /// How the new recovery is to be split.
    fn settings(&self, usual: &meant::Recovery) -> Result<RecoverySettings> {
        let shares = self.count.unwrap_or(usual.shares);
        let threshold = self.threshold.unwrap_or_else(|| usual.threshold.min(shares));
        if threshold > shares {
            return Err(Error::usage(format!(
                "{threshold} of {shares} shares would be more than there are; name a --threshold from {SHARES_MIN} to {shares}"
            )));
        }
        Ok(RecoverySettings { shares, threshold })
    }
}
