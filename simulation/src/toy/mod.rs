//! A toy HSM: sessions, logins with a counter of wrong PINs, objects with honest attributes, and toy cryptography.
//!
//! It is as strict as the specification, so that the engine's own pairing, proofs and attacks run on it unchanged. It
//! never fails by itself: faults are the world's (`crate::world`).

pub mod crypto;
pub mod keys;
mod login;
mod object;
mod operation;
mod template;

pub use operation::Operation;

use std::collections::BTreeMap;
use tandem_engine::check;
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::{SessionId, User};
use tandem_engine::step::Verb;
use tandem_values::{Handle, Template, ck::*};

/// One life of a process: what a module sees as one application.
pub type Life = u64;

/// An object on a toy HSM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// What it shows.
    pub template: Template,
    /// What it doesn't: the value of a secret key, or a private key.
    pub secret: Vec<u8>,
    /// The session with which it goes; `None` for a token object.
    session: Option<u64>,
}

/// So many keys are a ring.
pub const RING_KEYS: usize = 5;

impl Thing {
    /// True for a key of the ring, or its head record.
    pub fn is_of_ring(&self) -> bool {
        self.template.bytes(CKA_LABEL).is_some_and(tandem_engine::pair::is_ring_label)
    }

    /// True for a head record.
    pub fn is_head(&self) -> bool {
        self.template.bytes(CKA_LABEL).is_some_and(tandem_engine::heads::is_label)
    }
}

/// A session with a toy HSM.
#[derive(Clone)]
struct Sitting {
    life: Life,
    writes: bool,
    operations: BTreeMap<Verb, Operation>,
}

/// A toy HSM. Cloned, it is a snapshot.
#[derive(Clone)]
pub struct Hsm {
    /// Its token's serial number.
    pub serial: String,
    /// The user's PIN.
    pub pin: Vec<u8>,
    /// Every PIN that was refused, in order, with the life that tried it.
    pub refused: Vec<(Life, Vec<u8>)>,
    /// No room for another token object.
    pub full: bool,
    /// Unplugged: answers nothing.
    pub away: bool,
    /// Holds keys, and no data.
    keys_only: bool,
    /// The type of keys that it does not have.
    lacks: Option<u64>,
    /// The objects of its own token, put aside while an empty token is in its place.
    replaced: Option<BTreeMap<u64, Thing>>,
    boot: u64,
    objects: BTreeMap<u64, Thing>,
    objects_made: u64,
    /// How often something on the token itself was made, changed or destroyed.
    pub written: u64,
    /// How often it has drawn a key.
    pub drawn: u64,
    sittings: BTreeMap<u64, Sitting>,
    sittings_made: u64,
    logins: BTreeMap<Life, User>,
}

impl Hsm {
    /// A token with this user PIN and nothing on it.
    pub fn new(serial: &str, pin: &[u8]) -> Self {
        Self {
            serial: serial.to_owned(),
            pin: pin.to_vec(),
            refused: Vec::new(),
            full: false,
            away: false,
            keys_only: false,
            lacks: None,
            replaced: None,
            boot: 1,
            objects: BTreeMap::new(),
            objects_made: 0,
            written: 0,
            drawn: 0,
            sittings: BTreeMap::new(),
            sittings_made: 0,
            logins: BTreeMap::new(),
        }
    }

    /// A model that holds keys and no data, and never did.
    pub fn hold_keys_only(&mut self) {
        self.keys_only = true;
        self.objects.retain(|_, thing| thing.template.class() != Some(CKO_DATA));
    }

    /// A model that has no keys of this type, and never had.
    pub fn lack(&mut self, key_type: u64) {
        self.lacks = Some(key_type);
        self.objects.retain(|_, thing| thing.template.key_type() != Some(key_type));
    }

    /// True unless it has no keys of this one's type.
    pub fn can_hold(&self, template: &Template) -> bool {
        self.lacks.is_none() || template.key_type() != self.lacks
    }

    /// True for a mechanism that it has.
    pub fn has_mechanism(&self, kind: u64) -> bool {
        let made = check::generated(kind).map(|(_, key_type)| key_type);
        self.lacks.is_none() || made.or_else(|| check::works_with(kind)) != self.lacks
    }

    /// What is on the token itself, whichever is in its place now.
    pub fn token_objects(&self) -> impl Iterator<Item = &Thing> {
        let objects = self.replaced.as_ref().unwrap_or(&self.objects);
        objects.values().filter(|thing| thing.session.is_none())
    }

