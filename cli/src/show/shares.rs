//! The recovery's shares, each on a screen of its own, for one person to write down.

use crate::error::Result;
use crate::page::Page;
use crate::screen::Screen;
use tandem_engine::shares::Share;

/// Words in a row.
const WORDS_IN_ROW: usize = 4;
/// The longest answer that is read at once, in bytes. What it is doesn't matter.
const ANSWER_MAX: usize = 256;

/// Shows each share until the person before the screen is done with it. Nothing of it stays on the screen.
pub(crate) fn show(screen: &mut Screen, label: &str, shares: &[Share]) -> Result {
    for share in shares {
        let mut page = Page::open(screen)?;
        page.screen.line(format!(
            "Share {} of {}, set {}, for the recovery of {label}",
            share.number,
            shares.len(),
            share.set
        ))?;
        page.screen.line(
            "Let one person write it down, word by word, with these numbers, and keep it safe.\n",
        )?;
        rows(page.screen, share)?;
        page.ask("\nPress Enter when it is written down.")?;
        page.typed(&mut [0; ANSWER_MAX])?;
    }
    Ok(())
}

/// The words, numbered, a few in a row.
fn rows(screen: &mut Screen, share: &Share) -> Result {
    let words = share.words.expose().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 && index % WORDS_IN_ROW == 0 {
            screen.raw(b"\n")?;
        }
        screen.raw(format!("{:>4}. ", index + 1).as_bytes())?;
        screen.raw(word)?;
        screen.raw(b"\t")?;
    }
    screen.raw(b"\n")
}
