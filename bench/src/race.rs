//! Several contenders side by side: in short rounds, one after the other in each, so that whatever else the machine does
//! strikes all alike. What counts is the ratio within a round.

use crate::case::Case;
use crate::contender::Running;
use crate::worker::{Answer, Ask};

/// How a race is run.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many.
    pub count: usize,
    /// How long each contender works in each, in milliseconds. 0: it does it once, and nothing before.
    pub millis: u64,
}

/// What a contender came to.
#[derive(Clone, Debug)]
pub struct Result {
    /// Its name.
    pub name: String,
    /// Nanoseconds for each time: the median of the rounds. With several threads, of all together.
    pub nanos: f64,
    /// How long it took against the first contender in the same round: the median, and the quartiles.
    pub ratio: Spread,
    /// Memory at the end, in KiB.
    pub memory: u64,
}

/// A median and its quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        let at = |share: usize| {
            let place = numbers.len().saturating_sub(1).saturating_mul(share) / 4;
            numbers.get(place).copied().unwrap_or(f64::NAN)
        };
        Self { low: at(1), median: at(2), high: at(3) }
    }
}

/// Runs a case on every contender; the first is the one that the others are held against.
pub fn run(
    contenders: &mut [&mut Running],
    (case, threads, filled): (Case, usize, usize),
    rounds: Rounds,
) -> Answer<Vec<Result>> {
    let ask = Ask { case, threads, millis: rounds.millis, filled };
    let mut nanos = vec![Vec::new(); contenders.len()];
    let mut ratios = nanos.clone();
    let mut memory = vec![0; contenders.len()];
    for _ in 0..rounds.count {
        let mut first = None;
        for (at, contender) in contenders.iter_mut().enumerate() {
            let done = contender.ask(ask)?;
            #[expect(clippy::cast_precision_loss, reason = "a ratio of two times")]
            let each = done.nanos as f64 / done.times.max(1) as f64;
            let first = *first.get_or_insert(each);
            if let (Some(nanos), Some(ratios), Some(memory)) =
                (nanos.get_mut(at), ratios.get_mut(at), memory.get_mut(at))
            {
                nanos.push(each);
                ratios.push(each / first);
                *memory = done.memory;
            }
        }
    }
    let all = contenders.iter().zip(nanos).zip(ratios).zip(memory);
    Ok(all
        .map(|(((contender, nanos), ratios), memory)| Result {
            name: contender.name.clone(),
            nanos: Spread::of(nanos).median,
            ratio: Spread::of(ratios),
            memory,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_its_numbers_in_order() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
        assert!(Spread::of(Vec::new()).median.is_nan());
    }
}
