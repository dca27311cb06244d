//! The long runs: every placement of two troubles in every short script, thousands of seeds, every planted bug.
//!
//! `simulate [--seeds N] [--from SEED] [--exhaustive [TROUBLES]] [--planted] [--show SEED]`

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for people: it says how long it took"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tandem_simulation::exhaustive::{Found, SCRIPTS, Search, everywhere};
use tandem_simulation::planted::{Bug, by_seeds, hunt};
use tandem_simulation::setup::{self, Snapshot};
use tandem_simulation::shrink::{show, shrink};
use tandem_simulation::swarm::{Case, Nests};

/// Seeds are shared among so many threads; each run is on one.
const THREADS: u64 = 2;

/// What was asked for.
#[derive(Default)]
struct Wanted {
    seeds: u64,
    from: u64,
    exhaustive: Option<u32>,
    planted: bool,
    show: Option<u64>,
}

fn wanted() -> Option<Wanted> {
    let mut wanted = Wanted { from: 1, ..Wanted::default() };
    let mut words = std::env::args().skip(1).peekable();
    while let Some(word) = words.next() {
        let mut number = || {
            let number = words.peek()?.parse().ok()?;
            words.next();
            Some(number)
        };
        match word.as_str() {
            "--seeds" => wanted.seeds = number()?,
            "--from" => wanted.from = number()?,
            "--show" => wanted.show = Some(number()?),
            "--planted" => wanted.planted = true,
            "--exhaustive" => {
                wanted.exhaustive =
                    Some(number().and_then(|n: u64| n.try_into().ok()).unwrap_or(2));
            }
            _ => return None,
        }
    }
    Some(wanted)
}

fn main() -> ExitCode {
    let Some(wanted) = wanted() else {
        println!(
            "simulate [--seeds N] [--from SEED] [--exhaustive [TROUBLES]] [--planted] [--show SEED]"
        );
        return ExitCode::from(2);
    };
    let (Ok(nests), Ok((pair, _))) = (Nests::new(), setup::pair(2)) else {
        println!("the toy members could not be paired");
        return ExitCode::FAILURE;
    };
    let mut violations = 0;
    if let Some(seed) = wanted.show {
        violations += tell(&nests, seed);
    }
    if let Some(troubles) = wanted.exhaustive {
        violations += exhaust(&pair, troubles);
    }
    if wanted.seeds > 0 {
        violations += swarm(&nests, wanted.from, wanted.seeds);
    }
    if wanted.planted {
        violations += plant(&nests, &pair);
    }
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows one seed, line by line and call by call.
fn tell(nests: &Nests, seed: u64) -> u64 {
    let Some(played) = Case::of(seed).play(nests, None, true) else { return 1 };
    for event in &played.events {
        println!("{event}");
    }
    println!("{:?}", played.verdict);
    u64::from(played.verdict.is_err())
}

fn exhaust(pair: &Snapshot, troubles: u32) -> u64 {
    let began = Instant::now();
    let [next, runs, violated] = [const { AtomicU64::new(0) }; 3];
    println!("every placement of up to {troubles} troubles");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(script) =
                    usize::try_from(next.fetch_add(1, Relaxed)).ok().and_then(|at| SCRIPTS.get(at))
                {
                    let search = Search { troubles, bug: None, limit: u64::MAX };
                    let start = Instant::now();
                    let found = everywhere(pair, script, search);
                    tell_script(script.name, &found, start.elapsed().as_secs_f64());
                    runs.fetch_add(found.runs, Relaxed);
                    violated.fetch_add(found.violated, Relaxed);
                }
            });
        }
    });
    let violated = violated.into_inner();
    println!(
        "{} scripts, {} placements, {violated} violations in {:.1} s",
        SCRIPTS.len(),
        runs.into_inner(),
        began.elapsed().as_secs_f64()
    );
    violated
}

fn tell_script(name: &str, found: &Found, seconds: f64) {
    let Found { runs, calls, tally: [answered, failed, died], excepted, violated, .. } = found;
    println!(
        "  {name:38} {runs:8} runs {calls:10} calls {seconds:7.1} s   lines: {answered} answered, {failed} failed, {died} died   \
         {excepted} left to be repaired, {violated} violations"
    );
    for violation in &found.violations {
        println!("      {} {:?}", violation.what, violation.plan);
    }
}

fn swarm(nests: &Nests, from: u64, seeds: u64) -> u64 {
    let began = Instant::now();
    let [violated, done, calls, lines, troubles, left] = [const { AtomicU64::new(0) }; 6];
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (violated, done, calls) = (&violated, &done, &calls);
            let (lines, troubles, left) = (&lines, &troubles, &left);
            scope.spawn(move || {
                for seed in (from..from + seeds).filter(|seed| seed % THREADS == thread) {
                    let case = Case::of(seed);
                    let Some(played) = case.play(nests, None, false) else { continue };
                    calls.fetch_add(played.calls, Relaxed);
                    lines.fetch_add(played.tally.iter().sum(), Relaxed);
                    troubles.fetch_add(played.hits.len() as u64, Relaxed);
                    match played.verdict {
                        Ok(settled) => _ = left.fetch_add(settled.excepted as u64, Relaxed),
                        Err(what) => {
                            violated.fetch_add(1, Relaxed);
                            let (case, what) = shrink(nests, &case, None).unwrap_or((case, what));
                            println!("{}", show(&case, &what));
                        }
                    }
                    let done = done.fetch_add(1, Relaxed) + 1;
                    if done.is_multiple_of(1_000) {
                        println!("  {done} seeds, {:.0} s", began.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let violated = violated.into_inner();
    println!(
        "{seeds} seeds from {from}: {} lines, {} calls, {} troubles, {} replicas left to be repaired, {violated} violations in {:.1} s",
        lines.into_inner(),
        calls.into_inner(),
        troubles.into_inner(),
        left.into_inner(),
        began.elapsed().as_secs_f64()
    );
    violated
}

fn plant(nests: &Nests, pair: &Snapshot) -> u64 {
    let mut missed = 0;
    println!(
        "planted bug          troubles in script                           runs   seeds   what was violated"
    );
    for bug in Bug::ALL {
        let (script, seeds) = (hunt(pair, bug), by_seeds(nests, bug, 2_000));
        let run = |found: &Option<_>| {
            found.as_ref().map_or_else(
                || "-".into(),
                |f: &tandem_simulation::planted::Finding| f.runs.to_string(),
            )
        };
        let what = script.as_ref().or(seeds.as_ref()).map_or("NOT FOUND", |found| &found.what);
        let by = script.as_ref().map_or("-", |found| &found.by);
        println!(
            "{:20} {by:42} {:>6} {:>7}   {what}",
            format!("{bug:?}"),
            run(&script),
            run(&seeds)
        );
        missed += u64::from(script.is_none() && seeds.is_none());
    }
    missed
}
