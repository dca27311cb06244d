//! A process's hand on the store: every call may go wrong, or be the last thing that the process does.

use super::followers::MemoryLease;
use super::{Fold, MemoryStore, Pause};
use crate::planted::Bug;
use crate::toy::Life;
use crate::trouble::{Kind, Place, Trouble};
use crate::world::World;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_engine::event::{Event, Head, Record};
use tandem_engine::log::{
    Append, Catalogue, Checkpoints, Decide, Followers, Following, Lease, Log, Notes, Pages,
    Position, Row, Sink, StoreError, Stored,
};
use tandem_engine::object::ObjectId;
use tandem_values::Handle;

impl Pause for World {
    fn pause(&self, ms: u64) {
        self.pass(ms);
    }
}

/// A process's hand on the store.
pub struct Hand {
    world: Arc<World>,
    life: Life,
    store: MemoryStore,
    /// Followers whose lease this process holds: a planted bug acts while it follows.
    follows: Arc<Mutex<Vec<String>>>,
    /// The generation at this process's own last change, for a planted bug.
    own: AtomicU64,
}

impl Hand {
    /// The store as a process of this life reaches it.
    pub fn new(world: &Arc<World>, life: Life) -> Self {
        let pause: Arc<dyn Pause> = Arc::clone(world) as Arc<dyn Pause>;
        Self {
            world: Arc::clone(world),
            life,
            store: MemoryStore::open(Arc::clone(&world.books), life, pause),
            follows: Arc::default(),
            own: AtomicU64::new(0),
        }
    }

    /// What a process could not fold, or died before, another may have folded that had read the log when it was as short: here just
    /// before this one's turn, which then comes too late.
    fn be_overtaken(&self, from: Position, to: Position) -> Stored {
        let overtakes = |late: &&Fold| late.from == from && late.to < to;
        let late = self.world.books.lock().late.iter().find(overtakes).cloned();
        late.map_or(Ok(()), |late| self.store.fold(late.from, late.to, &late.rows))
    }

    fn has(&self, bug: Bug) -> bool {
        self.world.bug == Some(bug)
    }

    fn call<T>(
        &self,
        kind: Kind,
        name: &'static str,
        act: impl FnOnce() -> Stored<T>,
    ) -> Stored<T> {
        let done = call(&self.world, self.life, kind, name, act);
        if self.has(Bug::StaysStale) && kind == Kind::Write {
            self.own.store(self.store.generation(), Ordering::Relaxed);
        }
        done
    }

    /// Appends, in two transactions where that is the bug.
    fn append_all(&self, seen: Position, build: &mut Decide<'_>) -> Stored<Head> {
        let mut records: Vec<Record> = Vec::new();
        if self.has(Bug::AcknowledgesEarly) {
            let before = self.world.books.lock().clone();
            self.world.books.lock().undurable = Some((self.life, Box::new(before)));
        }
        let keeps = self.has(Bug::KeepsWrapped);
        let tears = self.has(Bug::TearsAppend);
        let head = self.store.append_after(seen, &mut |head, news| {
            let mut append = build(head, news)?;
            if keeps {
                append.erase.clear();
            }
            if tears && append.records.len() > 1 {
                records = append.records.split_off(1);
            }
            Ok(append)
        })?;
        self.sign_for(head);
        if records.is_empty() {
            return Ok(head);
        }
        call(&self.world, self.life, Kind::Write, "append, second half", || {
            let rest = std::mem::take(&mut records);
            let head = self
                .store
                .append(&mut |_| Ok(Append { records: rest.clone(), erase: Vec::new() }))?;
            self.sign_for(head);
            Ok(head)
        })
    }

    /// Notes in which line the last records were appended.
    fn sign_for(&self, head: Head) {
        let line = self.world.line_of(self.life);
        let mut books = self.world.books.lock();
        let from = books.lines.keys().next_back().map_or(1, |last| last + 1);
        for position in from..=head.position {
            books.lines.insert(position, line);
        }
    }

