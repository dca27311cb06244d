//! Hand-computed cases, and every small case against a world in which the keys are really taken one by one.

use super::*;

const DAY: u64 = 86_400_000;

/// Day 0 is 2027-01-01.
const START: u64 = 20_819 * DAY;

const fn day(number: u64) -> u64 {
    START + number * DAY
}

fn zsk(next: u64, keys: u64) -> Taker {
    Taker { next_ms: day(next), every_ms: 90 * DAY, keys }
}

fn schedule(now: u64, next: u64, after: u64) -> Schedule {
    Schedule::new(Some(START), day(now), day(next), day(after)).expect("times in order")
}

fn stock(backed_up: u64, takers: &[Taker]) -> Stock {
    Stock { backed_up, takers: takers.to_vec(), ..Stock::default() }
}

#[test]
fn ninety_days_and_half_a_year() {
    // One zone whose ZSK was taken on day 0: the next ones are taken on days 90, 180, 270, 360, …
    // Backups on days 0, 182 and 365.
    let now = schedule(1, 182, 365);
    let reach = |backed_up| stock(backed_up, &[zsk(90, 1)]).runway(&now);
    // 90 and 180 before the next backup, 270 and 360 before the one after it.
    let runway = reach(4);
    assert_eq!(runway.to_next, Reach { taken: 2, needed: 2, there: 4 });
    assert_eq!(runway.to_after, Reach { taken: 2, needed: 2, there: 2 });
    assert_eq!(runway.verdict, Verdict::Lasts);
    assert_eq!(runway.runs_out_ms, Some(day(450)), "the fifth is needed on day 450");
    let verdicts: Vec<_> = (0..=4).map(|keys| reach(keys).verdict).collect();
    let short = Verdict::Short;
    assert_eq!(verdicts, [short, short, Verdict::NextOnly, Verdict::NextOnly, Verdict::Lasts]);
    let out: Vec<_> = (0..=4).map(|keys| reach(keys).runs_out_ms).collect();
    assert_eq!(out, [90, 180, 270, 360, 450].map(|number| Some(day(number))));
}

#[test]
fn what_the_next_backup_takes_in_counts_from_then_on_and_no_earlier() {
    let now = schedule(1, 182, 365);
    let of = |backed_up, not_backed_up| Stock { not_backed_up, ..stock(backed_up, &[zsk(90, 1)]) };
    assert_eq!(of(1, 9).runway(&now).verdict, Verdict::Short, "nine keys, and one that counts");
    let runway = of(2, 1).runway(&now);
    assert_eq!(runway.to_after, Reach { taken: 2, needed: 2, there: 1 });
    assert_eq!((runway.verdict, runway.to_after.short()), (Verdict::NextOnly, 1));
    let runway = of(2, 2).runway(&now);
    assert_eq!(runway.verdict, Verdict::Lasts);
    assert_eq!(runway.runs_out_ms, Some(day(270)), "should that backup not come");
}

#[test]
fn a_key_that_is_taken_at_the_very_moment_of_a_backup_must_be_in_the_one_before() {
    let taken = |next: u64| {
        let schedule = Schedule::new(Some(START), day(10), day(100), day(200)).expect("in order");
        let taker = Taker { next_ms: next, every_ms: 1000 * DAY, keys: 1 };
        let runway = stock(0, &[taker]).runway(&schedule);
        (runway.to_next.taken, runway.to_after.taken)
    };
    assert_eq!(taken(day(10)), (1, 0));
    assert_eq!(taken(day(100)), (1, 0));
    assert_eq!(taken(day(100) + 1), (0, 1));
    assert_eq!(taken(day(200)), (0, 1));
    assert_eq!(taken(day(200) + 1), (0, 0));
    assert_eq!(taken(day(9)), (1, 0), "overdue is due");
}

#[test]
fn keys_that_are_overdue_are_due_now_and_the_next_ones_a_lifetime_later() {
    let overdue = stock(1, &[Taker { next_ms: day(5), every_ms: 90 * DAY, keys: 1 }]);
    let now = schedule(100, 190, 280);
    let runway = overdue.runway(&now);
    assert_eq!(runway.to_next.taken, 2, "on day 100, and on day 190");
    assert_eq!(runway.runs_out_ms, Some(day(190)));
    assert_eq!(overdue.next_taken(&now, 9), [(day(100), 1), (day(190), 1), (day(280), 1)]);
}

#[test]
fn standby_keys_are_left_over() {
    let now = schedule(1, 182, 365);
    let of = |backed_up| Stock { standby: 1, ..stock(backed_up, &[zsk(90, 1)]) };
    let runway = of(2).runway(&now);
    assert_eq!(runway.to_next, Reach { taken: 2, needed: 3, there: 2 });
    assert_eq!(runway.runs_out_ms, Some(day(180)), "then the last one would be touched");
    assert_eq!(of(5).runway(&now).verdict, Verdict::Lasts);
    assert_eq!(of(0).runway(&now).runs_out_ms, Some(day(1)), "there is none to be left over");
}

