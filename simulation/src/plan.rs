//! When something goes wrong: never, where it is written, by chance, or everywhere in turn.

use crate::chance::{Chance, drawn_from};
use crate::choices::Choices;
use crate::trouble::{Kind, Place, Trouble};
use std::collections::BTreeMap;

/// A call: the number of the script's line in which it is made, and which of that line's calls it is.
pub type Moment = (u32, u32);

/// How often something goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// So many of a thousand calls to members.
    pub member: u64,
    /// So many of a thousand calls to the store.
    pub store: u64,
    /// What may happen, each with its weight.
    pub weights: Vec<(Trouble, u64)>,
}

/// When something goes wrong.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Never.
    Nothing,
    /// In these calls.
    Written(BTreeMap<Moment, Trouble>),
    /// By chance: what happens in a call hangs on the seed and the moment alone, so that other lines of the script may
    /// be left out without changing it.
    Chance(u64, Rates),
    /// Everywhere in turn, at most so many times in one run.
    Everywhere {
        /// What is chosen.
        choices: Choices,
        /// How many more troubles this run may have.
        left: u32,
        /// True if an intruder stands ready.
        intruder: bool,
    },
}

impl Plan {
    /// What goes wrong in this call.
    pub fn decide(&mut self, moment: Moment, place: Place, kind: Kind) -> Option<Trouble> {
        match self {
            Self::Nothing => None,
            Self::Written(plan) => plan.get(&moment).copied(),
            Self::Chance(seed, rates) => by_chance(*seed, rates, moment, place, kind),
            Self::Everywhere { choices, left, intruder } => {
                if *left == 0 {
                    return None;
                }
                let troubles = kind.troubles();
                // The intruder comes last but for what is peculiar to a kind, so it is looked for.
                let fair = |trouble: &&Trouble| **trouble != Trouble::Intruder || *intruder;
                let count = troubles.iter().filter(fair).count();
                let chosen = choices.choose(count + 1).checked_sub(1)?;
                *left -= 1;
                troubles.iter().filter(fair).nth(chosen).copied()
            }
        }
    }
}

fn by_chance(
    seed: u64,
    rates: &Rates,
    moment: Moment,
    place: Place,
    kind: Kind,
) -> Option<Trouble> {
    let mut chance = Chance::new(drawn_from(&[seed, moment.0.into(), moment.1.into()]));
    let rate = if place == Place::Store { rates.store } else { rates.member };
    if !chance.per_mille(rate) {
        return None;
    }
    let fair: Vec<_> = rates
        .weights
        .iter()
        .filter(|(trouble, _)| kind.troubles().contains(trouble))
        .copied()
        .collect();
    chance.weighted(&fair)
}
