//! What was measured, on whatever day: kept as data beside the page, so that a part can be measured anew and the others stay.

use crate::machine::Circumstances;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use tandem_bench::race;
use tandem_bench::shown;

/// A part of the benchmark, in the order of the page.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// From nothing to the first signature
    Start,
    /// Signing, MACs, encryption, by several threads
    Work,
    /// Searches and attributes
    Reads,
    /// Key making
    Make,
    /// Programs of others
    Programs,
    /// Members that are as far away as a network HSM
    Network,
}

impl Part {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Start => "Start: from nothing to the first signature",
            Self::Work => "Work: signing, MACs, encryption",
            Self::Reads => "Reads: searches and attributes",
            Self::Make => "Key making",
            Self::Programs => "Programs",
            Self::Network => "Network HSMs",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Work => "work",
            Self::Reads => "reads",
            Self::Make => "make",
            Self::Programs => "programs",
            Self::Network => "network",
        }
    }
}

/// What the numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Nanoseconds
    #[default]
    Time,
    /// KiB
    Memory,
}

impl Unit {
    pub(crate) fn show(self, number: f64) -> String {
        match self {
            Self::Time => shown::time(number),
            Self::Memory => shown::memory(number),
        }
    }
}

/// One thing measured on all contenders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) threads: usize,
    pub(crate) unit: Unit,
    pub(crate) results: Vec<race::Result>,
}

/// What was measured in one go: one part, on tokens of one vendor with so many keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) part: Part,
    pub(crate) vendor: String,
    pub(crate) keys: usize,
    pub(crate) circumstances: Circumstances,
    pub(crate) rows: Vec<Row>,
}

impl Section {
    /// One that has just been measured.
    pub(crate) fn now(part: Part, vendor: &str, keys: usize, rows: Vec<Row>) -> Self {
        Self { part, vendor: vendor.to_owned(), keys, circumstances: Circumstances::now(), rows }
    }

    fn place(&self) -> (Part, &str, usize) {
        (self.part, &self.vendor, self.keys)
    }
}

/// Everything measured, in the order of the page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured(pub(crate) Vec<Section>);

impl Measured {
    /// What is kept in a file; nothing if there is none.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| told(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(told(&error)),
        }
    }

    /// Keeps it in a file.
    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Puts sections in, in the place of those that were measured before.
    pub(crate) fn update(&mut self, newer: Vec<Section>) {
        self.0.retain(|old| newer.iter().all(|new| new.place() != old.place()));
        self.0.extend(newer);
        self.0.sort_by(|one, other| one.place().cmp(&other.place()));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A section with one row, of two contenders.
    pub(crate) fn section(part: Part, vendor: &str, keys: usize, ratio: f64) -> Section {
        let own = [("direct", 1000.0), ("Tandem", 1000.0 * ratio)];
        let results = own.map(|(name, nanos)| race::Result::of(name, &[nanos], &[1000.0]));
        let what = "sign <quickly> & well".to_owned();
        let row = Row { what, threads: 1, unit: Unit::Time, results: results.to_vec() };
        let circumstances =
            Circumstances { date: "2026-01-02".into(), machine: "a processor, 2 cores".into() };
        Section { part, vendor: vendor.into(), keys, circumstances, rows: vec![row] }
    }

    #[test]
    fn what_is_measured_anew_replaces_its_like_and_nothing_else() {
        let mut measured = Measured::default();
        let old = [(Part::Reads, "softhsm", 1000, 1.0), (Part::Start, "softhsm", 10, 2.0)];
        measured.update(
            old.map(|(part, vendor, keys, ratio)| section(part, vendor, keys, ratio)).into(),
        );
        measured.update(vec![
            section(Part::Reads, "softhsm", 1000, 3.0),
            section(Part::Reads, "softhsm", 10, 4.0),
        ]);
        let ratio = |section: &Section| section.rows[0].results[1].ratio.median;
        let found: Vec<_> = measured.0.iter().map(|it| (it.part, it.keys, ratio(it))).collect();
        let wanted = [(Part::Start, 10, 2.0), (Part::Reads, 10, 4.0), (Part::Reads, 1000, 3.0)];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let file = std::env::temp_dir().join(format!("tandem-bench-{}.json", std::process::id()));
        let measured = Measured(vec![section(Part::Make, "kryoptic", 10, 1.5)]);
        measured.write(&file).unwrap();
        let read = Measured::read(&file);
        fs::remove_file(&file).unwrap();
        assert_eq!(read.unwrap(), measured);
        assert_eq!(Measured::read(&file).unwrap(), Measured::default());
    }
}
