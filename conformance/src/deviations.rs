//! What vendors' modules are known to do otherwise than the specification says: data, a file for each vendor, to which
//! anybody may send a change.

use crate::module::Result;
use crate::report::{Outcome, Report};
use crate::worker::Identity;
use serde::Deserialize;
use std::path::Path;

/// The files of this project.
const FILES: [(&str, &str); 4] = [
    ("softhsm.toml", include_str!("../deviations/softhsm.toml")),
    ("kryoptic.toml", include_str!("../deviations/kryoptic.toml")),
    ("nss.toml", include_str!("../deviations/nss.toml")),
    ("tandem.toml", include_str!("../deviations/tandem.toml")),
];

/// The beginning of the reason of a known deviation.
pub(crate) const KNOWN: &str = "known deviation: ";

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vendor {
    /// `manufacturerID` of CK_INFO, as a pattern.
    manufacturer: String,
    /// `libraryDescription`, as a pattern.
    library: Option<String>,
    #[serde(default)]
    deviation: Vec<Deviation>,
}

/// What a module does otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    /// The case's name, as a pattern.
    case: String,
    /// What comes instead: answers (`CKR_…`), or patterns of what the case says. A failure of another kind isn't known; without
    /// this each is.
    #[serde(default)]
    came: Vec<String>,
    /// What it does, and why if that is known.
    reason: String,
}

impl Deviation {
    /// True if it is this that a case has failed by.
    fn is_of(&self, case: &str, failure: &str) -> bool {
        let came = |came: &String| match came.strip_prefix("CKR_") {
            Some(_) => matches(&format!("* answered {came}; *"), failure),
            None => matches(came, failure),
        };
        matches(&self.case, case) && (self.came.is_empty() || self.came.iter().any(came))
    }
}

/// Known deviations, of all vendors.
#[derive(Debug, Default)]
pub struct Deviations(Vec<Vendor>);

impl Deviations {
    /// The project's own, and those of a folder of the operator's.
    pub fn read(folder: Option<&Path>) -> Result<Self> {
        let mut all = Vec::new();
        for (name, text) in FILES {
            all.push(toml::from_str(text).map_err(|error| format!("{name}: {error}"))?);
        }
        let Some(folder) = folder else { return Ok(Self(all)) };
        let entries =
            std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let file = entry.map_err(|error| error.to_string())?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
                let text = std::fs::read_to_string(&file).map_err(|error| told(&error))?;
                all.push(toml::from_str(&text).map_err(|error| told(&error))?);
            }
        }
        Ok(Self(all))
    }

    /// Marks the failures of a report that are known.
    pub fn mark(&self, report: &mut Report) {
        let own: Vec<_> = self.of(&report.identity).collect();
        for row in report.rows.iter_mut().filter(|row| row.outcome == Outcome::Failed) {
            if let Some(deviation) = own.iter().find(|one| one.is_of(&row.name, &row.reason)) {
                row.known = true;
                row.reason = format!("{KNOWN}{} ({})", deviation.reason, row.reason);
            }
        }
    }

    /// Deviations that the module doesn't show any more: every case that the pattern names passed.
    pub fn mended<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = &'a str> {
        self.of(&report.identity).map(|one| one.case.as_str()).filter(|pattern| {
            let mut named = report.rows.iter().filter(|row| matches(pattern, &row.name)).peekable();
            named.peek().is_some() && named.all(|row| row.outcome == Outcome::Passed)
        })
    }

    fn of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a Deviation> {
        let is_it = |vendor: &&Vendor| {
            matches(&vendor.manufacturer, &identity.manufacturer)
                && vendor.library.as_ref().is_none_or(|library| matches(library, &identity.library))
        };
        self.0.iter().filter(is_it).flat_map(|vendor| &vendor.deviation)
    }
}

/// True if a text is as a pattern says, in which `*` stands for anything.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(begin) else { return false };
    loop {
        if matches(rest, left) {
            return true;
        }
        let mut letters = left.chars();
        if letters.next().is_none() {
            return false;
        }
        left = letters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chapters;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("C_Sign with *: no such key", "C_Sign with CKM_ECDSA: no such key"));
        assert!(matches("*", "") && matches("a*", "a") && matches("*a", "bba"));
        assert!(!matches("C_Sign", "C_SignInit") && !matches("a*b", "ac"));
    }

    #[test]
    fn a_failure_of_another_kind_is_not_the_known_one() {
        let text =
            "case = \"C_Sign: *\"\ncame = [\"CKR_GENERAL_ERROR\", \"*bytes*\"]\nreason = \"so\"\n";
        let deviation: Deviation = toml::from_str(text).unwrap();
        let is_known = |failure| deviation.is_of("C_Sign: it signs", failure);
        assert!(is_known("C_Sign answered CKR_GENERAL_ERROR; CKR_OK was expected"));
        assert!(is_known("3 bytes came"));
        assert!(!is_known("C_Sign answered CKR_DEVICE_ERROR; CKR_OK was expected"));
        assert!(!is_known("the process ended by signal 11"));
        assert!(!deviation.is_of("C_Verify: it signs", "3 bytes came"));
    }

    #[test]
    fn what_tandem_does_otherwise_is_told_with_what_comes() {
        let vendors = Deviations::read(None).unwrap().0;
        let own = vendors.into_iter().find(|vendor| vendor.manufacturer == "Tandem*").unwrap();
        for deviation in own.deviation {
            assert!(!deviation.came.is_empty(), "{}", deviation.case);
        }
    }

    #[test]
    fn every_deviation_names_cases_that_there_are() {
        let cases = chapters::all();
        for vendor in Deviations::read(None).unwrap().0 {
            for deviation in vendor.deviation {
                let named = cases.iter().any(|case| matches(&deviation.case, &case.name));
                assert!(named, "{}: no case is called {}", vendor.manufacturer, deviation.case);
                assert!(!deviation.reason.is_empty(), "{}", deviation.case);
            }
        }
    }
}
