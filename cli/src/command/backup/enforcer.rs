//! OpenDNSSEC's own bookkeeping of backups, taken along: both are prepared, and both are committed or rolled back.
//!
//! OpenDNSSEC is prepared first, so that Tandem's backup holds every key that it will call backed up; and committed last, so that
//! it calls none backed up that is not.

use crate::error::{Error, Result};
use crate::pin;
use std::path::Path;
use std::process::Command;

/// OpenDNSSEC's enforcer, by the program that talks to it.
pub(super) struct Enforcer<'a>(pub(super) &'a Path);

impl Enforcer<'_> {
    /// What there is now is what the backup will be of.
    pub(super) fn prepare(&self) -> Result {
        self.ask("prepare").map_err(|why| {
            Error::failed(format!(
                "OpenDNSSEC's backup can't be prepared, so nothing was begun: {why}"
            ))
        })
    }

    /// What was prepared is backed up.
    pub(super) fn commit(&self) -> Result {
        self.ask("commit").map_err(|why| {
            Error::failed(format!(
                "Tandem's backup is committed, and OpenDNSSEC was not told: {why}; run `{} backup commit`",
                self.0.display()
            ))
        })
    }

    /// What was prepared is not backed up. Answers what to tell if that failed as well.
    pub(super) fn roll_back(&self) -> String {
        match self.ask("rollback") {
            Ok(()) => "; OpenDNSSEC's backup was rolled back as well".to_owned(),
            Err(why) => format!(
                "; OpenDNSSEC's backup could not be rolled back ({why}): run `{} backup rollback`",
                self.0.display()
            ),
        }
    }

    fn ask(&self, what: &str) -> Result<(), String> {
        let program = self.0.display();
        let output = Command::new(self.0)
            .args(["backup", what])
            // It is no business of another program's.
            .env_remove(pin::VARIABLE)
            .output()
            .map_err(|error| format!("{program} can't be run ({error})"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let said: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Err(format!("{program} backup {what}: {} ({})", said.join("; "), output.status))
    }
}
