//! What was built before the tests run.

use std::path::PathBuf;

/// The folder of libtandem.so and tandem: `TANDEM_ARTIFACTS`, or else where this test itself was built.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("TANDEM_ARTIFACTS") {
        return PathBuf::from(folder);
    }
    let test = std::env::current_exe().expect("a path of this program");
    let folder = test.parent().expect("a folder of this program");
    // Cargo builds tests in a folder below, helper programs beside.
    let folder = if folder.ends_with("deps") { folder.parent().expect("a folder") } else { folder };
    folder.to_owned()
}

/// libtandem.so.
pub fn module() -> PathBuf {
    built(folder().join("libtandem.so"), "make build")
}

/// The operator's tool.
pub fn tool() -> PathBuf {
    built(folder().join("tandem"), "make build")
}

/// The judge of PKCS #11 modules.
pub fn judge() -> PathBuf {
    built(folder().join("p11-conformance"), "make build")
}

/// The module that fails as a script says.
pub fn fault() -> PathBuf {
    built(folder().join("libtandem_fault.so"), "make build")
}

/// The second vendor's module.
pub fn kryoptic() -> PathBuf {
    let name = "libkryoptic_pkcs11.so";
    let told = std::env::var_os("TANDEM_KRYOPTIC").map(PathBuf::from);
    let beside = || Some(folder().join(name)).filter(|file| file.exists());
    let usual = || repository().join("target/release").join(name);
    built(told.or_else(beside).unwrap_or_else(usual), "make members")
}

/// The first vendor's module.
pub fn softhsm() -> PathBuf {
    built(PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"), "apt-get install softhsm2")
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the folder of the workspace").to_owned()
}

fn built(file: PathBuf, by: &str) -> PathBuf {
    assert!(file.exists(), "{} is missing: {by}", file.display());
    file
}
