//! Where output goes: tables for people, JSON for scripts.

use crate::error::{Error, Result};
use crate::show::Show;
use serde::Serialize;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};

/// Standard output, and what may be written to it.
pub(crate) struct Screen {
    out: BufWriter<StdoutLock<'static>>,
    json: bool,
    terminal: bool,
    colour: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        // https://no-color.org: set and not empty.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            out: BufWriter::new(std::io::stdout().lock()),
            json,
            terminal,
            colour: terminal && !plain && !json,
        }
    }

    /// True if scripts read this.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// True if a person looks on and can be asked.
    pub(crate) fn interactive(&self) -> bool {
        self.terminal && !self.json && std::io::stdin().is_terminal()
    }

    /// True if colour is welcome.
    pub(crate) const fn colour(&self) -> bool {
        self.colour
    }

    /// True if this is a terminal, whose width tables should fit.
    pub(crate) const fn terminal(&self) -> bool {
        self.terminal
    }

    /// Shows a report in the form that was asked for.
    pub(crate) fn report<R: Show + Serialize>(&mut self, report: &R) -> Result {
        if self.json {
            serde_json::to_writer_pretty(&mut self.out, report)
                .map_err(|error| Error::Output(error.into()))?;
            writeln!(self.out)?;
        } else {
            report.show(self)?;
        }
        Ok(())
    }

    /// A line for people; nothing in JSON.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result {
        if !self.json {
            writeln!(self.out, "{}", line.as_ref())?;
        }
        Ok(())
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result {
        self.out.write_all(bytes)?;
        Ok(())
    }

    /// Everything written so far is seen.
    pub(crate) fn flush(&mut self) -> Result {
        self.out.flush()?;
        Ok(())
    }

    /// Why a command failed, on standard error.
    pub(crate) fn complain(&mut self, error: &Error) {
        // What was said before comes first.
        let _ = self.out.flush();
        let red = self.colour && std::io::stderr().is_terminal();
        let (on, off) = if red { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
        let _ = writeln!(std::io::stderr(), "{on}tandem:{off} {error}");
    }
}
