//! What `tandem runway` reports.

use super::time;
use serde::Serialize;
use tandem_engine::runway::{Reach, Runway, Schedule, Stock, Verdict};

/// `tandem runway`
#[derive(Serialize)]
pub(crate) struct RunwayReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// True if all keys last as far as was asked for.
    pub(crate) lasts: bool,
    /// Where it was said which keys are needed: `opendnssec`, `kasp` or `config`.
    pub(crate) source: &'static str,
    /// The time from which it is reckoned.
    pub(crate) now: String,
    /// When the last backup of everything that counts was committed; null if there is none.
    pub(crate) last_backup: Option<String>,
    /// When a backup was due that was not made; null if none is overdue.
    pub(crate) overdue: Option<String>,
    /// The next backup.
    pub(crate) next_backup: String,
    /// The one after it.
    pub(crate) after_backup: String,
    /// The kinds of keys.
    pub(crate) stocks: Vec<StockLine>,
    /// What the operator should know.
    pub(crate) notes: Vec<String>,
}

/// Unused keys of one kind.
#[derive(Serialize)]
pub(crate) struct StockLine {
    /// What they are called.
    pub(crate) name: String,
    /// Their type: `ec:p256`, …
    pub(crate) key_type: String,
    /// Unused keys in a backup that counts.
    pub(crate) backed_up: u64,
    /// Unused keys that are in none.
    pub(crate) not_backed_up: u64,
    /// How many must always be left over.
    pub(crate) standby: u64,
    /// Up to how many unused ones OpenDNSSEC makes whenever it takes one; 0: it makes none.
    pub(crate) kept: u64,
    /// What they are used for.
    pub(crate) uses: Vec<UseLine>,
    /// The next days on which keys are taken, to the backup after the next; at most 100.
    pub(crate) taken: Vec<TakenLine>,
    /// From now to the next backup.
    pub(crate) to_next: ReachLine,
    /// From there to the one after it.
    pub(crate) to_after: ReachLine,
    /// When a key is needed that is not backed up now, if there is no other backup; null if that is more than a hundred years away.
    pub(crate) runs_out: Option<String>,
    /// `lasts`: to the backup after the next; `next-only`: to the next one; `short`: not even that.
    pub(crate) verdict: &'static str,
    /// How many unused keys should be made.
    pub(crate) make: u64,
    /// What to do; empty if nothing needs to be done.
    pub(crate) remedy: String,
}

/// Keys that are in use, and replaced from a stock.
#[derive(Serialize)]
pub(crate) struct UseLine {
    /// What they are called.
    pub(crate) name: String,
    /// How many are in use at once.
    pub(crate) keys: u64,
    /// How long each is, in seconds.
    pub(crate) lifetime_s: u64,
    /// True if they are replaced only when somebody says so.
    pub(crate) manual: bool,
    /// True if it is not known since when they have been in use: all are taken to be replaced now.
    pub(crate) assumed: bool,
}

/// Keys that will be taken.
#[derive(Serialize)]
pub(crate) struct TakenLine {
    /// The first moment of that day.
    pub(crate) at: String,
    /// How many in all of it.
    pub(crate) keys: u64,
}

/// How a stock does from one backup to the next.
#[derive(Serialize)]
pub(crate) struct ReachLine {
    /// How many keys are taken.
    pub(crate) taken: u64,
    /// How many there must be: those, and what must be left over.
    pub(crate) needed: u64,
    /// How many there are, unused and backed up.
    pub(crate) available: u64,
    /// How many are missing.
    pub(crate) missing: u64,
}

impl RunwayReport {
    pub(crate) fn of(
        token: String,
        lasts: bool,
        source: &'static str,
        overdue_ms: Option<u64>,
        schedule: &Schedule,
        stocks: Vec<StockLine>,
        notes: Vec<String>,
    ) -> Self {
        Self {
            token,
            lasts,
            source,
            now: time(schedule.now_ms()),
            last_backup: schedule.last_ms().map(time),
            overdue: overdue_ms.map(time),
            next_backup: time(schedule.next_ms()),
            after_backup: time(schedule.after_ms()),
            stocks,
            notes,
        }
    }
}

impl StockLine {
    /// A stock, without its uses and remedy; `taken` when, and how many keys.
    pub(crate) fn of(
        name: &str,
        key_type: &str,
        stock: &Stock,
        runway: &Runway,
        taken: &[(u64, u64)],
    ) -> Self {
        Self {
            name: name.to_owned(),
            key_type: key_type.to_owned(),
            backed_up: stock.backed_up,
            not_backed_up: stock.not_backed_up,
            standby: stock.standby,
            kept: stock.kept,
            uses: Vec::new(),
            taken: taken
                .iter()
                .map(|(at, keys)| TakenLine { at: time(*at), keys: *keys })
                .collect(),
            to_next: ReachLine::of(&runway.to_next),
            to_after: ReachLine::of(&runway.to_after),
            runs_out: runway.runs_out_ms.map(time),
            verdict: match runway.verdict {
                Verdict::Lasts => "lasts",
                Verdict::NextOnly => "next-only",
                Verdict::Short => "short",
            },
            make: runway.make,
            remedy: String::new(),
        }
    }
}

impl ReachLine {
    const fn of(reach: &Reach) -> Self {
        Self {
            taken: reach.taken,
            needed: reach.needed,
            available: reach.there,
            missing: reach.short(),
        }
    }
}
