//! Which member does the work.

use crate::error::{Error, Result};
use crate::held::Held;
use crate::load::{Choice, choose, is_worth_waiting};
use crate::settings::{Balance, Duty, Role};
use crate::station::Station;
use crate::token::Token;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::{Template, ck::*};

/// Members, few of them: each call looks for its own.
pub(crate) type Stations = SmallVec<[Arc<Station>; 4]>;

impl Token {
    /// Members to try for work, best first: those that are up, active before standby.
    pub(crate) fn candidates(&self, duty: Duty) -> Stations {
        self.candidates_for(duty, |_| true)
    }

    /// The same of those that are able to do it, up or not.
    fn candidates_for(&self, duty: Duty, is_able: impl Fn(&Arc<Station>) -> bool) -> Stations {
        if !self.is_tended() {
            self.end_long_rest();
            self.heed();
            self.wake_all();
        }
        let able = || {
            let mut up = self.up(duty);
            up.retain(|station| is_able(station));
            up
        };
        let mut up = able();
        if up.is_empty() {
            // Whoever tends them may just not have come round.
            self.wake_all();
            self.waking.wait_until(|| !able().is_empty());
            up = able();
        }
        for station in &up {
            station.set_others(up.len().saturating_sub(1));
        }
        if self.settings.balance == Balance::RoundRobin {
            rotate(&mut up, self.turn.fetch_add(1, Ordering::Relaxed));
        }
        up.sort_by_key(place);
        if self.settings.balance == Balance::LeastLoaded {
            self.put_first(equals(&mut up));
        }
        up
    }

    /// Puts a member in front where a key that is held on demand is loaded already, if the one in front would have to let another
    /// go for it, and is not so much less busy that bringing it there is quicker all the same.
    fn put_first_who_has(&self, stations: &mut [Arc<Station>], keys: &[Held]) {
        let visitor = keys.iter().map(Held::object).find(|object| object.is_on_demand());
        let (Some(id), Balance::LeastLoaded) =
            (visitor.map(|object| object.id), self.settings.balance)
        else {
            return;
        };
        let equals = equals(stations);
        let Some((first, others)) = equals.split_first_mut() else { return };
        // Who did not get the last work is in front to be looked at.
        let is_looked_at = !self.got_last_work(first);
        if is_looked_at || first.loaded.has(id) || first.loaded.has_room() {
            return;
        }
        let Some(other) = others.iter_mut().find(|other| other.loaded.has(id)) else { return };
        let now = self.clock.steady_ns();
        if is_worth_waiting(&other.load.glance(now), &first.load.glance(now)) {
            std::mem::swap(first, other);
        }
    }

