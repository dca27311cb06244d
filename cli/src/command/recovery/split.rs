//! `tandem recovery split`: new shares from old ones.

use crate::command::asking;
use crate::command::handing::Handing;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::SplitReport;
use std::path::PathBuf;
use tandem_config::meant::{self, SHARES_MAX};
use tandem_engine::ring::Recovery;
use tandem_engine::settings::RecoverySettings;
use tandem_runtime::{Live, shares};
use tandem_values::Secret;

/// The fewest that make sense: one share that opens the ring alone is a key under a doormat.
const SHARES_MIN: i64 = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many shares to make [default: shares of the configuration]
    #[arg(long, value_name = "NUMBER", value_parser = number())]
    shares: Option<u8>,
    /// How many of them are to be enough [default: threshold of the configuration]
    #[arg(long, value_name = "NUMBER", value_parser = number())]
    threshold: Option<u8>,
    /// The folder with the files of the old shares, or one of the files; may be given more than once [default: asked for on a
    /// terminal]
    #[arg(long, value_name = "DIR")]
    shares_from: Vec<PathBuf>,
    /// Write the new shares to this folder, which must hold no file, instead of showing them [default: shown on a terminal;
    /// without one, shares_dir of the configuration]
    #[arg(long, value_name = "DIR")]
    shares_dir: Option<PathBuf>,
}

fn number() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(SHARES_MIN..=SHARES_MAX.cast_signed())
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let settings = args.settings(&live.config.recovery)?;
    if args.shares_from.is_empty() && !context.screen.interactive() {
        return Err(without_old());
    }
    let recovery = recovery(live)?;
    let handing = Handing::of(context.screen, live, args.shares_dir.as_deref());
    handing.prepare_alone(context.screen)?;
    let old = gather(context, args, live, &recovery)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let mut files = Vec::new();
    let made = live.token.split_recovery(&old, &settings, &bar, &mut |made| {
        bar.clear();
        files = handing.hand_out(context.screen, made).map_err(|error| error.to_string())?;
        Ok(())
    });
    bar.clear();
    let made = made.inspect_err(|_| shares::take_back(&files))?;
    let report = SplitReport::of(live.token.label(), &made, &live.token.recovery()?, files);
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

/// The recovery, as it is known without a login.
fn recovery(live: Live<'_>) -> Result<Recovery> {
    live.token.recovery()?.ring.recovery.clone().ok_or_else(|| {
        let without = SplitReport::WITHOUT_RECOVERY;
        Error::failed(format!("token {}: {without}", live.token.label()))
    })
}

/// The old shares, before a PIN is asked for.
fn gather(
    context: &mut Context<'_>,
    args: &Args,
    live: Live<'_>,
    recovery: &Recovery,
) -> Result<Vec<Secret>> {
    let label = live.token.label();
    let old = asking::gather(context.screen, &label, &args.shares_from, Some(recovery))?;
    if old.is_empty() { Err(without_old()) } else { Ok(old) }
}

fn without_old() -> Error {
    Error::usage(
        "new shares come of old ones: name these with --shares-from DIR, or type them on a terminal without --json",
    )
}

impl Args {
    /// How it is to be split.
    fn settings(&self, usual: &meant::Recovery) -> Result<RecoverySettings> {
        let shares = self.shares.unwrap_or(usual.shares);
        let threshold = self.threshold.unwrap_or_else(|| usual.threshold.min(shares));
        if threshold > shares {
            return Err(Error::usage(format!(
                "{threshold} of {shares} shares would be more than there are; name a --threshold from {SHARES_MIN} to {shares}"
            )));
        }
        Ok(RecoverySettings { shares, threshold })
    }
}
