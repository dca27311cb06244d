//! `tandem recovery combine`: the key ring back on members that lack it.

use crate::command::asking;
use crate::command::backup::file;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::CombinedReport;
use std::path::PathBuf;
use tandem_engine::backup::{Header, Source};
use tandem_engine::joining::Bringing;
use tandem_runtime::Runtime;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder with the files of the recovery's shares, or one of the files; may be given more than once [default: asked
    /// for on a terminal]
    #[arg(long, value_name = "DIR")]
    shares: Vec<PathBuf>,
    /// A bundle of the token, which tells of its key ring where the log is lost
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Leave what a member's token holds and is not Tandem's as it is, rather than refuse the token
    #[arg(long)]
    keep_foreign: bool,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    // Before a PIN is asked for.
    let header =
        args.from.as_deref().map(file::read_through).transpose()?.map(|(header, _)| header);
    let runtime = open(context, header.is_some())?;
    let live = context.token(&runtime)?;
    let ring = live.token.status()?.ring.or_else(|| header.as_ref().map(|it| *it.ring.clone()));
    let recovery = ring.as_ref().and_then(|ring| ring.recovery.as_ref());
    let shares = asking::gather(context.screen, &live.token.label(), &args.shares, recovery)?;
    let pin = context.pin(live.config)?;
    let bar = Bar::new(context.screen.json());
    let bringing = Bringing { shares: &shares, keep_foreign: args.keep_foreign, progress: &bar };
    let bundle = args.from.clone().map(file::BundleFile);
    let source = bundle.as_ref().map(|bundle| bundle as &dyn Source);
    let combined = live.token.combine_recovery(&pin, source, &bringing);
    bar.clear();
    let report =
        CombinedReport::of(live.token.label(), &combined?, &restore(args, header.as_ref()));
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.away.is_empty())
}

/// A state folder that is lost is made anew only where a bundle says what will be in it.
fn open(context: &Context<'_>, has_bundle: bool) -> Result<Runtime> {
    if has_bundle {
        return context.open();
    }
    let config = context.config()?;
    match config.tokens.iter().find(|token| !token.state.exists()) {
        None => context.look(),
        Some(lost) => Err(Error::failed(format!(
            "token {}: its state folder {} does not exist, so nothing here tells of its key ring: name one of its bundles with \
             --from FILE",
            lost.label,
            lost.state.display()
        ))),
    }
}

/// The command that brings log and keys back.
fn restore(args: &Args, header: Option<&Header>) -> String {
    match (&args.from, header) {
        (Some(file), Some(header)) if header.since == 0 && header.whole => {
            format!("tandem restore {}", file.display())
        }
        _ => "tandem restore FILE".to_owned(),
    }
}
