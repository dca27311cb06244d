//! `tandem backup names`: the names of claimed keys, without the keys.

use super::file;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::report::NamesReport;
use std::path::{Path, PathBuf};
use tandem_engine::backup::Bundle;
use tandem_engine::token::NameSink;
use tandem_runtime::names::NameFile;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file; names that are in it already are replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    may_replace(&args.out)?;
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let mut bundle = Vec::new();
    let named = live.token.write_names(&mut bundle)?;
    session.close();
    let group = live.config.group.as_ref().map(|group| group.gid);
    NameFile::new(&args.out, group).keep(&bundle).map_err(Error::Failed)?;
    let report = NamesReport::of(live.token.label(), args.out.display().to_string(), &named);
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

/// A backup is never written over; older names are.
fn may_replace(path: &Path) -> Result {
    if !path.exists() {
        return Ok(());
    }
    let mut from = file::open(path)?;
    match Bundle::open(&mut from) {
        Ok(bundle) if bundle.header().names => Ok(()),
        _ => Err(Error::failed(format!(
            "{} is there already and holds no names: it is not written over; choose another name",
            path.display()
        ))),
    }
}
