//! Backups: is there one that counts, and what does it not hold?

use super::Findings;
use tandem_config::typed::RequireBackup;
use tandem_engine::backup::State;
use tandem_runtime::Live;

/// The command that mends most of it.
const RUN: &str = "run: tandem backup run --commit --out FILE";

/// Needs a login.
pub(super) fn look(around: &str, live: Live<'_>, findings: &mut Findings) {
    let looked = live.token.ledger().and_then(|ledger| Ok((ledger, live.token.objects()?)));
    let (ledger, objects) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            findings.wrong(around, error.to_string(), "mend what the message names");
            return;
        }
    };
    if let Some(open) = ledger.open() {
        findings.note(
            around,
            format!("backup {} was begun and is neither committed nor rolled back", open.id),
            "run: tandem backup commit, or rollback",
        );
    }
    for backup in ledger.backups().iter().filter(|backup| backup.state() == State::Committed) {
        if let Ok(Some(why)) = live.token.why_not_counting(backup) {
            findings.note(around, format!("backup {} does not count: {why}", backup.id), RUN);
        }
    }
    let bare = objects.iter().filter(|object| !object.backed_up).count();
    if bare == 0 {
        findings.ok(around, format!("backed up: all {} objects", objects.len()));
        return;
    }
    let found = format!("not backed up: {bare} of {} objects", objects.len());
    // Where keys must be backed up to be used, some that wait for it are a matter of course; none that is, is not.
    let is_enforced = live.config.require_backup == RequireBackup::Enforce;
    if is_enforced && bare == objects.len() {
        findings.wrong(
            around,
            format!("{found}, and require_backup = \"enforce\": none is used"),
            RUN,
        );
    } else {
        findings.note(around, found, RUN);
    }
}
