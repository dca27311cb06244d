//! Holds both modules' answers to a sequence side by side.

use super::Compared;
use super::call::{Call, Id, Outcome, What};
use crate::work::Work;
use std::collections::HashMap;
use std::fmt::{self, Write};
use tandem_values::ck::*;
use tandem_values::names;

/// What two modules answered otherwise to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The function.
    pub function: &'static str,
    /// What differs: `rv`, `length`, `state`, `bytes`, `found`, `died`, or the attribute's name.
    pub what: String,
    /// What the first module answered.
    pub one: String,
    /// What the other answered.
    pub other: String,
    /// The call, as it is shown.
    pub call: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {}, and {}", self.function, self.what, self.one, self.other)
    }
}

/// What is known of a sequence while it is compared: whose bytes must be the same on both modules.
#[derive(Default)]
struct Known {
    /// Objects whose value is the same on both.
    fixed: HashMap<Id, bool>,
    /// Whether the active operation of a session answers the same bytes on both.
    active: HashMap<(Id, &'static str), bool>,
}

impl Known {
    fn is_fixed(&self, id: Id) -> bool {
        self.fixed.get(&id).copied().unwrap_or(false)
    }

    fn operation(&self, call: &Call, work: Work) -> bool {
        let [init, ..] = work.functions();
        self.active.get(&(call.session, init)).copied().unwrap_or(false)
    }

    /// True if the bytes of this call's answer must be the same.
    fn bytes(&self, call: &Call) -> bool {
        match &call.what {
            What::Whole { work, .. } | What::Update { work, .. } | What::Final { work, .. } => {
                self.operation(call, *work)
            }
            What::Wrap { by, key, .. } => self.is_fixed(*by) && self.is_fixed(*key),
            _ => false,
        }
    }

    /// What both modules have done is known from here on.
    fn learn(&mut self, call: &Call) {
        match &call.what {
            What::Create { .. } => {
                self.fixed.insert(call.id, true);
            }
            What::Copy { from: base, .. } | What::Derive { base } => {
                self.fixed.insert(call.id, self.is_fixed(*base));
            }
            What::Init { work, method, key, .. } => {
                let fixed = method.is_fixed() && (*work == Work::Digest || self.is_fixed(*key));
                let [init, ..] = work.functions();
                self.active.insert((call.session, init), fixed);
            }
            What::DigestKey { key } if !self.is_fixed(*key) => {
                self.active.insert((call.session, "C_DigestInit"), false);
            }
            _ => {}
        }
    }
}

/// Compares everything up to the first difference that isn't accepted, or that parts the two.
pub(super) fn all(
    calls: &[Call],
    outcomes: [Vec<Outcome>; 2],
    accepted: impl Fn(&Difference) -> Option<String>,
) -> Compared {
    let mut compared = Compared { difference: None, accepted: Vec::new(), calls: 0, outcomes };
    let [ones, others] = &compared.outcomes;
    let mut known = Known::default();
    for ((call, one), other) in calls.iter().zip(ones).zip(others) {
        compared.calls += 1;
        for difference in differences(&known, call, one, other) {
            match accepted(&difference) {
                Some(reason) => compared.accepted.push(reason),
                None => {
                    compared.difference = Some(difference);
                    return compared;
                }
            }
        }
        // What follows can't be compared if only one of them has done it.
        if (one.rv == CKR_OK) != (other.rv == CKR_OK) {
            return compared;
        }
        if one.rv == CKR_OK {
            known.learn(call);
        }
    }
    compared
}

fn differences(known: &Known, call: &Call, one: &Outcome, other: &Outcome) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut note = |what: &str, one: String, other: String| {
        if one != other {
            let (function, what) = (call.function(), what.to_owned());
            all.push(Difference { function, what, one, other, call: format!("{:?}", call.what) });
        }
    };
    let died = |outcome: &Outcome| outcome.died.clone().unwrap_or_default();
    note("died", died(one), died(other));
    note("rv", names::rv(one.rv).into_owned(), names::rv(other.rv).into_owned());
    if one.rv != other.rv {
        return all;
    }
    let what = if matches!(call.what, What::SessionInfo) { "state" } else { "length" };
    // The length that is asked for may be more than what comes (section 5.2), so only what came counts; and parts of what is
    // decrypted may be held back.
    if one.bytes.as_ref().is_none_or(|bytes| !bytes.is_empty()) {
        note(what, format!("{:?}", one.number), format!("{:?}", other.number));
    }
    if known.bytes(call) {
        note("bytes", format!("{:?}", one.bytes), format!("{:?}", other.bytes));
    }
    note("found", format!("{:?}", one.found), format!("{:?}", other.found));
    for ((kind, len, value), (_, other_len, other_value)) in
        one.attributes.iter().zip(&other.attributes)
    {
        let name = names::attribute(*kind);
        note(&name, signed(*len), signed(*other_len));
        let object = if let What::Read { object, .. } = call.what { object } else { Id::MAX };
        if *kind != CKA_VALUE || known.is_fixed(object) {
            note(&name, format!("{value:?}"), format!("{other_value:?}"));
        }
    }
    all
}

