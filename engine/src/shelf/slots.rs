//! The slots of all objects, and by what they are found: those of the checkpoint, which are read as they are wanted, and in memory
//! those that have changed since.

use super::base::{Base, Taken};
use super::page::Entry;
use super::slot::{NAMES, Names, Slot};
use super::stocked::Stocked;
use crate::object::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use tandem_values::{Handle, Template};

/// What has changed since the checkpoint.
#[derive(Clone, Default)]
pub(super) struct Recent {
    /// `None`: the object is gone.
    pub(super) by_handle: BTreeMap<Handle, Option<Slot>>,
    pub(super) handles: BTreeMap<ObjectId, Handle>,
    /// By CKA_ID and by CKA_LABEL.
    pub(super) by_name: [BTreeSet<(u64, Handle)>; 2],
}

impl Recent {
    fn put(&mut self, handle: Handle, slot: Option<Slot>) {
        self.forget(handle);
        if let Some(slot) = &slot {
            self.handles.insert(slot.id, handle);
            for (by_name, name) in self.by_name.iter_mut().zip(slot.names) {
                by_name.insert((name, handle));
            }
        }
        self.by_handle.insert(handle, slot);
    }

    fn forget(&mut self, handle: Handle) {
        let Some(Some(slot)) = self.by_handle.remove(&handle) else { return };
        self.handles.remove(&slot.id);
        for (by_name, name) in self.by_name.iter_mut().zip(slot.names) {
            by_name.remove(&(name, handle));
        }
    }

    /// True if the checkpoint's word on a handle does not count any more.
    pub(super) fn speaks_of(&self, handle: Handle) -> bool {
        self.by_handle.contains_key(&handle)
    }
}

/// What is in stock, by the number of its label and by handle.
pub(super) type Stock = BTreeMap<(u64, Handle), Stocked>;

/// The slots of all objects.
#[derive(Clone, Default)]
pub(super) struct Slots {
    base: Option<Arc<Base>>,
    recent: Recent,
    len: usize,
    /// All of it, once somebody has asked.
    stock: OnceLock<Stock>,
}

impl Slots {
    /// What a checkpoint tells.
    pub(super) fn over(base: Arc<Base>) -> Self {
        let len = usize::try_from(base.header().count).unwrap_or(usize::MAX);
        Self { base: Some(base), len, ..Self::default() }
    }

    pub(super) const fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    pub(super) const fn recent(&self) -> &Recent {
        &self.recent
    }

    /// An object as it is now; `None` if it is gone. Answers whether there was one.
    pub(super) fn put(&mut self, handle: Handle, slot: Option<Slot>) -> Taken<bool> {
        // One that stood elsewhere stands there no longer.
        if let Some(now) = &slot
            && let Some(before) = self.handle(now.id)?
            && before != handle
        {
            self.put(before, None)?;
        }
        let old = self.get(handle)?;
        let was_there = old.is_some();
        if let Some(stock) = self.stock.get_mut() {
            if let Some(old) = old.and_then(|old| old.stocked(handle)) {
                stock.remove(&old.key());
            }
            stock.extend(slot.iter().filter_map(|slot| slot.stocked(handle).map(keyed)));
        }
        match (was_there, slot.is_some()) {
            (false, true) => self.len = self.len.saturating_add(1),
            (true, false) => self.len = self.len.saturating_sub(1),
            _ => {}
        }
        if slot.is_some() || self.base.is_some() {
            self.recent.put(handle, slot);
        } else {
            // Without a checkpoint there is nothing that would bring it back.
            self.recent.forget(handle);
        }
        Ok(was_there)
    }

    pub(super) fn get(&self, handle: Handle) -> Taken<Option<Slot>> {
        match (self.recent.by_handle.get(&handle), &self.base) {
            (Some(slot), _) => Ok(slot.clone()),
            (None, Some(base)) => base.slot(handle),
            (None, None) => Ok(None),
        }
    }

