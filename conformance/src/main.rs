//! `p11-conformance`: is a PKCS #11 module what the specification says, and do two modules answer the same?
//!
//! Exit codes: 0 everything passed, failed only as it is known to, or was skipped; 1 something else failed or differs, or the
//! module can't be used; 2 wrong usage.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod args;

use args::{Args, Command, Matrix, Play, Run};
use clap::Parser;
use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;
use tandem_conformance::compare::Differences;
use tandem_conformance::deviations::Deviations;
use tandem_conformance::differential::{Pair, accepted::Accepted, play};
use tandem_conformance::module::Result;
use tandem_conformance::report::{Outcome, Report};
use tandem_conformance::subject::Subject;
use tandem_conformance::{matrix, run, worker};

fn main() -> ExitCode {
    match done(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("p11-conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn done(args: &Args) -> Result<bool> {
    match &args.command {
        Some(Command::Worker(work)) => {
            worker::work(&work.subject.subject()?, &work.chosen(), &mut io::stdout()).map(|()| true)
        }
        Some(Command::Player(subject)) => {
            let mut input = BufReader::new(io::stdin());
            play::serve(&subject.subject()?, &mut input, &mut io::stdout()).map(|()| true)
        }
        Some(Command::Differential(play)) => differential(play),
        Some(Command::Matrix(args)) => side_by_side(args).map(|()| true),
        None => conformance(&args.run),
    }
}

fn conformance(args: &Run) -> Result<bool> {
    let deviations = Deviations::read(args.deviations.as_deref())?;
    let mut report = judged(&args.subject()?, args)?;
    deviations.mark(&mut report);
    let Some(other) = args.against()? else {
        if args.json {
            println!("{}", report.json());
        } else if args.junit {
            println!("{}", report.junit());
        } else {
            println!("{}", report.text(args.all));
            for mended in deviations.mended(&report) {
                println!("It passes now what is listed as a deviation: {mended}");
            }
        }
        return Ok(report.is_good());
    };
    let mut against = judged(&other, args)?;
    deviations.mark(&mut against);
    let differences = Differences::between(&report, &against);
    println!("{}", if args.json { differences.json() } else { differences.text() });
    Ok(differences.differences.is_empty())
}

/// Runs the cases on a token.
fn judged(subject: &Subject, args: &Run) -> Result<Report> {
    let shown = io::stderr().is_terminal();
    let mut count = 0;
    let report = run::all(subject, &args.plan()?, &mut |row| {
        count += 1;
        if shown {
            eprint!("\r\x1b[K{count} {}", row.name);
        }
        if args.verbose && row.outcome == Outcome::Failed {
            eprintln!("failed: {}: {}", row.name, row.reason);
        }
    });
    if shown {
        eprint!("\r\x1b[K");
    }
    report
}

/// Keeps what is new, and writes the page of all that is kept.
fn side_by_side(args: &Matrix) -> Result<()> {
    if let Some(runs) = &args.runs {
        matrix::keep_runs(&args.kept, runs)?;
    }
    if let Some(programs) = &args.programs {
        matrix::keep_programs(&args.kept, programs)?;
    }
    let folder = matrix::Folder::read(&args.kept)?;
    let text = matrix::page::Page::of(&folder, Accepted::read(None)?.reasons()).text();
    match &args.write {
        None => print!("{text}"),
        Some(file) => {
            std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(())
}

fn differential(args: &Play) -> Result<bool> {
    let (one, other) = args.subjects()?;
    let accepted = Accepted::read(args.accepted.as_deref())?;
    let plan = args.plan();
    let mut pair = Pair::new(&one, &other, accepted, plan.limit)?;
    let shown = io::stderr().is_terminal();
    let report = pair.run(plan, &mut |report| {
        if shown && report.played % 50 == 0 {
            eprint!("\r\x1b[K{} sequences, {} differences", report.played, report.found.len());
        }
    })?;
    if shown {
        eprint!("\r\x1b[K");
    }
    println!("{}", report.text());
    Ok(report.found.is_empty())
}
