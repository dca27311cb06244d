//! Attacks on what a KEK opens.

use super::{
    Outcome, PIECE, Thief, derivations, derived_template, loose, other_wraps, recipe, without,
};
use crate::error::Result;
use crate::pair::at::At;
use crate::pair::scratch::Scratch;
use crate::ring::RingKey;
use tandem_values::{Template, ck::*, names};

impl Thief<'_> {
    /// Opens what is wrapped otherwise than locked, or otherwise than by the one mechanism.
    pub(super) fn unwrap_otherwise(&mut self, key: RingKey) -> Result<()> {
        if let Some(class) = recipe::opens(key) {
            let bait = self.bait(key, class)?;
            let proper = recipe::closed(class, bait.kind.key_type, &[]);
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
                ("unwrap with flags said twice", both_said(&proper, &loose())),
                ("unwrap with flags said twice, the other way round", both_said(&loose(), &proper)),
            ] {
                let outcome = match self.unwrap(key, &bait.wrapped, &template) {
                    // What was left out is demanded.
                    Err(fault) if fault.rv.0 == CKR_TEMPLATE_INCOMPLETE => {
                        Outcome::Withstood(fault.rv.to_string())
                    }
                    opened => self.unlocked(opened),
                };
                self.note(key, what, outcome);
            }
            self.unwrap_as_another_class(key)?;
            self.unlock_what_it_opens(key, class)?;
        }
        let class = recipe::opens(key).unwrap_or(CKO_SECRET_KEY);
        let bait = self.bait(key, class)?;
        let template = recipe::closed(class, bait.kind.key_type, &[]);
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
            RingKey::Private => recipe::closed(CKO_SECRET_KEY, CKK_GENERIC_SECRET, &[]),
            _ => recipe::closed(CKO_PRIVATE_KEY, bait.kind.key_type, &[]),
        };
        let opened = self.unwrap(key, &bait.wrapped, &template);
        let outcome = self.made(opened);
        self.note(key, "unwrap as another class", outcome);
        let data = Template::new().with(CKA_CLASS, CKO_DATA).with(CKA_TOKEN, false);
        let opened = self.unwrap(key, &bait.wrapped, &data);
        let outcome = self.made(opened);
        self.note(key, "unwrap as data", outcome);
        Ok(())
    }

    /// Opens a key with usage that its owner never gave it, and makes something of it that shows the key: a copy, or a
    /// derived key that is the key itself or a piece that can be guessed.
    ///
    /// Kryoptic 1.5.4 hands a secret key out by every one of these derivations but one, if it may derive at all.
    fn unlock_what_it_opens(&mut self, key: RingKey, class: u64) -> Result<()> {
        let bait = self.bait(key, class)?;
        let desk = self.desk;
        let scratch = Scratch::at(&desk);
        let proper = recipe::closed(class, bait.kind.key_type, &[]);
        let opened = self.unwrap(key, &bait.wrapped, &proper);
        let base = scratch.keep(opened.at(&desk, "opening a wrapped key")?);
        let copy = loose().with(CKA_TOKEN, false);
        let outcome = self.unlocked(desk.member.copy(desk.session, base, &copy));
        self.note(key, "unwrap, and copy as extractable", outcome);
        let mut changes = vec![(CKA_EXTRACTABLE, true), (CKA_SENSITIVE, false)];
        if class == CKO_SECRET_KEY {
            changes.push((CKA_DERIVE, true));
        }
        for (kind, value) in changes {
            let change = Template::new().with(kind, value);
            let outcome = match desk.member.write(desk.session, base, &change) {
                Err(fault) => Outcome::of_failure(fault),
                Ok(()) if self.reads(base, kind) != Some(value.into()) => {
                    Outcome::of_no_use("nothing changed")
                }
                Ok(()) => Outcome::done(),
            };
            self.note(key, &format!("unwrap, and set {}", names::attribute(kind)), outcome);
        }
        let base = match self.unwrap(key, &bait.wrapped, &proper.with(CKA_DERIVE, true)) {
            Ok(base) => scratch.keep(base),
            Err(fault) => {
                self.note(key, "unwrap to derive from", Outcome::of_failure(fault));
                return Ok(());
            }
        };
        for (mechanism, len) in derivations(base) {
            let what = format!("unwrap, and derive by {}", names::mechanism(mechanism.kind));
            let derived =
                desk.member.derive(desk.session, &mechanism, base, &derived_template(len));
            let outcome = if len == PIECE { self.made(derived) } else { self.unlocked(derived) };
            self.note(key, &what, outcome);
        }
        Ok(())
    }
}

/// One template after the other. CKA_MODIFIABLE stays last: SoftHSM fails over what follows it, which is no refusal of
/// what was asked.
fn both_said(first: &Template, second: &Template) -> Template {
    let all: Template = first.iter().chain(second).cloned().collect();
    let modifiable = all.flag(CKA_MODIFIABLE);
    let all = all.filtered(|kind| kind != CKA_MODIFIABLE);
    match modifiable {
        Some(flag) => all.with(CKA_MODIFIABLE, flag),
        None => all,
    }
}
