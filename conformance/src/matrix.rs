//! Several runs of the judge side by side: what members' modules come to alone, and what a layer over them comes to. What is kept of
//! runs is small ([`kept`]); a page for operators follows from it, from what came of programs and from people's notes ([`page`]).

pub mod kept;
pub mod notes;
pub mod page;
pub mod programs;

use crate::module::Result;
use kept::Kept;
use notes::Notes;
use programs::Programs;
use serde::Serialize;
use std::path::Path;

/// What a folder of results holds.
pub struct Folder {
    /// `notes.toml`
    pub notes: Notes,
    /// `runs.json`
    pub runs: Vec<Kept>,
    /// `programs.json`: a layer over some members, and another over others.
    pub programs: Vec<Programs>,
}

const NOTES: &str = "notes.toml";
const RUNS: &str = "runs.json";
const PROGRAMS: &str = "programs.json";

impl Folder {
    /// Reads what is kept.
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            notes: notes(folder)?,
            runs: json(&folder.join(RUNS))?,
            programs: json(&folder.join(PROGRAMS))?,
        })
    }
}

/// Keeps what came of the runs in a folder of `NAME.json`; all that the notes name must be there.
pub fn keep_runs(folder: &Path, runs: &Path) -> Result<()> {
    let notes = notes(folder)?;
    let mut reports = Vec::new();
    for run in &notes.run {
        let file = runs.join(&run.name).with_extension("json");
        let report = crate::report::Report::read(&text(&file)?)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        reports.push((run, report));
    }
    write(&folder.join(RUNS), &Kept::all(&reports))
}

/// Keeps what came of programs.
pub fn keep_programs(folder: &Path, results: &Path) -> Result<()> {
    let programs: Vec<Programs> = json(results)?;
    write(&folder.join(PROGRAMS), &programs)
}

fn notes(folder: &Path) -> Result<Notes> {
    let file = folder.join(NOTES);
    toml::from_str(&text(&file)?).map_err(|error| format!("{}: {error}", file.display()))
}

fn text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn json<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T> {
    serde_json::from_str(&text(file)?).map_err(|error| format!("{}: {error}", file.display()))
}

fn write<T: Serialize>(file: &Path, what: &T) -> Result<()> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = serde_json::to_string_pretty(what).map_err(|error| told(&error))?;
    std::fs::write(file, format!("{text}\n")).map_err(|error| told(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::accepted::Accepted;
    use crate::function::FUNCTIONS;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn docs() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
    }

    #[test]
    fn the_page_is_what_the_kept_results_give() {
        let folder = Folder::read(&docs().join("support")).unwrap();
        let page = page::Page::of(&folder, Accepted::read(None).unwrap().reasons()).text();
        let written = text(&docs().join("support.md")).unwrap();
        assert!(
            page == written,
            "p11-conformance matrix --kept docs/support --write docs/support.md writes it anew"
        );
    }

    #[test]
    fn what_is_kept_is_all_that_the_notes_name() {
        let folder = Folder::read(&docs().join("support")).unwrap();
        let of_notes: Vec<_> = folder.notes.run.iter().map(|run| &run.name).collect();
        let kept: Vec<_> = folder.runs.iter().map(|run| &run.name).collect();
        assert_eq!(of_notes, kept);
        let noted = folder.notes.group.iter().flat_map(|group| &group.functions);
        let noted: BTreeSet<_> = noted.map(|function| function.name.as_str()).collect();
        let all: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        assert_eq!(noted, all);
        for run in &folder.runs {
            for mechanism in &run.mechanisms {
                assert!(folder.notes.family(mechanism).is_some(), "{mechanism} has no family");
            }
        }
    }

    #[test]
    fn no_layer_fails_what_its_members_pass() {
        let folder = Folder::read(&docs().join("support")).unwrap();
        for run in &folder.runs {
            assert!(run.worse.is_empty() && run.failed.is_empty(), "{}: {run:?}", run.name);
        }
        for program in folder.programs.iter().flat_map(|layer| &layer.programs) {
            assert_eq!(program.different, 0, "{}", program.name);
        }
    }
}
