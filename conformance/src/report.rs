//! What came of a run: as a table for people, as JSON, as JUnit's XML.

use crate::chapters::{self, CHAPTERS};
use crate::deviations::KNOWN;
use crate::worker::Identity;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// How a case has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The module does what the specification says.
    Passed,
    /// It doesn't.
    Failed,
    /// It can't run the case.
    Skipped,
}

impl Outcome {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A case that was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its chapter.
    #[serde(skip)]
    pub chapter: String,
    /// Its name.
    pub name: String,
    /// The section that it cites.
    pub section: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it passed. That of a known deviation says so.
    pub reason: String,
    /// True for a failure that is known of this vendor's module.
    #[serde(skip)]
    pub known: bool,
}

/// A run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What the module says of itself.
    #[serde(rename = "module")]
    pub identity: Identity,
    /// The token's mechanisms, by their names.
    pub mechanisms: Vec<String>,
    /// In how many cases that passed a function has answered CKR_OK.
    pub done: BTreeMap<String, usize>,
    /// The cases, in the order in which they were run.
    #[serde(rename = "cases")]
    pub rows: Vec<Row>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Passed.
    pub passed: usize,
    /// Failed, and not by a known deviation.
    pub failed: usize,
    /// Failed by a known deviation.
    pub known: usize,
    /// Skipped.
    pub skipped: usize,
}

impl Report {
    /// What [`Report::json`] has written. What JSON leaves out follows from the cases.
    pub fn read(json: &str) -> Result<Self, serde_json::Error> {
        let mut report: Self = serde_json::from_str(json)?;
        let chapters: HashMap<_, _> =
            chapters::all().into_iter().map(|case| (case.name, case.chapter)).collect();
        for row in &mut report.rows {
            row.chapter = chapters.get(&row.name).copied().unwrap_or_default().to_owned();
            row.known = row.reason.starts_with(KNOWN);
        }
        Ok(report)
    }

    /// Functions that have answered CKR_OK in a case that passed.
    pub fn add_done(&mut self, functions: Vec<String>) {
        for function in functions {
            *self.done.entry(function).or_default() += 1;
        }
    }

    /// How many cases of a chapter, or of all, ended how.
    pub fn count(&self, chapter: Option<&str>) -> Count {
        let mut count = Count::default();
        for row in
            self.rows.iter().filter(|row| chapter.is_none_or(|chapter| row.chapter == chapter))
        {
            match row.outcome {
                Outcome::Passed => count.passed += 1,
                Outcome::Failed if row.known => count.known += 1,
                Outcome::Failed => count.failed += 1,
                Outcome::Skipped => count.skipped += 1,
            }
        }
        count
    }

    /// True if nothing failed but what is known.
    pub fn is_good(&self) -> bool {
        self.count(None).failed == 0
    }

    /// For scripts.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people: a table of chapters, then what failed; with `all` what was skipped, too.
    pub fn text(&self, all: bool) -> String {
        let Identity { manufacturer, library, version, cryptoki } = &self.identity;
        let mut text = format!(
            "{manufacturer}, {library} {version}, PKCS #11 {cryptoki}\n\n{}\n",
            self.table()
        );
        for row in &self.rows {
            let shown = match row.outcome {
                Outcome::Failed if row.known => "deviates (known)",
                Outcome::Failed => "FAILED",
                Outcome::Skipped if all => "skipped",
                Outcome::Passed | Outcome::Skipped => continue,
            };
            let _ = write!(text, "\n{shown}: {} ({})\n  {}\n", row.name, row.section, row.reason);
        }
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["chapter", "passed", "failed", "deviates (known)", "skipped"]);
        let mut add = |name: &str, count: Count| {
            let numbers = [count.passed, count.failed, count.known, count.skipped];
            table.add_row(
                std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())),
            );
        };
        for (chapter, _) in CHAPTERS {
            let count = self.count(Some(chapter));
            if count != Count::default() {
                add(chapter, count);
            }
        }
        add("all", self.count(None));
        table
    }

    /// For tools that read JUnit's XML. A known deviation is skipped there: it breaks no build.
    pub fn junit(&self) -> String {
        let Count { failed, known, skipped, .. } = self.count(None);
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"p11-conformance\" tests=\"{}\" failures=\"{failed}\" skipped=\"{}\">\n",
            self.rows.len(),
            skipped + known
        );
        for row in &self.rows {
            let name = escaped(&format!("{} ({})", row.name, row.section));
            let _ =
                write!(text, "  <testcase classname=\"{}\" name=\"{name}\"", escaped(&row.chapter));
            let element = match row.outcome {
                Outcome::Passed => None,
                Outcome::Failed if !row.known => Some("failure"),
                Outcome::Failed | Outcome::Skipped => Some("skipped"),
            };
            let _ = match element {
                None => writeln!(text, "/>"),
                Some(element) => {
                    writeln!(text, "><{element} message=\"{}\"/></testcase>", escaped(&row.reason))
                }
            };
        }
        text.push_str("</testsuite>\n");
        text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Outcome, known: bool) -> Row {
        let text = |text: &str| text.to_owned();
        let reason = if outcome == Outcome::Passed { text("") } else { text("1 < 2") };
        Row {
            chapter: text("sign"),
            name: text("C_Sign: \"x\""),
            section: text("5.13.2"),
            outcome,
            reason,
            known,
        }
    }

    fn report() -> Report {
        let rows = vec![
            row(Outcome::Passed, false),
            row(Outcome::Failed, false),
            row(Outcome::Failed, true),
            row(Outcome::Skipped, false),
        ];
        Report { rows, ..Report::default() }
    }

    #[test]
    fn json_has_four_keys_for_each_case() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        let first = json["cases"][0].as_object().unwrap();
        let mut keys: Vec<_> = first.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["name", "outcome", "reason", "section"]);
        assert_eq!(json["cases"][1]["outcome"], "failed");
    }

    #[test]
    fn what_json_leaves_out_is_found_again() {
        let mut report = report();
        report.rows[2].reason = format!("{KNOWN}so");
        report.rows[2].name = chapters::all().first().unwrap().name.clone();
        report.add_done(vec!["C_Sign".to_owned()]);
        let again = Report::read(&report.json()).unwrap();
        assert_eq!(again.count(None), report.count(None));
        assert_eq!(again.done, report.done);
        assert_eq!(again.rows[2].chapter, CHAPTERS[0].0);
    }

    #[test]
    fn xml_is_escaped_and_known_deviations_break_nothing() {
        let xml = report().junit();
        assert!(xml.contains("tests=\"4\" failures=\"1\" skipped=\"2\""), "{xml}");
        assert!(xml.contains("&quot;x&quot;") && xml.contains("1 &lt; 2"), "{xml}");
    }

    #[test]
    fn a_known_deviation_is_no_failure() {
        let mut report = report();
        assert!(!report.is_good());
        report.rows.remove(1);
        assert!(report.is_good());
        assert!(report.text(false).contains("deviates (known): C_Sign"));
        assert!(!report.text(false).contains("\nskipped"));
        assert!(report.text(true).contains("\nskipped: C_Sign"));
    }
}
