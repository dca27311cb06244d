//! What starts in spite of everything, and what doesn't.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what the tests share may fail as tests do")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tandem_config::Config;
use tandem_engine::report::Condition;
use tandem_runtime::{Error, Runtime};
use tandem_values::ck::{CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR};
use tempfile::TempDir;

fn config(folder: &Path, module: &str) -> Config {
    let text = format!(
        "[[token]]\nlabel = \"t\"\nstate = \"{0}/state\"\n\
         [[token.member]]\nname = \"a\"\nmodule = \"{module}\"\ntoken = {{ label = \"a\" }}\n",
        folder.display()
    );
    tandem_config::parse(&folder.join("tandem.toml"), &text).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn refused(runtime: Result<Runtime, Error>) -> Error {
    match runtime {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[test]
fn a_missing_module_keeps_nothing_from_starting() {
    let folder = folder();
    let runtime = Runtime::open(config(folder.path(), "/nowhere/libhsm.so")).unwrap();
    let live = runtime.live().next().unwrap();
    let status = live.token.status().unwrap();
    assert_eq!(status.members[0].condition, Condition::Down);
    let problem = live.members[0].problem().unwrap();
    assert_eq!(
        problem.to_string(),
        "the module /nowhere/libhsm.so can't be opened: No such file or directory (os error 2)"
    );
    runtime.stop();
}

#[test]
fn a_file_that_is_no_module_keeps_nothing_from_starting() {
    let folder = folder();
    let module = folder.path().join("libhsm.so");
    std::fs::write(&module, "no library").unwrap();
    let runtime = Runtime::open(config(folder.path(), module.to_str().unwrap())).unwrap();
    let live = runtime.live().next().unwrap();
    assert!(live.members[0].problem().unwrap().to_string().contains("is no PKCS #11 module"));
}

#[test]
fn a_state_folder_that_others_may_write_to_does() {
    let folder = folder();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = refused(Runtime::open(config(folder.path(), "/nowhere/libhsm.so")));
    assert_eq!(error.rv().0, CKR_FUNCTION_FAILED);
    assert!(error.message().contains(state.to_str().unwrap()), "{error}");
}

#[test]
fn who_only_looks_makes_no_state_folder() {
    let folder = folder();
    let error = refused(Runtime::open_existing(config(folder.path(), "/nowhere/libhsm.so")));
    let state = folder.path().join("state");
    assert_eq!(
        error.message(),
        format!(
            "token t: its state folder {} does not exist; `tandem pair` makes it, `tandem restore FILE` brings one back",
            state.display()
        )
    );
    assert!(!state.exists());
}

#[test]
fn a_wrong_configuration_is_a_general_error() {
    let error = tandem_config::load(Path::new("/nowhere/tandem.toml")).map(drop).unwrap_err();
    let error = Error::from(error);
    assert_eq!(error.rv().0, CKR_GENERAL_ERROR);
    assert!(error.message().starts_with("/nowhere/tandem.toml: "), "{error}");
}
