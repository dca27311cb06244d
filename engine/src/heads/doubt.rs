//! A log that does not bear out what a member knew of it. While one is in doubt nothing counts as backed up, nothing is put
//! into the log and no member follows it: what grew from an older copy would be a second history. Reading and signing go on.

use super::record::HeadRecord;
use crate::backup::Anchor;
use crate::error::{Error, Result};
use crate::log::Position;
use crate::token::{Token, note};
use minicbor::{Decode, Encode};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_values::ck::CKR_DEVICE_ERROR;

/// What a member knew of the log, and the log does not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The member.
    pub member: String,
    /// What it knew.
    pub record: HeadRecord,
    /// Where the log ends.
    pub head: Position,
}

impl Doubt {
    /// How the log stands to it.
    pub fn anchor(&self) -> Anchor {
        if self.head < self.record.position {
            Anchor::CutShort(self.record.position)
        } else {
            Anchor::OtherHistory(self.record.position)
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, record, head } = self;
        let position = record.position;
        if *head < position {
            write!(
                f,
                "member {member} knew the log up to position {position}, and it ends at {head}: the state folder was put back from \
                 an older copy, or records were cut off the log"
            )
        } else {
            write!(
                f,
                "member {member} knew another record at position {position} than the log has: the state folder was replaced, or an \
                 older copy of it was put back and written to"
            )
        }
    }
}

/// The doubts that a process has, by member.
#[derive(Default)]
pub(crate) struct Doubts {
    any: AtomicBool,
    by_member: RwLock<BTreeMap<String, Doubt>>,
}

/// A doubt as it is noted beside the log, for processes that can't ask the member.
#[derive(Encode, Decode)]
struct Noted {
    #[n(0)]
    member: String,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

impl Token {
    /// Why the log is in doubt, as far as is known without a login; `None` if it isn't.
    pub fn doubt(&self) -> Result<Option<Doubt>> {
        if self.seal.read().is_some() {
            return self.review();
        }
        match self.noted_doubt()? {
            Some((member, record)) => self.weigh(&member, record),
            None => Ok(None),
        }
    }

    /// True while the log is in doubt.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.doubts.any.load(Ordering::Acquire)
    }

    /// An error while the log is in doubt. Asks members that have not been asked.
    pub(crate) fn is_borne_out(&self) -> Result {
        self.look_at_heads();
        match self.is_in_doubt().then(|| self.review()).transpose()?.flatten() {
            None => Ok(()),
            Some(doubt) => Err(Error::new(
                CKR_DEVICE_ERROR,
                format!(
                    "token {}: {doubt}. Nothing is changed in it and nothing counts as backed up until that is put right: {WAY_OUT}",
                    self.settings.label
                ),
            )),
        }
    }

    /// Holds the log against what a member knew of it. What it knew in an earlier era is void, or of a ring that is no more.
    pub(super) fn weigh(&self, member: &str, record: HeadRecord) -> Result<Option<Doubt>> {
        self.shelf.refresh()?;
        let is_ours = self.known_ring()?.is_some_and(|ring| ring.id == record.ring);
        if !is_ours || record.era < self.shelf.ledger().era() {
            return Ok(None);
        }
        // Asked after the member was: the log may have grown since, as the member's record may have.
        if matches!(self.anchored(record.position, &record.link)?, Anchor::Holds(_)) {
            return Ok(None);
        }
        let head = self.store.head()?.position;
        Ok(Some(Doubt { member: member.to_owned(), record, head }))
    }

    /// The log is in doubt from now on, in every process.
    pub(super) fn raise(&self, doubt: &Doubt) {
        let known = self.doubts.by_member.write().insert(doubt.member.clone(), doubt.clone());
        if known.is_some_and(|known| known.record == doubt.record) {
            return;
        }
        log::error!(
            "token {}: {doubt}. From now on nothing counts as backed up, and nothing is changed; signing and reading go on. {WAY_OUT}",
            self.settings.label
        );
        self.shelf.doubt();
        self.doubts.any.store(true, Ordering::Release);
        if let Err(error) = self.note_doubt(doubt) {
            log::warn!("token {}: other processes are not told: {error}", self.settings.label);
        }
    }

    /// Looks again at what is doubted, here or by another process. Answers a doubt that is left.
    pub(crate) fn review(&self) -> Result<Option<Doubt>> {
        let own = self.doubts.by_member.read().clone().into_values();
        let mut known: Vec<_> = own.map(|doubt| (doubt.member, doubt.record)).collect();
        if known.is_empty() {
            known.extend(self.noted_doubt()?);
        }
        if known.is_empty() {
            return Ok(None);
        }
        for (member, record) in known {
            if let Some(doubt) = self.weigh(&member, record)? {
                self.raise(&doubt);
                return Ok(Some(doubt));
            }
        }
        self.dispel()?;
        Ok(None)
    }

    /// Nothing is doubted any more. What the members know is asked anew.
    pub(super) fn dispel(&self) -> Result {
        self.shelf.trust()?;
        if self.store.note(note::DOUBT)?.is_some() {
            self.store.set_note(note::DOUBT, None)?;
        }
        self.doubts.by_member.write().clear();
        self.doubts.any.store(false, Ordering::Release);
        for station in &self.stations {
            station.forget_head();
        }
        Ok(())
    }

    fn note_doubt(&self, doubt: &Doubt) -> Result {
        let Some(sealed) = doubt.record.seal(&self.seal()?) else { return Ok(()) };
        let noted = Noted { member: doubt.member.clone(), sealed };
        let noted = minicbor::to_vec(noted).unwrap_or_default();
        // One is enough for the others to ask the members themselves.
        if self.store.note(note::DOUBT)?.is_none() {
            self.store.set_note(note::DOUBT, Some(&noted))?;
        }
        Ok(())
    }

    /// What another process has doubted; with the seal open, only what was sealed.
    fn noted_doubt(&self) -> Result<Option<(String, HeadRecord)>> {
        let Some(noted) = self.store.note(note::DOUBT)? else { return Ok(None) };
        let (Ok(noted), Some(ring)) = (minicbor::decode::<Noted>(&noted), self.known_ring()?)
        else {
            return Ok(None);
        };
        let seal = self.seal.read().clone();
        let record = match seal {
            Some(seal) => HeadRecord::open(&noted.sealed, &seal, &ring.id),
            None => HeadRecord::unchecked(&noted.sealed),
        };
        Ok(record.map(|record| (noted.member, record)))
    }
}

/// What an operator does about it.
const WAY_OUT: &str = "`tandem restore` with your last bundle brings the log back; without one, `tandem log check --accept` takes the \
                       log as it is. See docs/guide/recovery.md";
