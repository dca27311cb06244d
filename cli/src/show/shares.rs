//! The recovery's shares, each on a screen of its own, for one person to write down.

use crate::error::{Error, Result};
use crate::screen::Screen;
use nix::sys::termios::{FlushArg, tcflush};
use std::io::BufRead;
use tandem_engine::shares::Share;

/// Empties the screen and what can be scrolled back to.
pub(crate) const CLEAR: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";
/// Words in a row.
const WORDS_IN_ROW: usize = 4;

/// Shows each share until the person before the screen is done with it. Nothing of it stays on the screen.
pub(crate) fn show(screen: &mut Screen, label: &str, shares: &[Share]) -> Result {
    for share in shares {
        screen.raw(CLEAR.as_bytes())?;
        screen.line(format!(
            "Share {} of {}, set {}, for the recovery of {label}",
            share.number,
            shares.len(),
            share.set
        ))?;
        screen.line(
            "Let one person write it down, word by word, with these numbers, and keep it safe.\n",
        )?;
        rows(screen, share)?;
        screen.flush()?;
        forget_what_was_typed();
        screen.line("\nPress Enter when it is written down.")?;
        screen.flush()?;
        wait()?;
        screen.raw(CLEAR.as_bytes())?;
        screen.flush()?;
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

/// A key pressed while nothing was asked must not turn a page that nobody has read.
pub(crate) fn forget_what_was_typed() {
    // Where there is no terminal after all, there is nothing to forget.
    let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH);
}

fn wait() -> Result {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    if read == 0 {
        return Err(Error::failed("standard input ended before every share was seen"));
    }
    Ok(())
}