    /// Puts the less loaded of two in front: of the one that got the last work, and of another, with each call another other.
    /// Remembering the better one makes two choices better than drawing both.
    fn put_first(&self, equals: &mut [Arc<Station>]) {
        let Some(others) = equals.len().checked_sub(1).filter(|others| *others > 0) else { return };
        let at = equals.iter().position(|station| self.got_last_work(station));
        equals.swap(0, at.unwrap_or(0));
        // Two members take no turns: there is but one other.
        let turn = if others > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % others } else { 0 };
        equals.swap(1, turn.saturating_add(1));
        let [last, other, ..] = equals else { return };
        let now = self.clock.steady_ns();
        let choice = choose(&last.load.glance(now), &other.load.glance(now));
        let goes = match choice {
            Choice::Stay => false,
            Choice::Move => true,
            Choice::Look => other.load.claim_look(now),
        };
        if goes {
            std::mem::swap(last, other);
        }
        if choice != Choice::Look {
            self.gets_work(last);
        }
    }

    fn got_last_work(&self, station: &Arc<Station>) -> bool {
        let last = self.stations.get(self.last.load(Ordering::Relaxed));
        last.is_some_and(|last| Arc::ptr_eq(last, station))
    }

    /// Remembers who got the last work.
    fn gets_work(&self, station: &Arc<Station>) {
        let at = self.stations.iter().position(|other| Arc::ptr_eq(other, station)).unwrap_or(0);
        // Written only where it changes: all threads read it.
        if self.last.load(Ordering::Relaxed) != at {
            self.last.store(at, Ordering::Relaxed);
        }
    }

    /// Members to which work may be given.
    pub(crate) fn up(&self, duty: Duty) -> Stations {
        let working = self.stations.iter().filter(|s| s.does(duty) && s.is_up());
        working.cloned().collect()
    }

    /// Members that can hold keys, best first: logged in, with the ring found.
    /// Only those that have mechanisms for an object with these attributes.
    pub(crate) fn holders_up(&self, template: &Template) -> Result<Stations> {
        let is_able = |station: &Arc<Station>| self.lacks(station, template).is_none();
        let mut holders = self.candidates_for(Duty::Keys, is_able);
        holders.retain(|station| station.is_ready());
        if holders.is_empty() { Err(self.nobody()) } else { Ok(holders) }
    }

    /// The same, if there are enough of them for a new key.
    pub(crate) fn makers(&self) -> Result<Stations> {
        self.makers_of(&Template::new())
    }

    /// The same of those that have mechanisms for an object with these attributes.
    pub(crate) fn makers_of(&self, template: &Template) -> Result<Stations> {
        let makers = self.holders_up(template)?;
        if makers.len() < self.settings.min_replicas {
            return Err(Error::new(
                CKR_DEVICE_ERROR,
                format!(
                    "token {}: min_replicas = {} but members up: {}; bring the others back (`tandem status`) or \
                     lower min_replicas",
                    self.settings.label,
                    self.settings.min_replicas,
                    makers.len()
                ),
            ));
        }
        Ok(makers)
    }

    /// Whose duty it is to make new keys: the generators', where there are any.
    pub(crate) fn duty_to_make(&self) -> Duty {
        if self.stations.iter().all(|station| station.does(Duty::Keys)) {
            return Duty::Keys;
        }
        // Another process may just have taken one out, or let it in.
        self.heed_roster();
        if self.generators().next().is_some() { Duty::Making } else { Duty::Keys }
    }

    /// Generators that can make keys for others, best first. Where none can, no other member does it instead.
    pub(crate) fn generators_up(&self) -> Result<Stations> {
        if !self.login.read().is_user() {
            // It couldn't leave the generator: the ring is there for who is logged in.
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        let mut generators = self.candidates(Duty::Making);
        generators.retain(|station| station.is_ready());
        if generators.is_empty() {
            return Err(self.no_generator());
        }
        Ok(generators)
    }

    /// The error when no generator can make a key.
    fn no_generator(&self) -> Error {
        let (mut conditions, mut names) = (Vec::new(), Vec::new());
        for station in self.generators() {
            conditions.push(condition(station));
            names.push(station.name());
        }
        Error::new(
            CKR_DEVICE_REMOVED,
            format!(
                "token {}: new keys are left to its generator, which can't make any now ({}): bring it back, or have the other \
                 members make keys until it is enabled again, with `tandem member drain {}`",
                self.settings.label,
                conditions.join("; "),
                names.join("` and `tandem member drain ")
            ),
        )
    }

    /// Members on which an object can be used, best first. What is there already comes before what must be brought.
    pub(crate) fn holders(&self, keys: &[Held]) -> Stations {
        let mut stations = self.candidates_for(Duty::Keys, |station| self.is_able(station, keys));
        self.put_first_who_has(&mut stations, keys);
        stations.retain(|station| can_use(station, keys));
        stations.sort_by_key(|station| {
            !keys.iter().all(|held| match held {
                Held::Token(_) => true,
                Held::Transient(transient) => transient.place(station).is_some(),
            })
        });
        stations
    }

    /// The same to be asked one after the other, and after them whoever has come up since: a call that began while a member was
    /// away is not to fail when that is back.
    pub(crate) fn holders_in_turn<'a>(
        &'a self,
        keys: &'a [Held],
    ) -> impl Iterator<Item = Arc<Station>> + 'a {
        let is_fit = |station: &Arc<Station>| can_use(station, keys) && self.is_able(station, keys);
        self.in_turn(Duty::Keys, self.holders(keys), is_fit)
    }

    /// These members, and then whoever has come up since and is fit.
    pub(crate) fn in_turn<'a>(
        &'a self,
        duty: Duty,
        first: Stations,
        is_fit: impl Fn(&Arc<Station>) -> bool + 'a,
    ) -> impl Iterator<Item = Arc<Station>> + 'a {
        let mut first = first.into_iter();
        let mut asked = Stations::new();
        std::iter::from_fn(move || {
            let has_come = |station: &Arc<Station>| {
                is_fit(station) && !asked.iter().any(|asked| Arc::ptr_eq(asked, station))
            };
            let next = first.next().or_else(|| self.up(duty).into_iter().find(has_come))?;
            asked.push(Arc::clone(&next));
            Some(next)
        })
    }

    /// The error when no member can do it.
    pub(crate) fn nobody(&self) -> Error {
        Error::new(
            CKR_DEVICE_ERROR,
            format!(
                "token {}: no member can do this now ({}); see `tandem status`",
                self.settings.label,
                self.conditions()
            ),
        )
    }

    /// How each member is, and why.
    pub(crate) fn conditions(&self) -> String {
        self.stations.iter().map(condition).collect::<Vec<_>>().join("; ")
    }
}

/// Members that come before others, whatever the load: the active ones, and those that are well.
fn place(station: &Arc<Station>) -> (bool, bool) {
    (station.settings.role == Role::Standby, station.is_suspect())
}

/// Those in front that are of equal place.
fn equals(stations: &mut [Arc<Station>]) -> &mut [Arc<Station>] {
    let best = stations.first().map(place);
    let equals = stations.iter().take_while(|station| Some(place(station)) == best).count();
    stations.get_mut(..equals).unwrap_or_default()
}

/// How a member is, and why.
fn condition(station: &Arc<Station>) -> String {
    let (condition, reason) = station.condition();
    format!("{}: {condition:?} {reason}", station.name())
}

/// True if all of these can be used there, or be brought there.
fn can_use(station: &Arc<Station>, keys: &[Held]) -> bool {
    keys.iter().all(|held| match held {
        Held::Token(entry) => {
            let named = entry.object.holders.as_ref();
            named.is_none_or(|holders| holders.iter().any(|name| name == station.name()))
        }
        Held::Transient(transient) => transient.can_go(station),
    })
}

fn rotate(stations: &mut [Arc<Station>], by: usize) {
    if !stations.is_empty() {
        stations.rotate_left(by % stations.len());
    }
}
