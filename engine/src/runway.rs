//! The runway: how long the unused keys that are backed up will last. Arithmetic alone: it is told the time and the stock.
//!
//! Keys are taken from a stock one after the other, one at each rollover. Until the next backup only those count that are
//! backed up now. That backup takes in whatever is left and unused, and this must do until the one after it.
//! `docs/guide/runway.md` has the formula and an example.
//!
//! All times are in milliseconds since the Unix epoch. Nothing here overflows: what is too large stays as large as a number
//! can be, which is more than any stock.

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// How far ahead it is asked when keys run out: a hundred years.
pub const HORIZON_MS: u64 = 100 * 365 * DAY_MS;

/// The time, and the backups that are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    last: Option<u64>,
    now: u64,
    next: u64,
    after: u64,
}

impl Schedule {
    /// The last backup of everything that counts (`None`: there is none), the time, the next backup and the one after it.
    /// `None` if they are not in that order.
    pub fn new(last_ms: Option<u64>, now_ms: u64, next_ms: u64, after_ms: u64) -> Option<Self> {
        let in_order = last_ms.is_none_or(|last| last <= now_ms) && now_ms <= next_ms;
        let schedule = Self { last: last_ms, now: now_ms, next: next_ms, after: after_ms };
        (in_order && next_ms < after_ms).then_some(schedule)
    }

    /// The last backup of everything that counts.
    pub const fn last_ms(&self) -> Option<u64> {
        self.last
    }

    /// The time.
    pub const fn now_ms(&self) -> u64 {
        self.now
    }

    /// The next backup.
    pub const fn next_ms(&self) -> u64 {
        self.next
    }

    /// The one after it.
    pub const fn after_ms(&self) -> u64 {
        self.after
    }
}

/// Who takes keys from a stock: zones that roll their keys at the same time, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taker {
    /// When the next keys are taken. If that is over they are due: taken now.
    pub next_ms: u64,
    /// How long after that the next ones are, and so on; 0: never again.
    pub every_ms: u64,
    /// How many are taken each time.
    pub keys: u64,
}

impl Taker {
    fn begins(&self, now_ms: u64) -> u64 {
        self.next_ms.max(now_ms)
    }

    /// How often it takes from now up to a moment, that moment too.
    fn times(&self, now_ms: u64, until_ms: u64) -> u64 {
        match until_ms.checked_sub(self.begins(now_ms)) {
            None => 0,
            Some(span) => span.checked_div(self.every_ms).unwrap_or(0).saturating_add(1),
        }
    }
}

/// Unused keys of one kind, and who takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Unused keys in a backup that counts.
    pub backed_up: u64,
    /// Unused keys that are in none yet: the next backup takes them in.
    pub not_backed_up: u64,
    /// How many must always be left over.
    pub standby: u64,
    /// Up to how many unused keys somebody makes whenever one is taken; 0: nobody makes any by itself.
    pub kept: u64,
    /// Who takes them.
    pub takers: Vec<Taker>,
}

/// How a stock does for one of the two spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// How many keys are taken in it.
    pub taken: u64,
    /// How many there must be: those, and what must be left over.
    pub needed: u64,
    /// How many there are that count: unused and backed up.
    pub there: u64,
}

impl Reach {
    const fn new(taken: u64, standby: u64, there: u64) -> Self {
        Self { taken, needed: taken.saturating_add(standby), there }
    }

    /// How many are missing.
    pub const fn short(&self) -> u64 {
        self.needed.saturating_sub(self.there)
    }

    /// True if none is missing.
    pub const fn lasts(&self) -> bool {
        self.short() == 0
    }
}

/// How long a stock lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the backup after the next.
    Lasts,
    /// To the next backup and no further, with the keys that there will be by then.
    NextOnly,
    /// Not to the next backup; or nothing was ever backed up.
    Short,
}

/// What comes of a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runway {
    /// From now to the next backup.
    pub to_next: Reach,
    /// From there to the one after it.
    pub to_after: Reach,
    /// When the first key is needed that is not backed up now, if there is no other backup; `None` if that is further away
    /// than [`HORIZON_MS`].
    pub runs_out_ms: Option<u64>,
    /// How long it lasts.
    pub verdict: Verdict,
    /// How many unused keys should be made: for [`Verdict::NextOnly`] before the next backup, for [`Verdict::Short`] before an
    /// extra one, which takes in all that are in none yet.
    pub make: u64,
}

