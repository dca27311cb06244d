//! `tandem recovery show`: what the log tells of the recovery. Shares are not needed, and a PIN only for the backups.

use crate::command::backup;
use crate::context::Context;
use crate::error::Result;
use crate::report::{BackupLine, RecoveryReport};
use tandem_runtime::Live;

pub(super) fn run(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    // Before a PIN is asked for.
    live.token.recovery()?;
    let (backups, failed) = backups(context, live);
    let known = live.token.recovery()?;
    let report = RecoveryReport::of(live.token.label(), &known, backups);
    runtime.stop();
    context.screen.report(&report)?;
    Ok(!failed)
}

/// The backups that need the recovery, or why they can't be told; and whether a login failed.
fn backups(
    context: &mut Context<'_>,
    live: Live<'_>,
) -> (std::result::Result<Vec<BackupLine>, String>, bool) {
    if !context.has_pin() && !context.screen.interactive() {
        let why =
            "which backups need it is seen with a login only; give --pin-source, or set TANDEM_PIN";
        return (Err(why.to_owned()), false);
    }
    let session = match context.login(live) {
        Ok(session) => session,
        // All HSMs may be gone: how many shares must be brought is what is asked then.
        Err(error) => return (Err(error.to_string()), true),
    };
    let lines = (|| {
        let backups = live.token.backups_needing_recovery()?;
        backups.iter().map(|it| backup::line(live.token, it)).collect::<Result<Vec<_>>>()
    })();
    session.close();
    let failed = lines.is_err();
    (lines.map_err(|error| error.to_string()), failed)
}
