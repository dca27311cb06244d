//! Files and who may write to them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what the tests share may fail as tests do")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tandem_config::permission;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn written(folder: &TempDir, text: &str, mode: u32) -> PathBuf {
    let file = folder.path().join("tandem.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    file
}

fn example(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    std::fs::read_to_string(file).unwrap()
}

fn refused(file: &Path) -> String {
    match tandem_config::load(file) {
        Ok(_) => panic!("accepted {}", file.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn examples_are_sound() {
    let folder = folder();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap()
    {
        let name = entry.unwrap().file_name();
        let file = written(&folder, &example(name.to_str().unwrap()), 0o644);
        let config = tandem_config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.warnings.is_empty(), "{name:?}");
    }
}

#[test]
fn the_complete_example_is_complete() {
    let text = example("complete.toml");
    for key in tandem_config::keys() {
        let last = key.rsplit('.').next().unwrap();
        assert!(text.contains(last), "examples/complete.toml lacks {key}");
    }
}

#[test]
fn every_key_is_documented() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/configuration.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    for key in tandem_config::keys() {
        // A key of its own, or a table with a chapter of its own.
        let last = key.rsplit('.').next().unwrap();
        let named = guide.contains(&format!("| `{last}` |")) || guide.contains(&format!("[{key}]"));
        assert!(named || key.starts_with("token.member.token."), "the guide lacks `{key}`");
    }
}

#[test]
fn keys_are_read_off_the_types() {
    let keys = tandem_config::keys();
    for key in ["log.level", "token.label", "token.policy.min_replicas", "token.member.quirks.kwp"]
    {
        assert!(keys.iter().any(|known| known == key), "{key} in {keys:?}");
    }
}

#[test]
fn writable_by_others_is_refused() {
    let folder = folder();
    let file = written(&folder, &example("minimal.toml"), 0o646);
    let shown = file.display();
    assert_eq!(
        refused(&file),
        format!("{shown}: everybody may write to {shown} (mode 0646); run: chmod o-w {shown}")
    );
}

#[test]
fn writable_by_a_foreign_group_is_refused_by_the_configured_one_is_not() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root may give files away
    }
    let daemon = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid;
    let folder = folder();
    let file = written(&folder, &example("minimal.toml"), 0o664);
    nix::unistd::chown(&file, None, Some(daemon)).unwrap();
    let shown = file.display();
    assert_eq!(
        refused(&file),
        format!(
            "{shown}: the group daemon may write to {shown} (mode 0664) and is not the configured group; \
             run: chmod g-w {shown}"
        )
    );
    let file = written(&folder, &example("opendnssec.toml"), 0o664);
    nix::unistd::chown(&file, None, Some(daemon)).unwrap();
    assert!(tandem_config::load(&file).is_ok());
}

#[test]
fn replaceable_by_others_is_refused() {
    let folder = folder();
    let file = written(&folder, &example("minimal.toml"), 0o644);
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let (shown, around) = (file.display(), folder.path().display());
    assert_eq!(
        refused(&file),
        format!(
            "{shown}: everybody may write to the folder {around}, and so replace {shown}; run: chmod o-w {around}"
        )
    );
}

#[test]
fn missing_files() {
    assert_eq!(
        refused(Path::new("/nowhere/tandem.toml")),
        "/nowhere/tandem.toml: the configuration can't be read (No such file or directory (os error 2)); \
         write it (docs/guide/configuration.md), or set TANDEM_CONFIG to the right file"
    );
}

#[test]
fn files_with_secrets() {
    let folder = folder();
    let file = written(&folder, "123456\n", 0o600);
    permission::read_only_by(&file, None).unwrap();
    let file = written(&folder, "123456\n", 0o644);
    let refusal = permission::read_only_by(&file, None).unwrap_err();
    assert_eq!(
        refusal.problem,
        format!(
            "{} holds a secret, and others than its owner may read it (mode 0644)",
            file.display()
        )
    );
    assert_eq!(refusal.remedy, format!("run: chmod 0600 {}", file.display()));
}
