//! `tandem kek` for people.

use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{KeksReport, RetiredReport, RotatedReport};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for RotatedReport {
    fn show(&self, screen: &mut Screen) -> Result {
        screen.line(format!("{} are in force on {}.", self.kek, self.members.join(", ")))?;
        if let (true, Some(set), Some(shares), Some(threshold)) =
            (self.begun, self.set, self.shares, self.threshold)
        {
            screen.line(format!(
                "Any {threshold} of {shares} shares of set {set} open them. Keep the older shares too, for backups from before."
            ))?;
        }
        if !self.files.is_empty() {
            screen.line("Give each share to one person, and erase the files:")?;
            for file in &self.files {
                screen.line(format!("  {}", file.display()))?;
            }
        }
        for member in &self.given {
            screen.line(format!("{member} was given them now"))?;
        }
        let rewrapped = usize::try_from(self.rewrapped).unwrap_or(usize::MAX);
        let keys = count(rewrapped, "key or private value was", "keys and private values were");
        screen.line(format!("{keys} wrapped anew and proven"))?;
        for left in &self.left {
            screen.line(format!(
                "{:?} ({}) stays as it is: {}",
                left.label, left.object_id, left.reason
            ))?;
        }
        for lacking in &self.lacking {
            screen.line(format!("{} lacks them: {}", lacking.member, lacking.reason))?;
        }
        for kept in &self.kept {
            screen.line(format!("{} still holds older KEKs: {}", kept.member, kept.reason))?;
        }
        screen.line(if self.finished {
            format!(
                "Nothing in the log is wrapped under older KEKs than {}. Make a new backup (`tandem backup run --commit --out FILE`); older \
                 ones count until `tandem kek retire`.",
                self.kek
            )
        } else {
            "The rotation is not finished: bring back what is away, or take it out with `tandem member remove`, and run this again."
                .to_owned()
        })
    }
}

impl Show for KeksReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let mut rows =
            table(screen, &["KEKs", "state", "since", "until", "shares of set", "backups"]);
        for kek in &self.keks {
            let judgement = match kek.state {
                "in-force" => Judgement::Good,
                _ => Judgement::Fair,
            };
            let sets: Vec<_> = kek.sets.iter().map(u16::to_string).collect();
            let backups = match &kek.backups {
                None => "seen with a login only".to_owned(),
                Some(backups) => backups
                    .iter()
                    .map(|it| {
                        format!("{}{}", it.id, if it.counts { "" } else { " (does not count)" })
                    })
                    .collect::<Vec<_>>()
                    .join("\n"),
            };
            rows.add_row(vec![
                Cell::new(&kek.name),
                judged(kek.state, judgement),
                Cell::new(&kek.begun_at),
                Cell::new(kek.ended_at.as_deref().unwrap_or_default()),
                Cell::new(sets.join(", ")),
                Cell::new(backups),
            ]);
        }
        screen.line(rows.to_string())
    }
}

impl Show for RetiredReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if !self.changed {
            return screen.line(format!("{} of {} were retired before", self.kek, self.token));
        }
        screen.line(match self.backups.len() {
            0 => format!(
                "{} of {} are retired; no backup that counts needs them",
                self.kek, self.token
            ),
            some => format!(
                "{} of {} are retired: {} no more",
                self.kek,
                self.token,
                count(some, "backup counts", "backups count")
            ),
        })
    }
}
