//! What the virtual token holds, folded from the log by means of its own: nothing of the engine's shelf is asked.

use crate::store::Books;
use crate::toy::{Hsm, keys};
use std::collections::{BTreeMap, BTreeSet};
use tandem_engine::event::{Event, Record};
use tandem_engine::log::Position;
use tandem_engine::object::{Kek, Object, ObjectId, Rewrapped};
use tandem_engine::ring::{Generation, Paired, RingEntry, RingKey};
use tandem_values::{Handle, ck::*};

/// An object that was ever made.
#[derive(Clone)]
pub struct Real {
    /// The object as it was last.
    pub object: Object,
    /// True until it is destroyed.
    pub alive: bool,
    /// Every record that held its wrapped bytes.
    pub wrapped_at: Vec<Position>,
}

/// What the virtual token holds.
#[derive(Clone, Default)]
pub struct Truth {
    at: usize,
    /// Every object that was ever made.
    pub objects: BTreeMap<ObjectId, Real>,
    /// The members that the log counts.
    pub members: BTreeSet<String>,
    /// Every name that ever was one.
    pub known: BTreeSet<String>,
    /// The keys of the ring, which only an oracle knows, by what they are called: of one name there may be several, of rotations
    /// that came to nothing.
    keks: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// The set of shares that opens the ring.
    pub set: u16,
    /// The KEKs under which everything new is wrapped.
    pub newest: Generation,
    /// The oldest that members hold.
    oldest: Generation,
    /// The newest that each member holds.
    holds: BTreeMap<String, Generation>,
}

impl Truth {
    /// Knows the ring, from a member that holds it.
    pub fn new(hsm: &Hsm) -> Self {
        let mut truth = Self::default();
        truth.learn(hsm);
        truth
    }

    /// Knows the keys of the ring that a member holds.
    pub fn learn(&mut self, hsm: &Hsm) {
        for thing in hsm.token_objects().filter(|thing| thing.is_of_ring() && !thing.is_head()) {
            let label = thing.template.bytes(CKA_LABEL).unwrap_or_default();
            let label = String::from_utf8_lossy(label);
            if let Some((_, name)) = label.rsplit_once(':') {
                self.keks.entry(name.to_owned()).or_default().insert(thing.secret.clone());
            }
        }
    }

    /// True while a rotation is under way.
    pub fn is_rotating(&self) -> bool {
        self.oldest < self.newest
    }

    /// True if a member holds the key that wraps an object.
    pub fn opens(&self, member: &str, object: &Object) -> bool {
        let held = self.holds.get(member).copied().unwrap_or_default();
        object.under().is_none_or(|under| under.generation <= held)
    }

    /// Takes in what the log has grown by. An error if it has shrunk.
    pub fn follow(&mut self, books: &Books) -> Result<(), String> {
        let records = books.records();
        let Some(new) = records.get(self.at..) else {
            return Err(format!("the log had {} records and has {}", self.at, records.len()));
        };
        for record in new {
            self.fold(record)?;
        }
        self.at = records.len();
        Ok(())
    }

