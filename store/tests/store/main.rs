//! The store on real files, with real processes, users, forks, kills and full disks.

#![expect(clippy::disallowed_methods, reason = "tests start processes and wait for them")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "so tests fail")]
#![expect(clippy::print_stdout, reason = "helpers talk to the test that started them")]

mod contract;
mod erasure;
mod folder;
mod forks;
mod helper;
mod processes;
mod trouble;
