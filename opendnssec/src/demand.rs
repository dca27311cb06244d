//! When zones are going to take which keys, as the enforcer decides it.

use crate::database::{Database, Zone};
use crate::policy::{Policy, PolicyKey};
use std::collections::BTreeMap;

/// What the zones of a policy need of one kind of key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The policy's name.
    pub policy: String,
    /// The kind of key.
    pub key: PolicyKey,
    /// How many keys are in use at once: one for each zone, or one for all if they share their keys.
    pub keys: u64,
    /// When the next ones are taken (seconds since the Unix epoch), and how many.
    pub taken_s: BTreeMap<u64, u64>,
    /// CKA_ID, in lower-case digits, of the keys from which they are taken.
    pub unused: Vec<String>,
}

impl Database {
    /// What the zones need, for every policy that has any.
    pub fn demands(&self, now_s: u64) -> Vec<Demand> {
        let mut found = Vec::new();
        for (number, policy) in &self.policies {
            let zones: Vec<_> = self.zones.iter().filter(|zone| zone.policy == *number).collect();
            if !zones.is_empty() {
                let each = policy.keys.iter();
                found.extend(each.map(|key| self.demand(*number, policy, key, &zones, now_s)));
            }
        }
        found
    }

    fn demand(
        &self,
        number: i64,
        policy: &Policy,
        key: &PolicyKey,
        zones: &[&Zone],
        now_s: u64,
    ) -> Demand {
        let unused = self.unused.iter().filter(|unused| {
            unused.policy == number
                && unused.role == key.role
                && (unused.algorithm, unused.bits) == (key.algorithm, key.bits)
                && unused.repository == key.repository
        });
        let mut demand = Demand {
            policy: policy.name.clone(),
            key: key.clone(),
            keys: if policy.shared { 1 } else { u64::try_from(zones.len()).unwrap_or(u64::MAX) },
            taken_s: BTreeMap::new(),
            unused: unused.map(|unused| unused.locator.clone()).collect(),
        };
        // The enforcer neither makes nor gives out a key that has no time to live.
        if key.lifetime_s > 0 {
            for at in times_s(policy, key, zones, now_s) {
                let count = demand.taken_s.entry(at).or_insert(0_u64);
                *count = count.saturating_add(1);
            }
        }
        demand
    }
}

/// When the zones take their next keys. Zones that share take a key that another of them has taken, if there is one: a new one
/// is needed by the first of them whose key is old enough.
fn times_s(policy: &Policy, key: &PolicyKey, zones: &[&Zone], now_s: u64) -> Vec<u64> {
    let next = |zone: &&Zone| next_s(zone, key, now_s);
    if !policy.shared {
        return zones.iter().map(next).collect();
    }
    let with_a_key = zones.iter().filter(|zone| youngest_s(zone, key).is_some());
    vec![with_a_key.map(next).min().unwrap_or(now_s)]
}

/// When a zone takes its next key: when the youngest that it has is old enough, or at once.
fn next_s(zone: &Zone, key: &PolicyKey, now_s: u64) -> u64 {
    match youngest_s(zone, key) {
        Some(taken) if !zone.roll_now.contains(&key.role) => taken.saturating_add(key.lifetime_s),
        _ => now_s,
    }
}

fn youngest_s(zone: &Zone, key: &PolicyKey) -> Option<u64> {
    let same = zone.keys.iter().filter(|have| {
        have.role == key.role
            && (have.algorithm, have.bits) == (key.algorithm, key.bits)
            && have.repository == key.repository
    });
    same.map(|have| have.taken_s).max()
}
