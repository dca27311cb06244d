//! The commands, a file for each.

mod asking;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
mod handing;
pub(crate) mod kek;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod member;
pub(crate) mod pair;
pub(crate) mod reconcile;
pub(crate) mod recovery;
pub(crate) mod restore;
pub(crate) mod runway;
pub(crate) mod status;
pub(crate) mod stock;
pub(crate) mod verify;

use crate::args::{Args, Command};
use crate::context::Context;
use crate::error::Result;
use crate::screen::Screen;

/// Runs a command. False if it was not done, or not all of it, and its report has said so.
pub(crate) fn run(args: Args, screen: &mut Screen) -> Result<bool> {
    let mut context = Context { common: &args.common, screen };
    match args.command {
        Command::Demo(args) => demo::run(&mut context, &args),
        Command::Pair(args) => pair::run(&mut context, &args),
        Command::Status(args) => status::run(&mut context, &args),
        Command::Keys(args) => keys::run(&mut context, &args),
        Command::Verify(args) => verify::run(&mut context, &args),
        Command::Reconcile(args) => reconcile::run(&mut context, &args),
        Command::Backup(args) => backup::run(&mut context, &args),
        Command::Recovery(args) => recovery::run(&mut context, &args),
        Command::Restore(args) => restore::run(&mut context, &args),
        Command::Log(args) => log::run(&mut context, &args),
        Command::Runway(args) => runway::run(&mut context, &args),
        Command::Kek(args) => kek::run(&mut context, &args),
        Command::Stock(args) => stock::run(&mut context, &args),
        Command::Doctor(args) => doctor::run(&mut context, &args),
        Command::Bench(args) => bench::run(&mut context, &args),
        Command::Member(args) => member::run(&mut context, &args),
        Command::Completions(args) => completions::run(&mut context, &args),
    }
}