    fn fold(&mut self, record: &Record) -> Result<(), String> {
        match record.event() {
            Some(Event::Created(object)) => {
                let mut object = *object;
                object.born = record.position;
                let real = Real { alive: true, wrapped_at: vec![record.position], object };
                if let Some(old) = self.objects.insert(real.object.id, real) {
                    return Err(format!("object {} was created twice", old.object.id));
                }
            }
            Some(Event::Changed { id, template, kek, generation, .. }) => {
                let Some(real) = self.objects.get_mut(&id) else {
                    return Err(format!("object {id} was changed before it was created"));
                };
                real.object.template.merge(&template);
                if kek.is_some() {
                    (real.object.kek, real.object.generation) = (kek, generation);
                    (real.object.born, real.object.rewrapped) = (record.position, None);
                    real.wrapped_at.push(record.position);
                }
            }
            Some(Event::Claimed { id, template, .. }) => {
                let Some(real) = self.objects.get_mut(&id) else {
                    return Err(format!("object {id} was claimed before it was created"));
                };
                if !real.alive || real.object.stock.take().is_none() {
                    return Err(format!("object {id} was claimed and is not in stock"));
                }
                real.object.template.merge(&template);
            }
            Some(Event::Held { id, hold }) => {
                if let Some(real) = self.objects.get_mut(&id) {
                    real.object.hold = hold;
                }
            }
            Some(Event::Destroyed(id)) => {
                // A second tombstone does no harm: a creation is undone that another process has undone.
                let Some(real) = self.objects.get_mut(&id) else {
                    return Err(format!("object {id} was destroyed before it was created"));
                };
                real.alive = false;
            }
            Some(Event::Rewrapped { id, generation, changed }) => {
                let Some(real) = self.objects.get_mut(&id) else {
                    return Err(format!("object {id} was wrapped anew before it was created"));
                };
                real.object.generation = generation;
                real.object.rewrapped = Some(Rewrapped { at: record.position, changed });
                real.wrapped_at.push(record.position);
            }
            Some(Event::Paired(ring)) => {
                self.set = ring.recovery.map_or(0, |recovery| recovery.set);
                ring.members.iter().for_each(|member| self.count(member));
            }
            Some(Event::Joined(joined)) => self.count(&joined.member),
            Some(Event::Rotating(rotation)) => {
                if self.is_rotating() {
                    return Err("a rotation was begun in the middle of another".into());
                }
                (self.set, self.newest) = (rotation.recovery.set, self.newest.next());
                rotation.members.iter().for_each(|member| self.count(member));
            }
            Some(Event::Given { member, generation }) => {
                self.holds.insert(member, generation);
            }
            Some(Event::Rotated(generation)) => self.rotated(generation)?,
            Some(Event::Left(name)) => _ = self.members.remove(&name),
            Some(other) if other.is_for_ledger() => {}
            Some(_) | None => return Err(format!("record {} can't be read", record.position)),
        }
        Ok(())
    }

    fn count(&mut self, member: &Paired) {
        self.members.insert(member.name.clone());
        self.known.insert(member.name.clone());
        self.holds.insert(member.name.clone(), member.generation);
    }

    /// A rotation is finished: nothing may need what it replaced.
    fn rotated(&mut self, generation: Generation) -> Result<(), String> {
        self.oldest = generation;
        let needs =
            |real: &&Real| real.object.under().is_some_and(|under| under.generation < generation);
        if let Some(real) = self.living().find(needs) {
            return Err(format!("{} is under KEKs that were rotated out", real.object.id));
        }
        let lacks = self.members.iter().find(|name| self.holds.get(*name) < Some(&generation));
        match lacks {
            Some(name) => Err(format!("{name} lacks the KEKs of a rotation that is finished")),
            None => Ok(()),
        }
    }

    /// The objects that live.
    pub fn living(&self) -> impl Iterator<Item = &Real> {
        self.objects.values().filter(|real| real.alive)
    }

    /// What is wrapped in the log for an object: its key, or the value of a private data object.
    pub fn secret(&self, books: &Books, real: &Real) -> Option<Vec<u8>> {
        let object = &real.object;
        let index = usize::try_from(object.wrapped_at()).ok()?.checked_sub(1)?;
        let wrapped = books.records().get(index)?.wrapped.as_deref()?;
        let under = object.under()?;
        let key = match under.kek {
            Kek::Private => RingKey::Private,
            Kek::Secret => RingKey::Secret,
            Kek::Open | Kek::Bare => RingKey::Open,
            Kek::Data => RingKey::Data,
        };
        let entry = RingEntry {
            key,
            check: Vec::new(),
            recovery: Vec::new(),
            generation: under.generation,
        };
        let mut known = self.keks.get(&entry.name())?.iter();
        known.find_map(|kek| {
            if under.kek != Kek::Data {
                return keys::open_wrapped(kek, wrapped);
            }
            let (nonce, sealed) = wrapped.split_at_checked(12)?;
            let context: [&[u8]; 2] = [nonce, &object.id.0];
            crate::toy::crypto::open(kek, &context, sealed)
        })
    }
}

/// The handle of an object, once the catalogue has it.
pub fn handle_of(books: &Books, id: ObjectId) -> Option<Handle> {
    books.rows().find(|row| row.id == id).map(|row| row.handle)
}
