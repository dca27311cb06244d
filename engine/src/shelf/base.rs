//! A checkpoint as it is read: what every object was at a position of the log, judged and sealed, a page at a time.
//!
//! A header, and five tables, each in the order of its keys: slots by handle, handles by identity, by CKA_ID and by CKA_LABEL, and what
//! is in stock. A page that is not as it was written is noticed when it is read, and the whole is given up for the log.

use super::page::{self, Entry, PAGE, pages_for, per_page, take};
use super::slot::{Names, Slot};
use super::stocked::Stocked;
use crate::event::Hash;
use crate::log::{Pages, Position, StoreError};
use crate::object::ObjectId;
use crate::seal::Seal;
use minicbor::{Decode, Encode};
use quick_cache::sync::Cache;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tandem_values::Handle;

/// How many pages are kept as they were read: 16 MiB.
const CACHED_MAX: usize = 4_096;
/// The longest header that is believed, in bytes.
const HEADER_MAX: usize = 1 << 24;
/// The length of what stands before the header, and of the MAC after it.
const FRAME: usize = 8 + 32;
/// Which form of checkpoint this is. Another is made anew.
const VERSION: u32 = 3;

/// Why nothing can be taken from a checkpoint.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It can't be read now.
    Unread(StoreError),
    /// It is not as it was written.
    Broken,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(error) => fmt::Display::fmt(error, f),
            Self::Broken => f.write_str("it is not as it was written, or another log's"),
        }
    }
}

impl From<StoreError> for Flaw {
    fn from(error: StoreError) -> Self {
        Self::Unread(error)
    }
}

/// What is taken from a checkpoint.
pub(super) type Taken<T = ()> = Result<T, Flaw>;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Header {
    #[n(0)]
    version: u32,
    /// The position of the log up to which it goes.
    #[n(1)]
    pub(super) position: Position,
    /// The link of the record there.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) link: Hash,
    /// The key of its names.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) names: [u8; 16],
    /// How many objects there are.
    #[n(4)]
    pub(super) count: u64,
    /// Positions of records that are about no object.
    #[n(5)]
    pub(super) others: Vec<Position>,
    /// How many keys are in stock.
    #[n(6)]
    pub(super) stocked: u64,
}

impl Header {
    pub(super) fn new(
        (position, link): (Position, Hash),
        names: &Names,
        (count, stocked): (u64, u64),
        others: Vec<Position>,
    ) -> Self {
        Self { version: VERSION, position, link, names: names.0, count, others, stocked }
    }

    /// The header as it stands at the beginning of the file, filled up to whole pages, and the number by which its pages are told
    /// from those of another checkpoint. `None` if it is too long.
    pub(super) fn write(&self, seal: &Seal) -> Option<(Vec<u8>, Hash)> {
        let text = minicbor::to_vec(self).ok().filter(|text| text.len() <= HEADER_MAX)?;
        let own = seal.page(&[0; 32], u64::MAX, &text);
        let mut bytes = u64::try_from(text.len()).ok()?.to_be_bytes().to_vec();
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(&own);
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        Some((bytes, own))
    }

    /// Reads a header; with the seal open, one that bears it. With its number, and how many pages it takes.
    fn read(pages: &dyn Pages, seal: Option<&Seal>) -> Taken<(Self, Hash, u64)> {
        let start = pages.read(0, 8)?;
        let len = take(&mut start.as_slice()).map(u64::from_be_bytes);
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= HEADER_MAX);
        let len = len.ok_or(Flaw::Broken)?;
        let bytes = pages.read(8, len.saturating_add(32))?;
        let (text, mut own) = bytes.split_at_checked(len).ok_or(Flaw::Broken)?;
        let own = take(&mut own).ok_or(Flaw::Broken)?;
        if seal.is_some_and(|seal| seal.page(&[0; 32], u64::MAX, text) != own) {
            return Err(Flaw::Broken);
        }
        let header: Self = minicbor::decode(text).map_err(|_| Flaw::Broken)?;
        let taken = len.saturating_add(FRAME).div_ceil(PAGE);
        let taken = u64::try_from(taken).map_err(|_| Flaw::Broken)?;
        (header.version == VERSION).then_some((header, own, taken)).ok_or(Flaw::Broken)
    }
}

/// One of the tables: entries of one kind, from a page on.
struct Table<E> {
    first: u64,
    count: u64,
    /// The ranks of its first and of its last key, once somebody has looked for one.
    span: OnceLock<(u64, u64)>,
    kind: std::marker::PhantomData<E>,
}

impl<E: Entry> Table<E> {
    /// A table that begins on a page, and the page after it.
    const fn at(first: u64, count: u64) -> (Self, u64) {
        let table = Self { first, count, span: OnceLock::new(), kind: std::marker::PhantomData };
        (table, first.saturating_add(pages_for::<E>(count)))
    }
}

