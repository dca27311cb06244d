//! Handing a recovery's shares to people: as files in a folder, or one after the other on the screen, and then nowhere.

use crate::error::{Error, Result};
use crate::screen::Screen;
use crate::show::shares;
use std::path::{Path, PathBuf};
use tandem_engine::shares::Share;
use tandem_runtime::Live;
use tandem_runtime::shares::ShareFolder;

/// Where the shares of a token go.
pub(crate) struct Handing {
    folder: Option<ShareFolder>,
    label: String,
}

impl Handing {
    /// To the folder that was named, or to the person before the screen, or to the folder of the configuration.
    pub(crate) fn of(screen: &Screen, live: Live<'_>, named: Option<&Path>) -> Self {
        let configured = live.config.recovery.shares_dir.as_deref();
        let folder = named.or_else(|| configured.filter(|_| !screen.interactive()));
        let label = live.config.label.clone();
        Self { folder: folder.map(|folder| ShareFolder::new(folder, &label)), label }
    }

    /// Makes sure that shares can be handed out, before there are any: afterwards there is no second chance.
    pub(crate) fn prepare(&self, screen: &Screen) -> Result {
        self.prepare_with(screen, ShareFolder::prepare)
    }

    /// The same for shares that must not lie among others.
    pub(crate) fn prepare_alone(&self, screen: &Screen) -> Result {
        self.prepare_with(screen, ShareFolder::prepare_alone)
    }

    fn prepare_with(
        &self,
        screen: &Screen,
        prepare: fn(&ShareFolder) -> std::result::Result<(), String>,
    ) -> Result {
        match &self.folder {
            Some(folder) => prepare(folder).map_err(Error::Failed),
            None if screen.interactive() => Ok(()),
            None => Err(Error::failed(
                "the recovery's shares are shown once and kept nowhere; \
                 run this on a terminal without --json, or name a folder for them with --shares-dir DIR",
            )),
        }
    }

    /// Hands shares out. Where they can't be written but a person looks on, they are shown after all. Answers the files.
    pub(crate) fn hand_out(&self, screen: &mut Screen, made: &[Share]) -> Result<Vec<PathBuf>> {
        if made.is_empty() {
            return Ok(Vec::new());
        }
        match self.folder.as_ref().map(|folder| folder.write(made)) {
            Some(Ok(files)) => return Ok(files),
            Some(Err(error)) if !screen.interactive() => return Err(Error::Failed(error)),
            Some(Err(error)) => log::warn!("{error}; they are shown instead"),
            None => {}
        }
        shares::show(screen, &self.label, made)?;
        Ok(Vec::new())
    }
}
