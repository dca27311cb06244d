//! What the engine says of templates: one that it lets pass it lets pass again as it is, and nothing in it is such as no
//! application may set.

use crate::random::Random;
use crate::wild::arena::KINDS;
use tandem_engine::check::{self, Purpose};
use tandem_values::{Attribute, Form, Template, Value, ck::*};

/// The most attributes of a template.
const ATTRIBUTES_MAX: usize = 12;
/// How deep templates stand in templates.
const DEPTH: usize = 2;

/// Checks a template, for each purpose.
pub(crate) fn run(data: &[u8]) {
    let mut random = Random::of(data);
    let (asked, object) = (any(&mut random, DEPTH), any(&mut random, DEPTH));
    for purpose in [Purpose::Create, Purpose::Make, Purpose::Copy, Purpose::Set] {
        if let Ok(once) = check::template(&asked, purpose) {
            lets_pass(&asked, &once, purpose);
        }
    }
    for attribute in &asked {
        for copying in [false, true] {
            let set = check::settable(&object, attribute.kind, copying);
            assert!(!check::is_read_only(attribute.kind) || set.is_err(), "{attribute:?} is set");
        }
    }
    expects(&asked, &mut random);
}

fn lets_pass(asked: &Template, once: &Template, purpose: Purpose) {
    assert!(check::template(once, purpose).is_ok_and(|again| again == *once), "{once:?}");
    for (at, attribute) in once.iter().enumerate() {
        let kind = attribute.kind;
        assert!(check::is_known(kind) && !check::is_read_only(kind), "{attribute:?} is let pass");
        assert!(once.iter().take(at).all(|other| other.kind != kind), "{attribute:?} twice");
        assert!(asked.get(kind) == Some(&attribute.value), "{attribute:?} is another");
    }
    assert!(asked.kinds().all(|kind| once.has(kind)), "something is missing: {once:?}");
    assert!(asked.matches(once) && once.matches(once));
    assert!(purpose != Purpose::Set || !once.has(CKA_CLASS), "the class of an object is set");
}

/// What is expected is there afterwards, or was asked otherwise before.
fn expects(asked: &Template, random: &mut Random<'_>) {
    let (class, key_type) =
        (random.below(8) as u64, random.one_in(2).then(|| random.below(4) as u64));
    let mut made = asked.clone();
    if check::expect(&mut made, class, key_type).is_ok() {
        assert_eq!(made.class(), Some(class));
        assert!(key_type.is_none() || made.key_type() == key_type);
        assert!(asked.class().is_none_or(|asked| asked == class), "a class is passed over");
    } else {
        let other = asked.class().is_some_and(|asked| asked != class)
            || asked.key_type().is_some_and(|asked| Some(asked) != key_type);
        assert!(other, "nothing speaks against it");
    }
    let _ = (check::whole(&made), check::values(&made));
}

/// A template in which each value has the form of its attribute.
pub(crate) fn any(random: &mut Random<'_>, depth: usize) -> Template {
    (0..random.below(ATTRIBUTES_MAX)).map(|_| attribute(random, depth)).collect()
}

fn attribute(random: &mut Random<'_>, depth: usize) -> Attribute {
    let kind = if random.one_in(16) { random.number() } else { random.pick(KINDS) };
    let value = match Form::of(kind) {
        Form::Flag => Value::Flag(random.one_in(2)),
        Form::Number => Value::Number(number(random)),
        Form::Bytes => {
            let len = random.pick(&[0, 1, 8, 16, 24, 65]);
            Value::from(random.bytes(len))
        }
        Form::Numbers => Value::Numbers((0..random.below(4)).map(|_| number(random)).collect()),
        Form::Template if depth == 0 => Value::Template(Template::new()),
        Form::Template => Value::Template(any(random, depth - 1)),
    };
    Attribute { kind, value }
}

fn number(random: &mut Random<'_>) -> u64 {
    if random.one_in(8) { random.number() } else { random.byte().into() }
}
