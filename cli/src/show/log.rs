//! `tandem log` for people.

use super::{Judgement, Show, coloured, count};
use crate::error::Result;
use crate::report::{HeadLine, LogReport};
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
        for head in &self.heads {
            if let Some(line) = head.line(screen) {
                screen.line(line)?;
            }
        }
        if self.accepted {
            screen.line(
                "the log is taken as it is from here on: `tandem verify` and `tandem reconcile` tell what members hold beside it",
            )?;
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

impl HeadLine {
    /// Nothing of a member that has nothing to say.
    fn line(&self, screen: &Screen) -> Option<String> {
        let member = &self.member;
        let position = self.position.unwrap_or_default();
        let told = self.told_at.as_deref().unwrap_or_default();
        let bad = |what| coloured(screen, what, Judgement::Bad);
        Some(match self.verdict {
            "holds" => format!(
                "member {member}: the log is what it was up to position {position} ({told})"
            ),
            "cut-short" => format!(
                "member {member}: {} position {position}, which it was told of at {told}: the state folder was put back from an older \
                 copy, or records were cut off. `tandem restore` with your last bundle brings the rest back; without one, \
                 `tandem log check --accept` takes the log as it is",
                bad("the log ends before")
            ),
            "other-history" => format!(
                "member {member}: {} it was up to position {position}, which it was told of at {told}: the state folder was replaced, \
                 or an older copy of it was put back and written to. Put the right one back; if there is none, \
                 `tandem log check --accept` takes the log as it is",
                bad("the log is another than")
            ),
            "broken" => format!(
                "member {member}: {} by somebody who can log in to it; it is ignored, and the next one takes its place",
                bad("its record of the log's end was changed")
            ),
            "overruled" => format!("member {member}: what it knew was overruled; it is told anew"),
            "unable" => {
                format!("member {member} can't hold a record of the log's end: {}", self.reason)
            }
            "away" => format!("member {member} was not asked: {}", self.reason),
            _ => return None,
        })
    }
}
