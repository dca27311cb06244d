//! The process in which the cases of a chapter run, one after the other. It tells a line of JSON before and after each.

use crate::answer::Stop;
use crate::argument::Place;
use crate::case::Case;
use crate::chapters::{self, CHAPTERS};
use crate::module::{Module, Result};
use crate::report::Outcome;
use crate::subject::Subject;
use crate::token::{Token, text};
use serde::{Deserialize, Serialize};
use std::io::Write;

/// What a worker tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The module can be used.
    Ready {
        /// What it says of itself.
        module: Identity,
        /// The mechanisms of its token, by their names.
        mechanisms: Vec<String>,
    },
    /// A case begins.
    Begin {
        /// Its name.
        name: String,
    },
    /// A case has ended.
    End {
        /// Its name.
        name: String,
        /// How.
        outcome: Outcome,
        /// Why, unless it passed.
        reason: String,
        /// The functions that answered CKR_OK in it.
        done: Vec<String>,
    },
    /// The module was left in a state from which the next case can't begin: it needs another process.
    Spent,
    /// The module can't be used.
    Unusable {
        /// Why.
        reason: String,
    },
    /// There are no more cases.
    Done,
}

/// What a module says of itself (CK_INFO).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `manufacturerID`
    pub manufacturer: String,
    /// `libraryDescription`
    pub library: String,
    /// `libraryVersion`
    pub version: String,
    /// The version of its newest list.
    pub cryptoki: String,
}

/// Which cases are run.
pub struct Chosen {
    /// Of this chapter.
    pub chapter: String,
    /// Whose names match this pattern.
    pub pattern: Option<String>,
    /// From this one on.
    pub from: Option<String>,
}

impl Chosen {
    /// Those cases.
    pub fn cases(&self) -> Vec<Case> {
        let chapter = CHAPTERS.iter().find(|(name, _)| *name == self.chapter);
        let all = chapter.map(chapters::cases).unwrap_or_default().into_iter();
        let wanted = |case: &Case| {
            self.pattern
                .as_ref()
                .is_none_or(|pattern| crate::deviations::matches(pattern, &case.name))
        };
        let before = |case: &Case| self.from.as_ref().is_some_and(|from| case.name != *from);
        all.filter(wanted).skip_while(before).collect()
    }
}

/// Runs the cases.
pub fn work(subject: &Subject, chosen: &Chosen, output: &mut dyn Write) -> Result<()> {
    let reach = subject.reach()?;
    let module = match Module::load(&subject.module) {
        Ok(module) => module,
        Err(reason) => return tell(output, &Told::Unusable { reason }),
    };
    let token = Token::new(&module, &reach);
    // What a process that died has left is found before the first case.
    match token.sweep().map(|()| identity(&module)) {
        Ok(module) => tell(output, &Told::Ready { module, mechanisms: token.mechanisms() })?,
        Err(reason) => return tell(output, &Told::Unusable { reason }),
    }
    for (number, case) in chosen.cases().iter().enumerate() {
        if let Err(reason) = token.bring(case.state) {
            if number > 0 {
                return tell(output, &Told::Spent);
            }
            let reason = format!("the module doesn't come to where the case begins: {reason}");
            end(output, case, Outcome::Failed, reason, Vec::new())?;
            return tell(output, &Told::Spent);
        }
        tell(output, &Told::Begin { name: case.name.clone() })?;
        // What was done to come here, and will be to leave, isn't the case's.
        let _ = module.done();
        let (outcome, reason, done) = one(&token, case);
        end(output, case, outcome, reason, done)?;
    }
    let _ = token.sweep();
    tell(output, &Told::Done)
}

fn end(
    output: &mut dyn Write,
    case: &Case,
    outcome: Outcome,
    reason: String,
    done: Vec<String>,
) -> Result<()> {
    tell(output, &Told::End { name: case.name.clone(), outcome, reason, done })
}

/// How a case ends, why, and which functions have answered CKR_OK in it.
fn one(token: &Token<'_>, case: &Case) -> (Outcome, String, Vec<String>) {
    if let Some(reason) = token.lacks(case) {
        return (Outcome::Skipped, reason, Vec::new());
    }
    let verdict = (case.run)(token);
    let done = token.module.done().into_iter().map(str::to_owned).collect();
    token.after(case.state, verdict.is_ok());
    match verdict {
        Ok(()) => (Outcome::Passed, String::new(), done),
        Err(Stop::Failed(reason)) => (Outcome::Failed, reason, done),
        Err(Stop::Skipped(reason)) => (Outcome::Skipped, reason, done),
    }
}

pub(crate) fn identity(module: &Module) -> Identity {
    let mut info = Place::new();
    let _ = module.C_GetInfo(&mut info);
    let (major, minor) = module.version();
    let own = info.value.libraryVersion;
    Identity {
        manufacturer: text(&info.value.manufacturerID),
        library: text(&info.value.libraryDescription),
        version: format!("{}.{}", own.major, own.minor),
        cryptoki: format!("{major}.{minor}"),
    }
}

/// A line of JSON. It begins on a line of its own, whatever the module has printed.
pub fn tell<T: Serialize>(output: &mut dyn Write, told: &T) -> Result<()> {
    let line = serde_json::to_string(told).map_err(|error| error.to_string())?;
    writeln!(output, "\n{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())
}
