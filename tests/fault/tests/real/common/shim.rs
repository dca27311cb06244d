//! What counts a process's writes, and kills it at one of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tandem_tests::artefacts;

/// The shim (`shim.c`), compiled, to be preloaded.
pub(crate) fn compiled_shim() -> PathBuf {
    let source = artefacts::repository().join("tests/fault/tests/real/common/shim.c");
    let folder = artefacts::folder().join("tandem-tests");
    fs::create_dir_all(&folder).expect("a folder");
    let library =
        folder.join(format!("shim-{}-{:?}.so", std::process::id(), std::thread::current().id()));
    if !library.exists() {
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(compiler.status().expect("cc").success(), "cc compiles the shim");
    }
    library
}
