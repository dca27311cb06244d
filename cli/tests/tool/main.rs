//! The tool as operators and scripts run it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what the tests share may fail as tests do")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look for the modules that were built for them"
)]

mod common;
mod demo;
mod generating;
mod usage;
