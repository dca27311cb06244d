//! What the rounds of a benchmark came to, in which Tandem and something else took turns.

/// Rounds, each with what it took us and what it took the others, in the same unit.
#[derive(Debug)]
pub struct Rounds(pub Vec<[f64; 2]>);

impl Rounds {
    /// The medians: ours and the others'.
    pub fn medians(&self) -> [f64; 2] {
        [self.spread(|[ours, _]| *ours)[1], self.spread(|[_, others]| *others)[1]]
    }

    /// The least ratio of ours to the others' within a round, the median, and the most.
    pub fn ratios(&self) -> [f64; 3] {
        self.spread(|[ours, others]| ours / others)
    }

    fn spread(&self, of: impl Fn(&[f64; 2]) -> f64) -> [f64; 3] {
        let mut all: Vec<_> = self.0.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        [all[0], all[all.len() / 2], all[all.len() - 1]]
    }
}
