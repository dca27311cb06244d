//! Attacks on a key of the ring itself: on what it may do, and on its staying where it is.

use super::{
    Outcome, Thief, derivations, derived_template, loose, other_wraps, own_key, recipe, taken,
};
use crate::carry;
use crate::error::Result;
use crate::pair::at::At;
use crate::pair::scratch::Scratch;
use crate::ring::RingKey;
use crate::step::Verb;
use tandem_values::template::Reading;
use tandem_values::{Mechanism, Template, ck::*, names};

impl Thief<'_> {
    /// Wraps by another mechanism than the one that is allowed.
    pub(super) fn wrap_otherwise(&mut self, key: RingKey) -> Result<()> {
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
    pub(super) fn use_otherwise(&mut self, key: RingKey) {
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
        let base = self.handles.get(key);
        for (mechanism, len) in derivations(base) {
            let template = derived_template(len);
            let derived = self.desk.member.derive(self.desk.session, &mechanism, base, &template);
            let what = format!("derive by {}", names::mechanism(mechanism.kind));
            let outcome = self.made(derived);
            self.note(key, &what, outcome);
        }
    }

    /// Sets attributes that the lock forbids.
    pub(super) fn change(&mut self, key: RingKey) {
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
    pub(super) fn copy(&mut self, key: RingKey) {
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
    pub(super) fn take_out(&mut self, key: RingKey) -> Result<()> {
        let desk = self.desk;
        let target = self.handles.get(key);
        let scratch = Scratch::at(&desk);
        let own = own_key(&scratch).at(&desk, "making a key to wrap with")?;
        let outcome = taken(&carry::wrap(&desk, own, target));
        self.note(key, "wrap it under a key of one's own", outcome);
        let outcome = taken(&carry::wrap(&desk, self.handles.newest.open, target));
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
}
