//! `tandem pair` and `tandem demo` for people.

use super::{Judgement, Show, judged, table};
use crate::error::Result;
use crate::report::{DemoReport, PairingReport};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for PairingReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if self.changed {
            screen.line(format!("{} is paired: {}", self.token, self.ring.members.join(", ")))?;
        } else {
            screen.line(format!("{} was paired before; nothing was changed", self.token))?;
        }
        self.show_routes(screen)?;
        self.show_attacks(screen)?;
        self.show_adopted(screen)?;
        if let (Some(threshold), Some(shares)) = (self.ring.threshold, self.ring.shares) {
            screen.line(format!("Recovery: any {threshold} of {shares} shares."))?;
        }
        if !self.shares.is_empty() {
            screen.line("Give each share to one person, and erase the files:")?;
            for file in &self.shares {
                screen.line(format!("  {}", file.display()))?;
            }
        }
        Ok(())
    }
}

impl PairingReport {
    /// What can be carried: a row for each type of key, a column for each way.
    fn show_routes(&self, screen: &mut Screen) -> Result {
        let mut ways: Vec<(&str, &str)> = Vec::new();
        let mut kinds: Vec<&str> = Vec::new();
        for route in &self.routes {
            let way = (route.from.as_str(), route.to.as_str());
            if !ways.contains(&way) {
                ways.push(way);
            }
            if !kinds.contains(&route.kind.as_str()) {
                kinds.push(&route.kind);
            }
        }
        if ways.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = ways.iter().map(|(from, to)| format!("{from} → {to}")).collect();
        let header: Vec<&str> =
            std::iter::once("key").chain(names.iter().map(String::as_str)).collect();
        let mut rows = table(screen, &header);
        for kind in kinds {
            let mut cells = vec![Cell::new(kind)];
            cells.extend(ways.iter().map(|(from, to)| {
                let route = self
                    .routes
                    .iter()
                    .find(|route| route.kind == kind && route.from == *from && route.to == *to);
                match route {
                    None => Cell::new(""),
                    Some(route) if route.proven => judged("proven", Judgement::Good),
                    Some(route) => judged(format!("no: {}", route.reason), Judgement::Fair),
                }
            }));
            rows.add_row(cells);
        }
        screen.line(rows.to_string())
    }

    fn show_attacks(&self, screen: &mut Screen) -> Result {
        if self.attacks.is_empty() {
            return Ok(());
        }
        let mut rows = table(screen, &["member", "attack on a locked key", "answer", ""]);
        for attack in &self.attacks {
            let judgement = if attack.refused {
                judged("refused", Judgement::Good)
            } else {
                judged("NOT REFUSED", Judgement::Bad)
            };
            rows.add_row(vec![
                Cell::new(&attack.member),
                Cell::new(&attack.attack),
                Cell::new(&attack.answer),
                judgement,
            ]);
        }
        screen.line(rows.to_string())
    }

    fn show_adopted(&self, screen: &mut Screen) -> Result {
        if self.adopted == 0 {
            return Ok(());
        }
        screen.line(format!(
            "Objects that were there before and are now shown: {}; of these, not copied to every member: {}",
            self.adopted, self.adopted_partly
        ))
    }
}

impl Show for DemoReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let mut rows = table(screen, &["member", "module", "storage", "used directly with"]);
        for member in &self.members {
            rows.add_row(vec![
                Cell::new(&member.name),
                Cell::new(member.module.display()),
                Cell::new(member.storage.display()),
                Cell::new(format!(". {}", member.env.display())),
            ]);
        }
        screen.line(rows.to_string())?;
        self.pairing.show(screen)?;
        if !self.changed {
            screen.line(format!("{} was there before; nothing was changed", self.dir.display()))?;
        }
        screen
            .line(format!("Token {}, user PIN 123456, SO PIN 12345678. To use it:", self.token))?;
        screen.line(format!("  export TANDEM_CONFIG={}", self.config.display()))
    }
}
