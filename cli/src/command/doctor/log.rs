//! Is every record of the log as it was written? A login judges the newest only.

use super::Findings;
use tandem_engine::tampering::LogCheck;
use tandem_runtime::Live;

/// How many records and objects are named before the others are only counted.
const NAMED_MAX: usize = 10;

/// Needs a login.
pub(super) fn look(around: &str, live: Live<'_>, findings: &mut Findings) {
    match live.token.check_log() {
        Ok(checked) => judge(around, &checked, findings),
        Err(error) => findings.wrong(around, error.to_string(), "mend what the message names"),
    }
}

fn judge(around: &str, checked: &LogCheck, findings: &mut Findings) {
    if checked.is_sound() {
        findings.ok(around, format!("all {} records of its log are sound", checked.records));
        return;
    }
    if !checked.broken.is_empty() {
        let found = format!(
            "somebody has changed records of its log, which are not used: {}",
            named(checked.broken.iter())
        );
        let remedy = "find out who may write to the state folder, then put it back from a backup";
        findings.wrong(around, found, remedy);
    }
    if !checked.gone.is_empty() {
        let ids = checked.gone.iter().map(|(id, _)| id);
        let found = format!("wrapped keys are gone from its log, those of objects {}", named(ids));
        findings.wrong(around, found, "run: tandem restore FILE --key ID, with your last bundle");
    }
}

/// The first of these, and how many more there are.
fn named<T: ToString>(all: impl ExactSizeIterator<Item = T>) -> String {
    let count = all.len();
    let first: Vec<_> = all.take(NAMED_MAX).map(|it| it.to_string()).collect();
    match count.saturating_sub(first.len()) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
