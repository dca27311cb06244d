//! What `tandem recovery` reports.

use super::{AwayLine, BackupLine, RingLine, hex, time};
use serde::Serialize;
use std::path::PathBuf;
use tandem_engine::recovery::{Carried, Combined, Dealt, Known, Reign, Splitting, Told};
use tandem_engine::token::show_uuid;

/// `tandem recovery show`
#[derive(Serialize)]
pub(crate) struct RecoveryReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// Its key ring.
    pub(crate) ring: RingLine,
    /// The shares in force; null if there is no recovery.
    pub(crate) recovery: Option<SplitLine>,
    /// Shares of earlier splits, which open the ring until they are destroyed, oldest first.
    pub(crate) earlier: Vec<SplitLine>,
    /// Shares of recoveries before it, which open backups under KEKs that were rotated out, oldest first.
    pub(crate) replaced: Vec<ReplacedLine>,
    /// Committed backups that new HSMs open by this recovery only; null if they can't be told.
    pub(crate) backups: Option<Vec<BackupLine>>,
    /// Why the backups can't be told; otherwise empty.
    pub(crate) reason: String,
}

/// A split of the recovery's secret.
#[derive(Serialize)]
pub(crate) struct SplitLine {
    /// The number that its shares bear.
    pub(crate) set: u16,
    /// How many shares were made.
    pub(crate) shares: u8,
    /// How many of them open the key ring.
    pub(crate) threshold: u8,
    /// When.
    pub(crate) made_at: String,
}

/// A recovery that a rotation of the KEKs has replaced.
#[derive(Serialize)]
pub(crate) struct ReplacedLine {
    /// The KEKs that it opens.
    pub(crate) kek: String,
    /// The numbers of the sets of its shares.
    pub(crate) sets: Vec<u16>,
    /// True if backups under these KEKs count no more.
    pub(crate) retired: bool,
}

impl ReplacedLine {
    fn of(reign: &Reign) -> Self {
        Self {
            kek: reign.generation.to_string(),
            sets: reign.splits.iter().map(|splitting| splitting.split.set).collect(),
            retired: reign.retired.is_some(),
        }
    }
}

/// `tandem recovery split`
#[derive(Serialize)]
pub(crate) struct SplitReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The new shares.
    pub(crate) recovery: SplitLine,
    /// Shares of earlier splits that the log knows of, oldest first.
    pub(crate) earlier: Vec<SplitLine>,
    /// The sets whose shares are to be destroyed now: the earlier ones, and the one that the old shares were of.
    pub(crate) destroy: Vec<u16>,
    /// The files that the shares were written to; empty if they were shown.
    pub(crate) files: Vec<PathBuf>,
}

/// `tandem recovery combine`
#[derive(Serialize)]
pub(crate) struct CombinedReport {
    /// The virtual token's label.
    pub(crate) token: String,
    /// The key ring's identity.
    pub(crate) ring_id: String,
    /// SHA-256 over its keys' check values.
    pub(crate) fingerprint: String,
    /// What told of the ring: `log` or `bundle`.
    pub(crate) told_by: &'static str,
    /// The members that hold it now.
    pub(crate) members: Vec<CombinedMember>,
    /// Members that could not be reached, or could not take it.
    pub(crate) away: Vec<AwayLine>,
    /// The commands to run next, in this order; none if nothing else is to be done.
    pub(crate) next: Vec<String>,
}

/// A member that holds the ring.
#[derive(Serialize)]
pub(crate) struct CombinedMember {
    /// Its name.
    pub(crate) member: String,
    /// True if it was given the key ring now.
    pub(crate) given_ring: bool,
    /// True if the log counts it among the members.
    pub(crate) counts: bool,
}

impl SplitLine {
    fn of(splitting: &Splitting) -> Self {
        let split = splitting.split;
        Self {
            set: split.set,
            shares: split.shares,
            threshold: split.threshold,
            made_at: time(splitting.at.at_ms),
        }
    }
}

impl RecoveryReport {
    /// What is known; `backups` are those that need it, or why they can't be told.
    pub(crate) fn of(
        token: String,
        known: &Known,
        backups: Result<Vec<BackupLine>, String>,
    ) -> Self {
        let mut earlier: Vec<_> = known.splits.iter().map(SplitLine::of).collect();
        let recovery = earlier.pop();
        let (backups, reason) = match backups {
            Ok(backups) => (Some(backups), String::new()),
            Err(reason) => (None, reason),
        };
        let replaced = known.before.iter().map(ReplacedLine::of).collect();
        let ring = RingLine::of(&known.ring);
        Self { token, ring, recovery, earlier, replaced, backups, reason }
    }
}

impl SplitReport {
    /// What there is to say of a token that was paired without one.
    pub(crate) const WITHOUT_RECOVERY: &str = "it was paired without a recovery: there are no shares, and its key ring never comes \
         to a new HSM. Move to a token that is paired with one";

    /// A split that was made, and the files its shares are in.
    pub(crate) fn of(token: String, dealt: &Dealt, known: &Known, files: Vec<PathBuf>) -> Self {
        let Dealt { used, made } = dealt;
        let is_earlier = |splitting: &&Splitting| splitting.at.position < made.at.position;
        let earlier: Vec<_> = known.splits.iter().filter(is_earlier).map(SplitLine::of).collect();
        let mut destroy: Vec<_> = earlier.iter().map(|split| split.set).collect();
        if !destroy.contains(used) {
            destroy.push(*used);
        }
        Self { token, recovery: SplitLine::of(made), earlier, destroy, files }
    }
}

impl CombinedReport {
    /// What combining came to; `restore` is the command that brings the log back, where that is lost.
    pub(crate) fn of(token: String, combined: &Combined, restore: &str) -> Self {
        let member = |carried: &Carried| CombinedMember {
            member: carried.name.clone(),
            given_ring: carried.given,
            counts: carried.counts,
        };
        let away = |(name, reason): &(String, String)| AwayLine {
            member: name.clone(),
            reason: reason.clone(),
        };
        Self {
            token,
            ring_id: show_uuid(&combined.ring.id),
            fingerprint: hex(&combined.ring.fingerprint()),
            told_by: if combined.told == Told::Bundle { "bundle" } else { "log" },
            members: combined.members.iter().map(member).collect(),
            away: combined.away.iter().map(away).collect(),
            next: match combined.told {
                Told::Bundle | Told::LogInPart => vec![restore.to_owned()],
                Told::Log => combined.members.iter().filter_map(bring_in).collect(),
            },
        }
    }
}

/// The command that brings a member in, unless the log counts it.
fn bring_in(carried: &Carried) -> Option<String> {
    let verb = if carried.known { "replace" } else { "add" };
    (!carried.counts).then(|| format!("tandem member {verb} {}", carried.name))
}
