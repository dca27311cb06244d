//! `tandem kek retire`: the end of backups under KEKs that were rotated out.

use super::list;
use crate::command::asking;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::report::{KekLine, RetiredReport};
use crate::screen::Screen;
use tandem_engine::ring::Generation;
use tandem_runtime::Live;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The KEKs, as `tandem kek list` names them
    name: String,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let generation = named(live, &args.name)?;
    let session = context.login(live)?;
    let done = retire(context.screen, live, generation, args.yes);
    session.close();
    runtime.stop();
    context.screen.report(&done?)?;
    Ok(true)
}

/// The KEKs of a name.
fn named(live: Live<'_>, name: &str) -> Result<Generation> {
    let keks = live.token.keks()?;
    let mut generations = keks.iter().map(|kek| kek.reign.generation);
    generations.find(|generation| generation.to_string() == name).ok_or_else(|| {
        let names: Vec<_> = keks.iter().map(|kek| kek.reign.generation.to_string()).collect();
        Error::usage(format!(
            "token {} has no KEKs of the name {name}; it has {}",
            live.token.label(),
            names.join(", ")
        ))
    })
}

fn retire(
    screen: &mut Screen,
    live: Live<'_>,
    generation: Generation,
    unasked: bool,
) -> Result<RetiredReport> {
    let keks = live.token.keks()?;
    let kek = keks.iter().find(|kek| kek.reign.generation == generation);
    let kek = kek.map(|kek| list::line(live, kek)).transpose()?;
    let kek = kek.ok_or_else(|| Error::failed("the log tells of another key ring by now"))?;
    if kek.state == KekLine::ROTATED_OUT && !unasked {
        agrees(screen, &kek)?;
    }
    let changed = live.token.retire_keks(generation)?;
    Ok(RetiredReport::of(live.token.label(), generation.to_string(), &kek, changed))
}

/// Asks whether backups are to count no more. An error if they are.
fn agrees(screen: &mut Screen, kek: &KekLine) -> Result {
    let counting: Vec<_> = kek.counting().map(|backup| backup.id.as_str()).collect();
    let lost = if counting.is_empty() {
        format!("No backup under {} counts any more in any case.", kek.name)
    } else {
        format!(
            "Backups under {} count no more from then on, nor those that build on them: {}.",
            kek.name,
            counting.join(", ")
        )
    };
    asking::says_yes(
        screen,
        &format!(
            "{lost} A key that no other backup holds is not backed up then. Type yes to retire them:"
        ),
        "retiring KEKs asks before it does anything; where nobody can be asked it needs --yes",
    )
}
