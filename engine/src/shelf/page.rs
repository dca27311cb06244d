//! Pages of a checkpoint: entries of one width, in the order of their keys, under a MAC that no other page has.

use super::slot::Slot;
use super::stocked::Stocked;
use crate::event::Hash;
use crate::object::ObjectId;
use crate::seal::Seal;
use tandem_values::Handle;

/// How many bytes a page has.
pub(super) const PAGE: usize = 4_096;
/// How many of them are its MAC's, the last ones.
const MAC: usize = 32;
/// How many are for entries.
const ROOM: usize = PAGE - MAC;

/// An entry of one of a checkpoint's tables.
pub(super) trait Entry: Sized + Clone {
    /// How many bytes it takes.
    const WIDTH: usize;
    /// By what it is found.
    type Key: Ord;
    /// Its key.
    fn key(&self) -> Self::Key;
    /// The handle of the object that it is about.
    fn handle(&self) -> Handle;
    /// A number that grows with the key, more or less evenly.
    fn rank(key: &Self::Key) -> u64;
    /// Writes it.
    fn write(&self, to: &mut Vec<u8>);
    /// Reads it; `None` if it can't be one.
    fn read(from: &mut &[u8]) -> Option<Self>;
}

/// How many entries are on a page.
pub(super) const fn per_page<E: Entry>() -> u64 {
    (ROOM / E::WIDTH) as u64
}

/// How many pages so many entries take.
pub(super) const fn pages_for<E: Entry>(count: u64) -> u64 {
    count.div_ceil(per_page::<E>())
}

/// The next bytes.
pub(super) fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

fn take_u64(from: &mut &[u8]) -> Option<u64> {
    take(from).map(u64::from_be_bytes)
}

/// Fills a page up and puts its MAC under it.
pub(super) fn close(mut entries: Vec<u8>, seal: &Seal, of: &Hash, number: u64) -> Vec<u8> {
    entries.resize(ROOM, 0);
    let mac = seal.page(of, number, &entries);
    entries.extend_from_slice(&mac);
    entries
}

/// The entries' bytes of a page that is as it was written. With nobody logged in it is taken as it stands.
pub(super) fn open(
    mut page: Vec<u8>,
    seal: Option<&Seal>,
    of: &Hash,
    number: u64,
) -> Option<Vec<u8>> {
    let (entries, mac) = page.split_at_checked(ROOM)?;
    let holds = mac.len() == MAC && seal.is_none_or(|seal| seal.page(of, number, entries) == *mac);
    page.truncate(ROOM);
    holds.then_some(page)
}

/// Where an identity's object is.
impl Entry for (ObjectId, Handle) {
    const WIDTH: usize = 16 + 8;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.0
    }

    /// Identities begin with the time at which they were given.
    fn rank(id: &ObjectId) -> u64 {
        id.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    fn handle(&self) -> Handle {
        self.1
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.0);
        to.extend_from_slice(&self.1.to_be_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((ObjectId(take(from)?), take_u64(from)?))
    }
}

/// Where a name's object is.
impl Entry for (u64, Handle) {
    const WIDTH: usize = 8 + 8;
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }

    /// Names are spread evenly.
    fn rank((name, _): &Self) -> u64 {
        *name
    }

    fn handle(&self) -> Handle {
        self.1
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_be_bytes());
        to.extend_from_slice(&self.1.to_be_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((take_u64(from)?, take_u64(from)?))
    }
}

/// What a handle's object is.
impl Entry for (Handle, Slot) {
    const WIDTH: usize = 8 + 16 + 4 * 8 + 16 + 2 * 8 + 2 * 4 + 1;
    type Key = Handle;

    fn key(&self) -> Handle {
        self.0
    }

    /// Handles are given one after the other.
    fn rank(handle: &Handle) -> u64 {
        *handle
    }

    fn handle(&self) -> Handle {
        self.0
    }

