//! What was measured, as a page for people.

use std::fmt::Write;
use std::path::Path;
use tandem_bench::race;

/// Between these the page is written anew; the rest of it is people's.
const BEGIN: &str = "<!-- measured: written by `make bench` -->";
const END: &str = "<!-- end of what was measured -->";

/// One thing measured on all contenders.
pub(crate) struct Row {
    pub(crate) vendor: String,
    pub(crate) keys: usize,
    pub(crate) threads: usize,
    pub(crate) what: &'static str,
    pub(crate) results: Vec<race::Result>,
}

/// Everything measured.
#[derive(Default)]
pub(crate) struct Page(Vec<Row>);

impl Page {
    /// Adds a row, and tells it.
    pub(crate) fn add(&mut self, row: Row) {
        if self.0.last().is_none_or(|last| (&last.vendor, last.keys) != (&row.vendor, row.keys)) {
            println!("{}", heading(&row));
        }
        println!("{}", line(&row));
        self.0.push(row);
    }

    /// Puts the tables into a page, in the place of those that were there.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(told)?;
        let around = text
            .split_once(BEGIN)
            .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
        let (before, after) =
            around.ok_or_else(|| format!("{}: {BEGIN} or {END} is missing", path.display()))?;
        let mut tables = String::new();
        let mut last: Option<&Row> = None;
        for row in &self.0 {
            if last.is_none_or(|last| (&last.vendor, last.keys) != (&row.vendor, row.keys)) {
                let _ = writeln!(tables, "{}", heading(row));
            }
            let _ = writeln!(tables, "{}", line(row));
            last = Some(row);
        }
        std::fs::write(path, format!("{before}{BEGIN}\n{tables}\n{END}{after}")).map_err(told)
    }
}

fn heading(row: &Row) -> String {
    let names: Vec<_> = row.results.iter().map(|result| result.name.as_str()).collect();
    let rule = "| ---: ".repeat(names.len());
    format!(
        "\n### {}, {} keys\n\n| what | threads | {} |\n| --- | ---: {rule}|",
        row.vendor,
        row.keys,
        names.join(" | ")
    )
}

fn line(row: &Row) -> String {
    let mut cells = String::new();
    for (at, result) in row.results.iter().enumerate() {
        let time = time(result.nanos);
        let ratio = &result.ratio;
        let _ = match at {
            0 => write!(cells, " {time} |"),
            _ => write!(
                cells,
                " {time} ×{} ({}–{}) |",
                digits(ratio.median),
                digits(ratio.low),
                digits(ratio.high)
            ),
        };
    }
    format!("| {} | {} |{cells}", row.what, row.threads)
}

/// A ratio with as many digits as mean something.
fn digits(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

/// Nanoseconds as people read them.
fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.1} µs", nanos / 1e3),
        ..1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}
