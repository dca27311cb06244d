//! How the tool is asked, and what it says when it is asked wrongly. No token is needed.

use crate::common::{Run, run, tandem};
use std::path::PathBuf;
use tempfile::TempDir;

fn config(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tandem.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

#[test]
fn version_and_help_are_done() {
    let version = run(&["--version"]).ends(0);
    assert_eq!(version.out, format!("tandem {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"]).ends(0).out;
    for command in
        ["demo", "pair", "status", "keys", "verify", "doctor", "bench", "member", "recovery"]
    {
        assert!(help.contains(command), "{help}");
    }
    assert!(run(&["completions", "bash"]).ends(0).out.contains("tandem"));
}

#[test]
fn wrong_usage_is_2() {
    for wrong in [
        &["frobnicate"][..],
        &[][..],
        &["demo"],
        &["demo", "--dir", "/tmp/x", "--members", "luna"],
        &["demo", "--dir", "/tmp/x", "--set", "hold"],
        &["keys", "generate", "--type", "ec:p257"],
        &["keys", "generate", "--count", "0", "--type", "ec:p256"],
        &["keys", "--pin", "123456"],
        &["bench", "--type", "aes:256"],
        &["bench", "--threads", "0"],
        &["bench", "--rounds", "0"],
    ] {
        run(wrong).ends(2);
    }
    let error = run(&["keys", "generate", "--type", "ec:p257"]).err;
    assert!(error.contains("\"ec:p257\" is no type of key; write ec:p256"), "{error}");
}

#[test]
fn a_missing_configuration_is_explained() {
    if std::path::Path::new(tandem_config::SYSTEM_FILE).exists() {
        return; // this host has one
    }
    let error = run(&["status"]).ends(1).err;
    assert!(error.contains("there is no configuration: TANDEM_CONFIG is not set"), "{error}");
    assert!(error.contains("tandem demo --dir DIR"), "{error}");
}

#[test]
fn a_wrong_configuration_is_named_by_line_and_key() {
    let (_folder, file) = config("[[token]]\nlable = \"demo\"\n");
    let file = file.display().to_string();
    let expected = format!("{file}:2: token.lable: this key is unknown; did you mean label?");
    for command in ["status", "keys", "verify", "pair"] {
        let error = run(&[command, "--config", &file]).ends(1).err;
        assert_eq!(error, format!("tandem: {expected}\n"));
    }
    let report = run(&["doctor", "--json", "--config", &file]).ends(1).json();
    assert_eq!(report["healthy"], false);
    let finding = &report["findings"][1];
    assert_eq!(finding["verdict"], "wrong");
    assert_eq!(finding["subject"], "config");
    assert_eq!(finding["found"], format!("{file}:2: token.lable: this key is unknown"));
    assert_eq!(finding["remedy"], "did you mean label?");
}

#[test]
fn a_demo_with_a_wrong_setting_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let dir = dir.to_str().unwrap();
    for (setting, expected) in [
        (
            "member.deadline=0",
            "--set: token.member.deadline: this key is unknown; did you mean deadline_ms?",
        ),
        ("policy.require_backup=always", "unknown variant `always`"),
    ] {
        let error = run(&["demo", "--dir", dir, "--members", "softhsm,softhsm", "--set", setting]);
        let error = error.ends(2).err;
        assert!(error.contains(expected), "{error}");
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "{setting}");
    }
}

#[test]
fn a_module_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let output = tandem(&["demo", "--members", "kryoptic", "--dir", dir.to_str().unwrap()])
        .env("TANDEM_KRYOPTIC", "/nowhere/libkryoptic.so")
        .output()
        .unwrap();
    let error = Run::of(&output).ends(1).err;
    assert_eq!(error, "tandem: TANDEM_KRYOPTIC names /nowhere/libkryoptic.so, which is no file\n");
}
