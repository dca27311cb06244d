//! Known ways of getting at a locked key, tried on a member by someone who has its user PIN (design.md section 6).
//!
//! With nothing but an unwrap template, SoftHSM and Kryoptic let that person set CKA_DECRYPT on a KEK and read what
//! it wraps, and Kryoptic lets a copy drop the template. So every attack is made on the real keys, on every member.
//! First it is shown that the bait opens as it is meant to: a refusal of what could not work proves nothing.

use super::at::{At, wrong};
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
use tandem_values::{
    AttributeType, Handle, Mechanism, Parameter, Part, Template, Value, ck::*, names,
};
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

    /// Opens what is wrapped otherwise than locked, or otherwise than by the one mechanism.
    fn unwrap_otherwise(&mut self, key: RingKey) -> Result<()> {
        if let Some(class) = recipe::opens(key) {
            let bait = self.bait(key, class)?;
            let proper = recipe::closed(class, bait.kind.key_type);
            let opened = self.unwrap(key, &bait.wrapped, &proper);
            let opened =
                opened.at(&self.desk, "opening a wrapped key as it is meant to be opened")?;
            self.forget(opened);
            let extractable = proper.clone().with(CKA_EXTRACTABLE, true);
            let both = extractable.clone().with(CKA_SENSITIVE, false);
            for (what, template) in [
                ("unwrap as extractable", extractable),
                ("unwrap as not sensitive", proper.clone().with(CKA_SENSITIVE, false)),
                ("unwrap as extractable and not sensitive", both),
                ("unwrap without CKA_EXTRACTABLE", without(&proper, CKA_EXTRACTABLE)),
                ("unwrap without CKA_SENSITIVE", without(&proper, CKA_SENSITIVE)),
                ("unwrap without CKA_CLASS", without(&proper, CKA_CLASS)),
            ] {
                let outcome = self.opened(key, &bait.wrapped, &template);
                self.note(key, what, outcome);
            }
            self.unwrap_as_another_class(key)?;
        }
        if key == RingKey::Secret {
            self.derive_from_unwrapped()?;
        }
        let bait = self.bait(key, CKO_SECRET_KEY)?;
        let template = recipe::closed(recipe::opens(key).unwrap_or(CKO_SECRET_KEY), CKK_AES);
        for mechanism in other_wraps(recipe::mechanism(&self.desk, key)) {
            let member = self.desk.member;
            let kek = self.handles.get(key);
            let opened =
                member.unwrap(self.desk.session, &mechanism, kek, &bait.wrapped, &template);
            let what = format!("unwrap by {}", names::mechanism(mechanism.kind));
            let outcome = self.made(opened);
            self.note(key, &what, outcome);
        }
        Ok(())
    }

    /// A private key as a secret one, whose value is then bytes like any other; a private key under the key for secret
    /// ones.
    fn unwrap_as_another_class(&mut self, key: RingKey) -> Result<()> {
        let bait = self.bait(key, CKO_PRIVATE_KEY)?;
        let template = match key {
            RingKey::Private => recipe::closed(CKO_SECRET_KEY, CKK_GENERIC_SECRET),
            _ => recipe::closed(CKO_PRIVATE_KEY, bait.kind.key_type),
        };
        let opened = self.unwrap(key, &bait.wrapped, &template);
        let outcome = self.made(opened);
        self.note(key, "unwrap as another class", outcome);
        Ok(())
    }

    /// Opens a secret key for deriving, and derives from it what is the key itself or can be guessed piece by piece.
    fn derive_from_unwrapped(&mut self) -> Result<()> {
        let key = RingKey::Secret;
        let bait = self.bait(key, CKO_SECRET_KEY)?;
        let desk = self.desk;
        let scratch = Scratch::at(&desk);
        let template = recipe::closed(CKO_SECRET_KEY, bait.kind.key_type).with(CKA_DERIVE, true);
        let base = self.unwrap(key, &bait.wrapped, &template);
        let base = scratch.keep(base.at(&desk, "opening a wrapped key for deriving")?);
        let some = |bytes: &[u8]| Parameter::Parts(vec![bytes_part(bytes)]);
        for (kind, parameter) in [
            (CKM_CONCATENATE_BASE_AND_DATA, some(b"x")),
            (CKM_CONCATENATE_DATA_AND_BASE, some(b"x")),
            (CKM_CONCATENATE_BASE_AND_KEY, Parameter::Parts(vec![Part::Key(base)])),
            (CKM_XOR_BASE_AND_DATA, some(&[0; 64])),
            (CKM_EXTRACT_KEY_FROM_KEY, Parameter::Flat(Zeroizing::new(vec![0; 8]))),
        ] {
            let derived = desk.member.derive(
                desk.session,
                &Mechanism { kind, parameter },
                base,
                &derived_template(8),
            );
            if let Ok(d) = derived { eprintln!("DBG {} S {:?} X {:?} V {:?}", names::mechanism(kind), self.reads(d, CKA_SENSITIVE)==Some(Value::Flag(true)), self.reads(d, CKA_EXTRACTABLE)==Some(Value::Flag(true)), desk.member.read(desk.session,d,&[CKA_VALUE,CKA_VALUE_LEN])); }
            let outcome = self.made(derived);
            self.note(key, &format!("unwrap and derive by {}", names::mechanism(kind)), outcome);
        }
        Ok(())
    }

    /// Wraps by another mechanism than the one that is allowed.
    fn wrap_otherwise(&mut self, key: RingKey) -> Result<()> {
        let desk = self.desk;
        let scratch = Scratch::at(&desk);
        let own = own_key(&scratch).at(&desk, "making a key to wrap")?;
        for mechanism in other_wraps(recipe::mechanism(&desk, key)) {
            let by = self.handles.get(key);
            let outcome = taken(&desk.member.wrap(desk.session, &mechanism, by, own));
            self.note(key, &format!("wrap by {}", names::mechanism(mechanism.kind)), outcome);
        }
        Ok(())
    }

    /// Does with a key what it isn't for.
    fn use_otherwise(&mut self, key: RingKey) {
        let iv = [0; 16];
        let (ecb, cbc) = (Mechanism::plain(CKM_AES_ECB), Mechanism::flat(CKM_AES_CBC, &iv));
        let hmac = Mechanism::plain(CKM_SHA512_HMAC);
        let tries = match key {
            RingKey::Log => vec![(Verb::Sign, hmac)],
            _ => vec![
                (Verb::Decrypt, ecb.clone()),
                (Verb::Decrypt, cbc),
                (Verb::Encrypt, ecb),
                (Verb::Sign, Mechanism::plain(CKM_AES_CMAC)),
            ],
        };
        for (verb, mechanism) in tries {
            let what = format!("{verb:?} by {}", names::mechanism(mechanism.kind));
            let outcome = self.begun(verb, mechanism, self.handles.get(key));
            self.note(key, &what, outcome);
        }
        let mechanism = match key {
            RingKey::Log => Mechanism::plain(CKM_SHA256_KEY_DERIVATION),
            _ => Mechanism {
                kind: CKM_AES_ECB_ENCRYPT_DATA,
                parameter: Parameter::Parts(vec![bytes_part(&iv)]),
            },
        };
        let base = self.handles.get(key);
        let derived =
            self.desk.member.derive(self.desk.session, &mechanism, base, &derived_template(16));
        let outcome = self.made(derived);
        self.note(key, &format!("derive by {}", names::mechanism(mechanism.kind)), outcome);
    }

    /// Sets attributes that the lock forbids.
    fn change(&mut self, key: RingKey) {
        let recipe = recipe::locked(&self.desk, key, recipe::Place::Session);
        let mut wanted = Template::new();
        for flag in recipe::USAGE {
            if !recipe.is(flag) {
                wanted.set(flag, true);
            }
        }
        wanted.set(CKA_EXTRACTABLE, true);
        wanted.set(CKA_SENSITIVE, false);
        wanted.set(CKA_COPYABLE, true);
        wanted.set(CKA_MODIFIABLE, true);
        wanted.set(CKA_PRIVATE, false);
        let mechanisms = vec![recipe::mechanism(&self.desk, key), CKM_AES_ECB, CKM_AES_KEY_WRAP];
        wanted.set(CKA_ALLOWED_MECHANISMS, mechanisms);
        if recipe::is_kek(key) {
            wanted.set(CKA_UNWRAP_TEMPLATE, loose());
        }
        wanted.set(CKA_LABEL, "no key of a ring");
        for attribute in &wanted {
            let outcome =
                self.set(key, attribute.kind, &attribute.value, recipe.get(attribute.kind));
            let what = format!("set {}", names::attribute(attribute.kind));
            self.note(key, &what, outcome);
        }
    }

    /// Copies a key, as it is and less locked.
    fn copy(&mut self, key: RingKey) {
        let copy = Template::new().with(CKA_TOKEN, false);
        let usage = copy.clone().with(CKA_DECRYPT, true).with(CKA_SIGN, true);
        let mut tries = vec![
            ("copy", copy.clone()),
            ("copy as extractable", copy.clone().with(CKA_EXTRACTABLE, true)),
            ("copy as modifiable", copy.clone().with(CKA_MODIFIABLE, true)),
            ("copy with other usage", usage),
        ];
        if recipe::is_kek(key) {
            let template = copy.with(CKA_UNWRAP_TEMPLATE, loose());
            tries.push(("copy with another unwrap template", template));
        }
        for (what, template) in tries {
            let key_handle = self.handles.get(key);
            let copied = self.desk.member.copy(self.desk.session, key_handle, &template);
            let outcome = self.made(copied);
            self.note(key, what, outcome);
        }
    }

    /// Takes the key itself out: by wrapping it, and by reading it.
    fn take_out(&mut self, key: RingKey) -> Result<()> {
        let desk = self.desk;
        let target = self.handles.get(key);
        let scratch = Scratch::at(&desk);
        let own = own_key(&scratch).at(&desk, "making a key to wrap with")?;
        let outcome = taken(&carry::wrap(&desk, own, target));
        self.note(key, "wrap it under a key of one's own", outcome);
        let outcome = taken(&carry::wrap(&desk, self.handles.open, target));
        self.note(key, "wrap it under the open key", outcome);
        let outcome = match desk.member.read(desk.session, target, &[CKA_VALUE]) {
            Err(fault) => Outcome::of_failure(fault),
            Ok(readings) => match readings.first() {
                Some(Reading::Sensitive) => {
                    Outcome::Withstood(names::rv(CKR_ATTRIBUTE_SENSITIVE).into_owned())
                }
                Some(Reading::Invalid) => {
                    Outcome::Withstood(names::rv(CKR_ATTRIBUTE_TYPE_INVALID).into_owned())
                }
                Some(Reading::Value(_)) | None => Outcome::done(),
            },
        };
        self.note(key, "read CKA_VALUE", outcome);
        Ok(())
    }

    /// A key of this class, wrapped under a key of the ring: of the first kind that this member can make and wrap.
    fn bait(&self, kek: RingKey, class: u64) -> Result<Bait> {
        let scratch = Scratch::at(&self.desk);
        // The kinds in an order in which the quick ones come first.
        for kind in kind::ALL.iter().rev().filter(|kind| kind.class() == class) {
            let usage = if class == CKO_PRIVATE_KEY { CKA_SIGN } else { CKA_ENCRYPT };
            let wrapped = kind
                .generate(&scratch, usage)
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
        let _ = self.desk.member.destroy(self.desk.session, object);
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
    fn opened(&self, kek: RingKey, wrapped: &[u8], template: &Template) -> Outcome {
        let object = match self.unwrap(kek, wrapped, template) {
            Ok(object) => object,
            // What was left out is demanded.
            Err(fault) if fault.rv.0 == CKR_TEMPLATE_INCOMPLETE => {
                return Outcome::Withstood(fault.rv.to_string());
            }
            Err(fault) => return Outcome::of_failure(fault),
        };
        let locked = Template::new().with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false);
        let is_locked = locked
            .iter()
            .all(|attribute| self.reads(object, attribute.kind).as_ref() == Some(&attribute.value));
        self.forget(object);
        if is_locked { Outcome::of_no_use("what it opened is locked") } else { Outcome::done() }
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
                // Left open it would be in the way of the next.
                let _ = self.desk.member.cancel(self.desk.session, verb);
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

fn bytes_part(bytes: &[u8]) -> Part {
    Part::Bytes(Some(Zeroizing::new(bytes.to_vec())))
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
