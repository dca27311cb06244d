//! The command line.

use crate::command;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Several HSMs as one PKCS #11 token: the operator's tool.
#[derive(Parser)]
#[command(name = "tandem", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 not done, 2 wrong usage.\n\
    PINs come from --pin-source, the environment variable TANDEM_PIN or a prompt, never from an argument.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// Write JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The virtual token, where the configuration has more than one
    #[arg(long, global = true, value_name = "LABEL")]
    pub(crate) token: Option<String>,
    /// The configuration [default: $TANDEM_CONFIG, ~/.config/tandem/tandem.toml, /etc/tandem/tandem.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the user PIN comes from: file:/PATH, env:NAME or command:/PATH [ARGUMENT]…
    #[arg(long, global = true, value_name = "SOURCE")]
    pub(crate) pin_source: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a working set of real tokens in a folder, to try Tandem on
    Demo(command::demo::Args),
    /// Make the key ring on every member, and take over what they hold
    Pair(command::pair::Args),
    /// Show how the virtual tokens and their members are
    Status(command::status::Args),
    /// List keys and other objects, with their replicas; or make some
    Keys(command::keys::Args),
    /// Prove every replica of every key anew
    Verify(command::verify::Args),
    /// Hold what members really have against the log, and bring, prove and remove what is to be
    Reconcile(command::reconcile::Args),
    /// Backups of the keys: prepare, make, verify, commit
    Backup(command::backup::Args),
    /// Bring a token back from a backup: the log, the key ring, the keys on every member
    Restore(command::restore::Args),
    /// The log: is it as it was written?
    Log(command::log::Args),
    /// Say whether the unused keys that are backed up last to the next backup and the one after it
    Runway(command::runway::Args),
    /// Keys that are made ahead of need: how many there are, and how many are backed up; or make them
    Stock(command::stock::Args),
    /// Who can bring the key ring back when every HSM is lost; new shares; the key ring on new HSMs
    Recovery(command::recovery::Args),
    /// The keys that wrap: rotate them, list them, end backups under old ones
    Kek(command::kek::Args),
    /// Check everything that Tandem needs, and say what to do about what is wrong
    Doctor(command::doctor::Args),
    /// Measure how fast members sign, each with its vendor's own module, and how fast Tandem over all of them
    Bench(command::bench::Args),
    /// The members of the virtual tokens
    Member(command::member::Args),
    /// Write a shell's completions to standard output
    Completions(command::completions::Args),
}
