//! What is fed to everything that reads bytes from outside, and what must hold of the answers.
//!
//! A target takes any bytes and panics if Tandem does something that it must not: not only a crash, but a mangled record
//! that is believed, an error that names no place, a value that isn't the one that was written. `fuzz/fuzz_targets` hands
//! it libFuzzer's bytes, `tests/short.rs` the corpus in `fuzz/corpus` and changes of it.
//!
//! Where bytes at random would be refused at the first one, they are read as [`random::Random`] draws: which edits of
//! something sound, which calls with which arguments.

mod bundle;
mod config;
mod edits;
// By its source, since two modules in one program would both export C_GetFunctionList.
#[path = "../../../tests/fault/src/script.rs"]
#[expect(unreachable_pub, reason = "it is public in its own crate")]
mod fault_script;
mod heads;
mod names;
mod opendnssec;
pub mod random;
mod records;
mod scene;
mod script;
pub mod seeds;
mod shares;
mod store;
#[path = "../../../tests/fault/src/table.rs"]
#[expect(
    unused_imports,
    unreachable_pub,
    clippy::enum_variant_names,
    reason = "it is public in its own crate, and used more"
)]
mod table;
mod templates;
pub mod wild;

/// What is tried with some bytes.
pub type Target = fn(&[u8]);

/// Every target, by its name: that of its folder in `fuzz/corpus`, and of its program.
pub const TARGETS: &[(&str, Target)] = &[
    ("arguments", wild::arguments),
    ("bundle", bundle::run),
    ("calls", wild::calls),
    ("config", config::run),
    ("heads", heads::run),
    ("names", names::run),
    ("opendnssec", opendnssec::run),
    ("records", records::run),
    ("script", script::run),
    ("shares", shares::run),
    ("store", store::run),
    ("templates", templates::run),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Tries a target with some bytes.
pub fn run(name: &str, data: &[u8]) {
    target(name).expect("a target of this name")(data);
}
