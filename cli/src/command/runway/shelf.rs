//! Keys of the token's own stock: whoever generates a key of their type is given one of them, so they are unused keys of
//! everybody who takes keys of that type, until somebody has taken them.

use super::Supply;
use super::keys::Key;
use crate::show::count;
use std::collections::BTreeMap;
use tandem_engine::runway::Schedule;

/// Counts each key in stock for the supply of its type that runs out first without it. Answers what is to be said of them.
pub(super) fn share_out(
    stock: &[Key],
    supplies: &mut [Supply],
    schedule: &Schedule,
) -> Vec<String> {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut idle: BTreeMap<&str, usize> = BTreeMap::new();
    // What is backed up goes where it is needed soonest.
    let (backed_up, others): (Vec<_>, Vec<_>) = stock.iter().partition(|key| key.backed_up);
    for key in backed_up.into_iter().chain(others) {
        let takes = supplies.iter_mut().filter(|supply| supply.key_type == key.kind);
        let first = takes.min_by_key(|supply| supply.runs_out(schedule));
        let counts = if first.is_some() { &mut kinds } else { &mut idle };
        let keys = counts.entry(&key.kind).or_default();
        *keys = keys.saturating_add(1);
        if let Some(supply) = first {
            supply.take_in(key);
        }
    }
    let counted = kinds.into_iter().map(|(kind, keys)| {
        format!(
            "{} in stock ({kind}): counted where keys run out first",
            count(keys, "key is", "keys are")
        )
    });
    let idle = idle.into_iter().map(|(kind, keys)| {
        format!(
            "{} in stock ({kind}) that nobody takes: not counted",
            count(keys, "key is", "keys are")
        )
    });
    counted.chain(idle).collect()
}

impl Supply {
    /// When it runs out if all that it has were in the next backup; never is last of all.
    fn runs_out(&self, schedule: &Schedule) -> u64 {
        let mut stock = self.stock.clone();
        stock.backed_up = stock.backed_up.saturating_add(stock.not_backed_up);
        stock.runway(schedule).runs_out_ms.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_engine::runway::{Stock, Taker};

    const DAY: u64 = 86_400_000;

    fn supply(name: &str, kind: &str, every: u64) -> Supply {
        let takers = vec![Taker { next_ms: every * DAY, every_ms: every * DAY, keys: 1 }];
        Supply {
            name: name.to_owned(),
            key_type: kind.to_owned(),
            stock: Stock { takers, ..Stock::default() },
            uses: Vec::new(),
            maker: None,
        }
    }

    fn key(kind: &str, backed_up: bool) -> Key {
        Key { id: String::new(), kind: kind.to_owned(), label: String::new(), backed_up }
    }

    #[test]
    fn each_key_in_stock_counts_once_and_where_keys_run_out_first() {
        let schedule = Schedule::new(Some(0), 0, 100 * DAY, 200 * DAY).unwrap();
        let mut supplies = [
            supply("slow", "ec:p256", 90),
            supply("quick", "ec:p256", 30),
            supply("rsa", "rsa:2048", 30),
        ];
        let stock: Vec<_> =
            (0..4).map(|number| key("ec:p256", number < 3)).chain([key("aes:256", true)]).collect();
        let notes = share_out(&stock, &mut supplies, &schedule);
        let there = supplies.map(|supply| (supply.stock.backed_up, supply.stock.not_backed_up));
        // Without any the quick one runs out on day 30, then 60, then 90 as the slow one does.
        assert_eq!(there, [(1, 0), (2, 1), (0, 0)]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[1].contains("aes:256"), "{notes:?}");
    }
}
