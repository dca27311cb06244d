//! Signing before key making: making a key that is to stay is background work, and never takes the last lane of a member.
//!
//! A member with so many lanes works on so many calls at a time. Who makes keys there leaves one lane to other work, and
//! one more where there are enough: bringing the keys to the member takes it, one at a time. Where nobody has said how
//! many there are, one key at a time is made while the member does other work, and as many as are asked for while it
//! doesn't. Who finds no room anywhere waits for another maker to end; signing waits for none.

use crate::station::Station;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// How soon something is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Whoever asked waits for it: a key of a session, or one that somebody brings.
    Now,
    /// It may wait for signatures: a key that is generated and stays.
    Background,
}

/// The makers of a token's keys, who wait for each other.
#[derive(Default)]
pub(crate) struct Makers {
    turn: Mutex<()>,
    one_ended: Condvar,
}

/// A key is made on a member until this is dropped.
pub(crate) struct Making<'a> {
    makers: &'a Makers,
    station: Arc<Station>,
}

impl Making<'_> {
    /// True of the member on which it is made.
    pub(crate) fn is_on(&self, station: &Arc<Station>) -> bool {
        Arc::ptr_eq(&self.station, station)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let _turn = self.makers.turn.lock();
        self.station.making.fetch_sub(1, Relaxed);
        self.makers.one_ended.notify_all();
    }
}

impl Makers {
    /// Begins on the first of these members that has room; where none has, when another maker has ended, which is bounded by
    /// the deadlines of its calls. `None` if there is no member.
    pub(crate) fn begin(&self, stations: &[Arc<Station>]) -> Option<Making<'_>> {
        if stations.is_empty() {
            return None;
        }
        let mut turn = self.turn.lock();
        loop {
            // A member without room has a maker, who ends.
            if let Some(station) = stations.iter().find(|station| station.has_room()) {
                station.making.fetch_add(1, Relaxed);
                return Some(Making { makers: self, station: Arc::clone(station) });
            }
            self.one_ended.wait(&mut turn);
        }
    }
}

impl Station {
    fn has_room(&self) -> bool {
        let making = self.making.load(Relaxed);
        let others = self.load.in_flight().saturating_sub(making);
        making < most(self.settings.lanes, others)
    }
}

/// How many keys may be made at once on a member with so many lanes, which has so many other calls in flight.
fn most(lanes: Option<usize>, others: usize) -> usize {
    match lanes {
        // One is for signing, one for what brings keys there.
        Some(lanes) => lanes.saturating_sub(2).max(1),
        None if others > 0 => 1,
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_leave_a_lane_to_others_and_one_to_what_brings_keys() {
        assert_eq!([1, 2, 3, 4, 8].map(|lanes| most(Some(lanes), 9)), [1, 1, 1, 2, 6]);
        assert_eq!(most(Some(4), 0), 2, "whoever comes next wants a lane too");
    }

    #[test]
    fn where_nobody_knows_the_lanes_one_key_is_made_beside_other_work() {
        assert_eq!((most(None, 1), most(None, 60)), (1, 1));
        assert_eq!(most(None, 0), usize::MAX);
    }
}
