//! `tandem doctor` for people.

use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{DoctorReport, Verdict};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for DoctorReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let mut rows = table(screen, &["", "what", "finding"]);
        for finding in &self.findings {
            let verdict = match finding.verdict {
                Verdict::Ok => judged("ok", Judgement::Good),
                Verdict::Note => judged("note", Judgement::Fair),
                Verdict::Wrong => judged("WRONG", Judgement::Bad),
            };
            let text = if finding.remedy.is_empty() {
                finding.found.clone()
            } else {
                format!("{}\n→ {}", finding.found, finding.remedy)
            };
            rows.add_row(vec![verdict, Cell::new(&finding.subject), Cell::new(text)]);
        }
        screen.line(rows.to_string())?;
        let wrong =
            self.findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
        if self.healthy {
            screen.line("Nothing is wrong.")
        } else {
            screen.line(format!("{} wrong.", count(wrong, "thing is", "things are")))
        }
    }
}
