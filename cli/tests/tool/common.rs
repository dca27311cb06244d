//! The tool as an operator runs it, over real tokens.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A run of the tool.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run ended with this exit code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.out, self.err))
    }
}

/// The tool without a configuration or a PIN from outside.
pub(crate) fn tandem(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command
        .args(arguments)
        .env_remove("TANDEM_CONFIG")
        .env_remove("TANDEM_PIN")
        .env_remove("TANDEM_LOG")
        .env("HOME", "/nonexistent");
    if let Some(kryoptic) = kryoptic() {
        command.env("TANDEM_KRYOPTIC", kryoptic);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Run {
    Run::of(&tandem(arguments).output().unwrap())
}

/// The module that `make members` builds.
fn kryoptic() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let told = std::env::var_os("TANDEM_KRYOPTIC").map(PathBuf::from);
    let built = ["target/release", "tests/members/kryoptic/target/release"]
        .map(|folder| root.join(folder).join("libkryoptic_pkcs11.so"));
    told.into_iter().chain(built).find(|module| module.is_file())
}

/// A demo of two real tokens, gone when it is dropped.
pub(crate) struct Demo {
    folder: TempDir,
}

impl Demo {
    /// SoftHSM and Kryoptic.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::of(&["--members", "softhsm,kryoptic"])
    }

    #[track_caller]
    pub(crate) fn of(arguments: &[&str]) -> Self {
        let demo = Self { folder: tempfile::tempdir().unwrap() };
        demo.again(arguments).ends(0);
        demo
    }

    /// `tandem demo` in this folder.
    pub(crate) fn again(&self, arguments: &[&str]) -> Run {
        let dir = self.path("");
        let demo = ["demo", "--json", "--dir", dir.to_str().unwrap()];
        run(&[&demo, arguments].concat())
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("demo").join(inside)
    }

    /// A command with this demo's configuration, and no PIN.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tandem(arguments);
        command.env("TANDEM_CONFIG", self.path("tandem.toml"));
        command
    }

    /// Runs a command with this demo's configuration and PIN.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).env("TANDEM_PIN", "123456").output().unwrap())
    }

    /// The same as JSON, done.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).ends(0).json()
    }

    /// Takes a member away, or brings it back.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }
}
