//! Who holds the key ring and who can bring it back, as the log tells it: the pairing that begins it, what has joined and left
//! since, how the recovery was split since, and when backup tokens were filled. Read from the log when it is first asked, kept up from there, and never
//! written down: the log is the truth. Which records tell of it says an index of the log, and who has judged the log knows better.

use crate::backup::{Artefact, BackupId, Moment};
use crate::error::Result;
use crate::event::{Event, Hash, Record};
use crate::journal::{BROKEN, Journal, damaged};
use crate::log::{Position, Store};
use crate::ring::{Generation, Ring};
use crate::seal::Seal;
use crate::shares::Split;
use crate::shelf::Shelf;
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A split of the recovery's secret, and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splitting {
    /// Where the log tells of it.
    pub at: Moment,
    /// Its shares.
    pub split: Split,
}

/// Keys of the ring, since when they are in force and for how long members and backups need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Which.
    pub generation: Generation,
    /// When pairing or a rotation put them in force.
    pub begun: Moment,
    /// When nothing was wrapped under them any more; `None` while something is, or may be.
    pub ended: Option<Moment>,
    /// When backups under them ceased to count.
    pub retired: Option<Moment>,
    /// The ring as it was then, with the recovery that opens these keys.
    pub ring: Arc<Ring>,
    /// How that recovery was split while these keys were in force, the last last; nothing of the newest keys.
    pub splits: Vec<Splitting>,
}

/// The members that hold the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    /// The ring with its members as they are now.
    pub(crate) ring: Arc<Ring>,
    /// Where the log says that each of them came to hold it.
    pub(crate) since: BTreeMap<String, Position>,
    /// Names of members that have left.
    pub(crate) left: BTreeSet<String>,
    /// How the recovery was split, first by the pairing or the last rotation; the last is the one in force. None without a
    /// recovery.
    pub(crate) splits: Vec<Splitting>,
    /// Which backup each backup token was filled with last, and when.
    pub(crate) filled: BTreeMap<String, (BackupId, Moment)>,
    /// The generations of the ring's keys, the first first.
    pub(crate) reigns: Vec<Reign>,
}

impl Roster {
    /// The pairing itself.
    fn of(ring: Ring, at: Moment) -> Self {
        let since = ring.members.iter().map(|member| (member.name.clone(), at.position)).collect();
        let first =
            ring.recovery.as_ref().map(|recovery| Splitting { at, split: recovery.split() });
        let splits = first.into_iter().collect();
        let (left, filled, ring) = (BTreeSet::new(), BTreeMap::new(), Arc::new(ring));
        let reigns = vec![Reign::of(&ring, at)];
        Self { ring, since, left, splits, filled, reigns }
    }

    /// The sets of shares that there ever were.
    pub(crate) fn sets(&self) -> Vec<u16> {
        let before = self.reigns.iter().flat_map(|reign| &reign.splits);
        before.chain(&self.splits).map(|splitting| splitting.split.set).collect()
    }

    fn fold(&mut self, told: &Told) {
        let ring = Arc::make_mut(&mut self.ring);
        match &told.event {
            Event::Joined(joined) => {
                let name = joined.member.name.clone();
                self.left.remove(&name);
                self.since.insert(name, told.at.position);
                ring.join((**joined).clone());
            }
            Event::Left(name) => {
                ring.leave(name);
                self.since.remove(name);
                self.left.insert(name.clone());
                self.filled.remove(name);
            }
            Event::BackupMade(made) => {
                if let Artefact::Token { name, .. } = &made.artefact {
                    self.filled.insert(name.clone(), (made.id, told.at));
                }
            }
            Event::Rotating(rotation) => {
                ring.rotate((**rotation).clone());
                let ring = Arc::clone(&self.ring);
                let split = ring.recovery.as_ref().map(crate::ring::Recovery::split);
                let splits = split.map(|split| Splitting { at: told.at, split }).into_iter();
                let before = std::mem::replace(&mut self.splits, splits.collect());
                if let Some(last) = self.reigns.last_mut() {
                    last.splits = before;
                }
                self.reigns.push(Reign::of(&ring, told.at));
            }
            Event::Given { member, generation } => ring.give(member, *generation),
            Event::Rotated(generation) => {
                ring.oldest = *generation;
                let before = self.reigns.iter_mut().filter(|reign| reign.generation < *generation);
                before.for_each(|reign| reign.ended = reign.ended.or(Some(told.at)));
            }
            Event::Retired(generation) => {
                ring.replaced.retain(|before| before.generation != *generation);
                let of = self.reigns.iter_mut().filter(|reign| reign.generation == *generation);
                of.for_each(|reign| reign.retired = Some(told.at));
            }
            Event::RecoverySplit { set, shares, threshold } => {
                let Some(recovery) = &mut ring.recovery else { return };
                (recovery.set, recovery.shares, recovery.threshold) = (*set, *shares, *threshold);
                self.splits.push(Splitting { at: told.at, split: recovery.split() });
            }
            _ => {}
        }
    }
}

impl Reign {
    fn of(ring: &Arc<Ring>, begun: Moment) -> Self {
        let (generation, ring) = (ring.newest(), Arc::clone(ring));
        Self { generation, begun, ended: None, retired: None, ring, splits: Vec::new() }
    }
}

