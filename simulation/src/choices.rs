//! Every sequence of choices in turn, without knowing beforehand how many there will be: a run tells what else could have
//! been chosen in it, and each of that is where other runs begin.

/// Choices, one after the other: zero but where something else was decided beforehand.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// What is chosen at which of them, in order.
    decided: Vec<(usize, usize)>,
    /// Out of how many each was made, so far.
    counts: Vec<usize>,
}

impl Choices {
    /// Chooses one of `count`, which is at least 1.
    pub fn choose(&mut self, count: usize) -> usize {
        let at = self.counts.len();
        self.counts.push(count);
        let known = self.decided.iter().rev().find(|(of, _)| *of == at);
        known.map_or(0, |(_, chosen)| *chosen)
    }

    /// After a run: what else could have been chosen behind what was decided.
    pub fn others(&self) -> impl Iterator<Item = Self> + '_ {
        let behind = self.decided.last().map_or(0, |(at, _)| at + 1);
        let counts = self.counts.iter().enumerate().skip(behind);
        counts.flat_map(move |(at, count)| (1..*count).map(move |chosen| self.with(at, chosen)))
    }

    fn with(&self, at: usize, chosen: usize) -> Self {
        let mut decided = self.decided.clone();
        decided.push((at, chosen));
        Self { decided, counts: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explore(mut choices: Choices, seen: &mut Vec<(usize, usize)>) {
        let first = choices.choose(3);
        let second = if first == 1 { choices.choose(2) } else { 9 };
        seen.push((first, second));
        for other in choices.others() {
            explore(other, seen);
        }
    }

    #[test]
    fn every_sequence_comes_once_and_later_choices_may_hang_on_earlier_ones() {
        let mut seen = Vec::new();
        explore(Choices::default(), &mut seen);
        assert_eq!(seen, [(0, 9), (1, 0), (1, 1), (2, 9)]);
    }
}
