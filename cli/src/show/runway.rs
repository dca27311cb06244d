//! `tandem runway` for people: the verdict, and the arithmetic that leads to it.

use super::{Judgement, Show, coloured, count, judged, table};
use crate::error::Result;
use crate::report::{ReachLine, RunwayReport, StockLine, UseLine};
use crate::screen::Screen;
use comfy_table::Cell;

/// Seconds of a day.
const DAY_S: u64 = 86_400;
/// How many of the coming days on which keys are taken are shown.
const DAYS_SHOWN: usize = 8;

impl Show for RunwayReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let (next, after) = (day(&self.next_backup), day(&self.after_backup));
        let last = self.last_backup.as_deref().map_or("none", day);
        screen.line(format!(
            "today {}, last backup {last}, next {next}, then {after}",
            day(&self.now)
        ))?;
        let (to_next, to_after) = (format!("to {next}"), format!("to {after}"));
        let header = [
            "keys",
            "type",
            "backed up",
            "not backed up",
            &to_next,
            &to_after,
            "run out",
            "verdict",
        ];
        let mut rows = table(screen, &header);
        for stock in &self.stocks {
            rows.add_row(stock.row());
        }
        screen.line(rows.to_string())?;
        for stock in &self.stocks {
            stock.explain(screen, next, after)?;
        }
        for note in &self.notes {
            screen.line(format!("note: {note}"))?;
        }
        screen.line(self.verdict(screen))
    }
}

impl RunwayReport {
    fn verdict(&self, screen: &Screen) -> String {
        let worst = |verdict| self.stocks.iter().any(|stock: &StockLine| stock.verdict == verdict);
        let (text, judgement) = if worst("short") {
            ("do NOT last to the next backup", Judgement::Bad)
        } else if worst("next-only") {
            ("last to the next backup, and not to the one after it", Judgement::Fair)
        } else {
            ("last to the next backup and to the one after it", Judgement::Good)
        };
        coloured(screen, &format!("the keys of {} {text}", self.token), judgement)
    }
}

impl StockLine {
    fn row(&self) -> Vec<Cell> {
        let reach = |reach: &ReachLine| format!("{} of {}", reach.needed, reach.available);
        vec![
            Cell::new(&self.name),
            Cell::new(&self.key_type),
            Cell::new(self.backed_up),
            Cell::new(self.not_backed_up),
            Cell::new(reach(&self.to_next)),
            Cell::new(reach(&self.to_after)),
            Cell::new(self.runs_out.as_deref().map_or("never", day)),
            match self.verdict {
                "lasts" => judged("lasts", Judgement::Good),
                "next-only" => judged("to the next only", Judgement::Fair),
                _ => judged("SHORT", Judgement::Bad),
            },
        ]
    }

    /// The arithmetic.
    fn explain(&self, screen: &mut Screen, next: &str, after: &str) -> Result {
        let uses: Vec<_> = self.uses.iter().map(UseLine::text).collect();
        let own = matches!(self.uses.as_slice(), [only] if only.name == self.name);
        let title = if own { String::new() } else { format!("{}: ", self.name) };
        screen.line(format!("{title}{}", uses.join("; ")))?;
        screen.line(format!("  taken: {}", self.days()))?;
        screen.line(format!(
            "  to the next backup, {next}: {}; there are {} unused and backed up: {}",
            self.sum(&self.to_next),
            self.to_next.available,
            self.to_next.outcome()
        ))?;
        screen.line(format!("  that backup finds {}", self.found()))?;
        screen.line(format!(
            "  to the one after it, {after}: {}; there are {}: {}",
            self.sum(&self.to_after),
            self.to_after.available,
            self.to_after.outcome()
        ))?;
        screen.line(match &self.runs_out {
            Some(out) => format!("  without another backup they run out on {}", day(out)),
            None => "  without another backup they last a hundred years".to_owned(),
        })?;
        if !self.remedy.is_empty() {
            screen.line(format!("  to do: {}", self.remedy))?;
        }
        Ok(())
    }

    fn days(&self) -> String {
        if self.taken.is_empty() {
            return "none".to_owned();
        }
        let each = self.taken.iter().take(DAYS_SHOWN);
        let mut shown: Vec<_> =
            each.map(|taken| format!("{} on {}", taken.keys, day(&taken.at))).collect();
        if self.taken.len() > DAYS_SHOWN {
            shown.push("…".to_owned());
        }
        shown.join(", ")
    }

    /// What a span needs.
    fn sum(&self, reach: &ReachLine) -> String {
        match self.standby {
            0 => format!("{} taken", reach.taken),
            standby => format!("{} taken + {standby} left over = {}", reach.taken, reach.needed),
        }
    }

    /// What the next backup finds, and takes in.
    fn found(&self) -> String {
        let (there, new, taken) = (self.backed_up, self.not_backed_up, self.to_next.taken);
        let left = there.saturating_add(new).saturating_sub(taken);
        let sum = format!("{there} + {new} not backed up yet - {taken} taken = {left} unused");
        if self.to_after.available > left {
            format!("{sum}, and OpenDNSSEC keeps {}", self.kept)
        } else {
            sum
        }
    }
}

impl ReachLine {
    fn outcome(&self) -> String {
        match self.missing {
            0 => format!("{} left", self.available.saturating_sub(self.taken)),
            missing => format!("{missing} MISSING"),
        }
    }
}

impl UseLine {
    fn text(&self) -> String {
        let mut text =
            format!("{}, {} in use, each for {}", self.name, self.keys, span(self.lifetime_s));
        if self.manual {
            text.push_str(", replaced by hand (reckoned with as if in time)");
        }
        if self.assumed {
            text.push_str(", since when is not known (reckoned with as if over today)");
        }
        text
    }
}

/// A length of time.
fn span(seconds: u64) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    match seconds / DAY_S {
        0 => count(number(seconds / 60), "minute", "minutes"),
        days => count(number(days), "day", "days"),
    }
}

/// The day of a time.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or_default()
}
