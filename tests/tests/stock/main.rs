//! The stock, over real tokens: keys that were made, copied, proven and backed up before anybody asked for them.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod claims;
mod filling;
mod names;
mod processes;

use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;
use tandem_tests::{Demo, USER_PIN};

/// Keeps so many keys of each type in stock, with these lines in [token.stock].
fn keep_with(demo: &Demo, lines: &str, keys: &[(&str, u64)]) {
    let key = |(kind, count): &(&str, u64)| {
        format!("[[token.stock.key]]\ntype = \"{kind}\"\ncount = {count}\n\n")
    };
    let keys: String = keys.iter().map(key).collect();
    demo.configure(|text| {
        let begin = text
            .find("[token.stock]")
            .unwrap_or_else(|| text.find("[[token.member]]").expect("a member"));
        let end = text.find("[[token.member]]").expect("a member");
        format!("{}[token.stock]\n{lines}\n{keys}{}", &text[..begin], &text[end..])
    });
}

fn keep(demo: &Demo, keys: &[(&str, u64)]) {
    keep_with(demo, "", keys);
}

/// A demo whose keys don't work before they are backed up.
fn enforce(demo: &Demo) {
    let policy = "[token.policy]\nrequire_backup = \"enforce\"\n\n[token.recovery]";
    demo.configure(|text| text.replacen("[token.recovery]", policy, 1));
}

/// A file in the demo's folder.
fn file(demo: &Demo, name: &str) -> PathBuf {
    demo.dir().join(name)
}

/// The same as an argument.
fn argument(demo: &Demo, name: &str) -> String {
    file(demo, name).display().to_string()
}

/// The command is done, and what it tells.
fn done(demo: &Demo, arguments: &[&str]) -> Value {
    let output = demo.tandem(&[arguments, &["--json"]].concat());
    let said = said(&output);
    assert!(output.status.success(), "tandem {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The command is not done, with this exit code, and says all of this.
fn refused(demo: &Demo, arguments: &[&str], code: i32, says: &[&str]) {
    let output = demo.tandem(arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "tandem {arguments:?}: {said}");
    for say in says {
        assert!(said.contains(say), "tandem {arguments:?}: {say:?} is not in: {said}");
    }
    assert!(!said.contains(USER_PIN), "a PIN is told");
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// What `tandem stock` says of a type: how many there are, are backed up, are held back, and were claimed.
fn level(demo: &Demo, kind: &str) -> [u64; 4] {
    let report = done(demo, &["stock"]);
    let levels = report["levels"].as_array().expect("levels").iter();
    let level = levels.filter(|level| level["key_type"] == kind).collect::<Vec<_>>();
    assert_eq!(level.len(), 1, "{report:#}");
    ["there", "backed_up", "held_back", "claimed"].map(|name| level[0][name].as_u64().expect(name))
}

fn back_up(demo: &Demo, name: &str) -> Value {
    done(demo, &["backup", "run", "--commit", "--out", &argument(demo, name)])
}

fn rotate_keks(demo: &Demo) {
    let (old, new) = (argument(demo, "shares"), argument(demo, "new-shares"));
    let rotated = done(demo, &["kek", "rotate", "--shares", &old, "--shares-dir", &new]);
    assert_eq!(rotated["finished"], true, "{rotated}");
}
