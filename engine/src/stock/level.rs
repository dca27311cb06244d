//! What is in stock, for operators.

use super::{KEEPER, name_of};
use crate::error::Result;
use crate::event::Event;
use crate::log::Position;
use crate::object::Hold;
use crate::token::Token;
use std::collections::BTreeMap;

/// How far back claims are counted, in milliseconds: thirty days.
const CLAIMED_MS: u64 = 30 * 86_400_000;
/// How many records are read at once.
const BATCH: u64 = 256;

/// A stock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The type of its keys, as the operator writes it.
    pub kind: String,
    /// Where they live.
    pub hold: Hold,
    /// How many there are to be.
    pub wanted: u64,
    /// How many there are.
    pub there: u64,
    /// How many of them a committed backup holds.
    pub backed_up: u64,
    /// How many of them are given to nobody, since they are not proven where they should be, or may have been claimed before a
    /// restore, or in a record that somebody has changed.
    pub held_back: u64,
    /// How many were claimed in the last thirty days.
    pub claimed: u64,
    /// Why no more can be made; empty if nothing is known against it.
    pub problem: String,
}

impl Level {
    /// How many are missing.
    pub const fn missing(&self) -> u64 {
        self.wanted.saturating_sub(self.there)
    }

    /// How many there are beyond those that are wanted.
    pub const fn surplus(&self) -> u64 {
        self.there.saturating_sub(self.wanted)
    }
}

impl Token {
    /// Every stock that is wanted, that there are keys of, or that keys were claimed from. Needs a login.
    pub fn stock(&self) -> Result<Vec<Level>> {
        self.seal()?;
        self.shelf.refresh()?;
        let mut levels: BTreeMap<String, Level> = BTreeMap::new();
        for stock in &self.settings.stock {
            let (kind, hold) = (stock.kind.to_string(), stock.hold);
            let problem = self.why_not_made(&stock.kind).unwrap_or_default();
            let level = Level { kind, hold, wanted: stock.count, problem, ..Level::default() };
            levels.insert(stock.name(), level);
        }
        let (given, cover) = (self.store.following(KEEPER)?, self.cover());
        for stocked in self.shelf.stocked(None, usize::MAX, |_| true)? {
            let Some(entry) = self.shelf.get(stocked.handle)? else { continue };
            let level = level_of(&mut levels, entry.object.stock.as_deref().unwrap_or_default());
            let is_held_back = stocked.born > given.position
                || stocked.born <= self.shelf.last_broken()
                || given.excepts(stocked.id);
            let is_backed_up = cover.over(&entry.object, entry.position).is_some();
            level.there = level.there.saturating_add(1);
            level.held_back = level.held_back.saturating_add(u64::from(is_held_back));
            level.backed_up = level.backed_up.saturating_add(u64::from(is_backed_up));
        }
        for (name, claimed) in self.claimed_lately()? {
            level_of(&mut levels, &name).claimed = claimed;
        }
        Ok(levels.into_values().collect())
    }

    /// How many keys of each stock were claimed in the last thirty days, by its name.
    fn claimed_lately(&self) -> Result<BTreeMap<String, u64>> {
        let since_ms = self.clock.wall_ms().saturating_sub(CLAIMED_MS);
        let mut claimed: BTreeMap<String, u64> = BTreeMap::new();
        let mut to = self.store.head()?.position;
        while to > 0 {
            let from: Position = to.saturating_sub(BATCH);
            let records =
                self.store.read(from, usize::try_from(to - from).unwrap_or(usize::MAX))?;
            for record in records.iter().filter(|record| record.at_ms >= since_ms) {
                if let Some(Event::Claimed { kind: Some(name), .. }) = record.event_of_claim() {
                    let count = claimed.entry(name).or_default();
                    *count = count.saturating_add(1);
                }
            }
            // Clocks may be set: all of a batch must be older.
            let is_old = records.iter().all(|record| record.at_ms < since_ms);
            to = if is_old { 0 } else { from };
        }
        Ok(claimed)
    }
}

/// The level of a stock by its name, which is made if there is none.
fn level_of<'l>(levels: &'l mut BTreeMap<String, Level>, name: &str) -> &'l mut Level {
    levels.entry(name.to_owned()).or_insert_with(|| {
        let on_demand = name.strip_suffix(" on-demand");
        let hold = if on_demand.is_some() { Hold::OnDemand } else { Hold::Resident };
        let kind = on_demand.unwrap_or(name).to_owned();
        debug_assert_eq!(name_of(&kind, hold), name);
        Level { kind, hold, ..Level::default() }
    })
}
