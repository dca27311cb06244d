//! Keys held on demand, as far as they are on a member just now: session objects there, brought when they are used and
//! evicted, the one that was not used for longest first, when others need the room. A key in use stays.
//!
//! The lock here is never held while a vendor's code runs.

use crate::found::Life;
use crate::log::Position;
use crate::member::SessionId;
use crate::object::ObjectId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_values::Handle;

/// So many keys come to a member that had no room before one more than it had room for is tried.
const PATIENCE: usize = 16;

/// A key that is on a member just now. Whoever has this uses it: it is not evicted meanwhile.
#[derive(Debug)]
pub(crate) struct LoadedKey {
    /// Where it is there.
    pub(crate) handle: Handle,
    /// Position of the last event that changed it when it was brought.
    form: Position,
    /// The session in which it was brought, and with which it goes.
    home: SessionId,
    /// It was used since the hand last passed it.
    used: AtomicBool,
}

/// What a member has loaded, until all of it is lost.
#[derive(Default)]
struct Room {
    life: Life,
    /// Another each time that all was lost: what was begun before has no place here.
    serial: u64,
    /// Sessions in which keys live and nobody is at work.
    homes: Vec<SessionId>,
    keys: HashMap<ObjectId, Arc<LoadedKey>>,
    /// The keys in the order in which the hand passes them. It may name some that are gone.
    round: VecDeque<ObjectId>,
    /// Keys that are on their way.
    coming: HashSet<ObjectId>,
    /// Evicted, and still there: somebody used them, or has not come round to destroying them.
    doomed: Vec<Arc<LoadedKey>>,
    /// The most keys at a time, once the member has shown that it has no room for as many as it should.
    most: Option<usize>,
    /// How many keys have come since then, or since one more was allowed.
    came: usize,
    /// Keys that are others there.
    unfit: HashSet<ObjectId>,
}

/// What a member has loaded.
pub(crate) struct Loaded {
    /// The most keys at a time, as the operator says.
    most: usize,
    room: Mutex<Room>,
    arrived: Condvar,
    /// Homes that are over. The member may not know that they are.
    left: Mutex<Vec<SessionId>>,
}

/// What came of asking for a key.
pub(crate) enum Asked<'a> {
    /// It is there.
    Here(Arc<LoadedKey>),
    /// It is not, and whoever asked is to bring it.
    Bring(Coming<'a>),
}

/// The right, and the duty, to bring a key: the others who want it wait until this is done or dropped.
pub(crate) struct Coming<'a> {
    loaded: &'a Loaded,
    serial: u64,
    id: ObjectId,
    form: Position,
}

/// A session for bringing keys, of whoever has taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    serial: u64,
    /// The session; none if a new one must be opened.
    pub(crate) session: Option<SessionId>,
}

