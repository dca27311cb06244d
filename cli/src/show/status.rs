//! `tandem status` for people.

use super::{Judgement, Show, coloured, count, judged, table};
use crate::error::Result;
use crate::report::{ApartLine, BeyondLine, MemberState, RotationLine, StatusReport, TokenStatus};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for StatusReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for token in &self.tokens {
            token.show(screen)?;
        }
        Ok(())
    }
}

impl Show for TokenStatus {
    fn show(&self, screen: &mut Screen) -> Result {
        screen.line(format!("{} (serial {}), {}", self.label, self.serial, self.pairing()))?;
        let objects = usize::try_from(self.objects).unwrap_or(usize::MAX);
        screen.line(format!("{}, log at {}", count(objects, "object", "objects"), self.head))?;
        if let Some(doubt) = &self.doubt {
            let bad = coloured(screen, "its log is in doubt", Judgement::Bad);
            screen.line(format!("{bad}: {doubt}; `tandem log check` says more"))?;
        }
        if let Some(rotation) = &self.rotation {
            screen.line(format!("{}: {}", rotation.found(), RotationLine::REMEDY))?;
        }
        let header = ["member", "condition", "follows", "proven", "exceptions", "module", "token"];
        let mut rows = table(screen, &header);
        for member in &self.members {
            rows.add_row(member.row());
        }
        screen.line(rows.to_string())?;
        for known in &self.backup_tokens {
            screen.line(format!("{} (backup token): {}", known.name, known.line()))?;
        }
        for member in &self.not_configured {
            screen.line(member.line())?;
        }
        for member in &self.members {
            for exception in &member.exceptions {
                screen.line(format!(
                    "{} could not take {}: {}",
                    member.name, exception.object, exception.reason
                ))?;
            }
            show_beyond(&member.name, &member.beyond, screen)?;
        }
        for apart in &self.apart {
            screen.line(apart.line())?;
        }
        Ok(())
    }
}

/// What is beyond a member.
pub(crate) fn show_beyond(member: &str, beyond: &[BeyondLine], screen: &mut Screen) -> Result {
    for line in beyond {
        let objects =
            count(usize::try_from(line.objects).unwrap_or(usize::MAX), "object", "objects");
        screen.line(format!("{objects} beyond {member}, by design: {}", line.reason))?;
    }
    Ok(())
}

impl ApartLine {
    /// Who holds them, for people.
    pub(crate) fn line(&self) -> String {
        let objects =
            count(usize::try_from(self.objects).unwrap_or(usize::MAX), "object", "objects");
        let held = match self.members.as_slice() {
            [] => "on no member".to_owned(),
            [only] => format!("on {only} alone"),
            some => format!("on {}", some.join(", ")),
        };
        format!("{objects} of type {}: {held}", self.key_type)
    }
}

impl TokenStatus {
    fn pairing(&self) -> String {
        match &self.ring {
            None => "not paired: run `tandem pair`".to_owned(),
            Some(ring) => {
                let fingerprint: String = ring.fingerprint.chars().take(16).collect();
                match (ring.threshold, ring.shares) {
                    (Some(threshold), Some(shares)) => {
                        format!("paired (ring {fingerprint}, recovery {threshold} of {shares})")
                    }
                    _ => format!("paired (ring {fingerprint}, no recovery)"),
                }
            }
        }
    }
}

impl MemberState {
    fn row(&self) -> Vec<Cell> {
        let condition = match self.condition {
            "up" => judged("up", Judgement::Good),
            other if self.reason.is_empty() => judged(other, Judgement::Bad),
            other => judged(format!("{other}: {}", self.reason), Judgement::Bad),
        };
        let holds_keys = self.role != "generator";
        let follows = match self.behind {
            _ if !holds_keys => Cell::new("makes keys"),
            0 => Cell::new(self.position),
            behind => judged(format!("{} ({behind} behind)", self.position), Judgement::Fair),
        };
        let exceptions = match self.exceptions.len() {
            0 => Cell::new(0),
            some => judged(some, Judgement::Fair),
        };
        let module = self.library.as_ref().map_or_else(String::new, |library| {
            format!("{} {} (PKCS #11 {})", library.manufacturer, library.version, library.interface)
        });
        let token = self
            .token
            .as_ref()
            .map_or_else(String::new, |token| format!("{} ({})", token.label, token.serial));
        vec![
            Cell::new(&self.name),
            condition,
            follows,
            if holds_keys { Cell::new(self.proven) } else { Cell::new("") },
            exceptions,
            Cell::new(module),
            Cell::new(token),
        ]
    }
}
