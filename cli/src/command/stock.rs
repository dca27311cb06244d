//! `tandem stock`: keys that are made ahead of need.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{StockDropReport, StockFillReport, StockReport};
use tandem_engine::object::Hold;
use tandem_engine::stock;
use tandem_values::keytype::KeyType;

/// The most threads that make keys.
const THREADS_MAX: i64 = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make what is missing now, rather than in the background of whoever is logged in
    Fill {
        /// How many are made at a time
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX))]
        threads: u16,
    },
    /// Destroy keys in stock beyond those that are wanted, the youngest first
    Drop(Dropping),
    /// Say that no key in stock was claimed after the backup from which the token was restored: they are given out again
    Release,
}

#[derive(clap::Args)]
struct Dropping {
    /// Their type: ec:p256, rsa:2048, …
    #[arg(long = "type", value_name = "TYPE")]
    kind: KeyType,
    /// Those that are held on demand, rather than by every member
    #[arg(long)]
    on_demand: bool,
    /// How many are left [default: what the configuration wants]
    #[arg(long)]
    keep: Option<u64>,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        None => show(context),
        Some(Command::Fill { threads }) => fill(context, usize::from(*threads)),
        Some(Command::Drop(wanted)) => drop_keys(context, wanted),
        Some(Command::Release) => release(context),
    }
}

fn show(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let levels = live.token.stock()?;
    session.close();
    let report = StockReport::of(live.token.label(), &levels);
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

fn fill(context: &mut Context<'_>, threads: usize) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    if live.config.stock.keys.is_empty() {
        return Err(Error::usage(
            "the configuration keeps nothing in stock: write [[token.stock.key]] (docs/guide/stock.md)",
        ));
    }
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let filled = live.token.fill_stock(threads, &bar);
    bar.clear();
    session.close();
    let token = live.token.label();
    runtime.stop();
    let (made, error) = filled?;
    let report = StockFillReport { token, made, error: error.map(|error| error.to_string()) };
    context.screen.report(&report)?;
    Ok(report.error.is_none())
}

fn drop_keys(context: &mut Context<'_>, wanted: &Dropping) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let hold = if wanted.on_demand { Hold::OnDemand } else { Hold::Resident };
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let dropped = live.token.stock().and_then(|levels| {
        let key_type = wanted.kind.to_string();
        let level = levels.iter().find(|level| level.kind == key_type && level.hold == hold);
        let keep = wanted.keep.unwrap_or_else(|| level.map_or(0, |level| level.wanted));
        live.token.reduce_stock(&stock::name(&wanted.kind, hold), keep, &bar)
    });
    bar.clear();
    session.close();
    let report = dropped.map(|dropped| StockDropReport {
        token: live.token.label(),
        key_type: wanted.kind.to_string(),
        dropped,
    });
    runtime.stop();
    context.screen.report(&report?)?;
    Ok(true)
}

fn release(context: &mut Context<'_>) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    live.token.release_stock()?;
    let levels = live.token.stock()?;
    session.close();
    let report = StockReport::of(live.token.label(), &levels);
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}
