//! `tandem.toml`: whatever is in it, it is understood or refused with a place and a remedy, and what was understood and written
//! again says the same.

use std::path::Path;
use tandem_config::{Config, Error, typed};

/// Where the file is said to be.
const FILE: &str = "/etc/tandem/tandem.toml";

/// Reads bytes as a configuration.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
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
    assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
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