/// A checkpoint.
pub(super) struct Base {
    pages: Box<dyn Pages>,
    seal: Option<Seal>,
    header: Header,
    own: Hash,
    cache: Cache<u64, Arc<Vec<u8>>>,
    /// Nobody else can see it.
    is_private: bool,
    slots: Table<(Handle, Slot)>,
    ids: Table<(ObjectId, Handle)>,
    names: [Table<(u64, Handle)>; 2],
    stock: Table<Stocked>,
}

impl Base {
    /// Opens a checkpoint. With the seal open everything that is taken from it bears it; with nobody logged in it is taken as it
    /// stands, as rows are.
    pub(super) fn open(pages: Box<dyn Pages>, seal: Option<Seal>) -> Taken<Self> {
        let (header, own, first) = Header::read(&*pages, seal.as_ref())?;
        let (slots, next) = Table::at(first, header.count);
        let (ids, next) = Table::at(next, header.count);
        let (by_id, next) = Table::at(next, header.count);
        let (by_label, next) = Table::at(next, header.count);
        let (stock, end) = Table::at(next, header.stocked);
        if end.checked_mul(PAGE as u64) != Some(pages.size()?) {
            return Err(Flaw::Broken);
        }
        let cache = Cache::new(CACHED_MAX);
        let names = [by_id, by_label];
        Ok(Self { pages, seal, header, own, cache, is_private: false, slots, ids, names, stock })
    }

    /// The same, in a file that nobody else can see.
    pub(super) fn private(self) -> Self {
        Self { is_private: true, ..self }
    }

    pub(super) const fn is_private(&self) -> bool {
        self.is_private
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    fn page(&self, number: u64) -> Taken<Arc<Vec<u8>>> {
        if let Some(page) = self.cache.get(&number) {
            return Ok(page);
        }
        let at = number.checked_mul(PAGE as u64).ok_or(Flaw::Broken)?;
        let page = self.pages.read(at, PAGE)?;
        let page = page::open(page, self.seal.as_ref(), &self.own, number).ok_or(Flaw::Broken)?;
        let page = Arc::new(page);
        self.cache.insert(number, Arc::clone(&page));
        Ok(page)
    }

    /// The entries on a page of a table, by the page's place in it.
    fn leaf<E: Entry>(&self, table: &Table<E>, number: u64) -> Taken<Leaf<E>> {
        let page = self.page(table.first.saturating_add(number))?;
        let before = number.saturating_mul(per_page::<E>());
        let count = table.count.saturating_sub(before).min(per_page::<E>());
        let count = usize::try_from(count).map_err(|_| Flaw::Broken)?;
        Ok(Leaf { page, count, kind: std::marker::PhantomData })
    }

    /// The ranks of a table's first key and of its last.
    fn span<E: Entry>(&self, table: &Table<E>) -> Taken<(u64, u64)> {
        if let Some(span) = table.span.get() {
            return Ok(*span);
        }
        let rank = |leaf: Leaf<E>, at| Taken::<u64>::Ok(E::rank(&leaf.entry(at)?.key()));
        let last = self.leaf(table, pages_for::<E>(table.count).saturating_sub(1))?;
        let at = last.count.saturating_sub(1);
        let span = (rank(self.leaf(table, 0)?, 0)?, rank(last, at)?);
        Ok(*table.span.get_or_init(|| span))
    }

    /// The page on which a key should be, more or less.
    fn guess<E: Entry>(&self, table: &Table<E>, key: &E::Key) -> Taken<u64> {
        let (first, last) = self.span(table)?;
        let width = u128::from(last.saturating_sub(first)).max(1);
        let far = u128::from(E::rank(key).saturating_sub(first)).min(width);
        let entry = far.saturating_mul(u128::from(table.count)) / width;
        Ok(u64::try_from(entry).unwrap_or(table.count) / per_page::<E>())
    }

    /// The page on which the first entry is whose key is not less than this, and its place there. The search begins where the
    /// key should be, and takes steps that double until it is past it.
    fn place<E: Entry>(
        &self,
        table: &Table<E>,
        key: &E::Key,
    ) -> Taken<Option<(Leaf<E>, usize, u64)>> {
        if table.count == 0 {
            return Ok(None);
        }
        let (mut low, mut high) = (0, pages_for::<E>(table.count));
        let (mut probe, mut stride) = (self.guess(table, key)?, 1_u64);
        while low < high {
            probe = probe.clamp(low, high.saturating_sub(1));
            let leaf = self.leaf(table, probe)?;
            let Some(place) = leaf.place(key)? else {
                low = probe.saturating_add(1);
                probe = probe.saturating_add(stride).min(low.midpoint(high).max(low));
                stride = stride.saturating_mul(2);
                continue;
            };
            if place > 0 || probe == low {
                return Ok(Some((leaf, place, probe)));
            }
            // It may begin on the page before.
            high = probe;
            if self.leaf(table, probe.saturating_sub(1))?.place(key)?.is_none() {
                return Ok(Some((leaf, place, probe)));
            }
            probe = probe.saturating_sub(stride).max(low.midpoint(high));
            stride = stride.saturating_mul(2);
        }
        Ok(None)
    }

    fn find<E: Entry>(&self, table: &Table<E>, key: &E::Key) -> Taken<Option<E>> {
        let Some((leaf, place, _)) = self.place(table, key)? else { return Ok(None) };
        Ok(Some(leaf.entry(place)?).filter(|entry| entry.key() == *key))
    }

    /// The slot of a handle.
    pub(super) fn slot(&self, handle: Handle) -> Taken<Option<Slot>> {
        Ok(self.find(&self.slots, &handle)?.map(|(_, slot)| slot))
    }

    /// The handle of an identity.
    pub(super) fn handle(&self, id: ObjectId) -> Taken<Option<Handle>> {
        Ok(self.find(&self.ids, &id)?.map(|(_, handle)| handle))
    }

    /// The handles that bear a name: a CKA_ID (0) or a CKA_LABEL (1).
    pub(super) fn named(&self, which: usize, name: u64) -> Taken<Vec<Handle>> {
        let mut named = Vec::new();
        let Some(table) = self.names.get(which) else { return Ok(named) };
        let Some((mut leaf, mut place, mut number)) = self.place(table, &(name, 0))? else {
            return Ok(named);
        };
        loop {
            while place < leaf.count {
                match leaf.entry(place)? {
                    (of, handle) if of == name => named.push(handle),
                    _ => return Ok(named),
                }
                place = place.saturating_add(1);
            }
            number = number.saturating_add(1);
            if number >= pages_for::<(u64, Handle)>(table.count) {
                return Ok(named);
            }
            (leaf, place) = (self.leaf(table, number)?, 0);
        }
    }

    /// Every slot, in order of handle.
    pub(super) const fn slots(&self) -> Walk<'_, (Handle, Slot)> {
        self.walk(&self.slots)
    }

