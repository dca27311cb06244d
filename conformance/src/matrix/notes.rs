//! What people know and no run can tell: the words of the page, as data.

use crate::deviations::matches;
use serde::Deserialize;

/// `notes.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// What holds for all functions, a paragraph each.
    pub all: Vec<String>,
    /// The words between the tables.
    pub words: Words,
    /// The runs, in the order of the page's columns.
    pub run: Vec<Run>,
    /// Functions, as the page groups them.
    pub group: Vec<Group>,
    /// Families of mechanisms.
    pub family: Vec<Family>,
}

/// The page's words, each with its heading.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Before all else.
    pub begin: String,
    /// Before the functions.
    pub functions: String,
    /// Before the families of mechanisms.
    pub families: String,
    /// Before the chapters of the judge's cases.
    pub runs: String,
    /// Before what a layer does otherwise than its members.
    pub beside: String,
    /// Before the programs.
    pub programs: String,
    /// Before the differences that random sequences may show.
    pub differences: String,
}

/// A run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The name of its file.
    pub name: String,
    /// What the page calls it.
    pub title: String,
    /// For a layer: the runs of its members alone.
    pub members: Vec<String>,
}

/// Functions that belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What they are about.
    pub name: String,
    /// The functions.
    pub functions: Vec<Noted>,
}

/// A function, and what is to be known of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    /// C_…
    pub name: String,
    /// May be empty.
    pub note: String,
}

/// Mechanisms that belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// What they are about.
    pub name: String,
    /// Patterns of their names.
    pub mechanisms: Vec<String>,
    /// May be empty.
    pub note: String,
}

impl Notes {
    /// The family of a mechanism: the first that has a pattern for it.
    pub fn family(&self, mechanism: &str) -> Option<&Family> {
        self.family
            .iter()
            .find(|family| family.mechanisms.iter().any(|pattern| matches(pattern, mechanism)))
    }

    /// The runs of layers.
    pub fn layers(&self) -> impl Iterator<Item = &Run> {
        self.run.iter().filter(|run| !run.members.is_empty())
    }
}
