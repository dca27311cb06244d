//! `tandem member` for people.

use super::pairing::{show_attacks, show_routes};
use super::status::show_beyond;
use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{BackupTokenLine, JoinedReport, LeftReport, MemberChange, MembersReport};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for MembersReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for token in &self.tokens {
            screen.line(&token.label)?;
            let header = [
                "member",
                "role",
                "condition",
                "key ring",
                "follows",
                "serial",
                "PIN",
                "deadline",
                "token",
                "module",
            ];
            let mut rows = table(screen, &header);
            for member in &token.members {
                let condition = match member.condition {
                    Some("up") => judged("up", Judgement::Good),
                    Some(other) => judged(format!("{other}: {}", member.reason), Judgement::Bad),
                    None => Cell::new(
                        member
                            .backup_token
                            .as_ref()
                            .map_or_else(String::new, BackupTokenLine::line),
                    ),
                };
                let deadline = match member.deadline_ms {
                    0 => "none".to_owned(),
                    ms => format!("{ms} ms"),
                };
                rows.add_row(vec![
                    Cell::new(&member.name),
                    Cell::new(member.role),
                    condition,
                    match (member.ring, &member.backup_token) {
                        (true, _) => Cell::new("yes"),
                        (false, Some(_)) => Cell::new("no"),
                        (false, None) => judged("no", Judgement::Fair),
                    },
                    match member.role {
                        "generator" => Cell::new(""),
                        _ => Cell::new(member.position),
                    },
                    Cell::new(member.serial.as_deref().unwrap_or_default()),
                    Cell::new(member.pin),
                    Cell::new(deadline),
                    Cell::new(&member.selector),
                    Cell::new(member.module.display()),
                ]);
            }
            screen.line(rows.to_string())?;
            for member in &token.not_configured {
                screen.line(member.line())?;
            }
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

impl Show for JoinedReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let (member, token, serial) = (&self.member, &self.token, &self.serial);
        show_routes(&self.routes, screen)?;
        let objects =
            count(usize::try_from(self.proven).unwrap_or(usize::MAX), "object", "objects");
        if self.changed {
            show_attacks(std::slice::from_ref(member), &self.attacks, screen)?;
            let for_what = match self.role {
                "generator" => "makes keys for the others".to_owned(),
                _ => format!("holds {objects}, each proven"),
            };
            screen.line(format!(
                "member {member} of {token} is {} (token {serial}) and {for_what}",
                self.done
            ))?;
        } else {
            screen.line(format!(
                "member {member} of {token} holds the key ring on the token {serial} already: nothing was {}. It holds {objects}; \
                 `tandem verify` proves each anew",
                self.done
            ))?;
        }
        for exception in &self.exceptions {
            screen.line(format!("it could not take {}: {}", exception.object, exception.reason))?;
        }
        show_beyond(member, &self.beyond, screen)
    }
}

impl Show for LeftReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let (member, token) = (&self.member, &self.token);
        if self.changed {
            screen.line(format!(
                "member {member} of {token} is removed; its members are {}",
                self.members.join(", ")
            ))?;
        } else {
            screen.line(format!("member {member} of {token} was removed already"))?;
        }
        match self.wiped {
            Some(wiped) => screen.line(format!(
                "{} of Tandem on its token were destroyed, the keys of the ring among them",
                count(usize::try_from(wiped).unwrap_or(usize::MAX), "object", "objects")
            ))?,
            None => screen.line(
                "What its token holds is left as it is; erase the token with its vendor's tools before it leaves the house",
            )?,
        }
        if self.configured {
            screen.line(format!("Delete the section of {member} from the configuration."))?;
        }
        if self.keepers < self.min_replicas {
            screen.line(format!(
                "min_replicas = {}, and {} left: no key can be made until you add a member or lower it",
                self.min_replicas,
                count(self.keepers, "member is", "members are")
            ))?;
        }
        Ok(())
    }
}