#[test]
fn who_makes_keys_when_one_is_taken_is_counted_on_from_the_next_backup_on() {
    let now = schedule(1, 182, 365);
    // OpenDNSSEC keeps three. Until the next backup only what is backed up counts.
    let of = |backed_up, next| Stock { kept: 3, ..stock(backed_up, &[zsk(next, 1)]) };
    let runway = of(2, 90).runway(&now);
    assert_eq!(runway.to_after, Reach { taken: 2, needed: 2, there: 3 });
    assert_eq!(runway.verdict, Verdict::Lasts);
    assert_eq!(of(1, 90).runway(&now).verdict, Verdict::Short);
    // None is taken before it, so nobody looks whether there are enough.
    let runway = of(1, 200).runway(&now);
    assert_eq!(runway.to_after, Reach { taken: 2, needed: 2, there: 1 });
    // More than are kept stay.
    assert_eq!(of(9, 90).runway(&now).to_after.there, 7);
}

#[test]
fn takers_add_up_each_at_its_own_time() {
    let takers = [
        zsk(90, 10),
        zsk(30, 1),
        Taker { next_ms: day(400), every_ms: 0, keys: 5 },
        Taker { next_ms: day(120), every_ms: 0, keys: 2 },
        Taker { next_ms: day(2), every_ms: 1, keys: 0 },
    ];
    let (stock, now) = (stock(33, &takers), schedule(1, 182, 365));
    let runway = stock.runway(&now);
    // 30, 90 (10), 120 (1 and 2), 180 (10); then 210, 270 (10), 300, 360 (10).
    assert_eq!((runway.to_next.taken, runway.to_after.taken), (24, 22));
    assert_eq!(runway.runs_out_ms, Some(day(270)), "24 and 1 and 10 are more than 33");
    let next = [(30, 1), (90, 10), (120, 3), (180, 10), (210, 1)];
    assert_eq!(stock.next_taken(&now, 5), next.map(|(number, keys)| (day(number), keys)));
    let all = stock.next_taken(&now, 100);
    assert_eq!(all.len(), 8);
    assert_eq!(all.iter().map(|(_, keys)| keys).sum::<u64>(), 46);
}

#[test]
fn what_is_taken_in_the_course_of_a_day_is_told_together() {
    let at = |ms: u64| Taker { next_ms: day(5) + ms, every_ms: 0, keys: 2 };
    let takers = [at(7), at(0), at(DAY - 1), at(DAY), at(3 * DAY - 1), at(3 * DAY + 5)];
    let stock = stock(0, &takers);
    let told = stock.next_taken(&schedule(1, 6, 30), 9);
    let expected = [(day(5), 6), (day(6), 2), (day(8) - 1, 2), (day(8) + 5, 2)];
    assert_eq!(told, expected);
    // Not beyond the backup after the next, should that be in the course of the day.
    let early = Schedule::new(Some(START), day(1), day(2), day(5) + 7).expect("in order");
    assert_eq!(stock.next_taken(&early, 9), [(day(5), 4)]);
    // Every four hours: six a day.
    let lab = Taker { next_ms: day(2), every_ms: DAY / 6, keys: 1 };
    let told = Stock { takers: vec![lab], ..Stock::default() }.next_taken(&schedule(1, 2, 4), 9);
    assert_eq!(told, [(day(2), 6), (day(3), 6), (day(4), 1)]);
}

#[test]
fn where_nothing_was_ever_backed_up_nothing_lasts() {
    let never = Schedule::new(None, day(0), day(180), day(360)).expect("in order");
    let runway = stock(0, &[zsk(2000, 1)]).runway(&never);
    assert_eq!(runway.verdict, Verdict::Short, "though none is needed for years");
    assert_eq!(stock(0, &[]).runway(&never).verdict, Verdict::Short);
    assert_eq!(stock(0, &[zsk(2000, 1)]).runway(&schedule(0, 180, 360)).verdict, Verdict::Lasts);
}

#[test]
fn times_out_of_order_are_no_schedule() {
    assert!(Schedule::new(Some(day(5)), day(5), day(5), day(6)).is_some());
    assert_eq!(Schedule::new(Some(day(6)), day(5), day(7), day(8)), None, "a clock gone back");
    assert_eq!(Schedule::new(None, day(5), day(4), day(8)), None);
    assert_eq!(Schedule::new(None, day(5), day(6), day(6)), None);
    assert_eq!(Schedule::new(None, day(5), day(8), day(6)), None);
}

#[test]
fn the_largest_numbers_overflow_nothing() {
    let most = u64::MAX;
    let all = [0, 1, DAY, most - 1, most];
    for case in 0..5_usize.pow(4) {
        let pick = |place: u32| all[case / 5_usize.pow(place) % 5];
        let taker = Taker { next_ms: pick(0), every_ms: pick(1), keys: pick(2) };
        let stock = Stock {
            backed_up: pick(3),
            not_backed_up: most,
            standby: pick(2),
            kept: most,
            takers: vec![taker; 2],
        };
        for (now, next, after) in [(0, 0, 1), (0, most - 1, most), (most - 1, most - 1, most)] {
            let schedule = Schedule::new(Some(0), now, next, after).expect("in order");
            let runway = stock.runway(&schedule);
            assert_eq!(runway.to_next.lasts(), stock.backed_up >= runway.to_next.needed);
            assert!(stock.next_taken(&schedule, 3).len() <= 3);
        }
    }
}

