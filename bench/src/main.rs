//! The project's own benchmark: a vendor's module alone, p11-kit's proxy over it, Tandem over one member and over two, in one run.
//!
//! Prints what it measures as it goes, and writes tables and charts at the end. It judges nothing: ratios hold on any machine,
//! times on this one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark")]

mod fixture;
mod plan;
mod table;

use clap::Parser;
use std::io::{self, BufReader};
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
    /// How many keys there are
    #[arg(long, value_delimiter = ',', default_value = "10,1000")]
    keys: Vec<usize>,
    /// How many threads
    #[arg(long, value_delimiter = ',', default_value = "1,2,8")]
    threads: Vec<usize>,
    /// Rounds
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each works in a round, in milliseconds
    #[arg(long, default_value_t = 150)]
    millis: u64,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The page whose tables are written anew
    #[arg(long)]
    write: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Serve {
    /// Serves as a contender's process
    #[command(hide = true)]
    Serve {
        /// The module
        module: PathBuf,
        /// The token's label
        label: String,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.serve {
        Some(Serve::Serve { module, label }) => {
            let input = &mut BufReader::new(io::stdin());
            worker::serve(module, label, input, &mut io::stdout())
        }
        None => plan::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
