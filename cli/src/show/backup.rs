//! `tandem backup` for people.

use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{
    BackupLine, BackupReport, BackupsReport, BundleReport, DrillReport, LeftOutLine, PickedReport,
    RestoredReport, TokenBundlesReport,
};
use crate::screen::Screen;
use comfy_table::Cell;

/// How many objects that are left out are told one by one.
const LEFT_OUT_SHOWN: usize = 50;

impl Show for BackupsReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if !self.backups.is_empty() {
            let header = ["backup", "state", "prepared", "committed", "up to", "on", "counts"];
            let mut rows = table(screen, &header);
            for backup in &self.backups {
                rows.add_row(backup.row());
            }
            screen.line(rows.to_string())?;
        }
        let bare = count(self.not_backed_up, "is not", "are not");
        screen.line(format!(
            "of the objects of {}, {} backed up, {bare}",
            self.token,
            count(self.backed_up, "is", "are")
        ))
    }
}

impl BackupLine {
    fn row(&self) -> Vec<Cell> {
        let artefacts: Vec<_> =
            self.artefacts.iter().map(|made| format!("{} {}", made.kind, made.name)).collect();
        vec![
            Cell::new(&self.id),
            Cell::new(self.state),
            Cell::new(&self.prepared_at),
            Cell::new(self.committed_at.as_deref().unwrap_or_default()),
            Cell::new(self.position),
            Cell::new(artefacts.join("\n")),
            if self.counts {
                judged("yes", Judgement::Good)
            } else {
                judged(format!("no: {}", self.reason), Judgement::Fair)
            },
        ]
    }
}

impl Show for BackupReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if let Some(member) = &self.member {
            screen.line(format!(
                "{} (token {}) {}holds {}, each proven",
                member.member,
                member.serial,
                if member.changed { "was given the key ring and " } else { "" },
                count(usize::try_from(member.proven).unwrap_or(usize::MAX), "object", "objects")
            ))?;
        }
        if let Some(bundle) = &self.bundle {
            bundle.show(screen)?;
        }
        left_out(screen, &self.left_out, "could not be put in and stays not backed up")?;
        let backup = &self.backup;
        screen.line(match backup.state {
            "prepared" => format!(
                "backup {} is prepared: it goes up to position {} of the log of {}; next: `tandem backup run --out FILE`, or `--to NAME`",
                backup.id, backup.position, self.token
            ),
            "made" => format!(
                "backup {} is made; it counts once `tandem backup commit` is run (or `rollback` it)",
                backup.id
            ),
            "committed" if backup.counts => {
                format!("backup {} is committed: what it holds is backed up", backup.id)
            }
            "committed" => format!(
                "backup {} is committed, but nothing counts as backed up by it: {}",
                backup.id, backup.reason
            ),
            _ => format!("backup {} counts for nothing: {}", backup.id, backup.reason),
        })
    }
}

impl Show for BundleReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let place = match &self.member {
            Some(member) => format!("backup {} on {member}", self.backup),
            None => self.file.clone(),
        };
        screen.line(format!(
            "{place}: {}, {} bytes, SHA-256 {}",
            count(usize::try_from(self.records).unwrap_or(usize::MAX), "record", "records"),
            self.bytes,
            self.sha256
        ))?;
        left_out(screen, &self.failed, "was not opened by any HSM")?;
        if self.rotated_out > 0 {
            let keys = usize::try_from(self.rotated_out).unwrap_or(usize::MAX);
            screen.line(format!(
                "{} under KEKs that were rotated out since, which no HSM holds: `tandem backup drill --from FILE --shares DIR` proves them",
                count(keys, "key is", "keys are")
            ))?;
        }
        let proven = usize::try_from(self.proven).unwrap_or(usize::MAX);
        screen
            .line(format!("{} opened by an HSM and proven", count(proven, "key was", "keys were")))
    }
}

impl Show for TokenBundlesReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for bundle in &self.bundles {
            bundle.show(screen)?;
        }
        for unusable in &self.unusable {
            screen.line(format!(
                "backup {} on {}: {}",
                unusable.backup, self.member, unusable.reason
            ))?;
        }
        if self.bundles.is_empty() && self.unusable.is_empty() {
            screen.line(format!("{} holds no bundle", self.member))?;
        }
        Ok(())
    }
}

fn left_out(screen: &mut Screen, objects: &[LeftOutLine], what: &str) -> Result {
    for object in objects.iter().take(LEFT_OUT_SHOWN) {
        screen
            .line(format!("{:?} ({}) {what}: {}", object.label, object.object_id, object.reason))?;
    }
    match objects.len().checked_sub(LEFT_OUT_SHOWN) {
        Some(more @ 1..) => screen.line(format!("… and {more} more; --json has them all")),
        _ => Ok(()),
    }
}

impl Show for RestoredReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for member in &self.members {
            let ring = if member.given_ring { "was given the key ring and " } else { "" };
            screen.line(format!(
                "{} {ring}holds {}, proven",
                member.member,
                count(usize::try_from(member.proven).unwrap_or(usize::MAX), "object", "objects")
            ))?;
            left_out(screen, &member.exceptions, &format!("is not on {}", member.member))?;
        }
        for away in &self.away {
            screen.line(format!("{} was not brought in: {}", away.member, away.reason))?;
        }
        left_out(
            screen,
            &self.newer,
            "is kept where it stands, not backed up and not to be copied",
        )?;
        if let Some(named) = self.named {
            screen.line(format!(
                "{} of the stock bear the names under which they were claimed",
                keys(named)
            ))?;
        }
        if let Some(lost) = self.named_lost.filter(|lost| *lost > 0) {
            screen.line(format!(
                "{} that were claimed are not in the backup: made after it, and lost",
                keys(lost)
            ))?;
        }
        if self.held_back > 0 {
            screen.line(format!(
                "{} in stock may have been claimed after the backup, and are given to nobody: restore with --names, or \
                 `tandem stock release` if none was",
                keys(self.held_back)
            ))?;
        }
        screen.line(format!(
            "{} is restored from backup {} up to position {}: {} in {:.1} s",
            self.token,
            self.backup,
            self.position,
            count(usize::try_from(self.objects).unwrap_or(usize::MAX), "object", "objects"),
            self.seconds
        ))
    }
}

fn keys(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "key", "keys")
}

impl Show for PickedReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for object in &self.restored {
            screen.line(format!(
                "{:?} ({}) is back, on every member",
                object.label, object.object_id
            ))?;
        }
        left_out(screen, &self.left, "did not come back")?;
        screen.line(format!(
            "{} brought back to {}, {} there already",
            count(self.restored.len(), "object", "objects"),
            self.token,
            count(self.present.len(), "was", "were")
        ))
    }
}

impl Show for DrillReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for file in &self.files {
            screen.line(format!("from {file}"))?;
        }
        left_out(screen, &self.failed, "is not recovered")?;
        left_out(screen, &self.newer, "would be lost")?;
        let proven = usize::try_from(self.proven).unwrap_or(usize::MAX);
        screen.line(format!(
            "{} came back onto an empty token, proven under the public keys that everybody knows: \
             restored in {:.1} s, {:.1} s in all",
            count(proven, "key", "keys"),
            self.restored.seconds,
            self.seconds
        ))?;
        if self.recovered {
            Ok(())
        } else {
            screen.line("This backup does not bring everything back: make another, now")
        }
    }
}