impl Loaded {
    /// Nothing, with room for so many keys.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            room: Mutex::default(),
            arrived: Condvar::new(),
            left: Mutex::default(),
        }
    }

    /// Asks for a key as it was last changed. Waits for whoever is bringing it, which is bounded by the deadlines of their calls.
    pub(crate) fn ask(&self, life: Life, id: ObjectId, form: Position) -> Asked<'_> {
        let mut room = self.room_of(life);
        let serial = room.serial_of(life);
        loop {
            if room.serial != serial {
                // The member has lost it all meanwhile. What is brought now is of no use, which whoever brings it will hear.
                return Asked::Bring(Coming { loaded: self, serial, id, form });
            }
            match room.keys.get(&id) {
                // Who asks may not have heard of the last change.
                Some(key) if key.form >= form => {
                    key.used.store(true, Ordering::Relaxed);
                    return Asked::Here(Arc::clone(key));
                }
                Some(_) => room.doom(id),
                None => {}
            }
            if room.coming.insert(id) {
                return Asked::Bring(Coming { loaded: self, serial, id, form });
            }
            self.arrived.wait(&mut room);
        }
    }

    /// True if a key was found to be another there in this life.
    pub(crate) fn is_unfit(&self, life: Life, id: ObjectId) -> bool {
        let room = self.room.lock();
        room.life == life && room.unfit.contains(&id)
    }

    /// Notes that a key was found to be another there in this life.
    pub(crate) fn refuse(&self, life: Life, id: ObjectId) {
        let mut room = self.room_of(life);
        if room.life == life {
            room.unfit.insert(id);
        }
    }

    /// A key turned out not to be there any more.
    pub(crate) fn forget(&self, id: ObjectId) {
        self.room.lock().keys.remove(&id);
    }

    /// True if a key seems to be there.
    pub(crate) fn has(&self, id: ObjectId) -> bool {
        self.room.lock().keys.contains_key(&id)
    }

    /// True if another key would find room there, as far as that is known.
    pub(crate) fn has_room(&self) -> bool {
        let room = self.room.lock();
        room.keys.len().saturating_add(room.coming.len()) < room.most(self.most)
    }

    /// The keys that are there.
    pub(crate) fn ids(&self) -> Vec<ObjectId> {
        self.room.lock().keys.keys().copied().collect()
    }

    /// Evicts a key.
    pub(crate) fn evict(&self, id: ObjectId) {
        self.room.lock().doom(id);
    }

    /// All is lost.
    pub(crate) fn clear(&self) {
        let mut room = self.room.lock();
        let life = room.life;
        self.begin(&mut room, life);
    }

    fn begin(&self, room: &mut Room, life: Life) {
        let serial = room.serial.wrapping_add(1);
        let before = mem::replace(room, Room { life, serial, ..Room::default() });
        self.left.lock().extend(before.homes);
        self.arrived.notify_all();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.room.lock().keys.len()
    }

    /// The room as it is in this life. A life that has ended meanwhile is told by the room's being another's.
    fn room_of(&self, life: Life) -> MutexGuard<'_, Room> {
        let mut room = self.room.lock();
        if room.life < life {
            self.begin(&mut room, life);
        }
        room
    }

    /// The handles of those of the doomed that nobody uses any more: to be destroyed.
    pub(crate) fn take_doomed(&self, life: Life) -> Vec<Handle> {
        let mut room = self.room.lock();
        if room.life != life || room.doomed.is_empty() {
            return Vec::new();
        }
        let (kept, free) =
            mem::take(&mut room.doomed).into_iter().partition(|key| Arc::strong_count(key) > 1);
        room.doomed = kept;
        Vec::into_iter(free).map(|key| key.handle).collect()
    }

    /// Takes a session for bringing keys.
    pub(crate) fn take_home(&self, life: Life) -> Taken {
        let mut room = self.room_of(life);
        let serial = room.serial_of(life);
        let session = if room.serial == serial { room.homes.pop() } else { None };
        Taken { serial, session }
    }

    /// Gives a session back. Its keys are lost if it is, or if all were lost meanwhile.
    pub(crate) fn give_home(&self, taken: Taken, session: SessionId, is_lost: bool) {
        let mut room = self.room.lock();
        if room.serial == taken.serial && !is_lost {
            room.homes.push(session);
            return;
        }
        if room.serial == taken.serial {
            room.keys.retain(|_, key| key.home != session);
            room.doomed.retain(|key| key.home != session);
        }
        drop(room);
        self.left.lock().push(session);
    }

    /// Sessions that are over, to be closed.
    pub(crate) fn take_left(&self) -> Vec<SessionId> {
        mem::take(&mut *self.left.lock())
    }

    /// The sessions in which nobody is at work.
    pub(crate) fn homes(&self, life: Life) -> usize {
        self.room_of(life).homes.len()
    }
}

impl Room {
    /// The room's number for whoever knows the member in this life: of one that is over it is none.
    fn serial_of(&self, life: Life) -> u64 {
        if self.life == life { self.serial } else { self.serial.wrapping_sub(1) }
    }

    /// The most keys at a time, of which the operator has said this.
    fn most(&self, said: usize) -> usize {
        self.most.map_or(said, |most| most.min(said))
    }

    fn doom(&mut self, id: ObjectId) {
        self.doomed.extend(self.keys.remove(&id));
    }

    /// A key has come. A member that had no room may have some again: after some keys one more is tried.
    fn allow_more(&mut self) {
        let Some(most) = self.most.filter(|_| self.came >= PATIENCE) else {
            self.came = self.came.saturating_add(1);
            return;
        };
        (self.most, self.came) = (Some(most.saturating_add(1)), 0);
    }

