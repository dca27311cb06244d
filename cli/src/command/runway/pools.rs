//! Keys of one type as one supply, where nobody says which of them is for what.

use super::keys::{Key, Keys};
use super::opendnssec::{Files, name, why_not};
use super::{Found, Supply, Use};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use tandem_config::meant::Rollover;
use tandem_engine::runway::{Stock, Taker};
use tandem_values::keytype::KeyType;
use tandem_values::pattern::is_like;

/// What the policies of files need. When zones took their keys is not known: all may take the next ones now.
pub(super) fn of_policies(files: &Files, keys: &Keys, by_hand: bool, now_ms: u64) -> Found {
    let (mut pools, mut notes) = (Pools::new(), Vec::new());
    for policy in &files.policies {
        let Some(zones) = files.zones.get(&policy.name).copied() else { continue };
        let count = if policy.shared { 1 } else { zones };
        for key in &policy.keys {
            let name = name(&policy.name, &key.role);
            let ours =
                files.repositories.as_ref().is_none_or(|ours| ours.contains(&key.repository));
            if let Some(why) = why_not(key, ours, by_hand) {
                notes.push(format!("{name}: {why}: left out"));
                continue;
            }
            let lifetime_ms = key.lifetime_s.saturating_mul(1000);
            let taker = Taker { next_ms: now_ms, every_ms: lifetime_ms, keys: count };
            let each = Use {
                name,
                keys: count,
                lifetime_s: key.lifetime_s,
                manual: key.manual,
                assumed: true,
            };
            let kind = key.key_type();
            let pool = pool(&mut pools, &kind, &kind);
            pool.stock.standby =
                pool.stock.standby.saturating_add(key.standby.saturating_mul(count));
            pool.stock.takers.push(taker);
            pool.uses.push(each);
        }
    }
    for key in keys.all.iter().filter(|key| !keys.is_used(key)) {
        if let Some(pool) = pools.get_mut(&key.kind) {
            pool.take_in(key);
        }
    }
    notes.extend(counted_as_unused(keys));
    Found { source: "kasp", supplies: pools.into_values().collect(), notes }
}

/// What the configuration's rollovers need.
pub(super) fn of_rollovers(rollovers: &[Rollover], keys: &Keys, now_ms: u64) -> Result<Found> {
    let mut pools = Pools::new();
    for rollover in rollovers {
        let kind: KeyType = rollover.kind.parse().map_err(|problem| {
            Error::failed(format!("[[token.rollover]] {:?}: type: {problem}", rollover.name))
        })?;
        let kind = kind.to_string();
        let pool = pool(&mut pools, &pool_name(&kind, rollover), &kind);
        pool.stock.standby = pool.stock.standby.saturating_add(rollover.standby);
        pool.stock.takers.push(taker(rollover, now_ms));
        pool.uses.push(Use {
            name: rollover.name.clone(),
            keys: rollover.count,
            lifetime_s: rollover.lifetime_s,
            manual: false,
            assumed: rollover.since_ms.is_none(),
        });
    }
    for key in keys.all.iter().filter(|key| !keys.is_used(key)) {
        let fits = |rollover: &&Rollover| {
            rollover.kind == key.kind
                && rollover.label.as_ref().is_none_or(|pattern| is_like(&key.label, pattern))
        };
        let Some(first) = rollovers.iter().find(fits) else { continue };
        if let Some(pool) = pools.get_mut(&pool_name(&key.kind, first)) {
            pool.take_in(key);
        }
    }
    let notes = counted_as_unused(keys).into_iter().collect();
    Ok(Found { source: "config", supplies: pools.into_values().collect(), notes })
}

/// Rollovers of the same type and label take from the same keys.
fn pool_name(kind: &str, rollover: &Rollover) -> String {
    match &rollover.label {
        Some(label) => format!("{kind} {label}"),
        None => kind.to_owned(),
    }
}

/// Supplies by name.
type Pools = BTreeMap<String, Supply>;

/// The supply of this name, which is made if there is none.
fn pool<'s>(pools: &'s mut Pools, name: &str, kind: &str) -> &'s mut Supply {
    pools.entry(name.to_owned()).or_insert_with(|| Supply {
        name: name.to_owned(),
        key_type: kind.to_owned(),
        stock: Stock::default(),
        uses: Vec::new(),
        maker: None,
    })
}

impl Supply {
    pub(super) fn take_in(&mut self, key: &Key) {
        let count =
            if key.backed_up { &mut self.stock.backed_up } else { &mut self.stock.not_backed_up };
        *count = count.saturating_add(1);
    }
}

/// When a rollover takes its keys: a lead before each is used.
fn taker(rollover: &Rollover, now_ms: u64) -> Taker {
    let lifetime_ms = rollover.lifetime_s.saturating_mul(1000);
    let lead_ms = rollover.lead_s.saturating_mul(1000);
    let next_ms = rollover.since_ms.map_or(now_ms, |since| {
        let first = since.saturating_sub(lead_ms);
        // The first of the series that is not over.
        let late = now_ms.saturating_sub(first).checked_next_multiple_of(lifetime_ms);
        first.saturating_add(late.unwrap_or(u64::MAX))
    });
    Taker { next_ms, every_ms: lifetime_ms, keys: rollover.count }
}

fn counted_as_unused(keys: &Keys) -> Option<String> {
    (!keys.knows_used()).then(|| {
        "every key of these types and labels counts as unused; give --used-ids FILE for those that are in use".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn rollover(name: &str, label: Option<&str>, since_ms: Option<u64>) -> Rollover {
        Rollover {
            name: name.to_owned(),
            kind: "ec:p256".to_owned(),
            label: label.map(str::to_owned),
            count: 2,
            lifetime_s: 90 * 86_400,
            standby: 2,
            lead_s: 14 * 86_400,
            since_ms,
        }
    }

    #[test]
    fn keys_are_taken_a_lead_before_they_are_used() {
        let next =
            |now: u64| taker(&rollover("zsk", None, Some(100 * DAY)), now * DAY).next_ms / DAY;
        // First used on day 100; the next are used on days 190, 280, …, and taken 14 days earlier.
        assert_eq!((next(0), next(86), next(87), next(176), next(177)), (86, 86, 176, 176, 266));
        let unknown = taker(&rollover("zsk", None, None), 5 * DAY);
        assert_eq!(unknown, Taker { next_ms: 5 * DAY, every_ms: 90 * DAY, keys: 2 });
        let young = taker(&rollover("zsk", None, Some(3 * DAY)), 0);
        assert_eq!(young.next_ms, 0, "a lead that began before all time");
    }
}
