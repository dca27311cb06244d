//! What members know of the log's end: is the log still the whole log?

use super::Findings;
use tandem_engine::heads::{Head, HeadReport};
use tandem_engine::report::Status;
use tandem_runtime::Live;

/// What mends it.
const REMEDY: &str =
    "run: tandem restore, with your last bundle; without one: tandem log check --accept";

/// Without a login only what an earlier one has found is known.
pub(super) fn look(
    around: &str,
    live: Live<'_>,
    status: &Status,
    logged_in: bool,
    findings: &mut Findings,
) {
    if let Some(doubt) = &status.doubt {
        let found = format!("its log is in doubt, nothing counts as backed up: {doubt}");
        findings.wrong(around, found, REMEDY);
    }
    if !logged_in {
        return;
    }
    match live.token.heads() {
        Ok(heads) => heads.iter().for_each(|head| look_at(around, head, findings)),
        Err(error) => findings.wrong(around, error.to_string(), "mend what the message names"),
    }
}

fn look_at(around: &str, report: &HeadReport, findings: &mut Findings) {
    let subject = format!("{around}, member {}", report.member);
    let position = report.record.map(|record| record.position).unwrap_or_default();
    match &report.head {
        Head::Holds => {
            findings.ok(&subject, format!("the log is what this member knew up to {position}"));
        }
        Head::CutShort => findings.wrong(
            &subject,
            format!("the log ends before position {position}, of which this member was told"),
            REMEDY,
        ),
        Head::OtherHistory => findings.wrong(
            &subject,
            format!("the log is another than this member knew at position {position}"),
            REMEDY,
        ),
        Head::Broken => findings.wrong(
            &subject,
            "somebody who can log in to it has changed its record of the log's end",
            "find out who; the record is written anew when the log grows",
        ),
        Head::Unable(why) => findings.note(
            &subject,
            format!("it can't hold a record of the log's end ({why}): an older copy of the state folder is noticed by the others only"),
            "none is needed while another member holds one",
        ),
        // It is told at the end of a login, or can't be asked, which is said elsewhere.
        Head::None | Head::Overruled | Head::Away(_) => {}
    }
}
