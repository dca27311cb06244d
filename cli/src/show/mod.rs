//! Reports as people read them.

mod backup;
mod bench;
mod doctor;
mod kek;
mod keys;
mod log;
mod members;
mod pairing;
mod reconcile;
mod recovery;
mod runway;
pub(crate) mod shares;
mod status;
mod stock;

use crate::error::Result;
use crate::screen::Screen;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, Color, ContentArrangement, Table};

/// A report that people can read.
pub(crate) trait Show {
    /// Writes it.
    fn show(&self, screen: &mut Screen) -> Result;
}

/// The narrowest terminal that tables are made to fit, in columns.
const WIDTH_MIN: u16 = 60;

/// A table with this header, which fits the terminal.
pub(crate) fn table(screen: &Screen, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header.iter().copied().map(Cell::new));
    // A terminal that doesn't know its width says nothing useful of it.
    if screen.terminal() && table.width().is_some_and(|width| width >= WIDTH_MIN) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    if screen.colour() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// A word that is good, to be noticed, or bad.
pub(crate) fn judged(text: impl ToString, judgement: Judgement) -> Cell {
    let colour = match judgement {
        Judgement::Good => Color::Green,
        Judgement::Fair => Color::Yellow,
        Judgement::Bad => Color::Red,
    };
    Cell::new(text).fg(colour)
}

/// The same outside a table.
pub(crate) fn coloured(screen: &Screen, text: &str, judgement: Judgement) -> String {
    if !screen.colour() {
        return text.to_owned();
    }
    let code = match judgement {
        Judgement::Good => 32,
        Judgement::Fair => 33,
        Judgement::Bad => 31,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// How something is meant; never by colour alone, so the words say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    Fair,
    Bad,
}

/// A number with its noun: `1 key`, `2 keys`.
pub(crate) fn count(number: usize, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}
