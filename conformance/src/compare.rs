//! Two modules side by side: only what differs.

use crate::report::{Outcome, Report, Row};
use serde::Serialize;
use std::fmt::Write;

/// A case that ends otherwise on the other module.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// The section that it cites.
    pub section: String,
    /// How it ended on the first module.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// How it ended on the other.
    pub against: Outcome,
    /// Why.
    pub against_reason: String,
}

/// What differs.
#[derive(Debug, Serialize)]
pub struct Differences {
    /// The cases.
    pub differences: Vec<Difference>,
}

impl Differences {
    /// Between two runs of the same cases.
    pub fn between(one: &Report, other: &Report) -> Self {
        let difference = |row: &Row| {
            let against = other.rows.iter().find(|other| other.name == row.name)?;
            (against.outcome != row.outcome).then(|| Difference {
                name: row.name.clone(),
                section: row.section.clone(),
                outcome: row.outcome,
                reason: row.reason.clone(),
                against: against.outcome,
                against_reason: against.reason.clone(),
            })
        };
        Self { differences: one.rows.iter().filter_map(difference).collect() }
    }

    /// For scripts.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.differences {
            let side = |outcome: Outcome, reason: &str| {
                if reason.is_empty() {
                    outcome.name().to_owned()
                } else {
                    format!("{}: {reason}", outcome.name())
                }
            };
            let _ = write!(
                text,
                "{} ({})\n  {}\n  against {}\n\n",
                one.name,
                one.section,
                side(one.outcome, &one.reason),
                side(one.against, &one.against_reason)
            );
        }
        let _ = writeln!(text, "{} of the cases differ.", self.differences.len());
        text
    }
}
