//! Who holds the key ring, as the log tells it: the pairing that begins it, and what has joined and left since. Read from
//! the log when it is first asked, kept up from there, and never written down: the log is the truth.

use crate::error::Result;
use crate::event::{Event, Hash, Record};
use crate::journal::{BROKEN, Journal, damaged};
use crate::log::{Position, Store};
use crate::ring::Ring;
use crate::seal::Seal;
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many records are read at once.
const BATCH: usize = 256;

/// The members that hold the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    /// The ring with its members as they are now.
    pub(crate) ring: Arc<Ring>,
    /// Where the log says that each of them came to hold it.
    pub(crate) since: BTreeMap<String, Position>,
    /// Names of members that have left.
    pub(crate) left: BTreeSet<String>,
}

impl Roster {
    /// The pairing itself.
    fn of(ring: Ring, at: Position) -> Self {
        let since = ring.members.iter().map(|member| (member.name.clone(), at)).collect();
        Self { ring: Arc::new(ring), since, left: BTreeSet::new() }
    }

    fn fold(&mut self, told: &Told) {
        let ring = Arc::make_mut(&mut self.ring);
        match &told.event {
            Event::Joined(joined) => {
                let name = joined.member.name.clone();
                self.left.remove(&name);
                self.since.insert(name, told.position);
                ring.join((**joined).clone());
            }
            Event::Left(name) => {
                ring.leave(name);
                self.since.remove(name);
                self.left.insert(name.clone());
            }
            _ => {}
        }
    }
}

/// What a record says of the members.
struct Told {
    position: Position,
    event: Event,
    /// Its seal was found whole.
    sealed: bool,
}

/// What the log tells of the members, as far as it has been read.
#[derive(Default)]
pub(crate) struct Roll {
    /// The store's generation when it was last asked, and whether the seal was open.
    seen: Option<(u64, bool)>,
    /// The link of the log's first record, which no other log has, and the pairing that it holds.
    begun: Option<(Hash, Roster)>,
    read_to: Position,
    told: Vec<Told>,
    roster: Option<Arc<Roster>>,
}

impl Roll {
    /// The members now. With the seal open only sealed records count, as everywhere.
    fn look(
        &mut self,
        store: &dyn Store,
        journal: &Journal,
        seal: Option<&Seal>,
    ) -> Result<Option<Arc<Roster>>> {
        // Read before looking: what comes while we look is seen the next time.
        let seen = (store.generation(), seal.is_some());
        if self.seen != Some(seen) {
            self.roster = self.read(store, journal, seal)?.map(Arc::new);
            self.seen = Some(seen);
        }
        Ok(self.roster.clone())
    }

    fn read(
        &mut self,
        store: &dyn Store,
        journal: &Journal,
        seal: Option<&Seal>,
    ) -> Result<Option<Roster>> {
        let Some(first) = store.read(0, 1)?.into_iter().next() else {
            *self = Self::default();
            return Ok(None);
        };
        let mut roster = self.paired_by(&first)?;
        self.read_on(store)?;
        if let Some(seal) = seal {
            self.keep_sealed(journal, seal)?;
        }
        self.told.iter().for_each(|told| roster.fold(told));
        Ok(Some(roster))
    }

    /// The members as a log's first record paired them. It is long, and decoded once.
    fn paired_by(&mut self, first: &Record) -> Result<Roster> {
        if let Some((link, paired)) = &self.begun
            && *link == first.link
        {
            return Ok(paired.clone());
        }
        let Some(Event::Paired(ring)) = first.event() else {
            return Err(damaged(first.position, "it should name the key ring"));
        };
        let paired = Roster::of(*ring, first.position);
        // If there was one before, another process has begun a new log.
        *self = Self { begun: Some((first.link, paired.clone())), ..Self::default() };
        Ok(paired)
    }

    /// Reads what is new.
    fn read_on(&mut self, store: &dyn Store) -> Result {
        loop {
            let records = store.read(self.read_to, BATCH)?;
            let Some(last) = records.last() else { return Ok(()) };
            let told = |record: &Record| {
                let event = record.event_about_members()?;
                Some(Told { position: record.position, event, sealed: false })
            };
            self.told.extend(records.iter().filter_map(told));
            self.read_to = last.position;
        }
    }

    /// Checks what was read, once, and drops what somebody has changed.
    fn keep_sealed(&mut self, journal: &Journal, seal: &Seal) -> Result {
        let mut kept = Vec::with_capacity(self.told.len());
        for mut told in std::mem::take(&mut self.told) {
            if !told.sealed {
                match journal.sound(seal, told.position) {
                    Ok(Some(_)) => told.sealed = true,
                    Ok(None) => {
                        log::error!("{}", damaged(told.position, BROKEN));
                        continue;
                    }
                    Err(error) => {
                        // All of it is read anew when the store can be read again.
                        *self = Self::default();
                        return Err(error);
                    }
                }
            }
            kept.push(told);
        }
        self.told = kept;
        Ok(())
    }
}

impl Token {
    /// The members that hold the key ring, as the log tells it; `None` while the token is not paired.
    pub(crate) fn roster(&self) -> Result<Option<Arc<Roster>>> {
        let seal = self.seal.read().clone();
        self.roll.lock().look(&*self.store, &self.journal, seal.as_ref())
    }

    /// The key ring with its members, as the log tells it.
    pub(crate) fn known_ring(&self) -> Result<Option<Arc<Ring>>> {
        Ok(self.roster()?.map(|roster| Arc::clone(&roster.ring)))
    }
}