fn signed(len: u64) -> String {
    if len == CK_UNAVAILABLE_INFORMATION {
        "unavailable".to_owned()
    } else {
        format!("{len} bytes")
    }
}

/// A sequence with both answers to each call.
pub(super) fn text(calls: &[Call], outcomes: &[Vec<Outcome>; 2]) -> String {
    let [ones, others] = outcomes;
    let mut text = String::new();
    for (at, call) in calls.iter().enumerate() {
        let told = |outcomes: &[Outcome]| {
            outcomes.get(at).map_or_else(|| "nothing".to_owned(), Outcome::text)
        };
        let (one, other) = (told(ones), told(others));
        let _ = writeln!(
            text,
            "  {:>3} in {:>3} {} {:?}",
            call.id,
            call.session,
            call.function(),
            call.what
        );
        if one == other {
            let _ = writeln!(text, "        {one}");
        } else {
            let _ = writeln!(text, "        {one}\n        {other}   <- differs");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::call::{Bytes, Method, Room};

    fn call(id: Id, what: What) -> Call {
        Call { id, session: 0, what }
    }

    fn digest() -> Vec<Call> {
        let init = What::Init { work: Work::Digest, method: Method::Sha256, key: 0, wrong: false };
        let (data, out) = (Bytes::Of(3), Room::For(64));
        let whole = What::Whole { work: Work::Digest, data, out, signature: data };
        vec![call(2, init), call(4, whole)]
    }

    fn answered(byte: u8) -> Vec<Outcome> {
        let bytes = Outcome { bytes: Some(vec![byte]), number: Some(1), ..Outcome::of(CKR_OK) };
        vec![Outcome::of(CKR_OK), bytes]
    }

    #[test]
    fn other_bytes_of_the_same_are_a_difference() {
        let compared = all(&digest(), [answered(1), answered(1)], |_| None);
        assert_eq!((compared.difference, compared.calls), (None, 2));
        let compared = all(&digest(), [answered(1), answered(2)], |_| None);
        let found = compared.difference.unwrap();
        assert_eq!((found.function, found.what.as_str()), ("C_Digest", "bytes"));
    }

    #[test]
    fn what_only_one_has_done_parts_them_even_if_it_is_accepted() {
        let refused =
            vec![Outcome::of(CKR_MECHANISM_INVALID), Outcome::of(CKR_OPERATION_NOT_INITIALIZED)];
        let compared = all(&digest(), [answered(1), refused.clone()], |_| Some("so it is".into()));
        assert_eq!((compared.difference, compared.calls), (None, 1));
        assert_eq!(compared.accepted, ["so it is"]);
        let compared = all(&digest(), [answered(1), refused], |_| None);
        assert_eq!(
            compared.difference.unwrap().to_string(),
            "C_DigestInit: rv is CKR_OK, and CKR_MECHANISM_INVALID"
        );
    }
}
