//! How far long work has come: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tandem_engine::report::Progress;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// A bar on standard error, so that standard output stays what scripts read.
pub(crate) struct Bar {
    shown: bool,
    now: Mutex<Option<ProgressBar>>,
}

impl Bar {
    /// A bar, if a person is there to see it.
    pub(crate) fn new(json: bool) -> Self {
        Self { shown: !json && std::io::stderr().is_terminal(), now: Mutex::new(None) }
    }

    /// Takes the bar away: the work is done, or has failed.
    pub(crate) fn clear(&self) {
        if let Some(bar) = self.swap(None) {
            bar.finish_and_clear();
        }
    }

    fn swap(&self, bar: Option<ProgressBar>) -> Option<ProgressBar> {
        std::mem::replace(&mut *self.now.lock().unwrap_or_else(PoisonError::into_inner), bar)
    }
}

impl Progress for Bar {
    fn stage(&self, what: &str, total: u64) {
        if !self.shown {
            return;
        }
        let (bar, form) = if total == 0 {
            (ProgressBar::new_spinner(), "{spinner} {msg}")
        } else {
            (ProgressBar::new(total), "{msg} [{bar:30}] {pos}/{len} {eta}")
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        if let Some(before) = self.swap(Some(bar)) {
            before.finish_and_clear();
        }
    }

    fn step(&self) {
        if let Some(bar) = &*self.now.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(1);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
