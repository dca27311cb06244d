//! How busy and how quick a member is, and which of two gets the next work.
//!
//! Of two members the one is taken that has the smaller product of smoothed latency and calls in flight, this one included.
//! Who works alone stays where they are, unless the other is much quicker: a member whose threads fall asleep between two
//! calls is slower than one that is kept awake. Old knowledge counts less and less: the longer nothing has been measured,
//! the more the next answer tells, and a member without work gets a call now and then, a *look*, to see how quick it is now.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How long what was measured is good, at least, in nanoseconds: then it is time for a look.
const GOOD_NS: u64 = 1_000_000_000;
/// So many times its latency at least, so that the looks at a slow member cost little of the time of who looks.
const LATENCIES: u64 = 32;
/// And at most.
const GOOD_NS_MAX: u64 = 60_000_000_000;
/// The share of a new measurement that follows right on others: one of so many.
const PARTS: u64 = 8;
/// Who works alone moves to a member that is so many times as quick.
const QUICKER: u64 = 2;
/// Bringing a key to a member takes about as long as so many calls there.
const BRINGING: u64 = 4;
/// A fault makes a member so many times as slow, until it is measured again.
const PENALTY: u64 = 4;
/// As slow at least, before that.
const PENALTY_NS_MIN: u64 = 1_000_000;
/// By a fault alone none becomes slower than that.
const PENALTY_NS_MAX: u64 = 1_000_000_000;

/// What is known of a member's load in this process.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: AtomicUsize,
    /// Smoothed; 0: nothing is known.
    latency_ns: AtomicU64,
    measured_ns: AtomicU64,
    looked_ns: AtomicU64,
}

/// A call is in flight until this is dropped.
pub(crate) struct Flight<'a>(&'a Load);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Load {
    /// One more call, until the guard goes.
    pub(crate) fn begin(&self) -> Flight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        Flight(self)
    }

    /// Calls in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// An answer took so long. That two threads note at once and one is forgotten does no harm.
    pub(crate) fn took(&self, time_ns: u64, now_ns: u64) {
        let before = self.latency_ns.load(Relaxed);
        let age = now_ns.saturating_sub(self.measured_ns.load(Relaxed));
        let parts = if before == 0 { PARTS } else { age / (good_ns(before) / PARTS) };
        let share = |of: u64| of / PARTS * parts.clamp(1, PARTS);
        let after = before.saturating_sub(share(before)).saturating_add(share(time_ns));
        self.latency_ns.store(after.max(1), Relaxed);
        self.measured_ns.store(now_ns, Relaxed);
    }

    /// It failed. However quickly it answers, that must not draw work.
    pub(crate) fn erred(&self, now_ns: u64) {
        let before = self.latency_ns.load(Relaxed);
        let slower = before.max(PENALTY_NS_MIN).saturating_mul(PENALTY).min(PENALTY_NS_MAX);
        self.latency_ns.store(slower.max(before), Relaxed);
        self.measured_ns.store(now_ns, Relaxed);
    }

    /// What is known now.
    pub(crate) fn glance(&self, now_ns: u64) -> Glance {
        let last_ns = self.measured_ns.load(Relaxed).max(self.looked_ns.load(Relaxed));
        Glance {
            in_flight: u64::try_from(self.in_flight()).unwrap_or(u64::MAX),
            latency_ns: self.latency_ns.load(Relaxed),
            age_ns: now_ns.saturating_sub(last_ns),
        }
    }

    /// True for the one of those that come at once who is to look.
    pub(crate) fn claim_look(&self, now_ns: u64) -> bool {
        let before = self.looked_ns.load(Relaxed);
        before < now_ns && self.looked_ns.compare_exchange(before, now_ns, Relaxed, Relaxed).is_ok()
    }
}

/// For how long a latency is good.
fn good_ns(latency_ns: u64) -> u64 {
    latency_ns.saturating_mul(LATENCIES).clamp(GOOD_NS, GOOD_NS_MAX)
}

