//! `tandem log`: the log itself.

use super::asking;
use super::backup::label;
use super::backup::place::{Bundles, From};
use crate::context::Context;
use crate::error::Result;
use crate::report::{AnchorLine, GoneLine, HeadLine, LogReport};
use crate::screen::Screen;
use std::path::PathBuf;
use tandem_engine::backup::{Anchor, Source};
use tandem_engine::heads::Doubt;
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
        /// Take the log as it is for the true one, whatever members know of another: when there is no bundle to restore it from
        #[arg(long)]
        accept: bool,
        /// Don't ask before the log is accepted
        #[arg(long, requires = "accept")]
        yes: bool,
    },
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        Command::Check { bundles, from, accept, yes } => {
            check(context, (bundles, from), accept.then_some(*yes))
        }
    }
}

/// `accept`: the log is to be accepted, and whether nobody is to be asked.
fn check(
    context: &mut Context<'_>,
    (bundles, from): (&[PathBuf], &From),
    accept: Option<bool>,
) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let mut heads = live.token.heads()?;
    let mut accepted = false;
    if let Some(unasked) = accept
        && let Some(doubt) = live.token.doubt()?
    {
        if !unasked {
            agrees(context.screen, &doubt)?;
        }
        let done = live.token.accept_log()?;
        (heads, accepted) = (done.heads, done.changed);
    }
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
        sound: checked.is_sound()
            && anchors.iter().all(|anchor| anchor.verdict == "holds")
            && !heads.iter().any(|report| report.head.is_against())
            && live.token.doubt()?.is_none(),
        records: checked.records,
        gone: gone.collect(),
        broken: checked.broken,
        anchors,
        heads: heads.iter().map(HeadLine::of).collect(),
        accepted,
    };
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.sound)
}

/// Asks whether the log is to be accepted. An error if it isn't.
fn agrees(screen: &mut Screen, doubt: &Doubt) -> Result {
    let question = format!(
        "{doubt}.\nIf you accept the log as it is, what it lacks is forgotten for good: keys that were made since then are \
         Tandem's no more, and keys that were destroyed since then are in it again. A bundle brings it back: `tandem restore`.\n\
         Type yes to accept it:"
    );
    let alone = "--accept asks before it does anything; where nobody can be asked it needs --yes";
    asking::says_yes(screen, &question, alone)
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
