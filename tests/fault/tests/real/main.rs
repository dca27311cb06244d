//! libtandem.so over real modules that fail, and in processes that are killed.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod balance;
mod common;
mod crash;
mod faults;
mod kills;
mod limits;
mod logins;
mod on_demand;
mod operator;
mod remote;
mod starting;
mod storm;
