//! A run: what is wanted of it, and what comes of it.

use crate::fixture::Shelf;
use crate::measured::{Part, Row, Section};
use crate::{Args, network, page, plan, programs};

/// With more keys than this Kryoptic takes too long: its reads look at all objects.
const KRYOPTIC_KEYS_MAX: usize = 4_000;

/// A run.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a Args,
    /// The contenders that the head of the table on the terminal names.
    shown: Vec<String>,
}

/// Runs all that is wanted.
pub(crate) fn run(args: &Args) -> Result<(), String> {
    let mut run = Run { args, shown: Vec::new() };
    for vendor in &args.vendors {
        for keys in args.keys.iter().filter(|keys| fits(vendor, **keys)) {
            plan::race_of(&mut run, vendor, *keys)?;
        }
    }
    for keys in &args.keys {
        if run.wants(Part::Programs) {
            programs::run(&mut run, *keys)?;
        }
        if run.wants(Part::Network) {
            network::run(&mut run, *keys)?;
        }
    }
    Ok(())
}

fn fits(vendor: &str, keys: usize) -> bool {
    vendor != "kryoptic" || keys <= KRYOPTIC_KEYS_MAX
}

impl<'a> Run<'a> {
    /// True if this part is to be measured.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.args.only.is_empty() || self.args.only.contains(&part)
    }

    /// Where tokens are kept.
    pub(crate) fn shelf(&self) -> Shelf<'a> {
        Shelf { dir: &self.args.dir, artefacts: &self.args.artefacts }
    }

    /// Tells a row at once.
    pub(crate) fn tell(&mut self, row: &Row) {
        let names: Vec<_> = row.results.iter().map(|result| result.name.clone()).collect();
        if self.shown != names {
            println!("\n{}", page::header(row));
            self.shown = names;
        }
        println!("{}", page::line(row));
    }

    /// A section is done: it is in the page at once, since the next may take long, or fail.
    pub(crate) fn done(&mut self, section: Section) -> Result<(), String> {
        println!("\n{}: done", page::heading(&section));
        self.shown.clear();
        match &self.args.write {
            Some(file) => page::write(file, vec![section]),
            None => Ok(()),
        }
    }
}