    /// How many session objects there are.
    pub fn session_objects(&self) -> usize {
        self.objects.values().filter(|thing| thing.session.is_some()).count()
    }

    /// Switched off and on: sessions, logins and session objects are gone, and every handle names nothing any more.
    pub fn reboot(&mut self) {
        self.boot += 1;
        self.sittings.clear();
        self.logins.clear();
        self.objects.retain(|_, thing| thing.session.is_none());
    }

    /// Forgets the sessions of a process and all that goes with them.
    pub fn forget_sessions(&mut self, life: Life) {
        let gone: Vec<_> = self
            .sittings
            .iter()
            .filter(|(_, sitting)| sitting.life == life)
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            self.end_sitting(number);
        }
        self.logins.remove(&life);
    }

    /// Forgets that a process is logged in.
    pub fn forget_login(&mut self, life: Life) {
        self.log_out(life);
    }

    /// Another token is put in the place of this one, with the same PIN and nothing on it.
    pub fn replace_by_empty(&mut self) {
        if self.replaced.is_none() {
            self.reboot();
            self.replaced = Some(std::mem::take(&mut self.objects));
        }
    }

    /// True while an empty token is in its place.
    pub fn is_replaced(&self) -> bool {
        self.replaced.is_some()
    }

    /// Another token takes the place of this one for good, with the same PIN and nothing on it, and of a model that lacks nothing.
    pub fn swap(&mut self) {
        self.reboot();
        self.lacks = None;
        self.objects.clear();
        self.replaced = None;
        self.serial.push('+');
    }

    /// True if the token in its place holds the ring, whole.
    pub fn holds_ring(&self) -> bool {
        let own =
            |thing: &&Thing| thing.session.is_none() && thing.is_of_ring() && !thing.is_head();
        self.objects.values().filter(own).count() >= RING_KEYS
    }

    /// Its own token is put back, and everything works again. An empty one that was brought into the ring meanwhile stays.
    pub fn heal(&mut self) {
        self.full = false;
        self.away = false;
        if self.holds_ring() {
            self.replaced = None;
        }
        if let Some(objects) = self.replaced.take() {
            self.reboot();
            self.objects = objects;
        }
    }

    /// A token object disappears: the `n`th, counted round.
    pub fn lose_object(&mut self, n: usize, is_fair: impl Fn(&Thing) -> bool) {
        let fair: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, thing)| thing.session.is_none() && is_fair(thing))
            .map(|(number, _)| *number)
            .collect();
        if let Some(number) = fair.get(n.checked_rem(fair.len()).unwrap_or(0)) {
            self.objects.remove(number);
        }
    }

    fn sitting(&mut self, life: Life, session: SessionId, call: Call) -> Answer<&mut Sitting> {
        self.sittings
            .get_mut(&session.0)
            .filter(|sitting| sitting.life == life)
            .ok_or_else(|| Fault::new(call, CKR_SESSION_HANDLE_INVALID))
    }

    fn is_user(&self, life: Life) -> bool {
        self.logins.get(&life) == Some(&User::User)
    }

    fn handle(&self, number: u64) -> Handle {
        (self.boot << 32) | number
    }

    /// The object of a handle, for a process; `missing` where there is none.
    fn number(
        &mut self,
        life: Life,
        session: SessionId,
        handle: Handle,
        call: Call,
        missing: u64,
    ) -> Answer<u64> {
        self.sitting(life, session, call)?;
        let number = handle & 0xffff_ffff;
        let thing = self.objects.get(&number).filter(|_| handle >> 32 == self.boot);
        let Some(thing) = thing else { return Err(Fault::new(call, missing)) };
        if thing.session.is_some_and(|of| self.sittings.get(&of).is_none_or(|s| s.life != life)) {
            return Err(Fault::new(call, missing));
        }
        if thing.template.is(CKA_PRIVATE) && !self.is_user(life) {
            return Err(Fault::new(call, CKR_USER_NOT_LOGGED_IN));
        }
        Ok(number)
    }

    fn thing(
        &mut self,
        life: Life,
        session: SessionId,
        handle: Handle,
        call: Call,
        missing: u64,
    ) -> Answer<&Thing> {
        let number = self.number(life, session, handle, call, missing)?;
        self.objects.get(&number).ok_or_else(|| Fault::new(call, missing))
    }
}
