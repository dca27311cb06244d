//! `tandem runway`: whether the unused keys that are backed up last to the next backup and the one after it.

mod keys;
mod opendnssec;
mod pools;
mod schedule;
mod shelf;
mod used;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::report::{RunwayReport, StockLine, UseLine, date};
use keys::Keys;
use std::path::PathBuf;
use tandem_config::meant;
use tandem_engine::runway::{Runway, Schedule, Stock, Verdict};

/// How many of the coming days on which keys are taken are told.
const DAYS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Take policies, zones and used keys from OpenDNSSEC's own files, which this conf.xml names
    /// [default: /etc/opendnssec/conf.xml]
    #[arg(long, value_name = "CONF", num_args = 0..=1, default_missing_value = "/etc/opendnssec/conf.xml")]
    opendnssec: Option<PathBuf>,
    /// Take the policies from this kasp.xml, where the enforcer's database can't be read
    #[arg(long, value_name = "FILE", conflicts_with = "opendnssec", requires = "zonelist")]
    kasp: Option<PathBuf>,
    /// The zones of --kasp: a zonelist.xml
    #[arg(long, value_name = "FILE", requires = "kasp")]
    zonelist: Option<PathBuf>,
    /// The keys in use: a file of CKA_IDs in hexadecimal digits, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    used_ids: Option<PathBuf>,
    /// Leave out keys that are replaced by hand only (ManualRollover)
    #[arg(long)]
    without_manual: bool,
    #[command(flatten)]
    dates: schedule::Dates,
    /// The backup to which keys must last for exit code 0
    #[arg(long, value_enum, default_value_t = To::After)]
    to: To,
}

/// How far is far enough.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum To {
    /// The next backup
    Next,
    /// The one after it
    After,
}

/// Unused keys of one kind, who takes them, and what they are called.
struct Supply {
    name: String,
    key_type: String,
    stock: Stock,
    uses: Vec<Use>,
    /// Who can be asked to make more.
    maker: Option<opendnssec::Maker>,
}

/// Keys that are in use, and replaced from a supply.
struct Use {
    name: String,
    /// How many.
    keys: u64,
    lifetime_s: u64,
    /// They are replaced only when somebody says so.
    manual: bool,
    /// Nobody knows since when they have been in use: all are taken to be replaced now.
    assumed: bool,
}

/// What was found out about the keys that are needed.
struct Found {
    source: &'static str,
    supplies: Vec<Supply>,
    /// What the operator should know.
    notes: Vec<String>,
}

/// Where it is said which keys are needed.
enum Source<'a> {
    /// In the enforcer's database.
    Enforcer(Box<opendnssec::Enforcer>),
    /// In policies and a list of zones.
    Policies(opendnssec::Files),
    /// In the configuration.
    Configured(&'a [meant::Rollover]),
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let label = live.token.label();
    // Files and dates before a PIN is asked for.
    let source = source(args, live.config, &label)?;
    let dates = args.dates.read(live.config.backup_every.as_ref())?;
    let used = args.used_ids.as_deref().map(used::read).transpose()?;

    let session = context.login(live)?;
    let last = live.token.last_backup()?.map(|(_, committed)| committed.at_ms);
    let objects = live.token.objects()?;
    session.close();

    let coming = dates.schedule(last)?;
    let keys = Keys::of(&objects, used);
    let now_ms = coming.schedule.now_ms();
    let by_hand = !args.without_manual;
    let mut found = match source {
        Source::Enforcer(enforcer) => enforcer.found(&keys, &label, by_hand, now_ms)?,
        Source::Policies(files) => pools::of_policies(&files, &keys, by_hand, now_ms),
        Source::Configured(rollovers) => pools::of_rollovers(rollovers, &keys, now_ms)?,
    };
    runtime.stop();
    found.notes.extend(keys.notes());
    found.notes.extend(shelf::share_out(&keys.stock, &mut found.supplies, &coming.schedule));
    if found.supplies.is_empty() {
        return Err(Error::failed(format!(
            "nothing needs keys of {label}, so there is nothing to reckon with: {}",
            found.notes.join("; ")
        )));
    }
    let report = report(label, args.to, &coming, found);
    context.screen.report(&report)?;
    Ok(report.lasts)
}

fn source<'a>(args: &Args, config: &'a meant::Token, label: &str) -> Result<Source<'a>> {
    match (&args.opendnssec, &args.kasp, &args.zonelist) {
        (Some(conf), ..) => opendnssec::source(conf, label),
        (None, Some(kasp), Some(zones)) => {
            Ok(Source::Policies(opendnssec::Files::read(kasp, zones, None)?))
        }
        _ if config.rollovers.is_empty() => Err(Error::usage(
            "nothing says which keys are needed: give --opendnssec [CONF], or --kasp FILE and --zonelist FILE, or write \
             [[token.rollover]] (docs/guide/runway.md)",
        )),
        _ => Ok(Source::Configured(&config.rollovers)),
    }
}

fn report(token: String, to: To, coming: &schedule::Coming, found: Found) -> RunwayReport {
    let schedule = &coming.schedule;
    let stocks: Vec<_> = found.supplies.iter().map(|supply| supply.line(schedule)).collect();
    let lasts = |stock: &StockLine| match to {
        To::Next => stock.verdict != "short",
        To::After => stock.verdict == "lasts",
    };
    let mut notes = coming.notes();
    notes.extend(found.notes);
    let lasts = stocks.iter().all(lasts);
    RunwayReport::of(token, lasts, found.source, coming.overdue_ms, schedule, stocks, notes)
}

impl Supply {
    fn line(&self, schedule: &Schedule) -> StockLine {
        let uses = self.uses.iter().map(|each| UseLine {
            name: each.name.clone(),
            keys: each.keys,
            lifetime_s: each.lifetime_s,
            manual: each.manual,
            assumed: each.assumed,
        });
        let runway = self.stock.runway(schedule);
        let taken = self.stock.next_taken(schedule, DAYS);
        StockLine {
            uses: uses.collect(),
            remedy: self.remedy(schedule, &runway),
            ..StockLine::of(&self.name, &self.key_type, &self.stock, &runway, &taken)
        }
    }

    /// What to do, if something is to be done.
    fn remedy(&self, schedule: &Schedule, runway: &Runway) -> String {
        let out = match runway.runs_out_ms {
            None => String::new(),
            Some(at) if at <= schedule.now_ms() => " now".to_owned(),
            Some(at) => format!(" before {}", date(at)),
        };
        let more = format!("make {} more", runway.make);
        let made = match (runway.verdict, runway.make) {
            (Verdict::Lasts, _) => return String::new(),
            (Verdict::Short, 0) => return format!("make a backup{out}"),
            (Verdict::Short, _) => format!("{more}, and a backup{out}"),
            (Verdict::NextOnly, _) => {
                format!("{more} before the backup of {}", date(schedule.next_ms()))
            }
        };
        let unused = self.stock.backed_up.saturating_add(self.stock.not_backed_up);
        match &self.maker {
            None => made,
            Some(maker) => format!("{made}: {}", maker.command(unused.saturating_add(runway.make))),
        }
    }
}
