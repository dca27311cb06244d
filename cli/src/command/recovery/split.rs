//! `tandem recovery split`: new shares from old ones.

use crate::command::handing::Handing;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::SplitReport;
use std::path::PathBuf;
use tandem_config::meant::{self, SHARES_MAX};
use tandem_engine::recovery::Known;
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
    /// The folder with the files of the old shares, or one of the files; may be given more than once
    #[arg(long, required = true, value_name = "DIR")]
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
    let before = live.token.recovery()?;
    let old = gather(args, &before, live)?;
    let handing = Handing::of(context.screen, live, args.shares_dir.as_deref());
    handing.prepare_alone(context.screen)?;
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

/// The old shares, before a PIN is asked for.
fn gather(args: &Args, known: &Known, live: Live<'_>) -> Result<Vec<Secret>> {
    let Some(recovery) = &known.ring.recovery else {
        return Err(Error::failed(format!(
            "token {}: {}",
            live.token.label(),
            SplitReport::WITHOUT_RECOVERY
        )));
    };
    shares::gather(&args.shares_from, Some(recovery)).map_err(Error::Failed)
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