#[test]
fn what_is_far_away_never_runs_out() {
    let schedule = schedule(0, 1, 2);
    let in_years =
        |years: u64| stock(0, &[Taker { next_ms: day(365 * years), every_ms: 0, keys: 1 }]);
    assert_eq!(in_years(100).runway(&schedule).runs_out_ms, Some(day(36_500)));
    assert_eq!(in_years(101).runway(&schedule).runs_out_ms, None);
}

/// The keys themselves, as they are taken day by day: those that are backed up, and those that are not.
struct World {
    backed_up: u64,
    not_backed_up: u64,
    /// The first day on which a key was taken that was not backed up, or none was there.
    failed: Option<u64>,
}

impl World {
    fn day(&mut self, stock: &Stock, now: u64, today: u64) {
        for taker in &stock.takers {
            let begins = taker.next_ms.max(now);
            let takes = today >= begins
                && (today == begins
                    || (taker.every_ms > 0 && (today - begins).is_multiple_of(taker.every_ms)));
            for _ in 0..if takes { taker.keys } else { 0 } {
                self.take(stock, today);
            }
        }
    }

    fn take(&mut self, stock: &Stock, today: u64) {
        if self.backed_up > 0 {
            self.backed_up -= 1;
        } else {
            self.failed.get_or_insert(today);
            self.not_backed_up = self.not_backed_up.saturating_sub(1);
        }
        let unused = self.backed_up + self.not_backed_up;
        self.not_backed_up += stock.kept.saturating_sub(unused);
    }
}

/// What happens up to the backup after the next, and when the keys are out if there is no other backup.
fn lived(stock: &Stock, now: u64, next: u64, after: u64) -> (Option<u64>, Option<u64>) {
    let fresh =
        || World { backed_up: stock.backed_up, not_backed_up: stock.not_backed_up, failed: None };
    let mut world = fresh();
    for today in now..=after {
        world.day(stock, now, today);
        if today == next {
            world.backed_up += std::mem::take(&mut world.not_backed_up);
        }
    }
    let mut alone = fresh();
    (now..=after).for_each(|today| alone.day(stock, now, today));
    (world.failed, alone.failed)
}

/// As many keys as are to be made are enough, and one fewer is not.
fn is_enough(stock: &Stock, runway: &Runway, schedule: &Schedule) {
    let verdict = |made: u64| {
        let mut stock = stock.clone();
        stock.not_backed_up += made;
        if runway.verdict == Verdict::Short {
            stock.backed_up += std::mem::take(&mut stock.not_backed_up);
        }
        stock.runway(schedule).verdict
    };
    match runway.verdict {
        Verdict::Lasts => assert_eq!(runway.make, 0),
        Verdict::NextOnly => {
            assert_eq!(verdict(runway.make), Verdict::Lasts, "{stock:?}");
            assert_eq!(verdict(runway.make - 1), Verdict::NextOnly, "{stock:?}");
        }
        Verdict::Short => {
            assert_ne!(verdict(runway.make), Verdict::Short, "{stock:?}");
            assert!(runway.make == 0 || verdict(runway.make - 1) == Verdict::Short, "{stock:?}");
        }
    }
}

#[test]
fn every_small_case_comes_out_as_if_it_was_lived_through() {
    let (now, next, after) = (10, 18, 25);
    let schedule = Schedule::new(Some(0), now, next, after).expect("in order");
    let mut seen = [0; 3];
    for first in [7, 10, 11, 14, 18, 19, 25, 26] {
        for every in [0, 1, 3, 7, 8, 20] {
            for (backed_up, not_backed_up, kept) in
                (0..7).flat_map(|a| (0..5).flat_map(move |b| (0..4).map(move |c| (a, b, c))))
            {
                let stock = Stock {
                    backed_up,
                    not_backed_up,
                    kept,
                    takers: vec![
                        Taker { next_ms: first, every_ms: every, keys: 1 },
                        Taker { next_ms: 16, every_ms: 6, keys: 2 },
                    ],
                    ..Stock::default()
                };
                let runway = stock.runway(&schedule);
                let (failed, out) = lived(&stock, now, next, after);
                let verdict = match failed {
                    Some(at) if at <= next => Verdict::Short,
                    Some(_) => Verdict::NextOnly,
                    None => Verdict::Lasts,
                };
                assert_eq!(runway.verdict, verdict, "{stock:?}");
                assert_eq!(runway.runs_out_ms.filter(|at| *at <= after), out, "{stock:?}");
                is_enough(&stock, &runway, &schedule);
                seen[verdict as usize] += 1;
            }
        }
    }
    assert!(seen.iter().all(|cases| *cases > 100), "{seen:?}");
}
