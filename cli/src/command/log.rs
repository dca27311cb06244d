//! `tandem log`: the log itself.

use super::backup::{file::BundleFile, label};
use crate::context::Context;
use crate::error::Result;
use crate::report::{AnchorLine, GoneLine, LogReport};
use std::path::{Path, PathBuf};
use tandem_engine::backup::Anchor;
use tandem_engine::token::Token;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Hold every record against its seal, and the log against bundles that knew it before
    Check {
        /// Bundles: a log that was cut short is known by them
        #[arg(value_name = "BUNDLE")]
        bundles: Vec<PathBuf>,
    },
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Check { bundles } => check(context, bundles),
    }
}

fn check(context: &mut Context<'_>, bundles: &[PathBuf]) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let checked = live.token.check_log()?;
    let anchors: Vec<_> = bundles.iter().map(|path| anchor(live.token, path)).collect();
    let gone = checked.gone.iter().map(|(id, position)| GoneLine {
        object_id: id.to_string(),
        label: label(live.token, *id),
        position: *position,
    });
    let report = LogReport {
        token: live.token.label(),
        sound: checked.is_sound() && anchors.iter().all(|anchor| anchor.verdict == "holds"),
        records: checked.records,
        gone: gone.collect(),
        broken: checked.broken,
        anchors,
    };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.sound)
}

fn anchor(token: &Token, path: &Path) -> AnchorLine {
    let found = token.check_against(&BundleFile(path.to_owned()));
    let (position, verdict, reason) = match found {
        Ok(Anchor::Holds(position)) => (Some(position), "holds", String::new()),
        Ok(Anchor::CutShort(position)) => (Some(position), "cut-short", String::new()),
        Ok(Anchor::OtherHistory(position)) => (Some(position), "other-history", String::new()),
        Err(error) => (None, "unusable", error.to_string()),
    };
    AnchorLine { file: path.display().to_string(), position, verdict, reason }
}
