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
    /// The module says that it is this.
    Ready(Identity),
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
        Ok(identity) => tell(output, &Told::Ready(identity))?,
        Err(reason) => return tell(output, &Told::Unusable { reason }),
    }
    for (number, case) in chosen.cases().iter().enumerate() {
        if let Err(reason) = token.bring(case.state) {
            if number > 0 {
                return tell(output, &Told::Spent);
            }
            let reason = format!("the module doesn't come to where the case begins: {reason}");
            tell(output, &Told::End { name: case.name.clone(), outcome: Outcome::Failed, reason })?;
            return tell(output, &Told::Spent);
        }
        tell(output, &Told::Begin { name: case.name.clone() })?;
        let (outcome, reason) = one(&token, case);
        tell(output, &Told::End { name: case.name.clone(), outcome, reason })?;
    }
    let _ = token.sweep();
    tell(output, &Told::Done)
}

fn one(token: &Token<'_>, case: &Case) -> (Outcome, String) {
    if let Some(reason) = token.lacks(case) {
        return (Outcome::Skipped, reason);
    }
    let verdict = (case.run)(token);
    token.after(case.state, verdict.is_ok());
    match verdict {
        Ok(()) => (Outcome::Passed, String::new()),
        Err(Stop::Failed(reason)) => (Outcome::Failed, reason),
        Err(Stop::Skipped(reason)) => (Outcome::Skipped, reason),
    }
}

pub(crate) fn identity(module: &Module) -> Identity {
    let mut info = Place::new();
    let _ = module.C_GetInfo(&mut info);
    let (major, minor) = module.version();
    Identity {
        manufacturer: text(&info.value.manufacturerID),
        library: text(&info.value.libraryDescription),
        cryptoki: format!("{major}.{minor}"),
    }
}

/// A line of JSON. It begins on a line of its own, whatever the module has printed.
pub fn tell<T: Serialize>(output: &mut dyn Write, told: &T) -> Result<()> {
    let line = serde_json::to_string(told).map_err(|error| error.to_string())?;
    writeln!(output, "\n{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())
}
