//! What is held against what.

use crate::Args;
use crate::fixture::Fixture;
use crate::table::{Page, Row};
use std::process::Command;
use tandem_bench::case::Case;
use tandem_bench::contender::{Contender, Running};
use tandem_bench::race::{self, Rounds, Spread};

/// What is done by several threads.
const WORK: [Case; 5] =
    [Case::SignP256, Case::SignRsa2048, Case::Hmac, Case::Gcm16, Case::GcmMebibyte];
/// What is asked of the catalogue.
const READS: [Case; 6] =
    [Case::Read, Case::FindId, Case::FindLabel, Case::FindMiss, Case::List, Case::ListRead];

/// Runs all of it.
pub(crate) fn run(args: &Args) -> Result<(), String> {
    let mut page = Page::default();
    for vendor in &args.vendors {
        for keys in &args.keys {
            race_of(args, vendor, *keys, &mut page)?;
        }
    }
    match &args.write {
        Some(path) => page.write(path),
        None => Ok(()),
    }
}

fn wants(args: &Args, part: &str) -> bool {
    args.only.is_empty() || args.only.iter().any(|only| only == part)
}

fn serving() -> Result<Command, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg("serve");
    Ok(command)
}

fn start(contender: &Contender) -> Result<Running, String> {
    contender.start(serving()?)
}

/// One vendor, with so many keys.
fn race_of(args: &Args, vendor: &str, keys: usize, page: &mut Page) -> Result<(), String> {
    let one = Fixture::of(&args.dir, &args.artefacts, (vendor, 1, keys))?;
    let two = Fixture::of(&args.dir, &args.artefacts, (vendor, 2, keys))?;
    let contenders = [
        one.direct()?,
        one.proxy()?,
        one.tandem_over("Tandem inline", &["deadline_ms = 0"])?,
        one.tandem_over("Tandem", &[])?,
        two.tandem_over("Tandem over two", &[])?,
    ];
    if wants(args, "start") {
        starting(args, (vendor, keys), &contenders, page)?;
    }
    let mut running = contenders.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut racing: Vec<_> = running.iter_mut().collect();
    let rounds = Rounds { count: args.rounds, millis: args.millis };
    let mut measure = |case, threads, rounds, page: &mut Page| {
        let results = race::run(&mut racing, (case, threads, keys), rounds)?;
        page.add(Row { vendor: vendor.to_owned(), keys, threads, what: case.name(), results });
        Ok::<_, String>(())
    };
    if wants(args, "work") {
        for case in WORK {
            for threads in &args.threads {
                measure(case, *threads, rounds, page)?;
            }
        }
    }
    if wants(args, "reads") {
        for case in READS {
            // Listing thousands of objects takes some modules minutes.
            let is_long = keys > 100 && matches!(case, Case::List | Case::ListRead);
            measure(case, 1, if is_long { Rounds { count: 1, millis: 0 } } else { rounds }, page)?;
        }
    }
    if wants(args, "make") {
        measure(Case::Make, 1, rounds, page)?;
    }
    Ok(())
}

/// How long each takes from nothing to its first signature.
fn starting(
    args: &Args,
    (vendor, keys): (&str, usize),
    contenders: &[Contender],
    page: &mut Page,
) -> Result<(), String> {
    let mut times = vec![Vec::new(); contenders.len()];
    let mut ratios = times.clone();
    let mut memory = vec![0; contenders.len()];
    for _ in 0..args.rounds {
        let mut first = None;
        for (at, contender) in contenders.iter().enumerate() {
            let ready = start(contender)?.ready;
            #[expect(clippy::cast_precision_loss, reason = "a ratio of two times")]
            let total = ready.total() as f64;
            let first = *first.get_or_insert(total);
            if let (Some(times), Some(ratios), Some(memory)) =
                (times.get_mut(at), ratios.get_mut(at), memory.get_mut(at))
            {
                times.push(total);
                ratios.push(total / first);
                *memory = ready.memory;
            }
        }
    }
    let all = contenders.iter().zip(times).zip(ratios).zip(memory);
    let results = all
        .map(|(((contender, times), ratios), memory)| race::Result {
            name: contender.name.clone(),
            nanos: Spread::of(times).median,
            ratio: Spread::of(ratios),
            memory,
        })
        .collect();
    let what = "start, log in, find, sign";
    page.add(Row { vendor: vendor.to_owned(), keys, threads: 1, what, results });
    Ok(())
}
