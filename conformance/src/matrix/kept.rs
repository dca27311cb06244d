//! What is kept of a run: small enough for a repository, and enough for the page.

use super::notes::Run;
use crate::chapters::CHAPTERS;
use crate::report::{Count, Outcome, Report, Row};
use crate::token::NO_FUNCTION;
use crate::worker::Identity;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// What the module says of itself.
    pub module: Identity,
    /// How many cases ended how, by chapter.
    pub chapters: BTreeMap<String, Count>,
    /// The token's mechanisms.
    pub mechanisms: Vec<String>,
    /// In how many cases that passed a function has answered CKR_OK.
    pub done: BTreeMap<String, usize>,
    /// Functions that the module lacks, or that are stubs.
    pub lacks: BTreeSet<String>,
    /// Failures that aren't known of this module.
    pub failed: Vec<Told>,
    /// Of a layer: cases that each member passes alone, and the layer doesn't.
    pub worse: Vec<Told>,
    /// Of a layer: cases that it passes and some member doesn't, by chapter.
    pub better: BTreeMap<String, usize>,
}

/// A case, and why it didn't pass.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Its name.
    pub case: String,
    /// How it ended, and why.
    pub reason: String,
}

impl From<&Row> for Told {
    fn from(row: &Row) -> Self {
        let reason = format!("{}: {}", row.outcome.name(), row.reason);
        Self { case: row.name.clone(), reason }
    }
}

impl Kept {
    /// Of all runs.
    pub fn all(reports: &[(&Run, Report)]) -> Vec<Self> {
        reports.iter().map(|(run, report)| Self::of(run, report, reports)).collect()
    }

    fn of(run: &Run, report: &Report, all: &[(&Run, Report)]) -> Self {
        let members: Vec<_> = all
            .iter()
            .filter(|(other, _)| run.members.contains(&other.name))
            .map(|(_, report)| passed(report))
            .collect();
        let in_all = |row: &&Row| members.iter().all(|member| member.contains_key(&*row.name));
        let is_passed = |row: &&Row| row.outcome == Outcome::Passed;
        let is_layer = !members.is_empty();
        let rows = || report.rows.iter();
        Self {
            name: run.name.clone(),
            module: report.identity.clone(),
            chapters: CHAPTERS
                .iter()
                .map(|(chapter, _)| ((*chapter).to_owned(), report.count(Some(chapter))))
                .collect(),
            mechanisms: report.mechanisms.clone(),
            done: report.done.clone(),
            lacks: rows()
                .filter_map(|row| row.reason.strip_prefix(NO_FUNCTION))
                .map(str::to_owned)
                .collect(),
            failed: rows()
                .filter(|row| row.outcome == Outcome::Failed && !row.known)
                .map(Told::from)
                .collect(),
            worse: rows()
                .filter(|row| is_layer && !is_passed(row) && in_all(row))
                .map(Told::from)
                .collect(),
            better: by_chapter(rows().filter(|row| is_layer && is_passed(row) && !in_all(row))),
        }
    }

    /// How many cases ended how, in all chapters.
    pub fn count(&self) -> Count {
        self.chapters.values().fold(Count::default(), |sum, count| Count {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            known: sum.known + count.known,
            skipped: sum.skipped + count.skipped,
        })
    }
}

/// The cases that passed, by name.
fn passed(report: &Report) -> BTreeMap<&str, &Row> {
    let passed = report.rows.iter().filter(|row| row.outcome == Outcome::Passed);
    passed.map(|row| (row.name.as_str(), row)).collect()
}

/// How many of the cases are of which chapter.
fn by_chapter<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for row in rows {
        *all.entry(row.chapter.clone()).or_default() += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, outcome: Outcome, reason: &str) -> Row {
        let (chapter, section) = ("sign".to_owned(), "5.13".to_owned());
        let (name, reason) = (name.to_owned(), reason.to_owned());
        Row { chapter, name, section, outcome, reason, known: false }
    }

    #[test]
    fn a_layer_is_held_against_all_of_its_members() {
        use Outcome::{Failed, Passed, Skipped};
        let run = |name: &str, members: &[&str]| Run {
            name: name.to_owned(),
            title: name.to_owned(),
            members: members.iter().map(|name| (*name).to_owned()).collect(),
        };
        let report = |outcomes: [Outcome; 3]| {
            let rows = ["x", "y", "z"].into_iter().zip(outcomes);
            let rows = rows.map(|(name, outcome)| row(name, outcome, "the module has no C_X"));
            Report { rows: rows.collect(), ..Report::default() }
        };
        let (one, other, layer) = (run("a", &[]), run("b", &[]), run("l", &["a", "b"]));
        let all = Kept::all(&[
            (&one, report([Passed, Passed, Failed])),
            (&other, report([Passed, Failed, Failed])),
            (&layer, report([Failed, Skipped, Passed])),
        ]);
        let [_, _, layer] = all.as_slice() else { panic!("three runs") };
        let worse: Vec<_> = layer.worse.iter().map(|told| told.case.as_str()).collect();
        assert_eq!(worse, ["x"], "what a member fails, too, is no step back");
        assert_eq!(layer.better, BTreeMap::from([("sign".to_owned(), 1)]));
        assert_eq!(layer.failed.len(), 1);
        assert!(layer.lacks.contains("C_X"));
        assert!(all.iter().take(2).all(|alone| alone.worse.is_empty() && alone.better.is_empty()));
    }
}
