//! `tandem recovery` for people.

use super::{Judgement, Show, judged, table};
use crate::error::Result;
use crate::report::{CombinedReport, RecoveryReport, SplitLine, SplitReport};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for RecoveryReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let Some(recovery) = &self.recovery else {
            return screen.line(format!("{}: {}", self.token, SplitReport::WITHOUT_RECOVERY));
        };
        screen.line(format!(
            "any {} of {} shares of set {} bring the key ring of {} to new HSMs",
            recovery.threshold, recovery.shares, recovery.set, self.token
        ))?;
        screen.line(format!("key ring {}, fingerprint {}", self.ring.id, self.ring.fingerprint))?;
        let mut rows = table(screen, &["set", "shares", "made", "its shares"]);
        for split in &self.earlier {
            rows.add_row(split.row(judged("open it until they are destroyed", Judgement::Fair)));
        }
        rows.add_row(recovery.row(judged("are in force", Judgement::Good)));
        screen.line(rows.to_string())?;
        for before in self.replaced.iter().filter(|before| !before.sets.is_empty()) {
            let sets: Vec<_> = before.sets.iter().map(u16::to_string).collect();
            let what = if before.retired {
                "are of no use any more: destroy them"
            } else {
                "are kept for backups under them, until these are retired"
            };
            screen.line(format!(
                "shares of set {}, which open {}, {what}",
                sets.join(", "),
                before.kek
            ))?;
        }
        self.show_backups(screen)
    }
}

impl RecoveryReport {
    fn show_backups(&self, screen: &mut Screen) -> Result {
        let Some(backups) = &self.backups else { return screen.line(&self.reason) };
        if backups.is_empty() {
            return screen.line("no committed backup needs it yet");
        }
        let mut rows = table(screen, &["backup that needs it", "committed", "on", "counts"]);
        for backup in backups {
            let artefacts: Vec<_> = backup
                .artefacts
                .iter()
                .map(|made| format!("{} {}", made.kind, made.name))
                .collect();
            rows.add_row(vec![
                Cell::new(&backup.id),
                Cell::new(backup.committed_at.as_deref().unwrap_or_default()),
                Cell::new(artefacts.join("\n")),
                if backup.counts {
                    judged("yes", Judgement::Good)
                } else {
                    judged(format!("no: {}", backup.reason), Judgement::Fair)
                },
            ]);
        }
        screen.line(rows.to_string())
    }
}

impl SplitLine {
    fn row(&self, state: Cell) -> Vec<Cell> {
        vec![
            Cell::new(self.set),
            Cell::new(format!("{} of {}", self.threshold, self.shares)),
            Cell::new(&self.made_at),
            state,
        ]
    }
}

impl Show for SplitReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let made = &self.recovery;
        screen.line(format!(
            "The recovery of {} is split anew: any {} of {} shares of set {}.",
            self.token, made.threshold, made.shares, made.set
        ))?;
        if !self.files.is_empty() {
            screen.line("Give each share to one person, and erase the files:")?;
            for file in &self.files {
                screen.line(format!("  {}", file.display()))?;
            }
        }
        let old: Vec<_> = self.destroy.iter().map(u16::to_string).collect();
        let sets = if old.len() == 1 { "set" } else { "sets" };
        screen.line(format!(
            "Destroy every share of {sets} {}: they open the key ring as before, among themselves, until they are destroyed.",
            old.join(", ")
        ))
    }
}

impl Show for CombinedReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for member in &self.members {
            let given =
                if member.given_ring { "was given the key ring" } else { "holds the key ring" };
            screen.line(format!("{} {given}", member.member))?;
        }
        for away in &self.away {
            screen.line(format!("{} does not hold it: {}", away.member, away.reason))?;
        }
        screen.line(format!(
            "key ring {} of {}, told by the {}, fingerprint {}; compare it with the one you have noted",
            self.ring_id, self.token, self.told_by, self.fingerprint
        ))?;
        if self.next.is_empty() {
            return screen.line("Nothing else is to be done.");
        }
        screen.line("No key of an application is brought by this. Next, without shares:")?;
        for command in &self.next {
            screen.line(format!("  {command}"))?;
        }
        Ok(())
    }
}
