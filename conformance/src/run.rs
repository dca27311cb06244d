//! Has all cases run, each chapter in a process of its own, and in another one after a crash or a hang.

use crate::module::Result;
use crate::report::{Outcome, Report, Row};
use crate::subject::{Heard, Process, Subject};
use crate::worker::{Chosen, Told};
use std::time::Duration;

/// What is run.
pub struct Plan {
    /// Chapters, by their names.
    pub chapters: Vec<String>,
    /// Only cases whose names match this pattern.
    pub pattern: Option<String>,
    /// How long a case may take.
    pub limit: Duration,
}

/// Runs everything. `progress` hears of each case.
pub fn all(subject: &Subject, plan: &Plan, progress: &mut dyn FnMut(&Row)) -> Result<Report> {
    let mut report = Report::default();
    for chapter in &plan.chapters {
        let mut running = Running { subject, plan, chapter, report: &mut report, progress };
        running.chapter()?;
    }
    Ok(report)
}

/// A chapter that is being run.
struct Running<'a> {
    subject: &'a Subject,
    plan: &'a Plan,
    chapter: &'a str,
    report: &'a mut Report,
    progress: &'a mut dyn FnMut(&Row),
}

/// Where a process has stopped.
enum Stopped {
    /// At the end of the chapter.
    Done,
    /// Before the first case that has not ended.
    Early,
}

impl Running<'_> {
    fn chapter(&mut self) -> Result<()> {
        let chosen = Chosen {
            chapter: self.chapter.to_owned(),
            pattern: self.plan.pattern.clone(),
            from: None,
        };
        let names: Vec<_> =
            chosen.cases().into_iter().map(|case| (case.name, case.section)).collect();
        let mut at = 0;
        while let Some((from, _)) = names.get(at) {
            let before = self.report.rows.len();
            let stopped = self.process(&names, from)?;
            at += self.report.rows.len() - before;
            if matches!(stopped, Stopped::Done) {
                break;
            }
        }
        Ok(())
    }

    fn process(&mut self, names: &[(String, &'static str)], from: &str) -> Result<Stopped> {
        let mut arguments = vec!["--chapter", self.chapter, "--from", from];
        if let Some(pattern) = &self.plan.pattern {
            arguments.extend(["--case", pattern]);
        }
        let mut process = self.subject.process("worker", &arguments)?;
        let mut current: Option<String> = None;
        loop {
            let told = match self.heard(&mut process)? {
                Ok(told) => told,
                // It died, or it is silent: that is the case's failure, or else the module's.
                Err(how) => {
                    let name = current.unwrap_or_else(|| from.to_owned());
                    self.put(names, name, Outcome::Failed, how);
                    return Ok(Stopped::Early);
                }
            };
            match told {
                Told::Ready { module, mechanisms } => {
                    self.report.identity = module;
                    self.report.mechanisms = mechanisms;
                }
                Told::Begin { name } => current = Some(name),
                Told::End { name, outcome, reason, done } => {
                    current = None;
                    if outcome == Outcome::Passed {
                        self.report.add_done(done);
                    }
                    self.put(names, name, outcome, reason);
                }
                Told::Spent => return Ok(Stopped::Early),
                Told::Done => return Ok(Stopped::Done),
                Told::Unusable { reason } => return Err(reason),
            }
        }
    }

    /// What it told; or how it ended.
    fn heard(&self, process: &mut Process) -> Result<Result<Told>> {
        loop {
            match process.hear(self.plan.limit) {
                Heard::Line(line) => {
                    // Modules print what they like.
                    if let Ok(told) = serde_json::from_str(&line) {
                        return Ok(Ok(told));
                    }
                }
                Heard::Ended(how) => return Ok(Err(how)),
                Heard::Silent => {
                    return Ok(Err(format!(
                        "nothing came of it within {} s",
                        self.plan.limit.as_secs()
                    )));
                }
            }
        }
    }

    fn put(
        &mut self,
        names: &[(String, &'static str)],
        name: String,
        outcome: Outcome,
        reason: String,
    ) {
        let section =
            names.iter().find(|(known, _)| *known == name).map_or("5", |(_, section)| section);
        let row = Row {
            chapter: self.chapter.to_owned(),
            name,
            section: section.to_owned(),
            outcome,
            reason,
            known: false,
        };
        (self.progress)(&row);
        self.report.rows.push(row);
    }
}
