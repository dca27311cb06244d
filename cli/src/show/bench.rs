//! `tandem bench` for people.

use super::{Judgement, Show, judged, table};
use crate::error::Result;
use crate::report::{BenchReport, MissingLine};
use crate::screen::Screen;
use comfy_table::Cell;
use tandem_bench::race::Spread;
use tandem_bench::shown;

/// Up to this ratio Tandem is as quick as the member, as far as a busy machine lets one tell.
const SAME_MAX: f64 = 1.1;

impl Show for BenchReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let header =
            ["key", "threads", "signed by", "a signature", "a second", "Tandem takes, against it"];
        let mut rows = table(screen, &header);
        for measured in &self.measured {
            for contender in &measured.contenders {
                rows.add_row(vec![
                    Cell::new(measured.key_type),
                    Cell::new(measured.threads),
                    Cell::new(name(contender.member.as_deref())),
                    Cell::new(shown::time(contender.nanoseconds)),
                    Cell::new(format!("{:.0}", contender.per_second)),
                    contender.tandem_takes.map_or_else(|| Cell::new(""), ratio),
                ]);
            }
        }
        screen.line(rows.to_string())?;
        for measured in &self.measured {
            let (kind, threads) = (measured.key_type, measured.threads);
            for MissingLine { member, reason } in &measured.unable {
                let name = name(member.as_deref());
                screen.line(format!(
                    "{name} was not measured with {kind}, threads {threads}: {reason}"
                ))?;
            }
        }
        for MissingLine { member, reason } in &self.left_out {
            screen.line(format!("{} was left out: {reason}", name(member.as_deref())))?;
        }
        screen.line("With several threads a signature's time is that of all together: less is more throughput.")?;
        screen.line(
            "Every key was made in a session and has gone with it; nothing is left on any token.",
        )
    }
}

fn name(member: Option<&str>) -> String {
    member.map_or_else(|| "Tandem".to_owned(), |name| format!("member {name}"))
}

fn ratio(spread: Spread) -> Cell {
    let [low, median, high] = [spread.low, spread.median, spread.high].map(shown::ratio);
    let judgement = if spread.median <= SAME_MAX { Judgement::Good } else { Judgement::Fair };
    judged(format!("×{median} ({low}–{high})"), judgement)
}