    /// Evicts keys until there are at most so many, those in use excepted.
    fn shrink_to(&mut self, most: usize) {
        // Twice round: the first time each key that was used has another chance.
        let mut steps = self.round.len().saturating_mul(2);
        while self.keys.len() > most && steps > 0 {
            steps = steps.saturating_sub(1);
            let Some(id) = self.round.pop_front() else { return };
            let Some(key) = self.keys.get(&id) else { continue };
            if Arc::strong_count(key) > 1 || key.used.swap(false, Ordering::Relaxed) {
                self.round.push_back(id);
            } else {
                self.doom(id);
            }
        }
    }

    /// Takes a key in that has come.
    fn put(&mut self, id: ObjectId, key: Arc<LoadedKey>) {
        self.doomed.extend(self.keys.insert(id, key));
        self.round.push_back(id);
        self.allow_more();
        if self.round.len() > self.keys.len().saturating_mul(2).saturating_add(64) {
            let Self { keys, round, .. } = self;
            let mut seen = HashSet::new();
            round.retain(|id| keys.contains_key(id) && seen.insert(*id));
        }
    }
}

impl Coming<'_> {
    fn room(&self) -> Option<MutexGuard<'_, Room>> {
        Some(self.loaded.room.lock()).filter(|room| room.serial == self.serial)
    }

    /// Evicts others, so that there is room for this one and those that are on their way with it.
    pub(crate) fn make_room(&self) {
        let Some(mut room) = self.room() else { return };
        let most = room.most(self.loaded.most);
        let left = most.saturating_sub(room.coming.len());
        if room.keys.len() > left {
            room.shrink_to(left);
        }
    }

    /// The member has no room for as many: some are evicted, and for some time it is not asked for so many again. Answers false
    /// if all are in use.
    pub(crate) fn make_more_room(&self) -> bool {
        let Some(mut room) = self.room() else { return false };
        let before = room.keys.len();
        let less = before.saturating_sub(before.div_ceil(8));
        room.shrink_to(less);
        let is_less = room.keys.len() < before;
        if is_less {
            (room.most, room.came) = (Some(less.max(1)), 0);
        }
        is_less
    }

    /// The key is there, under this handle, in a session that was taken for it.
    pub(crate) fn arrived(self, handle: Handle, home: SessionId) -> Arc<LoadedKey> {
        let key =
            Arc::new(LoadedKey { handle, form: self.form, home, used: AtomicBool::new(false) });
        if let Some(mut room) = self.room() {
            room.put(self.id, Arc::clone(&key));
        }
        key
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        if let Some(mut room) = self.room() {
            room.coming.remove(&self.id);
        }
        self.loaded.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life { era: 1, module: 1 };
    const HOME: SessionId = SessionId(1);
    const OTHER: SessionId = SessionId(7);

    const fn id(number: u8) -> ObjectId {
        ObjectId([number; 16])
    }

    /// Brings a key; what had to be destroyed for it.
    fn bring(loaded: &Loaded, number: u8) -> (Arc<LoadedKey>, Vec<Handle>) {
        match loaded.ask(LIFE, id(number), 1) {
            Asked::Bring(coming) => {
                coming.make_room();
                let gone = loaded.take_doomed(LIFE);
                (coming.arrived(number.into(), HOME), gone)
            }
            Asked::Here(_) => panic!("{number} is there"),
        }
    }

    fn is_here(loaded: &Loaded, number: u8) -> bool {
        matches!(loaded.ask(LIFE, id(number), 1), Asked::Here(_))
    }

    #[test]
    fn what_was_used_stays_longer() {
        let loaded = Loaded::new(3);
        (1..=3).for_each(|number| drop(bring(&loaded, number)));
        assert!(is_here(&loaded, 1));
        assert_eq!(bring(&loaded, 4).1, [2]);
        assert_eq!(bring(&loaded, 5).1, [3]);
        assert!(is_here(&loaded, 4) && is_here(&loaded, 5));
        assert_eq!(loaded.len(), 3);
    }

    #[test]
    fn what_is_in_use_is_not_evicted_and_is_destroyed_when_it_no_longer_is() {
        let loaded = Loaded::new(1);
        let (first, _) = bring(&loaded, 1);
        let (second, gone) = bring(&loaded, 2);
        assert_eq!(gone, [], "more than there is room for rather than none");
        loaded.evict(id(1));
        assert_eq!(loaded.take_doomed(LIFE), []);
        drop(first);
        assert_eq!(loaded.take_doomed(LIFE), [1]);
        drop(second);
        assert_eq!(bring(&loaded, 3).1, [2]);
    }

    #[test]
    fn a_member_without_room_is_not_asked_for_as_much_again() {
        let loaded = Loaded::new(100);
        (1..=8).for_each(|number| drop(bring(&loaded, number)));
        let Asked::Bring(coming) = loaded.ask(LIFE, id(9), 1) else { panic!("it is there") };
        assert!(coming.make_more_room());
        assert_eq!(loaded.take_doomed(LIFE), [1]);
        coming.arrived(9, HOME);
        assert_eq!(bring(&loaded, 10).1, [2, 3], "seven were too many with one on its way");
        let held: Vec<_> = (5..=8).map(|number| loaded.ask(LIFE, id(number), 1)).collect();
        let (_nine, _ten) = (loaded.ask(LIFE, id(9), 1), loaded.ask(LIFE, id(10), 1));
        let Asked::Bring(coming) = loaded.ask(LIFE, id(11), 1) else { panic!("it is there") };
        drop(loaded.ask(LIFE, id(4), 1));
        assert!(coming.make_more_room());
        assert_eq!((loaded.take_doomed(LIFE), held.len()), (vec![4], 4));
        assert!(!coming.make_more_room(), "all are in use");
    }

    #[test]
    fn a_member_that_had_no_room_is_tried_with_more_again() {
        let loaded = Loaded::new(100);
        (1..=4).for_each(|number| drop(bring(&loaded, number)));
        let Asked::Bring(coming) = loaded.ask(LIFE, id(5), 1) else { panic!("it is there") };
        assert!(coming.make_more_room());
        drop(coming);
        (6..=10).for_each(|number| drop(bring(&loaded, number)));
        assert_eq!(loaded.len(), 3);
        (11..=30).for_each(|number| drop(bring(&loaded, number)));
        assert_eq!(loaded.len(), 4);
    }

    #[test]
    fn keys_go_with_the_session_in_which_they_live() {
        let loaded = Loaded::new(8);
        drop(bring(&loaded, 1));
        let taken = loaded.take_home(LIFE);
        let Asked::Bring(coming) = loaded.ask(LIFE, id(2), 1) else { panic!("it is there") };
        drop(coming.arrived(2, OTHER));
        loaded.give_home(taken, OTHER, false);
        assert_eq!(loaded.take_home(LIFE).session, Some(OTHER), "it is lent again");
        loaded.give_home(taken, OTHER, true);
        assert!(is_here(&loaded, 1) && !is_here(&loaded, 2));
        assert_eq!((loaded.take_left(), loaded.take_home(LIFE).session), (vec![OTHER], None));
        loaded.clear();
        loaded.give_home(taken, HOME, false);
        assert_eq!(loaded.take_left(), [HOME], "what was lost meanwhile is not lent");
    }

    #[test]
    fn a_key_that_was_changed_is_brought_anew() {
        let loaded = Loaded::new(4);
        drop(bring(&loaded, 1));
        let Asked::Bring(coming) = loaded.ask(LIFE, id(1), 2) else { panic!("it is the old one") };
        assert_eq!(loaded.take_doomed(LIFE), [1]);
        assert_eq!(coming.arrived(7, HOME).handle, 7);
        assert!(is_here(&loaded, 1), "who has not heard of the change uses it as it is now");
    }

    #[test]
    fn who_gives_up_leaves_it_to_the_next_one() {
        let loaded = Loaded::new(4);
        let Asked::Bring(given_up) = loaded.ask(LIFE, id(2), 1) else { panic!("it is there") };
        drop(given_up);
        assert!(!is_here(&loaded, 2), "the next one brings it");
    }

    #[test]
    fn another_life_has_nothing() {
        let loaded = Loaded::new(4);
        drop(bring(&loaded, 1));
        loaded.refuse(LIFE, id(2));
        assert!(loaded.is_unfit(LIFE, id(2)) && !loaded.is_unfit(LIFE, id(1)));
        let next = Life { era: 2, module: 1 };
        let Asked::Bring(late) = loaded.ask(next, id(1), 1) else { panic!("it is there") };
        late.make_room();
        assert_eq!(loaded.take_doomed(LIFE), []);
        assert!(!loaded.is_unfit(LIFE, id(2)) && !loaded.is_unfit(next, id(2)));
        assert!(matches!(loaded.ask(LIFE, id(1), 1), Asked::Bring(_)), "of no use, and no wait");
    }
}
