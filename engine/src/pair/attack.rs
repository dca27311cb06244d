//! Known ways of getting at a locked key, tried on a member by someone who has its user PIN (design.md section 6).
//!
//! With nothing but an unwrap template, SoftHSM and Kryoptic let that person set CKA_DECRYPT on a KEK and read what
//! it wraps, and Kryoptic lets a copy drop the template. So every attack is made on the real keys, on every member.
//! First it is shown that the bait opens as it is meant to: a refusal of what could not work proves nothing.

mod lock;
mod unwrap;

use super::at::wrong;
use super::kind::{self, Kind};
use super::recipe;
use super::scratch::Scratch;
use crate::carry;
use crate::desk::Desk;
use crate::error::Result;
use crate::fault::{Answer, Fault};
use crate::ring::{Attack, RingHandles, RingKey};
use crate::step::{Room, Step, Verb};
use tandem_values::template::Reading;
use tandem_values::{AttributeType, Handle, Mechanism, Parameter, Part, Template, Value, ck::*};
use zeroize::Zeroizing;

/// Tries every known attack on the ring's keys on a member. What an attack makes is destroyed again, and what it
/// changes is set back.
pub fn attack(desk: &Desk<'_>, handles: &RingHandles) -> Result<Vec<Attack>> {
    let mut thief = Thief { desk: *desk, handles: *handles, tried: Vec::new() };
    for key in RingKey::ALL {
        if recipe::is_kek(key) {
            thief.unwrap_otherwise(key)?;
            thief.wrap_otherwise(key)?;
        }
        thief.use_otherwise(key);
        thief.change(key);
        thief.copy(key);
        thief.take_out(key)?;
    }
    Ok(thief.tried)
}

/// True for an answer that says no. Anything else, a device error or a lost session, says nothing of the attack.
const fn is_no(fault: Fault) -> bool {
    matches!(
        fault.rv.0,
        CKR_ACTION_PROHIBITED
            | CKR_ATTRIBUTE_READ_ONLY
            | CKR_ATTRIBUTE_SENSITIVE
            | CKR_ATTRIBUTE_TYPE_INVALID
            | CKR_ATTRIBUTE_VALUE_INVALID
            | CKR_FUNCTION_NOT_SUPPORTED
            | CKR_KEY_FUNCTION_NOT_PERMITTED
            | CKR_KEY_NOT_WRAPPABLE
            | CKR_KEY_TYPE_INCONSISTENT
            | CKR_KEY_UNEXTRACTABLE
            | CKR_MECHANISM_INVALID
            | CKR_TEMPLATE_INCONSISTENT
            | CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT
            | CKR_WRAPPING_KEY_TYPE_INCONSISTENT
    )
}

/// What came of an attack.
enum Outcome {
    /// The module refused, or what it did is of no use.
    Withstood(String),
    /// The thief has what he wanted; or the module failed, and nobody knows.
    NotRefused(String),
}

impl Outcome {
    fn of_failure(fault: Fault) -> Self {
        if is_no(fault) {
            Self::Withstood(fault.rv.to_string())
        } else {
            Self::NotRefused(fault.rv.to_string())
        }
    }

    fn done() -> Self {
        Self::NotRefused("CKR_OK".into())
    }

    fn of_no_use(why: &str) -> Self {
        Self::Withstood(format!("CKR_OK, but {why}"))
    }
}

/// Someone with a member's user PIN.
struct Thief<'a> {
    desk: Desk<'a>,
    handles: RingHandles,
    tried: Vec<Attack>,
}

/// A key that a thief had wrapped under a key of the ring.
struct Bait {
    kind: &'static Kind,
    wrapped: Vec<u8>,
}

