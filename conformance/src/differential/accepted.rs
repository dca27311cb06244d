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

/// One of them. What is left out may be anything; in all texts `*` stands for anything.
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
    /// The call, as it is shown.
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

    /// Why a difference between these modules is right.
    pub fn reason(&self, difference: &Difference, [one, _]: [&Identity; 2]) -> Option<String> {
        let fits = |rule: &&Rule| {
            let is = |pattern: &Option<String>, text: &str| {
                pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
            };
            is(&rule.function, difference.function)
                && is(&rule.what, &difference.what)
                && is(&rule.one, &difference.one)
                && is(&rule.other, &difference.other)
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
            assert!(
                rule.function.is_some() || rule.what.is_some(),
                "{rule:?} would accept anything"
            );
        }
        let text = "[[accepted]]\nfunction = \"C_Sign*\"\nwhat = \"rv\"\none = \"CKR_A\"\nreason = \"so\"\n";
        let rules: Accepted = toml::from_str(text).unwrap();
        let difference = |function, one: &str| Difference {
            function,
            what: "rv".into(),
            one: one.into(),
            other: "CKR_B".into(),
            call: String::new(),
        };
        let nobody = Identity::default();
        let reason = |difference| rules.reason(&difference, [&nobody, &nobody]);
        assert_eq!(reason(difference("C_SignInit", "CKR_A")), Some("so".into()));
        assert_eq!(reason(difference("C_SignInit", "CKR_B")), None);
        assert_eq!(reason(difference("C_Verify", "CKR_A")), None);
    }
}
