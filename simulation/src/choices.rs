//! Every sequence of choices in turn, without knowing beforehand how many there will be: an odometer whose wheels are
//! added as they are needed.

/// Choices: made one after the other in a run, and others in the next.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Each choice that was made, and out of how many.
    wheels: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    /// Chooses one of `count`, which is at least 1.
    pub fn choose(&mut self, count: usize) -> usize {
        if self.at == self.wheels.len() {
            self.wheels.push((0, count));
        }
        let chosen = self.wheels.get(self.at).map_or(0, |(chosen, _)| *chosen);
        self.at += 1;
        chosen
    }

    /// Goes on to the next sequence; false when all have been.
    pub fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, count)) = self.wheels.pop() {
            if chosen + 1 < count {
                self.wheels.push((chosen + 1, count));
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_comes_once_and_later_choices_may_hang_on_earlier_ones() {
        let mut choices = Choices::default();
        let mut seen = Vec::new();
        loop {
            let first = choices.choose(3);
            let second = if first == 1 { choices.choose(2) } else { 9 };
            seen.push((first, second));
            if !choices.advance() {
                break;
            }
        }
        assert_eq!(seen, [(0, 9), (1, 0), (1, 1), (2, 9)]);
    }
}