    /// Every identity, in order.
    pub(super) const fn ids(&self) -> Walk<'_, (ObjectId, Handle)> {
        self.walk(&self.ids)
    }

    /// Every CKA_ID (0) or CKA_LABEL (1), in order.
    pub(super) fn names(&self, which: usize) -> Option<Walk<'_, (u64, Handle)>> {
        Some(self.walk(self.names.get(which)?))
    }

    /// What is in stock, by the number of its label and by handle.
    pub(super) const fn stock(&self) -> Walk<'_, Stocked> {
        self.walk(&self.stock)
    }

    const fn walk<'a, E: Entry>(&'a self, table: &'a Table<E>) -> Walk<'a, E> {
        Walk { base: self, table, next: 0, page: None }
    }
}

/// A page of a table.
struct Leaf<E> {
    page: Arc<Vec<u8>>,
    count: usize,
    kind: std::marker::PhantomData<E>,
}

impl<E: Entry> Leaf<E> {
    fn entry(&self, at: usize) -> Taken<E> {
        let bytes = at.checked_mul(E::WIDTH).and_then(|at| self.page.get(at..));
        E::read(&mut bytes.ok_or(Flaw::Broken)?).ok_or(Flaw::Broken)
    }

    /// The place of the first entry whose key is not less than this; `None` if all are less.
    fn place(&self, key: &E::Key) -> Taken<Option<usize>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle)?.key() < *key {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok((low < self.count).then_some(low))
    }
}

/// A walk through a table. Its pages don't drive others out of the cache.
pub(super) struct Walk<'a, E> {
    base: &'a Base,
    table: &'a Table<E>,
    next: u64,
    page: Option<(u64, Vec<u8>)>,
}

impl<E: Entry> Walk<'_, E> {
    fn entry(&mut self) -> Taken<E> {
        let number = self.table.first.saturating_add(self.next / per_page::<E>());
        if self.page.as_ref().is_none_or(|(at, _)| *at != number) {
            let at = number.checked_mul(PAGE as u64).ok_or(Flaw::Broken)?;
            let page = self.base.pages.read(at, PAGE)?;
            let page = page::open(page, self.base.seal.as_ref(), &self.base.own, number);
            self.page = Some((number, page.ok_or(Flaw::Broken)?));
        }
        let at = usize::try_from(self.next % per_page::<E>()).ok();
        let at = at.and_then(|at| at.checked_mul(E::WIDTH));
        let bytes = self.page.as_ref().and_then(|(_, page)| page.get(at?..));
        E::read(&mut bytes.ok_or(Flaw::Broken)?).ok_or(Flaw::Broken)
    }
}

impl<E: Entry> Iterator for Walk<'_, E> {
    type Item = Taken<E>;

    fn next(&mut self) -> Option<Taken<E>> {
        if self.next >= self.table.count {
            return None;
        }
        let entry = self.entry();
        self.next = if entry.is_ok() { self.next.saturating_add(1) } else { self.table.count };
        Some(entry)
    }
}
