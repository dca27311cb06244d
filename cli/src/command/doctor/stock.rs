//! The stock: is it full, and are the names of what was claimed where they are to be?

use super::Findings;
use crate::command::backup::file;
use crate::error::Result;
use crate::report::time;
use crate::show::count;
use std::path::Path;
use tandem_engine::backup::{Bundle, Header};
use tandem_engine::stock::Level;
use tandem_runtime::Live;

/// Needs a login.
pub(super) fn look(around: &str, live: Live<'_>, findings: &mut Findings) {
    match live.token.stock() {
        Ok(levels) => levels.iter().for_each(|level| judge(around, level, findings)),
        Err(error) => findings.wrong(around, error.to_string(), "mend what the message names"),
    }
    if let Some(path) = &live.config.stock.names {
        look_at_names(around, live, path, findings);
    }
}

fn judge(around: &str, level: &Level, findings: &mut Findings) {
    let Level { kind, there, wanted, backed_up, .. } = level;
    let found = format!("in stock: {there} of {wanted} {kind}, {backed_up} backed up");
    if !level.problem.is_empty() && *wanted > 0 {
        let remedy = "write a type in [[token.stock.key]] that all members hold";
        findings.wrong(around, format!("{found}: {}", level.problem), remedy);
    } else if level.held_back > 0 {
        findings.note(
            around,
            format!("{found}; {} of them are given to nobody", level.held_back),
            "see: tandem stock",
        );
    } else if level.missing() > 0 {
        findings.note(
            around,
            found,
            "it is filled by whoever is logged in; at once: tandem stock fill",
        );
    } else {
        findings.ok(around, found);
    }
}

/// How old the names are, and how many claims they lack.
fn look_at_names(around: &str, live: Live<'_>, path: &Path, findings: &mut Findings) {
    let shown = path.display();
    let remedy = format!("run: tandem backup names --out {shown}");
    let header = match header(path) {
        Ok(header) => header,
        Err(error) => {
            findings.wrong(around, format!("the names of claimed keys: {error}"), remedy);
            return;
        }
    };
    let found = format!("the names in {shown} are of {}", time(header.at_ms));
    let ours = live.token.serial().is_ok_and(|serial| serial == header.serial) && header.names;
    match live.token.claims_since(header.to) {
        _ if !ours => {
            findings.wrong(around, format!("{shown} holds no names of this token"), remedy);
        }
        Ok(0) => findings.ok(around, format!("{found} and lack no claim")),
        Ok(lacking) => {
            let lacking = usize::try_from(lacking).unwrap_or(usize::MAX);
            findings.note(
                around,
                format!("{found} and lack {}", count(lacking, "claim", "claims")),
                remedy,
            );
        }
        Err(error) => findings.wrong(around, error.to_string(), "mend what the message names"),
    }
}

fn header(path: &Path) -> Result<Header> {
    let mut from = file::open(path)?;
    Ok(Bundle::open(&mut from)?.header().clone())
}
