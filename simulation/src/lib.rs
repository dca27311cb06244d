//! The engine in a seeded world of faults: toy members, store, clock and entropy are injected, everything runs on one
//! thread, and a seed reproduces a run exactly.

#![forbid(unsafe_code)]

pub mod act;
pub mod chance;
pub mod choices;
pub mod exhaustive;
pub mod member;
pub mod operator;
pub mod oracle;
pub mod plan;
pub mod planted;
pub mod process;
pub mod run;
pub mod script;
pub mod settle;
pub mod setup;
pub mod shrink;
pub mod store;
pub mod swarm;
pub mod toy;
pub mod trouble;
pub mod truth;
pub mod world;
