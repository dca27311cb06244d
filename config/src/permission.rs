//! Who may write, and who may read, the files that Tandem trusts.

use nix::unistd::{Gid, Group};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a file is not trusted, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub problem: String,
    /// The command that mends it.
    pub remedy: String,
}

/// Write permission of the group, write permission of everybody, and the bit that lets only owners rename and remove.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// Any permission of everybody.
const OTHERS: u32 = 0o007;
/// Read permission of the group.
const GROUP_READS: u32 = 0o040;

/// Refuses a file that anyone but its owner, root and these groups may change or replace.
pub fn changed_only_by(file: &Path, groups: &[u32]) -> Result<(), Refusal> {
    let of = metadata(file)?;
    if !of.is_file() {
        return Err(Refusal {
            problem: format!("{} is no regular file", file.display()),
            remedy: "name a regular file".to_owned(),
        });
    }
    only_by(file, &of, groups)?;
    // Whoever may write to a folder may put another file in this one's place.
    let real = file.canonicalize().map_err(|error| unreadable(file, &error))?;
    for folder in real.ancestors().skip(1) {
        let of = metadata(folder)?;
        if of.mode() & OTHERS_WRITE != 0 && of.mode() & STICKY == 0 {
            return Err(Refusal {
                problem: format!(
                    "everybody may write to the folder {}, and so replace {}",
                    folder.display(),
                    file.display()
                ),
                remedy: format!("run: chmod o-w {}", folder.display()),
            });
        }
    }
    Ok(())
}

/// Refuses a file that holds a secret and that anyone but its owner, or this group, may read, or that anyone but its
/// owner may change.
pub fn read_only_by(file: &Path, group: Option<u32>) -> Result<(), Refusal> {
    let of = metadata(file)?;
    let readers = of.mode() & OTHERS != 0
        || (of.mode() & GROUP_READS != 0 && of.gid() != 0 && Some(of.gid()) != group);
    if readers {
        return Err(Refusal {
            problem: format!(
                "{} holds a secret, and others than its owner may read it (mode {:04o})",
                file.display(),
                of.mode() & 0o7777
            ),
            remedy: format!("run: chmod 0600 {}", file.display()),
        });
    }
    changed_only_by(file, &[])
}

fn only_by(file: &Path, of: &Metadata, groups: &[u32]) -> Result<(), Refusal> {
    let mode = of.mode();
    if mode & OTHERS_WRITE != 0 {
        return Err(Refusal {
            problem: format!(
                "everybody may write to {} (mode {:04o})",
                file.display(),
                mode & 0o7777
            ),
            remedy: format!("run: chmod o-w {}", file.display()),
        });
    }
    if mode & GROUP_WRITES != 0 && of.gid() != 0 && !groups.contains(&of.gid()) {
        return Err(Refusal {
            problem: format!(
                "the group {} may write to {} (mode {:04o}) and is not the configured group",
                group_name(of.gid()),
                file.display(),
                mode & 0o7777
            ),
            remedy: format!("run: chmod g-w {}", file.display()),
        });
    }
    Ok(())
}

fn metadata(path: &Path) -> Result<Metadata, Refusal> {
    path.metadata().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal {
        problem: format!("{} can't be looked at ({error})", path.display()),
        remedy: "name a file that exists and whose folders may be entered".to_owned(),
    }
}

fn group_name(gid: u32) -> String {
    let name = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    name.map_or_else(|| gid.to_string(), |group| group.name)
}
