//! What `tandem log` reports.

use serde::Serialize;
use tandem_engine::heads::{Head, HeadReport};

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
    /// What each member knows of the log's end.
    pub(crate) heads: Vec<HeadLine>,
    /// True if the log was taken as it is, whatever members knew.
    pub(crate) accepted: bool,
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

/// A member's record of the log's end.
#[derive(Serialize)]
pub(crate) struct HeadLine {
    /// The member.
    pub(crate) member: String,
    /// Up to where it knows the log; null if it says nothing.
    pub(crate) position: Option<u64>,
    /// When it was told so; null if it says nothing.
    pub(crate) told_at: Option<String>,
    /// `holds`; `cut-short`: the log ends before; `other-history`: the log is another; `overruled`: it is of before the log was
    /// restored or accepted; `none`: it was not told yet; `broken`: somebody has changed it; `unable`: the member can't hold
    /// one; `away`.
    pub(crate) verdict: &'static str,
    /// Why it can't hold one, or can't be asked; otherwise empty.
    pub(crate) reason: String,
}

impl HeadLine {
    pub(crate) fn of(report: &HeadReport) -> Self {
        let (verdict, reason) = match &report.head {
            Head::Holds => ("holds", ""),
            Head::CutShort => ("cut-short", ""),
            Head::OtherHistory => ("other-history", ""),
            Head::Overruled => ("overruled", ""),
            Head::None => ("none", ""),
            Head::Broken => ("broken", ""),
            Head::Unable(why) => ("unable", why.as_str()),
            Head::Away(why) => ("away", why.as_str()),
        };
        Self {
            member: report.member.clone(),
            position: report.record.map(|record| record.position),
            told_at: report.record.map(|record| super::time(record.at_ms)),
            verdict,
            reason: reason.to_owned(),
        }
    }
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
