//! Asking people: whether they mean it, and for a recovery's shares, from the files that they name, or one after the other on the
//! terminal, where nothing of them stays.

use crate::error::{Error, Result};
use crate::page::Page;
use crate::screen::Screen;
use std::path::PathBuf;
use tandem_engine::ring::Recovery;
use tandem_engine::shares::{self, ShareError, WORDS};
use tandem_values::Secret;
use zeroize::Zeroizing;

/// The longest share that can be typed, in bytes.
const TYPED_MAX: usize = 4_096;

/// Asks for a yes to what can't be undone. An error if there is none; `alone` says what to do where nobody can be asked.
pub(crate) fn says_yes(screen: &mut Screen, question: &str, alone: &'static str) -> Result {
    if !screen.interactive() {
        return Err(Error::usage(alone));
    }
    screen.line(question)?;
    screen.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Error::failed("nothing was changed")) }
}

/// Shares that open a ring, as far as can be told without an HSM. None if none were named and nobody can be asked, or has
/// none.
pub(crate) fn gather(
    screen: &mut Screen,
    label: &str,
    places: &[PathBuf],
    recovery: Option<&Recovery>,
) -> Result<Vec<Secret>> {
    match recovery {
        Some(recovery) if places.is_empty() && screen.interactive() => {
            ask(screen, label, recovery.set)
        }
        _ => tandem_runtime::shares::gather(places, recovery).map_err(Error::Failed),
    }
}

/// Asks for shares until there are enough. A mistake is told, and that share asked for again.
fn ask(screen: &mut Screen, label: &str, set: u16) -> Result<Vec<Secret>> {
    let mut given: Vec<Secret> = Vec::new();
    let mut said = format!("Shares for the recovery of {label}, of set {set} or another split.");
    loop {
        let words = ask_one(screen, &said, given.len().saturating_add(1))?;
        if words.expose().is_empty() {
            return if given.is_empty() { Ok(given) } else { Err(stopped(&said)) };
        }
        given.push(words);
        said = match shares::check(&given, Some(set)) {
            Ok(()) => return Ok(given),
            Err(ShareError::TooFew { given, needed, set }) => {
                format!("{given} of {needed} shares of set {set} are there.")
            }
            Err(error) => {
                put_back(&mut given, &error);
                error.to_string()
            }
        };
    }
}

/// Takes out the share that an error is about, or the last one, which doesn't go with the others.
fn put_back(given: &mut Vec<Secret>, error: &ShareError) {
    match error.places().as_slice() {
        [place] if *place <= given.len() => drop(given.remove(place.saturating_sub(1))),
        _ => drop(given.pop()),
    }
}

fn stopped(said: &str) -> Error {
    Error::failed(format!("not enough shares were typed: {said}"))
}

fn ask_one(screen: &mut Screen, said: &str, number: usize) -> Result<Secret> {
    let mut page = Page::open(screen)?;
    page.screen.line(said)?;
    page.ask(&format!(
        "Type the {WORDS} words of share {number} and press Enter. The screen is emptied afterwards. Enter alone: no more shares."
    ))?;
    typed(&mut page)
}

/// Words over as many lines as they take, up to an empty one.
fn typed(page: &mut Page<'_>) -> Result<Secret> {
    let mut text = Zeroizing::new(vec![0; TYPED_MAX]);
    let mut len = 0_usize;
    loop {
        let rest = text.get_mut(len..).filter(|rest| !rest.is_empty());
        len =
            len.saturating_add(page.typed(rest.ok_or_else(|| Error::failed("that is no share"))?)?);
        let so_far = text.get(..len).unwrap_or_default();
        let words = || so_far.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let ends = so_far.ends_with(b"\n\n") || so_far == b"\n";
        if ends || (so_far.ends_with(b"\n") && words().count() >= WORDS) {
            return Ok(Secret::new(words().collect::<Vec<_>>().join(&b' ')));
        }
    }
}