    /// The handle of an identity.
    pub(super) fn handle(&self, id: ObjectId) -> Taken<Option<Handle>> {
        if let Some(handle) = self.recent.handles.get(&id) {
            return Ok(Some(*handle));
        }
        let handle = self.base.as_ref().map_or(Ok(None), |base| base.handle(id))?;
        Ok(handle.filter(|handle| !self.recent.speaks_of(*handle)))
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What is in stock: the checkpoint has a table of it, so that nobody looks through all objects.
    pub(super) fn stock(&self) -> Taken<&Stock> {
        if let Some(stock) = self.stock.get() {
            return Ok(stock);
        }
        let mut stock = Stock::new();
        for key in self.base.iter().flat_map(|base| base.stock()) {
            let key = key?;
            if !self.recent.speaks_of(key.handle) {
                let (key, stocked) = keyed(key);
                stock.insert(key, stocked);
            }
        }
        self.each_recent(|handle, slot| stock.extend(slot.stocked(handle).map(keyed)));
        Ok(self.stock.get_or_init(|| stock))
    }

    /// Visits every slot that was changed since the checkpoint.
    pub(super) fn each_recent(&self, mut visit: impl FnMut(Handle, &Slot)) {
        for (handle, slot) in &self.recent.by_handle {
            if let Some(slot) = slot {
                visit(*handle, slot);
            }
        }
    }

    /// Visits every slot, in order of handle.
    pub(super) fn each(&self, mut visit: impl FnMut(Handle, &Slot)) -> Taken {
        let mut recent = self.recent.by_handle.iter().peekable();
        if let Some(base) = &self.base {
            for entry in base.slots() {
                let (handle, slot) = entry?;
                while let Some((before, now)) = recent.next_if(|(at, _)| **at < handle) {
                    if let Some(slot) = now {
                        visit(*before, slot);
                    }
                }
                if !self.recent.speaks_of(handle) {
                    visit(handle, &slot);
                }
            }
        }
        for (handle, slot) in recent {
            if let Some(slot) = slot {
                visit(*handle, slot);
            }
        }
        Ok(())
    }

    /// What may have these attributes, of those that are to be looked at, in order of handle; and whether it is known to.
    pub(super) fn like(
        &self,
        names: &Names,
        wanted: &Template,
        is_meant: impl Fn(&Slot) -> bool,
    ) -> Taken<Vec<(Handle, bool)>> {
        let mut like = Vec::new();
        let choose = |like: &mut Vec<_>, handle: Handle, slot: &Slot| match slot.has(names, wanted)
        {
            Some(false) => {}
            known if is_meant(slot) => like.push((handle, known.is_some())),
            _ => {}
        };
        let named = NAMES
            .iter()
            .enumerate()
            .find_map(|(which, kind)| Some((which, names.of(Some(wanted.bytes(*kind)?)))));
        let Some((which, name)) = named else {
            self.each(|handle, slot| choose(&mut like, handle, slot))?;
            return Ok(like);
        };
        for handle in self.named(which, name)? {
            if let Some(slot) = self.get(handle)? {
                choose(&mut like, handle, &slot);
            }
        }
        Ok(like)
    }

    /// The handles that bear a name, in order.
    fn named(&self, which: usize, name: u64) -> Taken<Vec<Handle>> {
        let mut named =
            self.base.as_ref().map_or(Ok(Vec::new()), |base| base.named(which, name))?;
        named.retain(|handle| !self.recent.speaks_of(*handle));
        let recent = self.recent.by_name.get(which).into_iter();
        let recent = recent.flat_map(|names| names.range((name, 0)..=(name, Handle::MAX)));
        let before = named.len();
        named.extend(recent.map(|(_, handle)| *handle));
        if before > 0 && before < named.len() {
            named.sort_unstable();
        }
        Ok(named)
    }
}

fn keyed(key: Stocked) -> ((u64, Handle), Stocked) {
    (key.key(), key)
}

#[cfg(test)]
mod tests {
    use super::super::slot::tests::object;
    use super::*;
    use tandem_values::ck::*;

    #[test]
    fn what_is_put_is_found_and_what_is_taken_is_not() {
        let names = Names::default();
        let slot = |number: u8, id: &[u8]| {
            let template = Template::new().with(CKA_ID, id).with(CKA_LABEL, "label");
            Some(Slot::of(&names, &object(number, template), (1, 1), b""))
        };
        let mut slots = Slots::default();
        for (handle, slot) in [(1, slot(1, b"a")), (2, slot(2, b"b")), (3, slot(3, b"a"))] {
            assert!(!slots.put(handle, slot).unwrap());
        }
        assert!(slots.put(2, slot(2, b"c")).unwrap());
        let found = |slots: &Slots, kind, name: &[u8]| {
            slots.like(&names, &Template::new().with(kind, name), |_| true).unwrap()
        };
        assert_eq!(found(&slots, CKA_ID, b"a"), [(1, true), (3, true)]);
        assert_eq!(found(&slots, CKA_ID, b"b"), []);
        assert_eq!(found(&slots, CKA_LABEL, b"label"), [(1, true), (2, true), (3, true)]);
        assert!(slots.put(1, None).unwrap());
        assert_eq!(found(&slots, CKA_ID, b"a"), [(3, true)]);
        assert_eq!((slots.len(), slots.handle(ObjectId([1; 16])).unwrap()), (2, None));
        assert_eq!(slots.handle(ObjectId([3; 16])).unwrap(), Some(3));
    }
}