/// What is known of a member at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    in_flight: u64,
    latency_ns: u64,
    age_ns: u64,
}

impl Glance {
    /// True if it has nothing to do, and it is long since anything was known of it.
    fn wants_look(&self) -> bool {
        self.in_flight == 0 && self.age_ns >= good_ns(self.latency_ns)
    }

    /// How long a call would take there, by a guess. Who is unknown is taken for as quick as the other.
    fn cost(&self, other: &Self) -> u64 {
        let latency = if self.latency_ns == 0 { other.latency_ns.max(1) } else { self.latency_ns };
        latency.saturating_mul(self.in_flight.saturating_add(1))
    }
}

/// Which of two members gets the next work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one that got the last.
    Stay,
    /// The other.
    Move,
    /// The other, to see how quick it is now; the next work goes where the last went.
    Look,
}

/// Chooses between the member that got the last work and another.
pub(crate) fn choose(last: &Glance, other: &Glance) -> Choice {
    if other.wants_look() {
        return Choice::Look;
    }
    let (stay, go) = (last.cost(other), other.cost(last));
    let enough = if last.in_flight == 0 { go.saturating_mul(QUICKER) } else { go };
    if enough < stay { Choice::Move } else { Choice::Stay }
}

/// True if a key is used sooner on the member where it is than on another to which it must be brought.
pub(crate) fn is_worth_waiting(there: &Glance, other: &Glance) -> bool {
    there.cost(other) <= other.cost(there).saturating_mul(BRINGING)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    /// Later than any look.
    const NOW: u64 = 1_000_000 * MS;

    /// A member measured just now, with so many calls in flight.
    fn seen(latency_ns: u64, in_flight: u64) -> Glance {
        Glance { in_flight, latency_ns, age_ns: 0 }
    }

    #[test]
    fn who_works_alone_stays_unless_the_other_is_much_quicker() {
        assert_eq!(choose(&seen(40, 0), &seen(39, 0)), Choice::Stay);
        assert_eq!(choose(&seen(40, 0), &seen(21, 0)), Choice::Stay);
        assert_eq!(choose(&seen(40, 0), &seen(19, 0)), Choice::Move);
        assert_eq!(choose(&seen(40, 0), &seen(10, 9)), Choice::Stay, "busy as the other is");
        assert_eq!(choose(&seen(0, 0), &seen(0, 0)), Choice::Stay, "nothing is known of either");
    }

    #[test]
    fn under_load_the_smaller_product_gets_the_next() {
        assert_eq!(choose(&seen(40, 1), &seen(40, 0)), Choice::Move);
        assert_eq!(choose(&seen(40, 3), &seen(40, 3)), Choice::Stay, "a tie");
        assert_eq!(choose(&seen(10, 8), &seen(100, 0)), Choice::Stay, "10 x 9 is less than 100");
        assert_eq!(choose(&seen(10, 10), &seen(100, 0)), Choice::Move);
        assert_eq!(choose(&seen(10, 4), &seen(0, 3)), Choice::Move, "unknown is as quick");
        assert_eq!(choose(&seen(u64::MAX, 1), &seen(u64::MAX, 7)), Choice::Stay);
    }

    #[test]
    fn a_key_is_used_where_it_is_unless_it_is_brought_elsewhere_sooner() {
        assert!(is_worth_waiting(&seen(40, 0), &seen(40, 0)));
        assert!(is_worth_waiting(&seen(40, 3), &seen(40, 0)));
        assert!(!is_worth_waiting(&seen(40, 4), &seen(40, 0)));
        assert!(!is_worth_waiting(&seen(400, 0), &seen(40, 0)));
        assert!(is_worth_waiting(&seen(0, 0), &seen(40, 0)), "unknown is as quick");
    }

    #[test]
    fn two_equal_members_share_what_comes() {
        let loads = [Load::default(), Load::default()];
        for load in &loads {
            load.took(5 * MS, NOW);
        }
        let (mut last, mut flights) = (0, Vec::new());
        for _ in 0..64 {
            let other = 1 - last;
            if choose(&loads[last].glance(NOW), &loads[other].glance(NOW)) == Choice::Move {
                last = other;
            }
            flights.push(loads[last].begin());
        }
        assert_eq!(loads.each_ref().map(Load::in_flight), [32, 32]);
        drop(flights);
        assert_eq!(loads.each_ref().map(Load::in_flight), [0, 0]);
    }

    #[test]
    fn latency_is_smoothed_and_old_latency_counts_less_and_less() {
        let load = Load::default();
        load.took(80, NOW);
        assert_eq!(load.glance(NOW).latency_ns, 80, "the first counts alone");
        load.took(160, NOW);
        assert_eq!(load.glance(NOW).latency_ns, 90, "an eighth of what comes at once");
        for (age, expected) in [(GOOD_NS / 2, 120), (GOOD_NS * 3 / 4, 140), (GOOD_NS, 160)] {
            let load = Load::default();
            load.took(80, NOW);
            load.took(160, NOW + age);
            assert_eq!(load.glance(NOW).latency_ns, expected, "after {age} ns");
        }
    }

    #[test]
    fn a_member_without_work_is_looked_at_now_and_then() {
        let (quick, slow, busy) = (Load::default(), Load::default(), Load::default());
        for load in [&quick, &busy] {
            load.took(5 * MS, NOW);
        }
        slow.took(100 * MS, NOW);
        let _flight = busy.begin();
        let choice = |load: &Load, ms| choose(&quick.glance(NOW), &load.glance(NOW + ms * MS));
        assert_eq!(choice(&slow, 3_100), Choice::Stay, "not before 32 times its latency");
        assert_eq!(choice(&slow, 3_200), Choice::Look);
        assert_eq!(choice(&busy, 60_000), Choice::Stay, "a call that is there tells");
        let at = NOW + 3_200 * MS;
        assert!(slow.claim_look(at), "the first may look");
        assert!(!slow.claim_look(at), "and nobody else at the same time");
        assert_eq!(choice(&slow, 6_300), Choice::Stay);
        assert_eq!(choice(&slow, 6_400), Choice::Look, "again if nothing came of it");
    }

    #[test]
    fn a_look_finds_a_member_quick_again() {
        let (last, back) = (Load::default(), Load::default());
        last.took(50 * MS, NOW);
        back.took(500 * MS, NOW);
        let later = NOW + 16_000 * MS;
        back.took(5 * MS, later);
        last.took(50 * MS, later);
        assert_eq!(choose(&last.glance(later), &back.glance(later)), Choice::Move);
    }

    #[test]
    fn a_fault_makes_slow_until_the_next_measurement_that_counts() {
        let (sound, failing) = (Load::default(), Load::default());
        sound.took(5 * MS, NOW);
        failing.took(5 * MS, NOW);
        failing.erred(NOW);
        assert_eq!(failing.glance(NOW).latency_ns, 20 * MS);
        assert_eq!(choose(&failing.glance(NOW), &sound.glance(NOW)), Choice::Move);
        for _ in 0..9 {
            failing.erred(NOW);
        }
        assert_eq!(failing.glance(NOW).latency_ns, PENALTY_NS_MAX, "and no slower than that");
        failing.took(5 * MS, NOW + 32_000 * MS);
        assert_eq!(failing.glance(NOW).latency_ns, 5 * MS);
        let unknown = Load::default();
        unknown.erred(NOW);
        assert_eq!(unknown.glance(NOW).latency_ns, PENALTY * PENALTY_NS_MIN);
        let slow = Load::default();
        slow.took(4_000 * MS, NOW);
        slow.erred(NOW);
        assert_eq!(slow.glance(NOW).latency_ns, 4_000 * MS, "slower than by a fault");
    }
}
