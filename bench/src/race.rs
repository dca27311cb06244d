//! Several contenders side by side: in short rounds, one after the other in each, so that whatever else the machine does
//! strikes all alike. What counts is the ratio within a round.

use crate::contender::Running;
use crate::worker::{Answer, Ask};
use serde::{Deserialize, Serialize};
use std::array;

/// What a contender came to, in one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Result {
    /// Its name.
    pub name: String,
    /// The median of the rounds.
    pub median: f64,
    /// How much it was against the first contender in the same round: the median, and the quartiles.
    pub ratio: Spread,
    /// True if it was stopped before its end: it is more than that.
    #[serde(default)]
    pub is_more: bool,
}

impl Result {
    /// Of a contender's numbers, round by round, and those of the first contender; where that has fewer they are taken again.
    pub fn of(name: &str, own: &[f64], first: &[f64]) -> Self {
        let ratios = own.iter().zip(first.iter().cycle()).map(|(own, first)| own / first);
        let ratio = Spread::of(ratios.collect());
        let median = Spread::of(own.to_vec()).median;
        Self { name: name.to_owned(), median, ratio, is_more: false }
    }
}

/// A median and its quartiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// A quarter is below.
    pub low: f64,
    /// Half is below.
    pub median: f64,
    /// Three quarters are below.
    pub high: f64,
}

impl Spread {
    /// Of some numbers; of none it is not a number.
    pub fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let last = numbers.len().saturating_sub(1);
        let at = |place: usize| numbers.get(place).copied().unwrap_or(f64::NAN);
        Self { low: at(last / 4), median: at(last / 2), high: at((last * 3).div_ceil(4)) }
    }

    /// The other way round: what is twice as long takes half as long.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { low: self.high.recip(), median: self.median.recip(), high: self.low.recip() }
    }
}

/// Has every contender measured in each round, one after the other. `measure` answers several numbers at once, and each
/// comes to results of its own; the first contender is the one that the others are held against.
pub fn rounds<C, const N: usize>(
    count: usize,
    contenders: &mut [C],
    name: impl Fn(&C) -> &str,
    mut measure: impl FnMut(&mut C) -> Answer<[f64; N]>,
) -> Answer<[Vec<Result>; N]> {
    let mut all: Vec<[Vec<f64>; N]> =
        contenders.iter().map(|_| array::from_fn(|_| Vec::new())).collect();
    for _ in 0..count {
        for (contender, columns) in contenders.iter_mut().zip(&mut all) {
            for (column, number) in columns.iter_mut().zip(measure(contender)?) {
                column.push(number);
            }
        }
    }
    let column = |columns: &[Vec<f64>; N], at: usize| columns.get(at).cloned().unwrap_or_default();
    Ok(array::from_fn(|at| {
        let first = all.first().map(|columns| column(columns, at)).unwrap_or_default();
        let each = contenders.iter().zip(&all);
        each.map(|(one, columns)| Result::of(name(one), &column(columns, at), &first)).collect()
    }))
}

/// Asks every contender for the same in each round. Two results each: nanoseconds for each time (with several threads,
/// of all together), and memory in KiB.
pub fn run(contenders: &mut [&mut Running], ask: Ask, count: usize) -> Answer<[Vec<Result>; 2]> {
    rounds(
        count,
        contenders,
        |running| running.name.as_str(),
        |running| {
            let done = running.ask(ask)?;
            Ok([float(done.nanos) / float(done.times.max(1)), float(done.memory)])
        },
    )
}

/// A count as a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "what is measured is not that precise")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_its_numbers_in_order() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
        let spread = Spread::of((1..=7).map(f64::from).collect());
        assert_eq!(spread, Spread { low: 2.0, median: 4.0, high: 6.0 });
        let inverse = Spread { low: 0.5, median: 1.0, high: 4.0 }.inverse();
        assert_eq!(inverse, Spread { low: 0.25, median: 1.0, high: 2.0 });
        assert!(Spread::of(Vec::new()).median.is_nan());
    }
    #[test]
    fn ratios_are_of_the_same_round() {
        let mut contenders = [("first", 1.0), ("second", 3.0)];
        let mut round = 0.0;
        let results = rounds(
            3,
            &mut contenders,
            |one| one.0,
            |one| {
                // The machine is slower from round to round: both suffer, the ratio doesn't.
                round += 1.0;
                Ok([one.1 * f64::ceil(round / 2.0), 1.0])
            },
        );
        let [time, other] = results.unwrap();
        assert_eq!((time[0].median, time[1].median), (2.0, 6.0));
        assert_eq!(time[1].ratio, Spread { low: 3.0, median: 3.0, high: 3.0 });
        assert_eq!(other[1].ratio, Spread { low: 1.0, median: 1.0, high: 1.0 });
        let failed = rounds::<_, 1>(1, &mut contenders, |one| one.0, |_| Err("gone".into()));
        assert_eq!(failed.unwrap_err(), "gone");
    }

    #[test]
    fn what_was_measured_once_is_held_against_all_rounds() {
        let result = Result::of("quick", &[1.0, 2.0, 3.0], &[4.0]);
        assert_eq!(result.ratio, Spread { low: 0.25, median: 0.5, high: 0.75 });
    }
}
