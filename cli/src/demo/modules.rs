//! Where the modules are that a demo is made of.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// A module that a demo can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// SoftHSM 2
    #[value(name = "softhsm")]
    SoftHsm,
    /// Kryoptic
    Kryoptic,
}

/// Where Debian and its derivatives put SoftHSM's module.
const SOFTHSM: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// The name of the module that `make members` builds.
const KRYOPTIC: &str = "libkryoptic_pkcs11.so";

/// The module of a kind: where its environment variable says, else in the usual places.
pub(crate) fn find(kind: Kind) -> Result<PathBuf> {
    let (variable, places, remedy) = match kind {
        Kind::SoftHsm => (
            "TANDEM_SOFTHSM",
            SOFTHSM.iter().map(PathBuf::from).collect(),
            "run: apt-get install softhsm2",
        ),
        Kind::Kryoptic => ("TANDEM_KRYOPTIC", beside_this_program(), "run: make members"),
    };
    if let Some(told) = std::env::var_os(variable).filter(|told| !told.is_empty()) {
        let told = PathBuf::from(told);
        return real(&told).ok_or_else(|| {
            Error::failed(format!("{variable} names {}, which is no file", told.display()))
        });
    }
    places.iter().find_map(|place| real(place)).ok_or_else(|| {
        let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        Error::failed(format!(
            "the module is in none of {}; {remedy}, or set {variable} to its path",
            looked.join(", ")
        ))
    })
}

/// A file's own path, without links: what is configured must not change with a link.
fn real(place: &Path) -> Option<PathBuf> {
    place.canonicalize().ok().filter(|place| place.is_file())
}

/// The folder of this program, the release folder beside it, and the host's own folders.
fn beside_this_program() -> Vec<PathBuf> {
    let mut places = Vec::new();
    let program = std::env::current_exe().and_then(|program| program.canonicalize());
    if let Some(folder) = program.ok().as_deref().and_then(Path::parent) {
        places.push(folder.join(KRYOPTIC));
        if let Some(target) = folder.parent() {
            places.push(target.join("release").join(KRYOPTIC));
        }
    }
    places.push(Path::new("/usr/local/lib").join(KRYOPTIC));
    places.push(Path::new("/usr/lib").join(KRYOPTIC));
    places
}