    /// What a follower with a bug reads.
    fn misread(&self, records: &mut [Record]) {
        let follows = self.follows.lock().clone();
        let (Some(follower), Some(last)) = (follows.last(), records.last()) else { return };
        if self.has(Bug::AdvancesFirst)
            && let Some(entry) = self.world.books.lock().followers.get_mut(follower)
        {
            entry.position = last.position;
        }
        if self.has(Bug::ForgetsTombstones) {
            for record in records {
                if matches!(record.event(), Some(Event::Destroyed(_))) {
                    record.mac = [0; 32];
                }
            }
        }
    }
}

fn call<T>(
    world: &World,
    life: Life,
    kind: Kind,
    name: &'static str,
    act: impl FnOnce() -> Stored<T>,
) -> Stored<T> {
    let unavailable = || StoreError::Unavailable("as the simulation has it".into());
    let trouble = world.enter(life, Place::Store, kind, name).map_err(|_| unavailable())?;
    match trouble {
        Some(Trouble::StoreFull) => {
            return Err(StoreError::Full("as the simulation has it".into()));
        }
        Some(Trouble::StoreBefore) => return Err(unavailable()),
        _ => {}
    }
    let done = act();
    match trouble {
        Some(Trouble::StoreAfter) => Err(unavailable()),
        Some(Trouble::CrashAfter) => world.crash(life),
        _ => done,
    }
}

impl Log for Hand {
    fn head(&self) -> Stored<Head> {
        self.call(Kind::Read, "head", || self.store.head())
    }

    fn append_after(&self, seen: Position, build: &mut Decide<'_>) -> Stored<Head> {
        // One with this bug has decided by what it saw before, whatever others have written since.
        let seen = if self.has(Bug::ClaimsUnseen) { Position::MAX } else { seen };
        self.call(Kind::Write, "append", || self.append_all(seen, build))
    }

    fn read(&self, after: Position, limit: usize) -> Stored<Vec<Record>> {
        self.call(Kind::Read, "read", || {
            let mut records = self.store.read(after, limit)?;
            self.misread(&mut records);
            Ok(records)
        })
    }

    fn mentions(&self, of: Option<ObjectId>, after: Position) -> Stored<Vec<Position>> {
        self.call(Kind::Read, "mentions", || self.store.mentions(of, after))
    }

    fn mentioned(&self) -> Stored<Vec<ObjectId>> {
        self.call(Kind::Read, "mentioned", || self.store.mentioned())
    }

    fn mend_index(&self) -> Stored {
        self.call(Kind::Write, "mend the index", || self.store.mend_index())
    }

    fn begin_anew(&self) -> Stored {
        self.call(Kind::Write, "begin anew", || self.store.begin_anew())
    }
}

impl Notes for Hand {
    fn note(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        self.call(Kind::Read, "note", || self.store.note(name))
    }

    fn noted(&self) -> Option<u64> {
        self.store.noted()
    }

    fn set_note(&self, name: &str, value: Option<&[u8]>) -> Stored {
        self.call(Kind::Write, "set note", || self.store.set_note(name, value))
    }
}

/// A checkpoint in a process's hand.
struct HandPages {
    pages: Box<dyn Pages>,
    world: Arc<World>,
    life: Life,
}

impl Pages for HandPages {
    fn size(&self) -> Stored<u64> {
        self.pages.size()
    }

    fn read(&self, at: u64, len: usize) -> Stored<Vec<u8>> {
        let read = || self.pages.read(at, len);
        call(&self.world, self.life, Kind::Read, "page of the checkpoint", read)
    }
}

impl Checkpoints for Hand {
    fn checkpoint(&self) -> Stored<Option<Box<dyn Pages>>> {
        let pages = self.call(Kind::Read, "checkpoint", || self.store.checkpoint())?;
        Ok(pages.map(|pages| {
            let (world, life) = (Arc::clone(&self.world), self.life);
            Box::new(HandPages { pages, world, life }) as Box<dyn Pages>
        }))
    }

