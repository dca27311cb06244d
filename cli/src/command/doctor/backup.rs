//! Backups: is there one that counts, and what does it not hold?

use super::Findings;
use crate::error::Result;
use crate::report::time;
use jiff::Timestamp;
use tandem_config::meant::Interval;
use tandem_config::typed::RequireBackup;
use tandem_engine::backup::State;
use tandem_runtime::Live;

/// The command that mends most of it.
const RUN: &str = "run: tandem backup run --commit --out FILE";

/// Needs a login.
pub(super) fn look(around: &str, live: Live<'_>, findings: &mut Findings) {
    let (mut all, mut bare) = (0_usize, 0_usize);
    let counted = live.token.each_object(|object| {
        all = all.saturating_add(1);
        bare = bare.saturating_add(usize::from(!object.backed_up));
    });
    let ledger = match counted.and_then(|()| live.token.ledger()) {
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
    let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    if let Err(error) = look_at_age(around, live, now_ms, findings) {
        findings.wrong(around, error.to_string(), "mend what the message names");
    }
    if bare == 0 {
        findings.ok(around, format!("backed up: all {all} objects"));
        return;
    }
    let found = format!("not backed up: {bare} of {all} objects");
    // Where keys must be backed up to be used, some that wait for it are a matter of course; none that is, is not.
    let is_enforced = live.config.require_backup == RequireBackup::Enforce;
    if is_enforced && bare == all {
        findings.wrong(
            around,
            format!("{found}, and require_backup = \"enforce\": none is used"),
            RUN,
        );
    } else {
        findings.note(around, found, RUN);
    }
}

/// Is the last backup of everything older than it should ever be?
fn look_at_age(around: &str, live: Live<'_>, now_ms: u64, findings: &mut Findings) -> Result {
    let every = live.config.backup_every.as_ref();
    let Some((_, committed)) = live.token.last_backup()? else {
        findings.note(around, "no backup of everything counts", RUN);
        return Ok(());
    };
    let last = time(committed.at_ms);
    match every.and_then(|every| due(every, committed.at_ms, now_ms)) {
        Some(Due::Since(due_ms)) => {
            let due = time(due_ms);
            findings.wrong(
                around,
                format!("the last backup is of {last}, and another was due on {due}"),
                RUN,
            );
        }
        Some(Due::ClockIsBehind) => findings.wrong(
            around,
            format!("the last backup is of {last}, and the clock says that it is {}", time(now_ms)),
            "set the clock",
        ),
        None => findings.ok(around, format!("the last backup of everything is of {last}")),
    }
    Ok(())
}

/// Why the last backup is not as it should be.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// The next one was due then.
    Since(u64),
    /// It was made in the future.
    ClockIsBehind,
}

/// Whether another backup was due before now.
fn due(every: &Interval, last_ms: u64, now_ms: u64) -> Option<Due> {
    if last_ms > now_ms {
        return Some(Due::ClockIsBehind);
    }
    every.after(last_ms, 1).filter(|due| *due < now_ms).map(Due::Since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_config::meant::interval;

    #[test]
    fn the_next_backup_is_due_when_the_interval_is_over() {
        let day = 86_400_000;
        let every = interval("30d").expect("an interval");
        assert_eq!(due(&every, day, 31 * day), None, "on the day itself");
        assert_eq!(due(&every, day, 31 * day + 1), Some(Due::Since(31 * day)));
        assert_eq!(due(&every, day, day - 1), Some(Due::ClockIsBehind));
    }
}
