//! Objects of SoftHSM that are set aside while others are made: it takes the longer for a key the more its token holds.
//!
//! Each object is a file, with a lock beside it. A token that is given them back between two processes has them all.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many keys are made at a time where that is so.
const LOT: usize = 500;

/// Where the objects of a demo's members are put.
pub(crate) struct Drawer {
    dir: PathBuf,
    members: PathBuf,
    /// What stays: a key ring.
    stays: BTreeSet<PathBuf>,
    /// Where each was.
    aside: Vec<PathBuf>,
}

impl Drawer {
    /// One beside the members of a demo, which hold nothing yet but what the demo was made with.
    pub(crate) fn new(demo: &Path) -> Result<Self, String> {
        let (dir, members) = (demo.join("aside"), demo.join("members"));
        let stays = objects(&members).map_err(|error| told(&members, &error))?;
        Ok(Self { dir, members, stays, aside: Vec::new() })
    }

    /// How many keys to make before they are put aside: all, of a vendor that keeps its objects otherwise.
    pub(crate) fn lot(&self) -> usize {
        if self.stays.is_empty() { usize::MAX } else { LOT }
    }

    /// Takes what was made since.
    pub(crate) fn put_aside(&mut self) -> Result<(), String> {
        let there = objects(&self.members).map_err(|error| told(&self.members, &error))?;
        fs::create_dir_all(&self.dir).map_err(|error| told(&self.dir, &error))?;
        for object in there.difference(&self.stays) {
            let place = self.dir.join(self.aside.len().to_string());
            fs::rename(object, &place).map_err(|error| told(object, &error))?;
            self.aside.push(object.clone());
        }
        Ok(())
    }

    /// Puts everything back.
    pub(crate) fn put_back(self) -> Result<(), String> {
        for (number, object) in self.aside.iter().enumerate() {
            let place = self.dir.join(number.to_string());
            fs::rename(place, object).map_err(|error| told(object, &error))?;
        }
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The files of objects on the members' tokens.
fn objects(members: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for member in fs::read_dir(members)? {
        let tokens = member?.path().join("tokens");
        let Ok(tokens) = fs::read_dir(&tokens) else { continue };
        for token in tokens {
            for file in fs::read_dir(token?.path())? {
                let file = file?.path();
                let of_object = file.extension().is_some_and(|it| it == "object" || it == "lock");
                let is_own = file.file_stem().is_some_and(|name| name == "token");
                if of_object && !is_own {
                    found.insert(file);
                }
            }
        }
    }
    Ok(found)
}
