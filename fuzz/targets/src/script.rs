//! Scripts of `libtandem_fault.so`: a line that is none is named, and one that is understood means the same each time.

use crate::fault_script::Script;
use crate::table::Function;

/// How often every function is called.
const ROUNDS: usize = 3;

/// Reads bytes as a script.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut script, mut again) = match (Script::parse(text), Script::parse(text)) {
        (Ok(script), Ok(again)) => (script, again),
        (Err(error), Err(again)) => {
            assert_eq!(error, again, "the same script, another error");
            return names_a_line(text, &error);
        }
        _ => panic!("a script is understood once, and once not"),
    };
    assert_ne!(script.lanes(), Some(0), "no lane at all");
    let calls = std::iter::repeat_n(Function::ALL, ROUNDS).flatten();
    for (number, function) in (1..).zip(calls) {
        let (count, faults) = script.next(*function);
        assert_eq!((count, &faults), (number, &again.next(*function).1), "call {number}");
        assert!(faults.len() <= text.lines().count(), "more faults than lines");
    }
}

/// The line is one of the text, and not one that says nothing.
fn names_a_line(text: &str, error: &str) {
    let named = error.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    let (line, why) = named.unwrap_or_else(|| panic!("no line is named: {error}"));
    let line = line.parse::<usize>().ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let line = line.unwrap_or_else(|| panic!("there is no such line: {error}"));
    let said = line.split('#').next().unwrap_or_default().trim();
    assert!(!said.is_empty() && !why.is_empty(), "{error}");
}
