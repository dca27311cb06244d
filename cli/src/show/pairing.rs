//! `tandem pair` and `tandem demo` for people.

use super::{Judgement, Show, judged, table};
use crate::error::Result;
use crate::report::{AttackLine, DemoReport, PairingReport, RouteLine};
use crate::screen::Screen;
use comfy_table::Cell;

impl Show for PairingReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if self.changed {
            screen.line(format!("{} is paired: {}", self.token, self.ring.members.join(", ")))?;
        } else {
            screen.line(format!("{} was paired before; nothing was changed", self.token))?;
        }
        show_routes(&self.routes, screen)?;
        show_attacks(&self.ring.members, &self.attacks, screen)?;
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
        match &self.pairing {
            Some(pairing) => pairing.show(screen)?,
            None => screen.line(
                "The tokens are empty and not paired: `tandem pair` makes a key ring there, `tandem restore` brings one back.",
            )?,
        }
        if !self.changed {
            screen.line(format!("{} was there before; nothing was changed", self.dir.display()))?;
        }
        screen
            .line(format!("Token {}, user PIN 123456, SO PIN 12345678. To use it:", self.token))?;
        screen.line(format!("  export TANDEM_CONFIG={}", self.config.display()))
    }
}

/// What can be carried: a row for each type of key, a column for each way.
pub(super) fn show_routes(all: &[RouteLine], screen: &mut Screen) -> Result {
    let mut ways: Vec<(&str, &str)> = Vec::new();
    let mut kinds: Vec<&str> = Vec::new();
    for route in all {
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
            let mut routes = all.iter();
            match routes.find(|it| it.kind == kind && it.from == *from && it.to == *to) {
                None => Cell::new(""),
                Some(route) if route.proven => judged("proven", Judgement::Good),
                Some(_) => judged("no", Judgement::Fair),
            }
        }));
        rows.add_row(cells);
    }
    screen.line(rows.to_string())?;
    show_reasons(all, screen)
}

/// Why not, each reason once.
fn show_reasons(all: &[RouteLine], screen: &mut Screen) -> Result {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for route in all.iter().filter(|route| !route.proven) {
        match reasons.iter_mut().find(|(reason, _)| *reason == route.reason) {
            None => reasons.push((&route.reason, vec![&route.kind])),
            Some((_, kinds)) if kinds.contains(&route.kind.as_str()) => {}
            Some((_, kinds)) => kinds.push(&route.kind),
        }
    }
    for (reason, kinds) in reasons {
        screen.line(format!("no {}: {reason}", kinds.join(", ")))?;
    }
    Ok(())
}

/// How many attacks each member refuses; by name the ones that one doesn't.
pub(super) fn show_attacks(
    members: &[String],
    attacks: &[AttackLine],
    screen: &mut Screen,
) -> Result {
    if attacks.is_empty() {
        return Ok(());
    }
    let mut rows = table(screen, &["member", "known attacks on its locked keys"]);
    for member in members {
        let tried: Vec<_> = attacks.iter().filter(|it| it.member == *member).collect();
        let broken: Vec<_> = tried.iter().filter(|attack| !attack.refused).collect();
        let judgement = if broken.is_empty() {
            judged(format!("all {} refused", tried.len()), Judgement::Good)
        } else {
            let first = format!("NOT REFUSED: {} of {}", broken.len(), tried.len());
            let named = broken.iter().map(|it| format!("{} ({})", it.attack, it.answer));
            let lines: Vec<_> = std::iter::once(first).chain(named).collect();
            judged(lines.join("\n"), Judgement::Bad)
        };
        rows.add_row(vec![Cell::new(member), judgement]);
    }
    screen.line(rows.to_string())
}
