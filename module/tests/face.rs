//! The built `libtandem.so` from outside: what it exports, how it is linked, and what `docs/support.md` says of it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tandem::abi::Function;

/// The module that Cargo built beside this test.
fn module() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let module = this.parent().unwrap().join("libtandem.so");
    assert!(module.exists(), "{} is not there", module.display());
    module
}

fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).arg(module()).output().unwrap();
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn names() -> BTreeSet<String> {
    Function::ALL.iter().map(ToString::to_string).collect()
}

#[test]
fn the_functions_of_pkcs11_are_exported_and_nothing_else() {
    let symbols = run("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<String> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect();
    assert_eq!(exported, names());
    assert_eq!(exported.len(), 104);
}

#[test]
fn it_stays_loaded_and_calls_its_own_functions() {
    let dynamic = run("readelf", &["-dW"]);
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    // No call inside the module goes through a symbol that another library could take over.
    let relocations = run("readelf", &["-rW"]);
    let named: Vec<_> = relocations.lines().filter(|line| line.contains(" C_")).collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn every_function_is_in_the_support_matrix_with_a_state() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/support.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut rows = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| C_")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let state = cells[2].split(" over ").next().unwrap_or_default();
        assert!(["served", "answers", "not served"].contains(&state), "{line}");
        assert!(rows.insert(cells[1].to_owned()), "twice: {line}");
    }
    assert_eq!(rows, names());
}
