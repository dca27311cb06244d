//! The long runs: every placement of two troubles in every short script, thousands of seeds, every planted bug.
//!
//! `simulate [--seeds N] [--from SEED] [--exhaustive [TROUBLES]] [--script NAME] [--sample N] [--planted] [--show SEED]
//! [--replay LINE.CALL:TROUBLE]…`

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for people: it says how long it took"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tandem_simulation::exhaustive::{Found, SCRIPTS, Script, Search, everywhere, once};
use tandem_simulation::plan::{Moment, Plan};
use tandem_simulation::planted::{Bug, by_seeds, hunt};
use tandem_simulation::setup::{self, Snapshot};
use tandem_simulation::shrink::{show, shrink};
use tandem_simulation::swarm::{Case, Nests};
use tandem_simulation::trouble::Trouble;

/// Runs make and drop many small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds are shared among so many threads; each run is on one.
const THREADS: usize = 2;

/// What was asked for.
#[derive(Default)]
struct Wanted {
    seeds: u64,
    from: u64,
    exhaustive: Option<u32>,
    planted: bool,
    show: Option<u64>,
    /// The one short script that is meant.
    script: Option<String>,
    /// At most so many places and kinds of each trouble.
    sample: Option<usize>,
    replay: BTreeMap<Moment, Trouble>,
}

/// What people may say.
const USAGE: &str = "simulate [--seeds N] [--from SEED] [--exhaustive [TROUBLES]] [--script NAME] [--sample N] [--planted] \
     [--show SEED] [--replay LINE.CALL:TROUBLE]...";

/// A place and what goes wrong there, as a violation shows them.
fn placed(word: &str) -> Option<(Moment, Trouble)> {
    let (moment, trouble) = word.split_once(':')?;
    let (line, call) = moment.split_once('.')?;
    let trouble = Trouble::all().find(|known| format!("{known:?}") == trouble)?;
    Some(((line.parse().ok()?, call.parse().ok()?), trouble))
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
            "--script" => wanted.script = Some(words.next()?),
            "--sample" => wanted.sample = Some(number()?.try_into().ok()?),
            "--replay" => wanted.replay.extend([placed(&words.next()?)?]),
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
        println!("{USAGE}");
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
    let named = |script: &&Script| wanted.script.as_ref().is_none_or(|name| script.name == name);
    let scripts: Vec<_> = SCRIPTS.iter().filter(named).collect();
    if let Some(troubles) = wanted.exhaustive {
        violations += exhaust(&pair, &scripts, &wanted, troubles);
    }
    if let (false, Some(script)) = (wanted.replay.is_empty(), scripts.first().copied()) {
        violations += replay(&pair, script, wanted.replay.clone());
    }
    if wanted.seeds > 0 {
        violations += swarm(&nests, wanted.from, wanted.seeds);
    }
    if wanted.planted {
        violations += plant(&nests, &pair);
    }
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows one seed, line by line and call by call; one that violates something as small as it can be made.
fn tell(nests: &Nests, seed: u64) -> u64 {
    let case = Case::of(seed);
    let case = shrink(nests, &case, None).map_or(case, |(smaller, _)| smaller);
    let Some(played) = case.play(nests, None, true) else { return 1 };
    for event in &played.events {
        println!("{event}");
    }
    println!("{:?}", played.verdict);
    u64::from(played.verdict.is_err())
}

/// Shows one run of a short script, line by line and call by call.
fn replay(pair: &Snapshot, script: &Script, troubles: BTreeMap<Moment, Trouble>) -> u64 {
    let (verdict, run, _) = once(&script.scene(pair), script, Plan::Written(troubles), None, true);
    for event in run.world.events() {
        println!("{event}");
    }
    println!("{verdict:?}");
    u64::from(verdict.is_err())
}

/// So many places and kinds of each trouble are tried in scripts that are too long for all of two.
const SAMPLE: usize = 60;

fn exhaust(pair: &Snapshot, scripts: &[&Script], wanted: &Wanted, troubles: u32) -> u64 {
    let began = Instant::now();
    let [mut runs, mut violated, mut skipped] = [0; 3];
    println!("every placement of up to {troubles} troubles");
    for script in scripts {
        let too_long = troubles > 1 && script.is_long();
        let sample = wanted.sample.or_else(|| too_long.then_some(SAMPLE));
        let search = Search { sample, ..Search::all(troubles, THREADS) };
        let start = Instant::now();
        let found = everywhere(pair, script, search);
        tell_script(script.name, &found, start.elapsed().as_secs_f64());
        runs += found.runs;
        violated += found.violated;
        skipped += u64::from(found.skipped > 0);
    }
    println!(
        "{} scripts ({skipped} of them by a sample), {runs} placements, {violated} violations in {:.1} s",
        scripts.len(),
        began.elapsed().as_secs_f64()
    );
    violated
}

fn tell_script(name: &str, found: &Found, seconds: f64) {
    let Found { runs, calls, tally: [answered, failed, died], excepted, violated, skipped, .. } =
        found;
    println!(
        "  {name:38} {runs:8} runs {calls:10} calls {seconds:7.1} s   lines: {answered} answered, {failed} failed, {died} died   \
         {excepted} left to be repaired, {violated} violations{}",
        if *skipped > 0 {
            format!(" (a sample: {skipped} beginnings left out)")
        } else {
            String::new()
        }
    );
    for violation in &found.violations {
        println!("      {} {:?}", violation.what, violation.plan);
    }
}

fn swarm(nests: &Nests, from: u64, seeds: u64) -> u64 {
    let began = Instant::now();
    let [violated, done, calls, lines, troubles, left] = [const { AtomicU64::new(0) }; 6];
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let (violated, done, calls) = (&violated, &done, &calls);
            let (lines, troubles, left) = (&lines, &troubles, &left);
            scope.spawn(move || {
                for seed in (from..from + seeds).filter(|seed| seed % THREADS as u64 == thread) {
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
