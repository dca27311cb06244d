//! `tandem pair`: makes the key ring on every member, and takes over what they hold.

use super::handing::Handing;
use crate::context::Context;
use crate::error::Result;
use crate::progress::Bar;
use crate::report::PairingReport;
use std::path::PathBuf;
use tandem_runtime::Live;
use tandem_values::Secret;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the recovery's shares to this folder instead of showing them [default: shown on a terminal; without one,
    /// shares_dir of the configuration]
    #[arg(long, value_name = "DIR")]
    shares_dir: Option<PathBuf>,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.open()?;
    let live = context.token(&runtime)?;
    let handing = Handing::of(context.screen, live, args.shares_dir.as_deref());
    if live.token.status()?.ring.is_none() {
        handing.prepare(context.screen)?;
    }
    let pin = context.pin(live.config)?;
    let report = pair(context, live, &pin, &handing)?;
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

/// Pairs a token and hands its shares to people.
pub(crate) fn pair(
    context: &mut Context<'_>,
    live: Live<'_>,
    pin: &Secret,
    handing: &Handing,
) -> Result<PairingReport> {
    let bar = Bar::new(context.screen.json());
    let mut files = Vec::new();
    // Handed out before the pairing counts: a ring without its recovery is never made.
    let report = live.token.pair(pin, &bar, &mut |made| {
        bar.clear();
        files = handing.hand_out(context.screen, made).map_err(|error| error.to_string())?;
        Ok(())
    });
    bar.clear();
    Ok(PairingReport::of(live.token.label(), &report?, files))
}
