//! Holds both modules' answers to a sequence side by side.

use super::Compared;
use super::call::{Bytes, Call, Id, Outcome, What};
use crate::work::Work;
use std::collections::{HashMap, HashSet};
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
    /// The call, as it is shown, and what has happened to its operation before: ` in parts`, ` after C_Logout`,
    /// ` after CKR_…`, ` when nobody is logged in any more`, ` of another login` for a handle from before.
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
    /// What has happened to an operation since it began, by which a rule can tell what ended it.
    past: HashMap<(Id, &'static str), String>,
    /// The key of each.
    keys: HashMap<(Id, &'static str), Id>,
    /// Sessions that are open.
    open: HashSet<Id>,
    /// True once the last session was closed.
    anew: bool,
    /// True once a login has ended.
    out: bool,
    /// The call with which the last one ended.
    ended: Option<Id>,
    /// Calls that have answered other bytes on each.
    unlike: HashSet<Id>,
}

/// Which operation of its session a call is about, by the function that begins it.
fn operation(call: &Call) -> Option<(Id, &'static str)> {
    let work = match &call.what {
        What::Init { work, .. }
        | What::Whole { work, .. }
        | What::Update { work, .. }
        | What::Final { work, .. } => *work,
        What::DigestKey { .. } => Work::Digest,
        What::FindInit { .. } | What::Find { .. } | What::FindFinal => {
            return Some((call.session, "C_FindObjectsInit"));
        }
        _ => return None,
    };
    let [init, ..] = work.functions();
    Some((call.session, init))
}

/// The objects whose handles a call is given.
const fn objects(call: &Call) -> [Option<Id>; 2] {
    match call.what {
        What::Copy { from: object, .. }
        | What::Destroy { object }
        | What::Read { object, .. }
        | What::Write { object, .. }
        | What::Init { key: object, .. }
        | What::DigestKey { key: object }
        | What::Unwrap { by: object, .. }
        | What::Derive { base: object } => [Some(object), None],
        What::Wrap { by, key, .. } => [Some(by), Some(key)],
        _ => [None, None],
    }
}

impl Known {
    fn is_fixed(&self, id: Id) -> bool {
        self.fixed.get(&id).copied().unwrap_or(false)
    }

    /// True if both are given the same data.
    fn is_same(&self, data: Bytes) -> bool {
        !matches!(data, Bytes::From(id) if self.unlike.contains(&id))
    }

    /// True if the call's operation answers the same bytes on both.
    fn answers_alike(&self, call: &Call) -> bool {
        operation(call).and_then(|operation| self.active.get(&operation).copied()).unwrap_or(false)
    }

    /// A call as it is shown, and what has happened before it.
    fn shown(&self, call: &Call) -> String {
        let past = operation(call).and_then(|operation| self.past.get(&operation));
        let past = past.map(String::as_str).unwrap_or_default();
        let anew = if self.anew { " after the last C_CloseSession" } else { "" };
        let out = if self.out { " when nobody is logged in any more" } else { "" };
        let before = |object: &Id| !self.out && self.ended.is_some_and(|ended| *object < ended);
        let other =
            if objects(call).iter().flatten().any(before) { " of another login" } else { "" };
        let by_chance = matches!(&call.what, What::Whole { work, .. } | What::Update { work, .. } | What::Final { work, .. } if *work == Work::Decrypt)
            && !self.bytes(call);
        let chance = if by_chance { " with other bytes" } else { "" };
        format!("{:?}{past}{anew}{out}{other}{chance}", call.what)
    }

    /// How an operation has gone on, and what may have ended it: a call of its own that was refused, a logout.
    fn remember(&mut self, call: &Call, one: &Outcome) {
        match (&call.what, operation(call)) {
            (What::Init { .. } | What::FindInit { .. }, Some(operation)) if one.rv == CKR_OK => {
                self.past.insert(operation, String::new());
                if let What::Init { key, .. } = &call.what {
                    self.keys.insert(operation, *key);
                }
            }
            (What::Destroy { object }, _) if one.rv == CKR_OK => {
                let is_gone =
                    |(operation, _): &(&_, &mut _)| self.keys.get(*operation) == Some(object);
                let gone = self.past.iter_mut().filter(is_gone);
                gone.for_each(|(_, past)| past.push_str(" after C_DestroyObject"));
            }
            (What::Init { .. } | What::FindInit { .. }, _) => {}
            (_, Some(operation)) if one.rv != CKR_OK => {
                let past = self.past.entry(operation).or_default();
                let _ = write!(past, " after {}", names::rv(one.rv));
            }
            (What::Update { .. } | What::DigestKey { .. }, Some(operation)) => {
                self.past.entry(operation).or_default().push_str(" in parts");
            }
            (What::Open { .. }, _) if one.rv == CKR_OK => {
                self.open.insert(call.id);
            }
            (What::Close, _) if self.open.remove(&call.session) && self.open.is_empty() => {
                (self.anew, self.out, self.ended) = (true, true, Some(call.id));
            }
            (What::Login, _) if one.rv == CKR_OK => self.out = false,
            (What::Logout, _) if one.rv == CKR_OK => {
                (self.out, self.ended) = (true, Some(call.id));
                self.past.values_mut().for_each(|past| past.push_str(" after C_Logout"));
            }
            _ => {}
        }
    }

    /// True if the bytes of this call's answer must be the same.
    fn bytes(&self, call: &Call) -> bool {
        match &call.what {
            What::Whole { data, .. } | What::Update { data, .. } => {
                self.answers_alike(call) && self.is_same(*data)
            }
            What::Final { .. } => self.answers_alike(call),
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
            What::Update { data, .. } if !self.is_same(*data) => {
                if let Some(operation) = operation(call) {
                    self.active.insert(operation, false);
                }
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
        let mut parted = false;
        for difference in differences(&known, call, one, other) {
            // A search goes on where it stands, which isn't the same any more.
            parted |= difference.what == "found";
            let Some(reason) = accepted(&difference) else {
                compared.difference = Some(difference);
                return compared;
            };
            compared.accepted.push(reason);
        }
        // What follows can't be compared if only one of them has done it, or only one lets it be tried again.
        let on_one = |rv: &CK_RV| (one.rv == *rv) != (other.rv == *rv);
        if parted || [CKR_OK, CKR_BUFFER_TOO_SMALL].iter().any(on_one) {
            return compared;
        }
        known.remember(call, one);
        if one.bytes != other.bytes {
            known.unlike.insert(call.id);
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
            all.push(Difference { function, what, one, other, call: known.shown(call) });
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
    use crate::differential::call::{Method, Room};

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
