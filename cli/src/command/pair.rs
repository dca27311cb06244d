//! `tandem pair`: makes the key ring on every member, and takes over what they hold.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::PairingReport;
use crate::show::shares;
use std::path::{Path, PathBuf};
use tandem_engine::shares::Share;
use tandem_runtime::Live;
use tandem_runtime::shares::ShareFolder;
use tandem_values::Secret;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the recovery's shares to this folder instead of showing them [default: shares_dir of the configuration]
    #[arg(long, value_name = "DIR")]
    shares_dir: Option<PathBuf>,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.open()?;
    let live = context.token(&runtime)?;
    let folder = args.shares_dir.as_deref().or(live.config.recovery.shares_dir.as_deref());
    let paired = live.token.status()?.ring.is_some();
    if !paired && folder.is_none() && !context.screen.interactive() {
        return Err(Error::failed(
            "the recovery's shares are shown once and kept nowhere; \
             run this on a terminal without --json, or name a folder for them with --shares-dir DIR",
        ));
    }
    let pin = context.pin(live.config)?;
    let report = pair(context, live, &pin, folder)?;
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

/// Pairs a token and hands its shares to people: in a folder, or one after the other on the screen.
pub(crate) fn pair(
    context: &mut Context<'_>,
    live: Live<'_>,
    pin: &Secret,
    folder: Option<&Path>,
) -> Result<PairingReport> {
    let folder = folder.map(|folder| ShareFolder::new(folder, &live.config.label));
    // Once the ring is made there is no second chance to keep its shares.
    if let Some(folder) = &folder {
        folder.prepare().map_err(Error::Failed)?;
    }
    let bar = Bar::new(context.screen.json());
    let mut files = Vec::new();
    // Handed out before the pairing counts: a ring without its recovery is never made.
    let report = live.token.pair(pin, &bar, &mut |made| {
        bar.clear();
        files = keep(context, live, made, folder.as_ref()).map_err(|error| error.to_string())?;
        Ok(())
    });
    bar.clear();
    Ok(PairingReport::of(live.token.label(), &report?, files))
}

/// Hands the shares to people. Where they can't be written but a person looks on, they are shown after all.
fn keep(
    context: &mut Context<'_>,
    live: Live<'_>,
    made: &[Share],
    folder: Option<&ShareFolder>,
) -> Result<Vec<PathBuf>> {
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let written = folder.map(|folder| folder.write(made));
    match written {
        Some(Ok(files)) => return Ok(files),
        Some(Err(error)) if !context.screen.interactive() => return Err(Error::Failed(error)),
        Some(Err(error)) => log::warn!("{error}; they are shown instead"),
        None => {}
    }
    shares::show(context.screen, &live.config.label, made)?;
    Ok(Vec::new())
}
