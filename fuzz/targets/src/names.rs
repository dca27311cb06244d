//! What people and other tokens write in words: types of keys, patterns of labels, labels that are Tandem's own.

use crate::random::Random;
use tandem_engine::{backup, heads, pair};
use tandem_values::keytype::KeyType;
use tandem_values::pattern::is_like;

/// Reads bytes as each of them.
pub(crate) fn run(data: &[u8]) {
    let mut random = Random::of(data);
    match random.below(3) {
        0 => is_a_type(random.rest()),
        1 => is_one_label(random.rest()),
        _ => is_like_as_the_rules_have_it(&mut random),
    }
}

/// A type that is understood is written as it was typed, but for zeroes in front.
fn is_a_type(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<KeyType>() {
        Ok(kind) => {
            let written = kind.to_string();
            assert!(written.parse() == Ok(kind), "{text:?} is written {written:?}");
        }
        Err(error) => assert!(error.contains(&format!("{text:?}")), "{error}"),
    }
}

/// A label is of one kind at most, and it is printable: members hide what bears one from applications.
fn is_one_label(bytes: &[u8]) {
    let of = [heads::is_label(bytes), pair::is_ring_label(bytes), backup::is_sheet_label(bytes)];
    let [head, ring, sheet] = of;
    assert!(!(sheet && (head || ring)), "{bytes:?} is the label of two things");
    if head || ring || sheet {
        assert!(bytes.starts_with(b"tandem:") && bytes.is_ascii(), "{bytes:?}");
    }
}

/// A text is like a pattern if it can be made from it, letter by letter.
fn is_like_as_the_rules_have_it(random: &mut Random<'_>) {
    let letters = |random: &mut Random<'_>, from: &[char]| -> String {
        (0..random.below(9)).map(|_| random.pick(from)).collect()
    };
    let (text, pattern) =
        (letters(random, &['a', 'b', 'é']), letters(random, &['a', 'b', 'é', '*', '*']));
    assert_eq!(is_like(&text, &pattern), could_be(&text, &pattern), "{text:?} {pattern:?}");
}

fn could_be(text: &str, pattern: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('*') => {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| could_be(&text[at..], letters.as_str()))
        }
        Some(letter) => {
            text.strip_prefix(letter).is_some_and(|rest| could_be(rest, letters.as_str()))
        }
    }
}
