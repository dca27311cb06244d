//! `tandem keys` and `tandem verify` for people.

use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{GeneratedReport, HeldReport, KeysReport, ObjectLine, VerifyReport};
use crate::screen::Screen;
use comfy_table::Cell;

/// Longest CKA_ID that is shown whole, in digits.
const ID_DIGITS_MAX: usize = 40;

impl Show for KeysReport {
    fn show(&self, screen: &mut Screen) -> Result {
        objects(screen, &self.objects)?;
        let total = count(self.objects.len(), "object", "objects");
        let stock = match self.in_stock {
            0 => String::new(),
            more => format!(", and {more} in stock (`tandem stock`)"),
        };
        screen.line(format!("{total} on {}{stock}", self.token))
    }
}

impl Show for VerifyReport {
    fn show(&self, screen: &mut Screen) -> Result {
        objects(screen, &self.objects)?;
        let broken = self.objects.iter().filter(|object| !object.is_whole()).count();
        if self.verified {
            let total = count(self.objects.len(), "object is", "objects are");
            return screen.line(format!(
                "{total} proven on every member of {} that should hold them",
                self.token
            ));
        }
        let broken = count(broken, "object is", "objects are");
        screen.line(format!("{broken} not proven everywhere; `tandem status` shows the members, `tandem doctor` what to do"))
    }
}

fn objects(screen: &mut Screen, objects: &[ObjectLine]) -> Result {
    let Some(first) = objects.first() else { return Ok(()) };
    let mut header = vec!["class", "type", "label", "id", "made", "backed up"];
    header.extend(first.replicas.iter().map(|replica| replica.member.as_str()));
    let mut rows = table(screen, &header);
    for object in objects {
        rows.add_row(row(object));
    }
    screen.line(rows.to_string())
}

fn row(object: &ObjectLine) -> Vec<Cell> {
    let class =
        if object.adopted { format!("{} (adopted)", object.class) } else { object.class.clone() };
    let id = match object.id.get(..ID_DIGITS_MAX) {
        Some(start) if object.id.len() > ID_DIGITS_MAX => format!("{start}…"),
        _ => object.id.clone(),
    };
    let mut cells = vec![
        Cell::new(class),
        Cell::new(object.key_type.as_deref().unwrap_or_default()),
        Cell::new(&object.label),
        Cell::new(id),
        Cell::new(&object.created_at),
        if object.backed_up {
            judged("yes", Judgement::Good)
        } else {
            judged("no", Judgement::Fair)
        },
    ];
    cells.extend(object.replicas.iter().map(|replica| {
        let judgement = match replica.state {
            "proven" | "on-demand" => Judgement::Good,
            "failed" => Judgement::Bad,
            _ => Judgement::Fair,
        };
        if replica.reason.is_empty() {
            judged(replica.state, judgement)
        } else {
            judged(format!("{}: {}", replica.state, replica.reason), judgement)
        }
    }));
    cells
}

impl Show for GeneratedReport {
    fn show(&self, screen: &mut Screen) -> Result {
        for key in &self.made {
            let label =
                if key.label.is_empty() { String::new() } else { format!(" {}", key.label) };
            screen.line(format!("{} {}{label}", key.key_type, key.id))?;
        }
        if self.there > 0 {
            screen.line(format!("{} of {} were there", self.there, self.count))?;
        }
        let made = count(self.made.len(), "key", "keys");
        match &self.error {
            None => screen.line(format!("made {made} on {}", self.token)),
            Some(error) => screen
                .line(format!("made {made} of {} on {}, then: {error}", self.count, self.token)),
        }
    }
}

impl Show for HeldReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        for id in &self.kept {
            screen.line(format!("{id} stays: a member holds it that can't give it away"))?;
        }
        for left in &self.left {
            screen.line(format!("{} on {}: {}", left.object_id, left.member, left.reason))?;
        }
        let moved = count(number(self.moved), "object", "objects");
        screen.line(format!("moved {moved} on {}; {} were there already", self.token, self.there))
    }
}
