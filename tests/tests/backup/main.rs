//! Backups of real tokens: the gate, bundles, and bringing everything back.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod bundle;
mod enforcer;
mod gate;
mod heads;
mod keys;
mod phases;
mod restore;
mod token;

use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;
use tandem_tests::{Demo, USER_PIN};

/// A demo whose keys don't work before they are backed up.
fn enforce(demo: &Demo) {
    rule(demo, "enforce");
}

/// Sets `require_backup`.
fn rule(demo: &Demo, rule: &str) {
    let policy = format!("[token.policy]\nrequire_backup = \"{rule}\"\n\n[[token.member]]");
    demo.configure(|text| text.replacen("[[token.member]]", &policy, 1));
}

/// A file in the demo's folder.
fn file(demo: &Demo, name: &str) -> PathBuf {
    demo.dir().join(name)
}

/// The same as an argument.
fn argument(demo: &Demo, name: &str) -> String {
    file(demo, name).display().to_string()
}

/// A committed backup of everything.
fn back_up(demo: &Demo, name: &str) -> Value {
    done(demo, &["backup", "run", "--commit", "--out", &argument(demo, name)])
}

/// The command is done, and what it tells.
fn done(demo: &Demo, arguments: &[&str]) -> Value {
    let output = demo.tandem(&[arguments, &["--json"]].concat());
    let said = said(&output);
    assert!(output.status.success(), "tandem {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The command is not done, and says all of this.
fn refused(demo: &Demo, arguments: &[&str], says: &[&str]) -> String {
    let output = demo.tandem(arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "tandem {arguments:?}: {said}");
    for say in says {
        assert!(said.contains(say), "tandem {arguments:?}: {say:?} is not in: {said}");
    }
    assert!(!said.contains(USER_PIN), "a PIN is told");
    said
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// What `tandem keys` says of the objects of a label: backed up or not, all the same.
fn is_backed_up(demo: &Demo, label: &str) -> bool {
    let report = done(demo, &["keys"]);
    let objects = report["objects"].as_array().expect("objects").iter();
    let told: Vec<_> = objects
        .filter(|object| object["label"] == label)
        .map(|object| object["backed_up"].as_bool().expect("a flag"))
        .collect();
    assert!(!told.is_empty(), "{label} is there");
    assert!(told.iter().all(|one| *one == told[0]), "both halves of {label} alike: {told:?}");
    told[0]
}