    fn set_checkpoint(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored {
        self.call(Kind::Write, "set checkpoint", || self.store.set_checkpoint(write))
    }

    fn scratch(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored<Box<dyn Pages>> {
        self.call(Kind::Write, "scratch", || self.store.scratch(write))
    }

    fn drop_checkpoint(&self) -> Stored {
        self.call(Kind::Write, "drop checkpoint", || self.store.drop_checkpoint())
    }
}

impl Catalogue for Hand {
    fn position(&self) -> Stored<Position> {
        self.call(Kind::Read, "catalogue position", || self.store.position())
    }

    fn fold(
        &self,
        from: Position,
        to: Position,
        rows: &[(ObjectId, Position, Option<Vec<u8>>)],
    ) -> Stored {
        self.world.books.lock().late.push(Fold { from, to, rows: rows.to_vec() });
        self.call(Kind::Write, "fold", || {
            self.be_overtaken(from, to)?;
            self.store.fold(from, to, rows)?;
            if self.has(Bug::ReusesHandles) {
                self.world.books.lock().reuse_handles();
            }
            self.world.books.lock().late.clear();
            Ok(())
        })
    }

    fn changed(&self, after: Position, to: Position) -> Stored<Vec<Row>> {
        self.call(Kind::Read, "changed rows", || self.store.changed(after, to))
    }

    fn row(&self, id: ObjectId) -> Stored<Option<Row>> {
        self.call(Kind::Read, "row", || self.store.row(id))
    }

    fn rows_at(&self, handles: &[Handle]) -> Stored<Vec<Row>> {
        self.call(Kind::Read, "rows of handles", || self.store.rows_at(handles))
    }

    fn generation(&self) -> u64 {
        if self.has(Bug::StaysStale) {
            return self.own.load(Ordering::Relaxed);
        }
        self.store.generation()
    }
}

impl Followers for Hand {
    fn following(&self, follower: &str) -> Stored<Following> {
        self.call(Kind::Read, "following", || self.store.following(follower))
    }

    fn lease(&self, follower: &str, wait_ms: u64) -> Stored<Option<Box<dyn Lease>>> {
        let lease = self.call(Kind::Write, "lease", || {
            if self.has(Bug::IgnoresLease)
                && let Some(lease) = self.store.steal(follower)
            {
                return Ok(Some(Box::new(lease) as Box<dyn Lease>));
            }
            self.store.lease(follower, wait_ms)
        })?;
        Ok(lease.map(|lease| {
            self.follows.lock().push(follower.to_owned());
            Box::new(HandLease {
                lease,
                world: Arc::clone(&self.world),
                life: self.life,
                follows: Arc::clone(&self.follows),
            }) as Box<dyn Lease>
        }))
    }

    fn forget(&self, follower: &str) -> Stored {
        self.call(Kind::Write, "forget", || self.store.forget(follower))
    }
}

/// A lease in a process's hand.
struct HandLease {
    lease: Box<dyn Lease>,
    world: Arc<World>,
    life: Life,
    follows: Arc<Mutex<Vec<String>>>,
}

impl Lease for HandLease {
    fn epoch(&self) -> u64 {
        self.lease.epoch()
    }

    fn following(&self) -> Stored<Following> {
        call(&self.world, self.life, Kind::Read, "leased following", || self.lease.following())
    }

    fn advance(&mut self, position: Position) -> Stored {
        let lease = &mut self.lease;
        call(&self.world, self.life, Kind::Write, "advance", || lease.advance(position))
    }

    fn except(&mut self, object: ObjectId, reason: &str) -> Stored {
        let lease = &mut self.lease;
        call(&self.world, self.life, Kind::Write, "except", || lease.except(object, reason))
    }

    fn resolve(&mut self, object: ObjectId) -> Stored {
        let lease = &mut self.lease;
        call(&self.world, self.life, Kind::Write, "resolve", || lease.resolve(object))
    }
}

impl Drop for HandLease {
    fn drop(&mut self) {
        self.follows.lock().pop();
    }
}

impl MemoryStore {
    /// The lease that another holds, as if it were one's own: a planted bug.
    fn steal(&self, follower: &str) -> Option<MemoryLease> {
        let books = self.books.lock();
        let holder = *books.leases.get(follower)?;
        let epoch = books.followers.get(follower)?.epoch;
        Some(MemoryLease::of(&self.books, follower, epoch, holder))
    }
}