impl Thief<'_> {
    fn note(&mut self, key: RingKey, what: &str, outcome: Outcome) {
        let (refused, answer) = match outcome {
            Outcome::Withstood(answer) => (true, answer),
            Outcome::NotRefused(answer) => (false, answer),
        };
        self.tried.push(Attack { name: format!("{} key: {what}", key.name()), refused, answer });
    }

    /// A key of this class, wrapped under a key of the ring: of the first kind that this member can make and wrap.
    fn bait(&self, kek: RingKey, class: u64) -> Result<Bait> {
        let scratch = Scratch::at(&self.desk);
        for kind in kind::quick_first().into_iter().filter(|kind| kind.class() == class) {
            let usage = if class == CKO_PRIVATE_KEY { CKA_SIGN } else { CKA_ENCRYPT };
            let wrapped = kind
                .generate(&scratch, &[usage])
                .and_then(|fresh| carry::wrap(&self.desk, self.handles.get(kek), fresh.key));
            if let Ok(wrapped) = wrapped {
                return Ok(Bait { kind, wrapped });
            }
        }
        Err(wrong(
            &self.desk,
            "it can't make and wrap a key of any kind, so no attack can be tried",
        ))
    }

    fn unwrap(&self, kek: RingKey, wrapped: &[u8], template: &Template) -> Answer<Handle> {
        carry::unwrap(&self.desk, self.handles.get(kek), wrapped, template)
    }

    fn forget(&self, object: Handle) {
        // A session object of ours: if it stays, it goes with the session.
        self.desk.discard(object);
    }

    /// An object that a thief should not have got at all.
    fn made(&self, made: Answer<Handle>) -> Outcome {
        match made {
            Ok(object) => {
                self.forget(object);
                Outcome::done()
            }
            Err(fault) => Outcome::of_failure(fault),
        }
    }

    /// A key that a thief should not have got otherwise than locked.
    fn unlocked(&self, made: Answer<Handle>) -> Outcome {
        let object = match made {
            Ok(object) => object,
            Err(fault) => return Outcome::of_failure(fault),
        };
        let locked = Template::new().with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false);
        let is_locked = locked
            .iter()
            .all(|attribute| self.reads(object, attribute.kind).as_ref() == Some(&attribute.value));
        self.forget(object);
        if is_locked { Outcome::of_no_use("what it made is locked") } else { Outcome::done() }
    }

    fn reads(&self, object: Handle, kind: AttributeType) -> Option<Value> {
        match self.desk.member.read(self.desk.session, object, &[kind]).ok()?.into_iter().next()? {
            Reading::Value(value) => Some(value),
            Reading::Sensitive | Reading::Invalid => None,
        }
    }

    /// An operation that should not begin.
    fn begun(&self, verb: Verb, mechanism: Mechanism, key: Handle) -> Outcome {
        let init = Step::Init { verb, mechanism, key: Some(key), signature: None };
        match self.desk.member.step(self.desk.session, &init, Room::Query) {
            Ok(_) => {
                self.desk.end(verb);
                Outcome::done()
            }
            Err(fault) => Outcome::of_failure(fault),
        }
    }

    /// Sets an attribute; if it is set then, sets it back to what it was.
    fn set(
        &self,
        key: RingKey,
        kind: AttributeType,
        value: &Value,
        recipe: Option<&Value>,
    ) -> Outcome {
        let target = self.handles.get(key);
        let before = self.reads(target, kind).or_else(|| recipe.cloned());
        let write = |value: &Value| {
            let template = Template::new().with(kind, value.clone());
            self.desk.member.write(self.desk.session, target, &template)
        };
        if let Err(fault) = write(value) {
            return Outcome::of_failure(fault);
        }
        let after = self.reads(target, kind);
        if after.is_some() && after == before {
            return Outcome::of_no_use("nothing changed");
        }
        match before.map(|before| write(&before)) {
            Some(Ok(())) => Outcome::done(),
            _ => Outcome::NotRefused("CKR_OK, and it can't be set back".into()),
        }
    }
}

/// Bytes that a thief should not have got.
fn taken(wrapped: &Answer<Vec<u8>>) -> Outcome {
    match wrapped {
        Ok(_) => Outcome::done(),
        Err(fault) => Outcome::of_failure(*fault),
    }
}

/// A key whose value the thief knows.
fn own_key(scratch: &Scratch<'_>) -> Answer<Handle> {
    let flags = [(CKA_EXTRACTABLE, true), (CKA_WRAP, true)];
    super::check::import(scratch, &[0x5a; 32], &flags)
}

/// A derived key that can be read.
fn derived_template(len: u64) -> Template {
    Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
        .with(CKA_VALUE_LEN, len)
        .with(CKA_TOKEN, false)
        .with(CKA_SENSITIVE, false)
        .with(CKA_EXTRACTABLE, true)
}

/// So few bytes of a key can be guessed, locked or not.
const PIECE: u64 = 1;

/// Derivations whose result is the key, or a piece of it, with the bytes that are asked for.
fn derivations(base: Handle) -> Vec<(Mechanism, u64)> {
    let with = |kind, parameter| Mechanism { kind, parameter };
    let data =
        |bytes: &[u8]| Parameter::Parts(vec![Part::Bytes(Some(Zeroizing::new(bytes.to_vec())))]);
    let first_bit = Parameter::Flat(Zeroizing::new(vec![0; 8]));
    vec![
        (with(CKM_CONCATENATE_BASE_AND_DATA, data(b"x")), 16),
        (with(CKM_CONCATENATE_DATA_AND_BASE, data(b"x")), 16),
        (with(CKM_CONCATENATE_BASE_AND_KEY, Parameter::Parts(vec![Part::Key(base)])), 16),
        (with(CKM_XOR_BASE_AND_DATA, data(&[0; 16])), 16),
        (with(CKM_EXTRACT_KEY_FROM_KEY, first_bit), PIECE),
    ]
}

/// An unwrap template that lets everything out.
fn loose() -> Template {
    Template::new().with(CKA_SENSITIVE, false).with(CKA_EXTRACTABLE, true)
}

fn without(template: &Template, left_out: AttributeType) -> Template {
    template.filtered(|kind| kind != left_out)
}

/// Wrapping mechanisms for AES keys other than the one that is allowed.
fn other_wraps(allowed: u64) -> Vec<Mechanism> {
    let mut mechanisms = vec![
        Mechanism::plain(CKM_AES_KEY_WRAP),
        Mechanism::plain(CKM_AES_KEY_WRAP_PAD),
        Mechanism::plain(CKM_AES_KEY_WRAP_KWP),
        Mechanism::plain(CKM_AES_KEY_WRAP_PKCS7),
        Mechanism::flat(CKM_AES_CBC_PAD, &[0; 16]),
        Mechanism::plain(CKM_AES_ECB),
    ];
    mechanisms.retain(|mechanism| mechanism.kind != allowed);
    mechanisms
}
