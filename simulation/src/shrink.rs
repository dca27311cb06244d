//! Making a failing run smaller while it still fails: lines and troubles are left out.

use crate::plan::Plan;
use crate::planted::Bug;
use crate::swarm::{Case, Nests};
use std::fmt::Write;

/// So many runs are tried.
const TRIES: usize = 600;

/// A smaller case that still fails, with what it violates. `None` if it doesn't fail with what went wrong written down.
pub fn shrink(nests: &Nests, case: &Case, bug: Option<Bug>) -> Option<(Case, String)> {
    let hits = case.play(nests, bug, false)?.hits;
    let mut best = Case { plan: Plan::Written(hits), ..case.clone() };
    let mut what = fails(nests, &best, bug)?;
    let mut tries = 0;
    let mut step = best.script.len().max(2) / 2;
    while step > 0 && tries < TRIES {
        let before = size(&best);
        let mut at = 0;
        while at < size(&best) && tries < TRIES {
            tries += 1;
            let smaller = without(&best, at, step);
            match fails(nests, &smaller, bug) {
                Some(found) => (best, what) = (smaller, found),
                None => at += step,
            }
        }
        if size(&best) == before || step > 1 {
            step /= 2;
        }
    }
    Some((best, what))
}

fn fails(nests: &Nests, case: &Case, bug: Option<Bug>) -> Option<String> {
    case.play(nests, bug, false)?.verdict.err()
}

fn troubles(case: &Case) -> usize {
    match &case.plan {
        Plan::Written(plan) => plan.len(),
        _ => 0,
    }
}

fn size(case: &Case) -> usize {
    case.script.len() + troubles(case)
}

/// The case without some of its lines and troubles, counted through.
fn without(case: &Case, from: usize, count: usize) -> Case {
    let gone = |at: usize| (from..from + count).contains(&at);
    let lines = case.script.len();
    let kept = |(at, line): (usize, &_)| (!gone(at)).then_some(*line);
    let script = case.script.iter().enumerate().filter_map(kept).collect();
    let plan = match &case.plan {
        Plan::Written(plan) => Plan::Written(
            plan.iter()
                .enumerate()
                .filter(|(at, _)| !gone(lines + at))
                .map(|(_, (moment, trouble))| (*moment, *trouble))
                .collect(),
        ),
        plan => plan.clone(),
    };
    Case { script, plan, ..case.clone() }
}

/// A case as people read it.
pub fn show(case: &Case, what: &str) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "seed {}: {what}", case.seed);
    let _ = writeln!(text, "  {:?}, {} processes", case.options, case.processes);
    for line in &case.script {
        let _ = writeln!(text, "  {line}");
        if let Plan::Written(plan) = &case.plan {
            for ((number, call), trouble) in plan {
                if *number == line.number {
                    let _ = writeln!(text, "         in its call {call}: {trouble:?}");
                }
            }
        }
    }
    text
}
