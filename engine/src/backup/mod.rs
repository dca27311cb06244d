//! Backups. What the log says of them is a ledger; what stands in the ledger covers objects; what is covered is backed up, and
//! with `require_backup = "enforce"` nothing else signs, decrypts, derives or unwraps.
//!
//! A backup is begun by a record that freezes its position, made of one or more artefacts, each verified, and committed or
//! rolled back. The watermark is the record that began it: nothing is written down for each key.

mod bundle;
mod chain;
mod choice;
mod cover;
mod gate;
mod last;
mod ledger;
mod names;
mod phases;
mod pick;
mod published;
mod restore;
mod source;
mod vault;
mod verify;
mod words;

pub use bundle::{Bundle, Header, Part, Trailer, Written};
pub use choice::Choice;
pub use ledger::{Backup, Ledger, Moment, State};
pub use names::{Named, Renamed};
pub use phases::{Plan, Turn};
pub use pick::Picked;
pub use published::Known;
pub use restore::Restored;
pub use source::Source;
pub use vault::{Filled, TokenBundle, Vault, is_sheet_label};
pub use verify::{Anchor, Verified};
pub use words::{Artefact, BackupId, Made, Medium};

pub(crate) use bundle::broken;
pub(crate) use cover::needs_recovery;
pub(crate) use gate::{Gate, is_gated};
pub(crate) use source::Sources;
pub(crate) use vault::remove_bundles;
