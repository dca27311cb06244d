//! `tandem restore`: brings a token back from a backup.

use super::backup;
use super::backup::choice::Chosen;
use super::backup::file::BundleFile;
use super::backup::place::{Bundles, From};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{PickedReport, RestoredReport};
use std::path::PathBuf;
use std::time::Instant;
use tandem_engine::backup::{Choice, Header, Source};
use tandem_engine::joining::Bringing;
use tandem_runtime::{Live, shares};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A complete bundle, and those that build on it, oldest first
    #[arg(required_unless_present = "name", conflicts_with = "name", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    from: From,
    /// The folder with the files of the recovery's shares, or one of the files; may be given more than once
    #[arg(long, value_name = "DIR")]
    shares: Vec<PathBuf>,
    /// Name keys of the stock again that were claimed after the backup: what `tandem backup names` has written last
    #[arg(long, value_name = "FILE", conflicts_with_all = ["missing", "keys", "labels"])]
    names: Option<PathBuf>,
    /// Bring back what the token that lives here never had, and leave the rest of it as it is
    #[arg(long, conflicts_with_all = ["keys", "labels"])]
    missing: bool,
    #[command(flatten)]
    chosen: Chosen,
    /// Leave what a new member's token holds and is not Tandem's as it is, rather than refuse the token
    #[arg(long)]
    keep_foreign: bool,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let chosen = args.chosen.choices()?;
    if args.missing || chosen.is_some() {
        return pick(context, args, chosen.as_deref());
    }
    let began = Instant::now();
    let gather = |header: &Header| {
        shares::gather(&args.shares, header.ring.recovery.as_ref()).map_err(Error::Failed)
    };
    let read = |bundles: Bundles| {
        let (header, artefact) = bundles.last()?;
        Ok::<_, Error>((gather(&header)?, artefact, bundles))
    };
    // Before a PIN is asked for, where none is needed to read it.
    let files = match args.from.name {
        None => Some(read(Bundles::files(&args.files))?),
        Some(_) => None,
    };
    let runtime = context.open()?;
    let live = context.token(&runtime)?;
    let pin = context.pin(live.config)?;
    let (shares, artefact, bundles) = match (files, &args.from.name) {
        (Some(files), _) => files,
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            read(Bundles::on(live, Some(&pin), name, args.from.wanted())?)?
        }
    };
    let bar = Bar::new(context.screen.json());
    let bringing = Bringing { shares: &shares, keep_foreign: args.keep_foreign, progress: &bar };
    let sources = bundles.sources();
    let sources: Vec<&dyn Source> = sources.iter().map(|source| &**source).collect();
    let names = args.names.clone().map(BundleFile);
    let names = names.as_ref().map(|names| names as &dyn Source);
    let restored = live.token.restore(&pin, (&sources, names), artefact, &bringing);
    bar.clear();
    let restored = restored?;
    let status = live.token.status()?;
    let report = RestoredReport::of(
        live.token.label(),
        status.objects,
        began.elapsed().as_secs_f64(),
        &restored,
        |id| backup::label(live.token, id),
    );
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.is_whole())
}

/// Brings single keys back into a token that lives.
fn pick(context: &mut Context<'_>, args: &Args, chosen: Option<&[Choice]>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let picked = bundles(live, args).and_then(|bundles| {
        let (header, _) = bundles.last()?;
        let recovery = header.ring.recovery.as_ref();
        let shares = shares::gather(&args.shares, recovery).map_err(Error::Failed)?;
        let sources = bundles.sources();
        let sources: Vec<&dyn Source> = sources.iter().map(|source| &**source).collect();
        Ok(live.token.pick(&sources, chosen, &shares, &bar)?)
    });
    bar.clear();
    let picked = picked?;
    let report = PickedReport::of(live.token.label(), &picked, |id| backup::label(live.token, id));
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.left.is_empty())
}

/// What is read, with a login.
fn bundles(live: Live<'_>, args: &Args) -> Result<Bundles> {
    match &args.from.name {
        Some(name) => Bundles::on(live, None, name, args.from.wanted()),
        None => Ok(Bundles::files(&args.files)),
    }
}
