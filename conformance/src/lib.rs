//! Any PKCS #11 module against the specification, case by case; and two modules against each other, by random sequences of calls.
//!
//! A case is a small function in the file of its chapter ([`chapters`]). Cases run in processes of their own ([`worker`], [`run`]),
//! so that a module that crashes or hangs fails a case and nothing more. What vendors are known to do otherwise is data
//! ([`deviations`]).

#![expect(
    clippy::disallowed_methods,
    reason = "a judge is the outside world: it reads the environment and the clock, and starts threads"
)]

pub mod answer;
pub mod argument;
mod aspects;
pub mod case;
pub mod chapters;
pub mod compare;
pub mod deviations;
pub mod differential;
pub mod function;
pub mod key;
pub mod matrix;
pub mod module;
pub mod report;
pub mod run;
pub mod subject;
pub mod token;
pub mod value;
pub mod vectors;
pub mod work;
pub mod worker;
