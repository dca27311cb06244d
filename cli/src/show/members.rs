//! `tandem member list` for people.

use super::{Judgement, Show, judged, table};
use crate::error::Result;
use crate::report::{MemberChange, MembersReport};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for MembersReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for token in &self.tokens {
            screen.line(&token.label)?;
            let header = ["member", "role", "condition", "PIN", "deadline", "token", "module"];
            let mut rows = table(screen, &header);
            for member in &token.members {
                let condition = match member.condition {
                    Some("up") => judged("up", Judgement::Good),
                    Some(other) => judged(format!("{other}: {}", member.reason), Judgement::Bad),
                    None => Cell::new(""),
                };
                let deadline = match member.deadline_ms {
                    0 => "none".to_owned(),
                    ms => format!("{ms} ms"),
                };
                rows.add_row(vec![
                    Cell::new(&member.name),
                    Cell::new(member.role),
                    condition,
                    Cell::new(member.pin),
                    Cell::new(deadline),
                    Cell::new(&member.selector),
                    Cell::new(member.module.display()),
                ]);
            }
            screen.line(rows.to_string())?;
        }
        Ok(())
    }
}

impl Show for MemberChange {
    fn show(&self, screen: &mut Screen) -> Result {
        let (member, token, done) = (&self.member, &self.token, self.done);
        if self.changed {
            screen.line(format!("member {member} of {token} is {done}"))?;
        } else {
            screen.line(format!(
                "member {member} of {token} was {done} already; nothing is changed"
            ))?;
        }
        Ok(())
    }
}
