//! `tandem log` for people.

use super::{Judgement, Show, coloured, count};
use crate::error::Result;
use crate::report::LogReport;
use crate::screen::Screen;

impl Show for LogReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for position in &self.broken {
            let bad = coloured(screen, "is not as it was written", Judgement::Bad);
            screen.line(format!("record {position} {bad}: it is not used"))?;
        }
        for gone in &self.gone {
            screen.line(format!(
                "the wrapped key of {:?} is gone from record {}: `tandem restore FILE --key {}` puts it back",
                gone.label, gone.position, gone.object_id
            ))?;
        }
        for anchor in &self.anchors {
            screen.line(match (anchor.verdict, anchor.position) {
                ("holds", Some(position)) => {
                    format!("{}: the log is what it was up to position {position}", anchor.file)
                }
                ("cut-short", Some(position)) => format!(
                    "{}: the log ends before position {position}: it was cut short, or replaced by an older copy; \
                     `tandem restore` brings the rest back",
                    anchor.file
                ),
                ("other-history", Some(position)) => format!(
                    "{}: the log is another than it was up to position {position}: it was replaced",
                    anchor.file
                ),
                _ => format!("{}: {}", anchor.file, anchor.reason),
            })?;
        }
        let records =
            count(usize::try_from(self.records).unwrap_or(usize::MAX), "record", "records");
        screen.line(if self.sound {
            format!("the log of {} is as it was written: {records}", self.token)
        } else {
            format!("the log of {} is NOT as it was written ({records}); who may write to the state folder?", self.token)
        })
    }
}
