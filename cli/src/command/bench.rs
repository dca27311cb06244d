//! `tandem bench`: how fast each member signs with its vendor's own module, and how fast Tandem over all of them.
//!
//! Each runs in a process of its own and is asked in short rounds, one after the other. Keys are made in sessions, so that they
//! end with them, however this ends; no key of the token is touched.

mod contenders;
mod race;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::BenchReport;
use contenders::Racing;
use std::num::NonZeroU16;
use std::path::PathBuf;
use tandem_bench::case::Case;
use tandem_bench::worker;

#[derive(clap::Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    serve: Option<Serve>,
    /// What kinds of keys sign
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        default_value = "ec:p256,rsa:2048"
    )]
    types: Vec<Kind>,
    /// By how many threads at the same time
    #[arg(long, value_name = "THREADS", value_delimiter = ',', default_value = "1,8")]
    threads: Vec<NonZeroU16>,
    /// How many rounds
    #[arg(long, default_value = "7")]
    rounds: NonZeroU16,
    /// How long each works in a round, in milliseconds
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,
    /// libtandem.so, as applications load it [default: beside this program, or where libraries are]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Serve {
    /// The process in which a module works
    #[command(hide = true)]
    Serve,
}

/// A kind of key that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    #[value(name = "ec:p256")]
    P256,
    #[value(name = "rsa:2048")]
    Rsa2048,
    #[value(name = "ed25519")]
    Ed25519,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "ec:p256",
            Self::Rsa2048 => "rsa:2048",
            Self::Ed25519 => "ed25519",
        }
    }

    const fn case(self) -> Case {
        match self {
            Self::P256 => Case::SignP256,
            Self::Rsa2048 => Case::SignRsa2048,
            Self::Ed25519 => Case::SignEd25519,
        }
    }
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    tandem_runtime::harden::no_core_dumps();
    if args.serve.is_some() {
        // Whoever started this process is told what goes wrong, and tells it.
        let (input, output) = (&mut std::io::stdin().lock(), &mut std::io::stdout());
        return Ok(worker::serve(input, output).is_ok());
    }
    let field = contenders::of(context, args.module.clone())?;
    let mut left_out = field.left_out;
    let mut racing = Racing::start(&field.contenders, &mut left_out)?;
    let bar = Bar::new(context.screen.json());
    let measured = race::all(&mut racing, args, &bar);
    bar.clear();
    let report = BenchReport { token: field.token, measured: measured?, left_out };
    drop(racing);
    context.screen.report(&report)?;
    let is_whole = report.measured.iter().all(|measured| measured.unable.is_empty());
    Ok(is_whole && report.left_out.is_empty())
}

/// What the library of the benchmark says went wrong.
fn failed(message: impl Into<String>) -> Error {
    Error::failed(message)
}
