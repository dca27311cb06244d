//! Differences that are right: data, each with its reason.

use super::compare::Difference;
use crate::deviations::matches;
use crate::module::Result;
use crate::worker::Identity;
use serde::Deserialize;
use std::path::Path;

/// The project's own list.
const OWN: &str = include_str!("../../differences.toml");

/// The list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    #[serde(default)]
    accepted: Vec<Rule>,
}

/// One of them. What is left out may be anything. In all texts `*` stands for anything, but success is meant only where it is
/// named: a rule for errors accepts no CKR_OK.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The function.
    function: Option<String>,
    /// What differs: `rv`, `length`, `state`, `bytes`, `found`, or an attribute's name.
    what: Option<String>,
    /// What the first module answers.
    one: Option<String>,
    /// What the other answers.
    other: Option<String>,
    /// The call, as it is shown, and what has happened to its operation before: ` in parts`, ` after C_Logout`,
    /// ` after CKR_…`, ` when nobody is logged in any more`, ` of another login` for a handle from before.
    call: Option<String>,
    /// Who has made the first module (`manufacturerID`).
    maker: Option<String>,
    /// Why it is right.
    reason: String,
}

impl Accepted {
    /// The project's own list, and the operator's.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let mut all: Self =
            toml::from_str(OWN).map_err(|error| format!("differences.toml: {error}"))?;
        if let Some(file) = file {
            let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
            let more: Self = toml::from_str(&text).map_err(|error| told(&error))?;
            all.accepted.extend(more.accepted);
        }
        Ok(all)
    }

    /// All reasons: whose member it is about, and why.
    pub fn reasons(&self) -> Vec<(Option<String>, String)> {
        self.accepted.iter().map(|rule| (rule.maker.clone(), rule.reason.clone())).collect()
    }

    /// Why a difference between these modules is right.
    pub fn reason(&self, difference: &Difference, [one, _]: [&Identity; 2]) -> Option<String> {
        let fits = |rule: &&Rule| {
            let is = |pattern: &Option<String>, text: &str| {
                pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
            };
            let answer = |pattern: &Option<String>, text: &str| match text {
                "CKR_OK" => pattern.as_deref().is_none_or(|pattern| pattern == text),
                _ => is(pattern, text),
            };
            is(&rule.function, difference.function)
                && is(&rule.what, &difference.what)
                && answer(&rule.one, &difference.one)
                && answer(&rule.other, &difference.other)
                && is(&rule.call, &difference.call)
                && is(&rule.maker, &one.manufacturer)
        };
        self.accepted.iter().find(fits).map(|rule| rule.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_of_what_it_is_and_why() {
        let own = Accepted::read(None).unwrap();
        for rule in &own.accepted {
            assert!(!rule.reason.is_empty(), "{rule:?}");
            let what = rule.what.as_deref().expect("what differs");
            let answers = rule.one.is_some() && rule.other.is_some();
            assert!(what != "rv" || answers, "{rule:?} would accept any answer");
        }
        let text = "[[accepted]]\nfunction = \"C_Sign*\"\nwhat = \"rv\"\none = \"CKR_A\"\nother = \"CKR_*\"\nreason = \"so\"\n";
        let rules: Accepted = toml::from_str(text).unwrap();
        let between = |function, one: &str, other: &str| Difference {
            function,
            what: "rv".into(),
            one: one.into(),
            other: other.into(),
            call: String::new(),
        };
        let difference = |function, one| between(function, one, "CKR_B");
        let nobody = Identity::default();
        let reason = |difference| rules.reason(&difference, [&nobody, &nobody]);
        assert_eq!(reason(difference("C_SignInit", "CKR_A")), Some("so".into()));
        assert_eq!(reason(difference("C_SignInit", "CKR_B")), None);
        assert_eq!(reason(difference("C_Verify", "CKR_A")), None);
        assert_eq!(
            reason(between("C_SignInit", "CKR_A", "CKR_OK")),
            None,
            "no success among errors"
        );
    }
}
