//! `tandem log`: the log itself.

use super::backup::label;
use super::backup::place::{Bundles, From};
use crate::context::Context;
use crate::error::Result;
use crate::report::{AnchorLine, GoneLine, LogReport};
use std::path::PathBuf;
use tandem_engine::backup::{Anchor, Source};
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
        #[command(flatten)]
        from: From,
    },
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Check { bundles, from } => check(context, bundles, from),
    }
}

fn check(context: &mut Context<'_>, bundles: &[PathBuf], from: &From) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let checked = live.token.check_log()?;
    let mut anchors = anchors(live.token, &Bundles::files(bundles));
    if let Some(name) = &from.name {
        anchors.extend(self::anchors(live.token, &Bundles::on(live, None, name, from.wanted())?));
    }
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

fn anchors(token: &Token, bundles: &Bundles) -> Vec<AnchorLine> {
    let sources = bundles.sources();
    bundles.names().into_iter().zip(&sources).map(|(name, it)| anchor(token, name, &**it)).collect()
}

fn anchor(token: &Token, file: String, source: &dyn Source) -> AnchorLine {
    let found = token.check_against(source);
    let (position, verdict, reason) = match found {
        Ok(Anchor::Holds(position)) => (Some(position), "holds", String::new()),
        Ok(Anchor::CutShort(position)) => (Some(position), "cut-short", String::new()),
        Ok(Anchor::OtherHistory(position)) => (Some(position), "other-history", String::new()),
        Err(error) => (None, "unusable", error.to_string()),
    };
    AnchorLine { file, position, verdict, reason }
}
