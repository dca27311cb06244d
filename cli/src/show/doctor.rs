//! `tandem doctor` for people: a list, since a finding is a sentence or two.

use super::{Judgement, Show, coloured, count};
use crate::error::Result;
use crate::report::{DoctorReport, Verdict};
use crate::screen::Screen;

/// Columns of the longest verdict.
const VERDICT_WIDTH: usize = 5;

impl Show for DoctorReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for finding in &self.findings {
            let (verdict, judgement) = match finding.verdict {
                Verdict::Ok => ("ok", Judgement::Good),
                Verdict::Note => ("note", Judgement::Fair),
                Verdict::Wrong => ("WRONG", Judgement::Bad),
            };
            let verdict = coloured(screen, &format!("{verdict:VERDICT_WIDTH$}"), judgement);
            screen.line(format!("{verdict}  {}: {}", finding.subject, finding.found))?;
            if !finding.remedy.is_empty() {
                screen.line(format!("{:VERDICT_WIDTH$}  → {}", "", finding.remedy))?;
            }
        }
        let wrong = self.findings.iter().filter(|it| it.verdict == Verdict::Wrong).count();
        if self.healthy {
            screen.line("Nothing is wrong.")
        } else {
            screen.line(format!("{} wrong.", count(wrong, "thing is", "things are")))
        }
    }
}