/// What a record says of the ring.
struct Told {
    at: Moment,
    event: Event,
    /// Its seal was found whole.
    sealed: bool,
}

/// As of when the log was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// All of it was judged, and what it tells of other things than objects had this number.
    Judged(u64),
    /// The store's generation when it was asked, the one to which the log was judged, and whether it was by a seal.
    Asked(u64, u64, bool),
}

/// What the log tells of the ring, as far as it has been read.
#[derive(Default)]
pub(crate) struct Roll {
    seen: Option<Seen>,
    /// The link of the log's first record, which no other log has, and the pairing that it holds.
    begun: Option<(Hash, Roster)>,
    /// The positions of records that were read.
    read: BTreeSet<Position>,
    /// Up to here the log was judged, and nothing of it is missing among them.
    told_to: Position,
    told: Vec<Told>,
    /// How often `told` has changed, and which of it the roster is folded from.
    changes: u64,
    folded: Option<u64>,
    roster: Option<Arc<Roster>>,
}

impl Roll {
    /// The members now. With the seal open only sealed records count, as everywhere.
    fn look(
        &mut self,
        store: &dyn Store,
        journal: &Journal,
        seal: Option<&Seal>,
        shelf: &Shelf,
    ) -> Result<Option<Arc<Roster>>> {
        // Read before looking: what comes while we look is seen the next time.
        let is_judged = seal.is_some() && shelf.is_checked();
        let (generation, judged) = (store.generation(), shelf.seen());
        let (told, to) = shelf.told();
        let is_whole = is_judged && (judged == generation || store.head()?.position == to);
        let seen =
            if is_whole { Seen::Judged(told) } else { Seen::Asked(generation, judged, is_judged) };
        if self.seen == Some(seen) {
            if matches!(seen, Seen::Judged(_)) {
                self.told_to = to;
            }
        } else {
            // An index may keep quiet about what came after that.
            let (judged, to) = if is_judged { shelf.others() } else { (Vec::new(), 0) };
            self.roster = self.read(store, journal, seal, &judged)?;
            self.told_to = to;
            self.seen = Some(seen);
        }
        Ok(self.roster.clone())
    }

    fn read(
        &mut self,
        store: &dyn Store,
        journal: &Journal,
        seal: Option<&Seal>,
        judged: &[Position],
    ) -> Result<Option<Arc<Roster>>> {
        let Some(first) = store.read(0, 1)?.into_iter().next() else {
            *self = Self::default();
            return Ok(None);
        };
        let mut roster = self.paired_by(&first)?;
        self.read_on(store, judged)?;
        if let Some(seal) = seal {
            self.keep_sealed(journal, seal)?;
        }
        if let Some(known) = self.roster.take().filter(|_| self.folded == Some(self.changes)) {
            return Ok(Some(known));
        }
        self.told.iter().for_each(|told| roster.fold(told));
        self.folded = Some(self.changes);
        Ok(Some(Arc::new(roster)))
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
        let paired = Roster::of(*ring, Moment::of(first));
        // If there was one before, another process has begun a new log.
        *self = Self { begun: Some((first.link, paired.clone())), ..Self::default() };
        Ok(paired)
    }

    /// Reads what is new: of what the index names, and of what the log was judged to hold.
    fn read_on(&mut self, store: &dyn Store, judged: &[Position]) -> Result {
        let named = store.mentions(None, 0)?;
        for position in named.iter().chain(judged) {
            if self.read.contains(position) {
                continue;
            }
            let record = store.read(position.saturating_sub(1), 1)?.into_iter().next();
            let Some(record) = record.filter(|record| record.position == *position) else {
                // The index names what it likes; what was judged to be there should be.
                if judged.contains(position) {
                    return Err(damaged(*position, "it is missing"));
                }
                continue;
            };
            if let Some(event) = record.event_for_roll() {
                self.told.push(Told { at: Moment::of(&record), event, sealed: false });
                self.changes = self.changes.wrapping_add(1);
            }
            self.read.insert(*position);
        }
        self.told.sort_by_key(|told| told.at.position);
        Ok(())
    }

    /// Checks what was read, once, and drops what somebody has changed.
    fn keep_sealed(&mut self, journal: &Journal, seal: &Seal) -> Result {
        let mut kept = Vec::with_capacity(self.told.len());
        for mut told in std::mem::take(&mut self.told) {
            if !told.sealed {
                match journal.sound(seal, told.at.position) {
                    Ok(Some(_)) => told.sealed = true,
                    Ok(None) => {
                        log::error!("{}", damaged(told.at.position, BROKEN));
                        self.changes = self.changes.wrapping_add(1);
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
        Ok(self.roster_to()?.0)
    }

    /// The same, with the position up to which it is all that the log tells.
    pub(crate) fn roster_to(&self) -> Result<(Option<Arc<Roster>>, Position)> {
        let seal = self.seal.read().clone();
        let mut roll = self.roll.lock();
        let roster = roll.look(&*self.store, &self.journal, seal.as_ref(), &self.shelf)?;
        Ok((roster, roll.told_to))
    }

    /// The key ring with its members, as the log tells it.
    pub(crate) fn known_ring(&self) -> Result<Option<Arc<Ring>>> {
        Ok(self.roster()?.map(|roster| Arc::clone(&roster.ring)))
    }
}