    fn write(&self, to: &mut Vec<u8>) {
        let slot = &self.1;
        to.extend_from_slice(&self.0.to_be_bytes());
        to.extend_from_slice(&slot.id.0);
        // The log begins at 1.
        let wrapped_at = slot.wrapped_at.unwrap_or(0);
        for position in [slot.position, slot.born, slot.since, wrapped_at] {
            to.extend_from_slice(&position.to_be_bytes());
        }
        to.extend_from_slice(&slot.fingerprint);
        slot.names.iter().for_each(|name| to.extend_from_slice(&name.to_be_bytes()));
        slot.numbers.iter().for_each(|number| to.extend_from_slice(&number.to_be_bytes()));
        let [token, private] = slot.flags.map(|flag| flag.map_or(0, |flag| 1 + u8::from(flag)));
        to.push(token | private << 2 | u8::from(slot.is_in_stock) << 4);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let handle = take_u64(from)?;
        let id = ObjectId(take(from)?);
        let (position, born, since) = (take_u64(from)?, take_u64(from)?, take_u64(from)?);
        let wrapped_at = Some(take_u64(from)?).filter(|position| *position != 0);
        let fingerprint = take(from)?;
        let names = [take_u64(from)?, take_u64(from)?];
        let numbers = [take(from).map(u32::from_be_bytes)?, take(from).map(u32::from_be_bytes)?];
        let [bits] = take(from)?;
        let flag = |bits: u8| match bits & 3 {
            0 => None,
            bits => Some(bits == 2),
        };
        let flags = [flag(bits), flag(bits >> 2)];
        let is_in_stock = bits & 0x10 != 0;
        let slot = Slot {
            id,
            position,
            born,
            since,
            fingerprint,
            names,
            numbers,
            flags,
            wrapped_at,
            is_in_stock,
        };
        Some((handle, slot))
    }
}

/// What is in stock.
impl Entry for Stocked {
    const WIDTH: usize = 8 + 8 + 16 + 2 * 8;
    type Key = (u64, Handle);

    fn key(&self) -> (u64, Handle) {
        (self.label, self.handle)
    }

    fn rank((label, _): &(u64, Handle)) -> u64 {
        *label
    }

    fn handle(&self) -> Handle {
        self.handle
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.label.to_be_bytes());
        to.extend_from_slice(&self.handle.to_be_bytes());
        to.extend_from_slice(&self.id.0);
        to.extend_from_slice(&self.born.to_be_bytes());
        to.extend_from_slice(&self.position.to_be_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (label, handle, id) = (take_u64(from)?, take_u64(from)?, ObjectId(take(from)?));
        Some(Self { label, handle, id, born: take_u64(from)?, position: take_u64(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<E: Entry + PartialEq + std::fmt::Debug>(entry: &E) {
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        assert_eq!(bytes.len(), E::WIDTH);
        let mut rest = bytes.as_slice();
        assert_eq!(E::read(&mut rest).as_ref(), Some(entry));
        assert!(rest.is_empty());
        assert!(E::read(&mut &bytes[1..]).is_none());
    }

    #[test]
    fn entries_come_back_as_they_were() {
        there_and_back(&(ObjectId([7; 16]), 9));
        there_and_back(&(u64::MAX - 1, 9_u64));
        let id = ObjectId([4; 16]);
        there_and_back(&Stocked { label: u64::MAX, handle: 1, id, born: 2, position: 3 });
        for flags in [[None, Some(true)], [Some(false), None], [Some(true), Some(false)]] {
            for (wrapped_at, is_in_stock) in [(Some(9), false), (None, true), (Some(1), true)] {
                let slot = Slot {
                    id: ObjectId([3; 16]),
                    position: 4,
                    born: 5,
                    since: u64::MAX,
                    fingerprint: [6; 16],
                    names: [7, 8],
                    numbers: [u32::MAX, 9],
                    flags,
                    wrapped_at,
                    is_in_stock,
                };
                there_and_back(&(10_u64, slot));
            }
        }
    }

    #[test]
    fn a_page_is_good_in_its_place_only_and_as_it_was_written() {
        let seal = Seal::of(&[5; 32]).unwrap();
        let page = close(vec![1, 2, 3], &seal, &[1; 32], 4);
        assert_eq!(page.len(), PAGE);
        let opened = open(page.clone(), Some(&seal), &[1; 32], 4).unwrap();
        assert_eq!((&opened[..3], opened.len()), (&[1, 2, 3][..], ROOM));
        assert!(open(page.clone(), Some(&seal), &[1; 32], 5).is_none());
        assert!(open(page.clone(), Some(&seal), &[2; 32], 4).is_none());
        assert!(open(page.clone(), Seal::of(&[6; 32]).as_ref(), &[1; 32], 4).is_none());
        assert!(open(page[..PAGE - 1].to_vec(), None, &[1; 32], 4).is_none());
        for at in [0, ROOM - 1, ROOM, PAGE - 1] {
            let mut changed = page.clone();
            changed[at] ^= 1;
            assert!(open(changed, Some(&seal), &[1; 32], 4).is_none(), "{at}");
        }
    }
}
