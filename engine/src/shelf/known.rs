//! What objects are by the log: records folded into rows.

use super::slot::{Names, Slot};
use crate::event::{Event, Record};
use crate::log::{Position, Row};
use crate::object::{Object, ObjectId};
use std::collections::BTreeMap;

/// An object as its last record left it.
pub(super) struct Known {
    /// Position of that record.
    pub(super) position: Position,
    /// The object as a row has it, and its slot; `None` once destroyed.
    now: Option<(Box<[u8]>, Slot)>,
}

/// A row as the catalogue takes it.
pub(super) type Folding = (ObjectId, Position, Option<Vec<u8>>);

/// What objects are by the records that were visited.
pub(super) struct Folded<'a> {
    names: &'a Names,
    pub(super) objects: BTreeMap<ObjectId, Known>,
}

/// An object before the records that are folded, with the position of its first record.
pub(super) type Before = Option<(Object, Position)>;

impl<'a> Folded<'a> {
    pub(super) const fn new(names: &'a Names) -> Self {
        Self { names, objects: BTreeMap::new() }
    }

    /// Folds a record. `before` tells what an object was of which no record was folded yet.
    pub(super) fn fold<E>(
        &mut self,
        record: &Record,
        event: Event,
        before: impl FnOnce(ObjectId) -> Result<Before, E>,
    ) -> Result<(), E> {
        let Some(id) = event.about() else { return Ok(()) };
        let position = record.position;
        let old = match self.objects.get(&id) {
            _ if event.is_whole() => None,
            Some(known) => known.object(),
            None => before(id)?,
        };
        let since = old.as_ref().map_or(position, |(_, since)| *since);
        let now = event.fold(old.map(|(object, _)| object), position);
        self.objects.insert(id, Known::of(self.names, now.as_ref(), (position, since)));
        Ok(())
    }

    /// The rows, as the catalogue takes them.
    pub(super) fn rows(&self) -> Vec<Folding> {
        self.objects.iter().map(|(id, known)| known.row(*id)).collect()
    }
}

impl Known {
    /// An object, the position of its last record and that of its first.
    pub(super) fn of(
        names: &Names,
        object: Option<&Object>,
        positions: (Position, Position),
    ) -> Self {
        let now = object.and_then(|object| {
            let body = minicbor::to_vec(object).ok()?.into_boxed_slice();
            let slot = Slot::of(names, object, positions, &body);
            Some((body, slot))
        });
        Self { position: positions.0, now }
    }

    /// True if there is such an object.
    pub(super) const fn is_there(&self) -> bool {
        self.now.is_some()
    }

    /// The object, and the position of its first record.
    pub(super) fn object(&self) -> Before {
        let (body, slot) = self.now.as_ref()?;
        Some((minicbor::decode(body).ok()?, slot.since))
    }

    /// Its row.
    pub(super) fn row(&self, id: ObjectId) -> Folding {
        (id, self.position, self.now.as_ref().map(|(body, _)| body.to_vec()))
    }

    /// The slot of its row; `None` for a destroyed object's.
    pub(super) fn slot(&self) -> Option<Slot> {
        self.now.as_ref().map(|(_, slot)| slot.clone())
    }

    /// The slot of a row that is what the log says, `None` for a destroyed object's; of any other, what it should be.
    pub(super) fn slot_of(&self, row: &Row) -> Result<Option<Slot>, Folding> {
        let should_be = || self.row(row.id);
        match (&self.now, &row.body) {
            _ if self.position != row.position => Err(should_be()),
            (None, None) => Ok(None),
            (Some((body, slot)), Some(there)) if **body == **there => Ok(Some(slot.clone())),
            // Another version of this program may write the same otherwise.
            (Some((_, slot)), Some(there)) if self.object().map(|it| it.0) == decode(row) => {
                Ok(Some(slot.in_row(there)))
            }
            _ => Err(should_be()),
        }
    }
}

/// The object of a row; `None` if it was destroyed, or is damaged.
pub(super) fn decode(row: &Row) -> Option<Object> {
    let body = row.body.as_deref()?;
    if let Ok(object) = minicbor::decode(body) {
        Some(object)
    } else {
        log::error!(
            "row {} of the catalogue is damaged and is not used; run `tandem doctor`",
            row.handle
        );
        None
    }
}