impl Stock {
    /// How long it lasts.
    pub fn runway(&self, schedule: &Schedule) -> Runway {
        let taken = self.taken(schedule.now, schedule.next);
        let to_next = Reach::new(taken, self.standby, self.backed_up);
        let later = self.taken(schedule.now, schedule.after).saturating_sub(taken);
        let to_after = Reach::new(later, self.standby, self.at_next(taken));
        let verdict = match (schedule.last, to_next.lasts(), to_after.lasts()) {
            (None, _, _) | (_, false, _) => Verdict::Short,
            (_, true, false) => Verdict::NextOnly,
            (_, true, true) => Verdict::Lasts,
        };
        let unused = self.backed_up.saturating_add(self.not_backed_up);
        let make = match verdict {
            Verdict::Lasts => 0,
            // Those that are taken before it are gone by then, whatever is made in their place.
            Verdict::NextOnly => to_after.needed.saturating_add(taken).saturating_sub(unused),
            Verdict::Short => to_next.needed.saturating_sub(unused),
        };
        Runway { to_next, to_after, runs_out_ms: self.runs_out(schedule.now), verdict, make }
    }

    /// Unused keys at the next backup, which takes them all in, when so many were taken before it.
    fn at_next(&self, taken: u64) -> u64 {
        let left = self.backed_up.saturating_add(self.not_backed_up).saturating_sub(taken);
        // Only taking one makes somebody look whether there are enough.
        if taken > 0 { left.max(self.kept) } else { left }
    }

    /// How many keys are taken from now up to a moment, that moment too.
    fn taken(&self, now_ms: u64, until_ms: u64) -> u64 {
        let by = |taker: &Taker| taker.times(now_ms, until_ms).saturating_mul(taker.keys);
        self.takers.iter().map(by).fold(0, u64::saturating_add)
    }

    /// When more keys are needed than are backed up: the first moment, by halving the time.
    fn runs_out(&self, now_ms: u64) -> Option<u64> {
        let is_out = |at| self.taken(now_ms, at).saturating_add(self.standby) > self.backed_up;
        let (mut early, mut late) = (now_ms, now_ms.saturating_add(HORIZON_MS));
        if !is_out(late) {
            return None;
        }
        while early < late {
            let middle = early.midpoint(late);
            if is_out(middle) {
                late = middle;
            } else {
                early = middle.saturating_add(1);
            }
        }
        Some(late)
    }

    /// The next days (of UTC) on which keys are taken, to the backup after the next: the first moment of each, and how many keys
    /// in all of it. At most so many days.
    pub fn next_taken(&self, schedule: &Schedule, days: usize) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let mut from = schedule.now;
        while found.len() < days {
            let next = self.takers.iter().filter(|taker| taker.keys > 0);
            let next = next.filter_map(|taker| taker.first_since(schedule.now, from)).min();
            let Some(at) = next.filter(|at| *at <= schedule.after) else { break };
            let tomorrow = at.checked_next_multiple_of(DAY_MS).filter(|next| *next > at);
            let tomorrow = tomorrow.unwrap_or_else(|| at.saturating_add(DAY_MS));
            let until = tomorrow.saturating_sub(1).min(schedule.after);
            let before = at.checked_sub(1).map_or(0, |before| self.taken(schedule.now, before));
            found.push((at, self.taken(schedule.now, until).saturating_sub(before)));
            let Some(later) = until.checked_add(1) else { break };
            from = later;
        }
        found
    }
}

impl Taker {
    /// The first moment from `from` on at which it takes keys.
    fn first_since(&self, now_ms: u64, from: u64) -> Option<u64> {
        let begins = self.begins(now_ms);
        let Some(late) = from.checked_sub(begins) else { return Some(begins) };
        if late == 0 {
            return Some(begins);
        }
        let times = late.checked_next_multiple_of(self.every_ms)?;
        begins.checked_add(times).filter(|_| self.every_ms > 0)
    }
}

#[cfg(test)]
mod tests;
