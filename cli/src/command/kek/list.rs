//! `tandem kek list`: what the log tells of the KEKs. A PIN is needed for the backups only.

use crate::command::backup;
use crate::context::Context;
use crate::error::Result;
use crate::report::{KekLine, KeksReport};
use tandem_engine::rotation::Reigned;
use tandem_runtime::Live;

pub(super) fn run(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    // Before a PIN is asked for.
    live.token.keks()?;
    let asks = context.has_pin() || context.screen.interactive();
    let session = if asks { Some(context.login(live)?) } else { None };
    let keks = live.token.keks()?;
    let lines = keks.iter().map(|kek| line(live, kek)).collect::<Result<Vec<_>>>();
    let report = lines.map(|keks| KeksReport { token: live.token.label(), keks });
    if let Some(session) = session {
        session.close();
    }
    runtime.stop();
    context.screen.report(&report?)?;
    Ok(true)
}

/// KEKs with the backups under them.
pub(super) fn line(live: Live<'_>, reigned: &Reigned) -> Result<KekLine> {
    let backups = reigned.backups.as_ref().map(|backups| {
        backups.iter().map(|it| backup::line(live.token, it)).collect::<Result<Vec<_>>>()
    });
    let ring = live.token.recovery()?.ring;
    Ok(KekLine::of(&reigned.reign, &ring, backups.transpose()?))
}
