//! The cases, a file for each chapter.

mod cycles;
mod digest;
mod dual;
mod encrypt;
mod find;
mod fork;
mod general;
mod keys;
mod messages;
mod objects;
mod parallel;
mod profiles;
mod random;
mod sessions;
mod sign;
mod signature_first;
mod slots;
mod threads;
mod verify;

use crate::case::{Case, Cases};

/// A chapter: its name, and what writes down its cases.
type Chapter = (&'static str, fn(&mut Cases));

/// The chapters, in the order in which they are run.
pub const CHAPTERS: [Chapter; 18] = [
    ("general", general::add),
    ("cycles", cycles::add),
    ("slots", slots::add),
    ("sessions", sessions::add),
    ("objects", objects::add),
    ("find", find::add),
    ("profiles", profiles::add),
    ("encrypt", encrypt::add),
    ("digest", digest::add),
    ("sign", sign::add),
    ("verify", verify::add),
    ("dual", dual::add),
    ("keys", keys::add),
    ("random", random::add),
    ("messages", messages::add),
    ("parallel", parallel::add),
    ("threads", threads::add),
    ("fork", fork::add),
];

/// The cases of a chapter.
pub fn cases(chapter: &Chapter) -> Vec<Case> {
    let mut cases = Cases::of(chapter.0);
    chapter.1(&mut cases);
    cases.done()
}

/// All cases.
pub fn all() -> Vec<Case> {
    CHAPTERS.iter().flat_map(cases).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{FUNCTIONS, named};
    use std::collections::HashSet;

    #[test]
    fn no_two_cases_have_one_name() {
        let mut names = HashSet::new();
        for case in all() {
            assert!(names.insert(case.name.clone()), "{} is there twice", case.name);
        }
    }

    #[test]
    fn every_case_is_of_a_function_or_of_a_section_that_there_is() {
        for case in all() {
            let function = case.name.split([':', ' ']).next().unwrap_or_default();
            let is_named = named(function).is_some_and(|function| function.section == case.section);
            assert!(is_named || !function.starts_with("C_"), "{}", case.name);
            assert!(case.section.starts_with(['3', '4', '5', '6']), "{}", case.name);
        }
    }

    #[test]
    fn every_function_has_a_case_of_its_own() {
        let cases = all();
        for function in FUNCTIONS {
            let mut own = cases.iter().filter(|case| {
                let begin = case.name.strip_prefix(function.name);
                begin.is_some_and(|rest| rest.starts_with([':', ' ']))
            });
            assert!(own.next().is_some(), "{} has no case", function.name);
        }
    }
}
