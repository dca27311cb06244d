//! `tandem stock` and `tandem backup names` for people.

use super::{Judgement, Show, count, judged, table};
use crate::error::Result;
use crate::report::{LevelLine, NamesReport, StockDropReport, StockFillReport, StockReport};
use crate::screen::Screen;
use comfy_table::Cell;

fn keys(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "key", "keys")
}

impl Show for StockReport {
    fn show(&self, screen: &mut Screen) -> Result {
        if self.levels.is_empty() {
            return screen.line(format!(
                "nothing is kept in stock on {}: [[token.stock.key]] in the configuration says what is to be (docs/guide/stock.md)",
                self.token
            ));
        }
        let header = ["type", "hold", "wanted", "there", "backed up", "claimed in 30 days"];
        let mut rows = table(screen, &header);
        for level in &self.levels {
            rows.add_row(level.row());
        }
        screen.line(rows.to_string())?;
        for level in &self.levels {
            for remark in level.remarks() {
                screen.line(format!("{}, {}: {remark}", level.key_type, level.hold))?;
            }
        }
        Ok(())
    }
}

impl LevelLine {
    fn row(&self) -> Vec<Cell> {
        let full = if self.there >= self.wanted { Judgement::Good } else { Judgement::Fair };
        let safe = if self.backed_up == self.there { Judgement::Good } else { Judgement::Fair };
        vec![
            Cell::new(&self.key_type),
            Cell::new(self.hold),
            Cell::new(self.wanted),
            judged(self.there, full),
            judged(self.backed_up, safe),
            Cell::new(self.claimed),
        ]
    }

    /// What an operator should know of it.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.problem.is_empty() {
            remarks.push(self.problem.clone());
        }
        if self.held_back > 0 {
            remarks.push(format!(
                "{} given to nobody: not proven on enough members, or restored from a backup without the names of what was claimed \
                 since (`tandem stock release` if none was)",
                count(usize::try_from(self.held_back).unwrap_or(usize::MAX), "key is", "keys are")
            ));
        }
        if self.surplus > 0 {
            remarks.push(format!(
                "{} more than are wanted, which is no harm; `tandem stock drop` destroys them",
                keys(self.surplus)
            ));
        }
        remarks
    }
}

impl Show for StockFillReport {
    fn show(&self, screen: &mut Screen) -> Result {
        let made = keys(self.made);
        match &self.error {
            None => {
                screen.line(format!("made {made} for the stock of {}, which is full", self.token))
            }
            Some(error) => {
                screen.line(format!("made {made} for the stock of {}, then: {error}", self.token))
            }
        }
    }
}

impl Show for StockDropReport {
    fn show(&self, screen: &mut Screen) -> Result {
        screen.line(format!(
            "destroyed {} ({}) in the stock of {}",
            keys(self.dropped),
            self.key_type,
            self.token
        ))
    }
}

impl Show for NamesReport {
    fn show(&self, screen: &mut Screen) -> Result {
        screen.line(format!(
            "{} names {} of {} that were claimed since the last backup of everything, up to position {}",
            self.file,
            keys(self.claims),
            self.token,
            self.position
        ))
    }
}
