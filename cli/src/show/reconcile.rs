//! `tandem reconcile` for people.

use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{ReconcileReport, StepLine};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for ReconcileReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if !self.steps.is_empty() {
            let mut rows = table(screen, &["member", "to do", "object", "why", "outcome"]);
            for step in &self.steps {
                rows.add_row(step.row());
            }
            screen.line(rows.to_string())?;
        }
        for away in &self.away {
            screen.line(format!("{} was not looked at: {}", away.member, away.reason))?;
        }
        for strangers in self.strangers.iter().filter(|strangers| strangers.objects > 0) {
            screen.line(format!(
                "{} holds {} that Tandem doesn't know, and leaves alone",
                strangers.member,
                count(strangers.objects, "object", "objects")
            ))?;
        }
        if self.steps.is_empty() {
            screen.line(format!("what the members of {} hold is what the log says", self.token))?;
        }
        Ok(())
    }
}

impl StepLine {
    fn row(&self) -> Vec<Cell> {
        let outcome = match self.outcome {
            "done" => judged("done", Judgement::Good),
            "failed" => judged(format!("failed: {}", self.failure), Judgement::Bad),
            "left" => judged("for you to look at", Judgement::Bad),
            other => Cell::new(other),
        };
        vec![
            Cell::new(&self.member),
            Cell::new(self.action),
            Cell::new(&self.name),
            Cell::new(self.reason),
            outcome,
        ]
    }
}
