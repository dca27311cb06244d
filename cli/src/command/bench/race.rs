//! Rounds, and what they come to.

use super::contenders::{Racing, Runner};
use super::{Args, Kind, failed};
use crate::error::Result;
use crate::progress::Bar;
use crate::report::{ContenderLine, MeasuredLine, MissingLine};
use tandem_bench::case::Keys;
use tandem_bench::race;
use tandem_bench::worker::Ask;
use tandem_engine::report::Progress;

const NANOSECONDS_A_SECOND: f64 = 1e9;

/// Each type of key with each number of threads.
pub(super) fn all(racing: &mut Racing, args: &Args, bar: &Bar) -> Result<Vec<MeasuredLine>> {
    let total = args.types.len().saturating_mul(args.threads.len());
    bar.stage("measuring", u64::try_from(total).unwrap_or(u64::MAX));
    let mut measured = Vec::new();
    for kind in &args.types {
        for threads in &args.threads {
            measured.push(one(racing, *kind, usize::from(threads.get()), args)?);
            bar.step();
        }
    }
    Ok(measured)
}

fn one(racing: &mut Racing, kind: Kind, threads: usize, args: &Args) -> Result<MeasuredLine> {
    let ask = Ask { case: kind.case(), threads, millis: args.millis, keys: Keys::Session };
    let (able, unable) = able(racing, ask);
    let (members, mut running): (Vec<_>, Vec<_>) =
        able.into_iter().map(|runner| (runner.member.clone(), &mut runner.running)).unzip();
    let [results, _] =
        race::run(&mut running, ask, usize::from(args.rounds.get())).map_err(failed)?;
    // Tandem, if it is there, is the first: the others were held against it.
    let with_tandem = members.first().is_some_and(Option::is_none);
    let lines = members.into_iter().zip(results).map(|(member, result)| ContenderLine {
        nanoseconds: result.median,
        per_second: NANOSECONDS_A_SECOND / result.median,
        tandem_takes: (with_tandem && member.is_some()).then(|| result.ratio.inverse()),
        member,
    });
    let contenders = lines.collect();
    Ok(MeasuredLine { key_type: kind.name(), threads, contenders, unable })
}

/// Those that can do it at all: each makes its keys and signs once.
fn able(racing: &mut Racing, ask: Ask) -> (Vec<&mut Runner>, Vec<MissingLine>) {
    let (mut able, mut unable) = (Vec::new(), Vec::new());
    for runner in &mut racing.0 {
        let tried = if runner.one_call_at_a_time && ask.threads > 1 {
            Err("serialize = true: its module takes one call at a time".to_owned())
        } else {
            runner.running.ask(Ask { millis: 0, ..ask }).map(drop)
        };
        match tried {
            Ok(()) => able.push(runner),
            Err(reason) => unable.push(MissingLine { member: runner.member.clone(), reason }),
        }
    }
    (able, unable)
}
