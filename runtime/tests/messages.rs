//! Messages to a file. A process has one logger, so these tests are one program.

use tandem_config::meant::{Destination, Level, Log};
use tandem_runtime::logging::{Program, set_up};

#[test]
fn messages_go_where_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tandem.log");
    let to = |destination, level| Log { destination: Some(destination), level: Some(level) };

    set_up(Program::Module, &to(Destination::File(file.clone()), Level::Info));
    log::info!("one\nline");
    log::debug!("not this");
    // Rotated away: the next message begins a new file.
    std::fs::rename(&file, folder.path().join("old")).unwrap();
    log::warn!("two");
    set_up(Program::Module, &to(Destination::Off, Level::Trace));
    log::error!("nobody hears");

    let old = std::fs::read_to_string(folder.path().join("old")).unwrap();
    assert!(old.ends_with(&format!(" {} info: one\\nline\n", std::process::id())), "{old}");
    assert_eq!(old.lines().count(), 1);
    let new = std::fs::read_to_string(&file).unwrap();
    assert!(new.ends_with("warn: two\n"), "{new}");
    assert_eq!(new.lines().count(), 1);
}
