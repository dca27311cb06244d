//! A page of the terminal on which a secret stands: the screen is empty before it and after it, however it is left.

use crate::error::{Error, Result};
use crate::screen::Screen;
use nix::sys::termios::{
    FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcflush, tcgetattr, tcsetattr,
};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

/// Empties the screen and what can be scrolled back to.
const CLEAR: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";
/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// The page. Ctrl-C leaves it, and doesn't end the program before the screen is empty.
pub(crate) struct Page<'a> {
    pub(crate) screen: &'a mut Screen,
    /// Past the buffer of standard input, which nobody wipes.
    keys: File,
    /// How the terminal was.
    was: Option<Termios>,
}

impl<'a> Page<'a> {
    /// An empty one.
    pub(crate) fn open(screen: &'a mut Screen) -> Result<Self> {
        let keys = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let page = Self { screen, keys, was: hold() };
        page.screen.raw(CLEAR.as_bytes())?;
        Ok(page)
    }

    /// Says what is wanted. A key that was pressed before must not turn a page that nobody has read.
    pub(crate) fn ask(&mut self, wanted: &str) -> Result {
        self.screen.flush()?;
        // Where there is no terminal after all, there is nothing to forget.
        let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH);
        self.screen.line(wanted)?;
        self.screen.flush()
    }

    /// What is typed next, up to Enter.
    pub(crate) fn typed(&mut self, into: &mut [u8]) -> Result<usize> {
        let read = self.keys.read(into)?;
        if into.get(..read).unwrap_or_default().contains(&INTERRUPT) {
            return Err(Error::failed("stopped by Ctrl-C"));
        }
        if read == 0 {
            return Err(Error::failed("standard input has ended"));
        }
        Ok(read)
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // Whatever went wrong is told by whoever left the page.
        let _ = self.screen.raw(CLEAR.as_bytes()).and_then(|()| self.screen.flush());
        if let Some(was) = &self.was {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, was);
        }
    }
}

/// Has Ctrl-C end a line rather than the program.
fn hold() -> Option<Termios> {
    let was = tcgetattr(std::io::stdin()).ok()?;
    let mut held = was.clone();
    held.local_flags.remove(LocalFlags::ISIG);
    let end_of_line = SpecialCharacterIndices::VEOL as usize;
    *held.control_chars.get_mut(end_of_line)? = INTERRUPT;
    tcsetattr(std::io::stdin(), SetArg::TCSANOW, &held).ok()?;
    Some(was)
}
