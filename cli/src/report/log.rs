//! What `tandem log` reports.

use serde::Serialize;

/// `tandem log check`
#[derive(Serialize)]
pub(crate) struct LogReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// True if nothing is wrong.
    pub(crate) sound: bool,
    /// How many records there are.
    pub(crate) records: u64,
    /// Positions of records that were changed, or that don't follow from the one before.
    pub(crate) broken: Vec<u64>,
    /// Objects whose wrapped keys are gone from the log.
    pub(crate) gone: Vec<GoneLine>,
    /// What the log was held against.
    pub(crate) anchors: Vec<AnchorLine>,
}

/// An object whose wrapped key is gone.
#[derive(Serialize)]
pub(crate) struct GoneLine {
    /// Its identity.
    pub(crate) object_id: String,
    /// Its CKA_LABEL.
    pub(crate) label: String,
    /// The record that held it.
    pub(crate) position: u64,
}

/// Something that knew the log before.
#[derive(Serialize)]
pub(crate) struct AnchorLine {
    /// The bundle.
    pub(crate) file: String,
    /// Up to where it knows the log; null if it can't be used.
    pub(crate) position: Option<u64>,
    /// `holds`; `cut-short`: the log ends before; `other-history`: the log is another; `unusable`.
    pub(crate) verdict: &'static str,
    /// Why it can't be used; otherwise empty.
    pub(crate) reason: String,
}
