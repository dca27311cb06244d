//! What the virtual token holds, folded from the log by means of its own: nothing of the engine's shelf is asked.

use crate::store::Books;
use crate::toy::{Hsm, keys};
use std::collections::{BTreeMap, BTreeSet};
use tandem_engine::event::{Event, Record};
use tandem_engine::log::Position;
use tandem_engine::object::{Kek, Object, ObjectId};
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
    /// The keys of the ring, which only an oracle knows.
    keks: BTreeMap<&'static str, Vec<u8>>,
}

impl Truth {
    /// Knows the ring, from a member that holds it.
    pub fn new(hsm: &Hsm) -> Self {
        let mut keks = BTreeMap::new();
        for thing in hsm.token_objects() {
            let label = thing.template.bytes(CKA_LABEL).unwrap_or_default().to_vec();
            for name in ["private", "secret", "open", "data"] {
                if label.ends_with(format!(":{name}").as_bytes()) {
                    keks.insert(name, thing.secret.clone());
                }
            }
        }
        Self { keks, ..Self::default() }
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
            Some(Event::Changed { id, template, kek, .. }) => {
                let Some(real) = self.objects.get_mut(&id) else {
                    return Err(format!("object {id} was changed before it was created"));
                };
                real.object.template.merge(&template);
                if kek.is_some() {
                    real.object.kek = kek;
                    real.object.born = record.position;
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
            Some(Event::Paired(ring)) => {
                ring.members.iter().for_each(|member| self.count(&member.name));
            }
            Some(Event::Joined(joined)) => self.count(&joined.member.name),
            Some(Event::Left(name)) => _ = self.members.remove(&name),
            Some(other) if other.is_for_ledger() => {}
            Some(_) | None => return Err(format!("record {} can't be read", record.position)),
        }
        Ok(())
    }

    fn count(&mut self, name: &str) {
        self.members.insert(name.to_owned());
        self.known.insert(name.to_owned());
    }

    /// The objects that live.
    pub fn living(&self) -> impl Iterator<Item = &Real> {
        self.objects.values().filter(|real| real.alive)
    }

    /// What is wrapped in the log for an object: its key, or the value of a private data object.
    pub fn secret(&self, books: &Books, real: &Real) -> Option<Vec<u8>> {
        let object = &real.object;
        let index = usize::try_from(object.born).ok()?.checked_sub(1)?;
        let wrapped = books.records().get(index)?.wrapped.as_deref()?;
        let name = match object.kek? {
            Kek::Private => "private",
            Kek::Secret => "secret",
            Kek::Open | Kek::Bare => "open",
            Kek::Data => {
                let (nonce, sealed) = wrapped.split_at_checked(12)?;
                let context: [&[u8]; 2] = [nonce, &object.id.0];
                return crate::toy::crypto::open(self.keks.get("data")?, &context, sealed);
            }
        };
        keys::open_wrapped(self.keks.get(name)?, wrapped)
    }
}

/// The handle of an object, once the catalogue has it.
pub fn handle_of(books: &Books, id: ObjectId) -> Option<Handle> {
    books.rows().find(|row| row.id == id).map(|row| row.handle)
}
