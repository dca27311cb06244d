//! Head records: what each member was last told of the log's end, under the log's seal. A log that was cut short, or a state
//! folder that was put back from an older copy, is noticed by them at the next login (`docs/decisions/0034`).
//!
//! `record` is what is kept, `shelved` how it stands on a member, `keep` when it is read and written, `doubt` what a
//! log comes to that a member knew otherwise, and `settle` the operator's way out.

mod doubt;
mod keep;
mod record;
mod report;
mod settle;
mod shelved;

pub use doubt::Doubt;
pub use record::{HeadRecord, is_label};
pub use report::{Head, HeadReport};
pub use settle::Accepted;

pub(crate) use doubt::Doubts;
pub(crate) use keep::Seen;
pub(crate) use shelved::remove;
