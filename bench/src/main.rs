//! The project's own benchmark: a vendor's module alone, p11-kit's proxy over it, Tandem over one member and over two, in one run.
//!
//! Prints what it measures as it goes, and writes tables and charts at the end. It judges nothing: ratios hold on any machine,
//! times on this one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads the clock")]

mod chart;
mod drawer;
mod fixture;
mod machine;
mod measured;
mod network;
mod page;
mod plan;
mod programs;
mod run;

use clap::Parser;
use measured::Part;
use std::io::{self, BufReader};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use tandem_bench::worker;

/// How fast it is, side by side.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    serve: Option<Serve>,
    /// Where libtandem.so, tandem and the members' modules are
    #[arg(long, default_value = "target/release")]
    artefacts: PathBuf,
    /// Where tokens with thousands of keys are kept from run to run
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// The vendors
    #[arg(long, value_delimiter = ',', default_value = "softhsm,kryoptic")]
    vendors: Vec<String>,
    /// How many keys there are; Kryoptic is left out beyond 4,000
    #[arg(long, value_delimiter = ',', default_value = "10,1000,4000,20000")]
    keys: Vec<usize>,
    /// How many threads
    #[arg(long, value_delimiter = ',', default_value = "1,2,8")]
    threads: Vec<NonZeroUsize>,
    /// Rounds
    #[arg(long, default_value = "7")]
    rounds: NonZeroUsize,
    /// How long each works in a round, in milliseconds
    #[arg(long, default_value_t = 150)]
    millis: u64,
    /// After how many seconds a program of others is stopped: what it takes is then told as more than that
    #[arg(long, default_value_t = 600)]
    patience: u64,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// The page whose tables and charts are written anew, as far as they are measured now
    #[arg(long)]
    write: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Serve {
    /// Serves as a contender's process
    #[command(hide = true)]
    Serve,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.serve {
        // Whoever started it is told what went wrong, and tells it.
        Some(Serve::Serve) => {
            let done = worker::serve(&mut BufReader::new(io::stdin()), &mut io::stdout());
            return if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        None => run::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
