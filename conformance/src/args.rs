//! The command line.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;
use tandem_conformance::chapters::CHAPTERS;
use tandem_conformance::differential;
use tandem_conformance::module::{Result, Start};
use tandem_conformance::run::Plan;
use tandem_conformance::subject::{OTHER_PIN, OTHER_SO_PIN, PIN, SO_PIN, Subject, secret};
use tandem_conformance::worker::Chosen;

/// Any PKCS #11 module against the specification, case by case.
#[derive(Parser)]
#[command(name = "p11-conformance", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "PINs come from the environment: P11_PIN and P11_SO_PIN, and of the other token\n\
    P11_AGAINST_PIN and P11_AGAINST_SO_PIN where they are others. Cases leave no objects behind.\n\
    Exit codes: 0 nothing failed but what is known to, 1 something did, 2 wrong usage."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Play random sequences of calls on two modules, and show where they answer otherwise
    Differential(Play),
    /// Put runs of several modules side by side, and write the page that follows from them
    Matrix(Matrix),
    /// Run the cases of a chapter
    #[command(hide = true)]
    Worker(Work),
    /// Play sequences
    #[command(hide = true)]
    Player(Token),
}

/// A module and a token.
#[derive(clap::Args)]
#[expect(clippy::struct_field_names, reason = "the option is called --token")]
pub(crate) struct Token {
    /// The module's file
    #[arg(long, value_name = "PATH", required = true)]
    module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", required = true)]
    token: Option<String>,
    /// How the module is initialised: standard, reserved:TEXT (in pReserved) or nss:PARAMETERS
    #[arg(long, value_name = "HOW", default_value = "standard", value_parser = how)]
    init: String,
    /// Also run the cases that change PINs or try to wipe the token
    #[arg(long)]
    may_wipe: bool,
}

fn how(text: &str) -> Result<String> {
    text.parse::<Start>().map(|_| text.to_owned())
}

impl Token {
    pub(crate) fn subject(&self) -> Result<Subject> {
        let missing = |what: &str| format!("{what} is missing");
        Ok(Subject {
            module: self.module.clone().ok_or_else(|| missing("--module"))?,
            label: self.token.clone().ok_or_else(|| missing("--token"))?,
            start: self.init.clone(),
            pin: secret(PIN).ok_or_else(|| format!("{PIN} is not set: it holds the user's PIN"))?,
            so_pin: secret(SO_PIN),
            may_wipe: self.may_wipe,
            verbose: false,
        })
    }
}

/// A run of the cases.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Run {
    #[command(flatten)]
    token: Token,
    /// Run the cases on this module, too, and show only what differs
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// The other token's label, where it is another
    #[arg(long, value_name = "LABEL", requires = "against")]
    against_token: Option<String>,
    /// How the other module is initialised
    #[arg(long, value_name = "HOW", default_value = "standard", value_parser = how)]
    against_init: String,
    /// Only this chapter; may be repeated
    #[arg(long, value_name = "NAME")]
    chapter: Vec<String>,
    /// Only cases with such a name, in which * stands for anything
    #[arg(long, value_name = "PATTERN")]
    case: Option<String>,
    /// How many seconds a case may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,
    /// A folder with more files of known deviations
    #[arg(long, value_name = "DIR")]
    pub(crate) deviations: Option<PathBuf>,
    /// Write JSON, for scripts
    #[arg(long, conflicts_with = "junit")]
    pub(crate) json: bool,
    /// Write JUnit's XML
    #[arg(long)]
    pub(crate) junit: bool,
    /// Show what was skipped, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Show failures as they come, and what the module writes to standard error
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

impl Run {
    /// The module that is judged.
    pub(crate) fn subject(&self) -> Result<Subject> {
        Ok(Subject { verbose: self.verbose, ..self.token.subject()? })
    }

