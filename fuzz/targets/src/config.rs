//! `tandem.toml`: whatever is in it, it is understood or refused with a place and a remedy, and what was understood and written
//! again says the same. What stands in an environment is never repeated.

use crate::random::Random;
use std::path::Path;
use tandem_config::{Config, Error, typed};

/// Where the file is said to be.
const FILE: &str = "/etc/tandem/tandem.toml";
/// A configuration with every key.
const COMPLETE: &str = include_str!("../../../config/examples/complete.toml");
/// What may be a secret of a vendor's module.
const SECRET: &str = "4711.0815";
/// The most lines that are changed.
const CHANGES_MAX: usize = 6;

/// What stands where something else should.
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "3600001",
    "18446744073709551616",
    "1e400",
    "true",
    "\"\"",
    "\"x\"",
    "\"*\"",
    "\"a b\"",
    "\"/a/b\"",
    "\"file:/x\"",
    "\"command:/x\"",
    "\"ec:p256\"",
    "\"90d\"",
    "\"2027-01-15\"",
    "\"\\u0000\"",
    "\"é\\n\"",
    "[]",
    "[\"x\"]",
    "[1]",
    "{}",
    "{ slot = 1 }",
    "{ label = \"x\", serial = \"y\" }",
    "1979-05-27",
];

/// Reads bytes as a configuration, or as changes of one.
pub(crate) fn run(data: &[u8]) {
    match data.split_first() {
        // No text begins so.
        Some((0, changes)) => read(&changed(&mut Random::of(changes))),
        _ => read(std::str::from_utf8(data).unwrap_or_default()),
    }
}

/// The configuration with some lines that say something else.
fn changed(random: &mut Random<'_>) -> String {
    let mut lines: Vec<_> = COMPLETE.lines().map(str::to_owned).collect();
    for _ in 0..=random.below(CHANGES_MAX) {
        let (at, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(8) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => lines.insert(at, format!("{} = {}", key(random), random.pick(VALUES))),
            4 => lines.insert(at, format!("environment = {}", environment(random))),
            _ => {
                if let Some((key, _)) = lines[at].split_once('=') {
                    lines[at] = format!("{key} = {}", random.pick(VALUES));
                }
            }
        }
    }
    lines.join("\n")
}

/// A key of some table.
fn key(random: &mut Random<'_>) -> String {
    let key = random.pick(&tandem_config::keys());
    key.rsplit('.').next().unwrap_or_default().to_owned()
}

/// An environment with a secret in it, at the right place or a wrong one.
fn environment(random: &mut Random<'_>) -> String {
    let wrong = random.pick(&["", "=", "A B", "\\u0000"]);
    random.pick(&[
        format!("{{ PIN = \"{SECRET}\" }}"),
        format!("{{ PIN = {SECRET} }}"),
        format!("{{ \"{wrong}\" = \"{SECRET}\" }}"),
        format!("{{ PIN = \"{SECRET}{wrong}\" }}"),
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        format!("{{ PIN = {{ x = \"{SECRET}\" }} }}"),
        format!("{{ PIN = \"{SECRET}\", }},"),
        SECRET.to_owned(),
    ])
}

fn read(text: &str) {
    match tandem_config::parse(Path::new(FILE), text) {
        Ok(config) => is_the_same_again(text, &config),
        Err(error) => says_where(text, &error),
    }
}

/// Written as Tandem writes it, it means the same.
fn is_the_same_again(text: &str, config: &Config) {
    let typed: typed::File = toml::from_str(text).expect("what was understood is of its form");
    let again = tandem_config::text(&typed).expect("what was read can be written");
    let again =
        tandem_config::parse(Path::new(FILE), &again).expect("what was written is understood");
    let same = again.log == config.log && again.tokens == config.tokens;
    assert!(same, "written again it means another:\n{text}");
    for warning in &config.warnings {
        assert!(!warning.message.is_empty(), "a warning of nothing");
        within(text, warning.line);
    }
}

fn says_where(text: &str, error: &Error) {
    assert_eq!(error.file, Path::new(FILE), "another file is named");
    assert!(!error.problem.is_empty() && !error.remedy.is_empty(), "{error}");
    let said = error.to_string();
    assert!(!said.contains('\n'), "an error is one line: {error}");
    assert!(!said.contains(SECRET), "a secret is repeated: {error}");
    within(text, error.line);
    // Only of a file with nothing in it can nothing be named.
    let says_nothing = error.line.is_none() && error.key.is_empty();
    assert!(!says_nothing || !text.contains("[[token]]"), "it names no place: {error}");
}

/// A line is one of the text.
fn within(text: &str, line: Option<usize>) {
    let last = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    assert!(line.is_none_or(|line| (1..=last).contains(&line)), "line {line:?} of {last}");
}
