//! Members on real modules: SoftHSM, and Kryoptic where it is built.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and says what it skipped"
)]
#![expect(clippy::disallowed_methods, reason = "a test is the world outside")]

mod key;
mod keys;
mod life;
mod operations;
mod reading;
mod refusals;
mod searching;
mod token;