    /// The other module.
    pub(crate) fn against(&self) -> Result<Option<Subject>> {
        let Some(module) = &self.against else { return Ok(None) };
        let one = self.subject()?;
        Ok(Some(Subject {
            module: module.clone(),
            label: self.against_token.clone().unwrap_or_else(|| one.label.clone()),
            start: self.against_init.clone(),
            pin: secret(OTHER_PIN).unwrap_or_else(|| one.pin.clone()),
            so_pin: secret(OTHER_SO_PIN).or_else(|| one.so_pin.clone()),
            ..one
        }))
    }

    pub(crate) fn plan(&self) -> Result<Plan> {
        let known: Vec<_> = CHAPTERS.iter().map(|(name, _)| (*name).to_owned()).collect();
        if let Some(unknown) = self.chapter.iter().find(|name| !known.contains(name)) {
            return Err(format!("there is no chapter {unknown}; there are {}", known.join(", ")));
        }
        let chapters = if self.chapter.is_empty() { known } else { self.chapter.clone() };
        Ok(Plan { chapters, pattern: self.case.clone(), limit: Duration::from_secs(self.limit) })
    }
}

/// A run of sequences on two modules.
#[derive(clap::Args)]
pub(crate) struct Play {
    /// The first module: what the other is held against
    #[arg(long, value_name = "PATH")]
    module: PathBuf,
    /// Its token's label
    #[arg(long, value_name = "LABEL")]
    token: String,
    /// How it is initialised
    #[arg(long, value_name = "HOW", default_value = "standard", value_parser = how)]
    init: String,
    /// The other module
    #[arg(long, value_name = "PATH")]
    against: PathBuf,
    /// Its token's label
    #[arg(long, value_name = "LABEL")]
    against_token: String,
    /// How it is initialised
    #[arg(long, value_name = "HOW", default_value = "standard", value_parser = how)]
    against_init: String,
    /// How many sequences
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// The first one's seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seconds a sequence may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,
    /// Stop after so many different differences
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
    /// A file with more accepted differences
    #[arg(long, value_name = "FILE")]
    pub(crate) accepted: Option<PathBuf>,
}

impl Play {
    /// Both modules.
    pub(crate) fn subjects(&self) -> Result<(Subject, Subject)> {
        let token = |module: &PathBuf, label: &str, init: &str| Token {
            module: Some(module.clone()),
            token: Some(label.to_owned()),
            init: init.to_owned(),
            may_wipe: false,
        };
        let one = token(&self.module, &self.token, &self.init).subject()?;
        let mut other = token(&self.against, &self.against_token, &self.against_init).subject()?;
        other.pin = secret(OTHER_PIN).unwrap_or(other.pin);
        Ok((one, other))
    }

    pub(crate) const fn plan(&self) -> differential::Plan {
        differential::Plan {
            seed: self.seed,
            seeds: self.seeds,
            limit: Duration::from_secs(self.limit),
            most: self.most,
        }
    }
}

/// Results that are kept, and the page.
#[derive(clap::Args)]
pub(crate) struct Matrix {
    /// The folder with notes.toml and what is kept of runs
    #[arg(long, value_name = "DIR")]
    pub(crate) kept: PathBuf,
    /// A folder with what `--json` has written, NAME.json for each run that the notes name: keep what came of them
    #[arg(long, value_name = "DIR")]
    pub(crate) runs: Option<PathBuf>,
    /// What tests/programs/compare.sh has written: keep it
    #[arg(long, value_name = "FILE")]
    pub(crate) programs: Option<PathBuf>,
    /// Write the page here, instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

/// What a worker is told.
#[derive(clap::Args)]
pub(crate) struct Work {
    #[command(flatten)]
    pub(crate) subject: Token,
    /// The chapter
    #[arg(long)]
    chapter: String,
    /// The first case
    #[arg(long)]
    from: Option<String>,
    /// Only cases like this
    #[arg(long)]
    case: Option<String>,
}

impl Work {
    pub(crate) fn chosen(&self) -> Chosen {
        Chosen {
            chapter: self.chapter.clone(),
            pattern: self.case.clone(),
            from: self.from.clone(),
        }
    }
}
