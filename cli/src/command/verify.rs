//! `tandem verify`: proves every replica of every key anew.

use crate::context::Context;
use crate::error::Result;
use crate::progress::Bar;
use crate::report::{ObjectLine, VerifyReport};

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(context: &mut Context<'_>, _: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let objects = live.token.verify(&bar);
    bar.clear();
    let objects: Vec<_> = objects?.iter().map(ObjectLine::of).collect();
    session.close();
    let report = VerifyReport {
        token: live.token.label(),
        verified: objects.iter().all(ObjectLine::is_whole),
        objects,
    };
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.verified)
}
