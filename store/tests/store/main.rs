//! The store on real files, with real processes, users, forks, kills and full disks.

#![expect(clippy::disallowed_methods, reason = "tests start processes and wait for them")]

mod contract;
mod helper;
