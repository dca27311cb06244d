//! What was measured, as a page for people: tables, and beside them charts.

use crate::chart;
use crate::measured::{Measured, Part, Row, Section};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tandem_bench::race;
use tandem_bench::shown;

/// Between these the page is written anew; the rest of it is people's.
const BEGIN: &str = "<!-- measured: written by `make bench` -->";
const END: &str = "<!-- end of what was measured -->";

/// Puts tables into a page, in the place of those that were there, and charts into the folder of its name. What was measured
/// before, and not now, stays.
pub(crate) fn write(page: &Path, newer: Vec<Section>) -> Result<(), String> {
    let folder = page.with_extension("");
    let told = |error: std::io::Error| format!("{}: {error}", page.display());
    fs::create_dir_all(&folder).map_err(told)?;
    let data = folder.join("measured.json");
    let mut measured = Measured::read(&data)?;
    measured.update(newer);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(page).map_err(told)?;
    let text = filled(&text, &tables(&measured, &name))
        .ok_or_else(|| format!("{}: {BEGIN} or {END} is missing", page.display()))?;
    measured.write(&data)?;
    for section in pictured(&measured) {
        let file = folder.join(picture(section));
        fs::write(&file, chart::draw(&heading(section), &section.rows))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    fs::write(page, text).map_err(told)
}

/// A page with these tables between the marks; `None` if a mark is missing.
fn filled(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// Everything, part by part.
fn tables(measured: &Measured, folder: &str) -> String {
    let mut text = String::new();
    let mut last = None;
    let pictured: Vec<_> = pictured(measured).collect();
    for section in &measured.0 {
        if last.replace(section.part) != Some(section.part) {
            let _ = writeln!(text, "\n### {}", section.part.title());
        }
        let (heading, circumstances) = (heading(section), &section.circumstances);
        let (date, machine) = (&circumstances.date, &circumstances.machine);
        let _ = writeln!(text, "\n#### {heading}\n\nMeasured on {date}: {machine}.");
        if pictured.contains(&section) {
            let _ = writeln!(text, "\n![{heading}]({folder}/{})", picture(section));
        }
        table(section, &mut text);
    }
    text
}

/// The sections that are worth a picture. How many keys there are changes little in what work and key making cost.
fn pictured(measured: &Measured) -> impl Iterator<Item = &Section> {
    measured.0.iter().filter(|section| {
        let like =
            |other: &&Section| (other.part, &other.vendor) == (section.part, &section.vendor);
        !matches!(section.part, Part::Work | Part::Make)
            || measured.0.iter().find(like) == Some(section)
    })
}

fn picture(section: &Section) -> String {
    format!("{}-{}-{}.svg", section.part.name(), section.vendor, section.keys)
}

/// What a section is about.
pub(crate) fn heading(section: &Section) -> String {
    let (part, vendor, keys) = (section.part, &section.vendor, section.keys);
    format!("{}, {vendor}, {keys} keys", part.name())
}

/// Its tables: one for each choice of contenders.
fn table(section: &Section, text: &mut String) {
    let mut last: Option<&Row> = None;
    for row in &section.rows {
        if last.is_none_or(|last| names(last) != names(row)) {
            let _ = writeln!(text, "\n{}", header(row));
        }
        let _ = writeln!(text, "{}", line(row));
        last = Some(row);
    }
}

fn names(row: &Row) -> Vec<&str> {
    row.results.iter().map(|result| result.name.as_str()).collect()
}

/// The head of a table whose first row this is.
pub(crate) fn header(row: &Row) -> String {
    let names = names(row);
    let rule = "| ---: ".repeat(names.len());
    format!("| what | threads | {} |\n| --- | ---: {rule}|", names.join(" | "))
}

/// A row of the table.
pub(crate) fn line(row: &Row) -> String {
    let mut cells = String::new();
    for (at, result) in row.results.iter().enumerate() {
        let _ = write!(cells, " {}", cell(row, result, at == 0));
        cells.push_str(" |");
    }
    format!("| {} | {} |{cells}", row.what, row.threads)
}

fn cell(row: &Row, result: &race::Result, is_first: bool) -> String {
    let mut cell = row.unit.show(result.median);
    let ratio = &result.ratio;
    if result.is_more {
        cell.insert_str(0, "> ");
    }
    if is_first {
        return cell;
    }
    // Of one that is held against what was stopped before its end, the ratio is less than it seems.
    let less = row.results.first().is_some_and(|first| first.is_more) && !result.is_more;
    let _ = write!(cell, " {}×{}", if less { "< " } else { "" }, shown::ratio(ratio.median));
    if ratio.low < ratio.high {
        let _ = write!(cell, " ({}–{})", shown::ratio(ratio.low), shown::ratio(ratio.high));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::tests::section;

    #[test]
    fn a_page_keeps_what_people_wrote_and_what_was_not_measured_anew() {
        let folder = std::env::temp_dir().join(format!("tandem-page-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let page = folder.join("speed.md");
        fs::write(&page, format!("# Speed\n{BEGIN}\nold\n{END}\n## After\n")).unwrap();
        write(&page, vec![section(Part::Reads, "softhsm", 10, 0.5)]).unwrap();
        write(&page, vec![section(Part::Work, "softhsm", 10, 1.25)]).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let pictures =
            ["reads", "work"].map(|part| folder.join(format!("speed/{part}-softhsm-10.svg")));
        let drawn = pictures.map(|picture| fs::read_to_string(picture).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        assert!(text.starts_with("# Speed\n") && text.ends_with("## After\n"), "{text}");
        assert!(!text.contains("old"), "{text}");
        for wanted in
            ["500 ns ×0.50 |", "1.2 µs ×1.25 |", "2026-01-02", "(speed/reads-softhsm-10.svg)"]
        {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(text.find("1.25") < text.find("0.50"), "parts have their order: {text}");
        assert!(drawn.iter().all(|drawn| drawn.contains("<svg")));
    }

    #[test]
    fn what_was_stopped_before_its_end_is_told_as_more_than_that() {
        let mut section = section(Part::Programs, "softhsm", 10, 0.5);
        section.rows[0].results[0].is_more = true;
        let line = line(&section.rows[0]);
        assert!(line.contains("| > 1.0 µs |") && line.contains("| 500 ns < ×0.50 |"), "{line}");
    }

    #[test]
    fn work_has_one_picture_for_each_vendor_and_reads_one_for_each_number_of_keys() {
        let mut measured = Measured::default();
        let each = |part| [10, 1000].map(|keys| section(part, "softhsm", keys, 1.0));
        measured.update([each(Part::Work), each(Part::Reads)].concat());
        let names: Vec<_> = pictured(&measured).map(picture).collect();
        assert_eq!(
            names,
            ["work-softhsm-10.svg", "reads-softhsm-10.svg", "reads-softhsm-1000.svg"]
        );
    }
}
