//! The seal on the log: a MAC on every record, under a key that only a logged-in process has.
//!
//! The MAC key is what the ring's log key, inside the HSM, makes of a fixed text. Every member makes the same, so
//! whichever is up lets a process check the log; without a login nobody can forge it.

use crate::desk::Desk;
use crate::error::Result;
use crate::event::{Event, Hash, Head, Record};
use crate::fault::{Answer, Call, Fault};
use crate::step::{Output, Room, Step, Verb};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tandem_values::{Handle, Mechanism, ck::*};
use zeroize::Zeroizing;

/// What the log key signs to make the MAC key. Changing it would unseal every log there is.
const CONTEXT: &[u8] = b"tandem log mac key, version 1";

/// The site and epoch that new records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The site's identity (UUID).
    pub id: [u8; 16],
    /// The epoch of its right to write.
    pub epoch: u64,
}

/// Seals records and checks seals.
#[derive(Clone)]
pub struct Seal {
    key: Zeroizing<[u8; 32]>,
}

impl Seal {
    /// Derives the MAC key on a member that holds the ring's log key.
    pub fn derive(desk: &Desk<'_>, log_key: Handle) -> Answer<Self> {
        let init = Step::Init {
            verb: Verb::Sign,
            mechanism: Mechanism::plain(CKM_SHA256_HMAC),
            key: Some(log_key),
            signature: None,
        };
        desk.member.step(desk.session, &init, Room::Query)?;
        let whole = Step::Whole(Verb::Sign, Zeroizing::new(CONTEXT.to_vec()));
        match desk.member.step(desk.session, &whole, Room::Bytes(32))? {
            Output::Bytes(bytes) => Self::of(&bytes).ok_or(Fault::new(Call::Step, CKR_GENERAL_ERROR)),
            _ => Err(Fault::new(Call::Step, CKR_GENERAL_ERROR)),
        }
    }

    /// A seal with this key of 32 bytes; `None` for any other length.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self { key: Zeroizing::new(bytes.try_into().ok()?) })
    }

    fn mac(&self) -> Hmac<Sha256> {
        // HMAC takes a key of any length, so this can't fail; an unkeyed MAC would never verify.
        Hmac::new_from_slice(self.key.as_slice()).unwrap_or_else(|_| Hmac::new(&Default::default()))
    }

    /// The MAC of a link.
    pub fn sign(&self, link: &Hash) -> Hash {
        self.mac().chain_update(link).finalize().into_bytes().into()
    }

    /// A keyed fingerprint: equal inputs, and only they, share it, and without the key it tells nothing.
    pub fn fingerprint(&self, answer: &[u8]) -> Hash {
        self.mac().chain_update(b"fingerprint").chain_update(answer).finalize().into_bytes().into()
    }

    /// True if the record's link follows from the one before it and its MAC is ours.
    pub fn holds(&self, record: &Record, previous: &Hash) -> bool {
        record.link == record.link_after(previous)
            && self.mac().chain_update(record.link).verify_slice(&record.mac).is_ok()
            && record
                .wrapped
                .as_deref()
                .is_none_or(|wrapped| Record::hash_wrapped(Some(wrapped)) == record.wrapped_hash)
    }

    /// The record that carries an event after this head.
    pub fn record(
        &self,
        head: &Head,
        site: Site,
        at_ms: u64,
        event: &Event,
        wrapped: Option<Vec<u8>>,
    ) -> Result<Record> {
        let body = minicbor::to_vec(event).map_err(|_| crate::error::Error::from(CKR_GENERAL_ERROR))?;
        let mut record = Record {
            position: head.position.saturating_add(1),
            site: site.id,
            counter: head.counter.saturating_add(1),
            epoch: site.epoch,
            at_ms,
            body,
            wrapped_hash: Record::hash_wrapped(wrapped.as_deref()),
            wrapped,
            link: [0; 32],
            mac: [0; 32],
        };
        record.link = record.link_after(&head.link);
        record.mac = self.sign(&record.link);
        Ok(record)
    }
}
