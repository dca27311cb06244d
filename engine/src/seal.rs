//! The seal on the log: a MAC on every record, under a key that only a logged-in process has.
//!
//! The MAC key is what the ring's log key, inside the HSM, makes of a fixed text. Every member makes the same, so
//! whichever is up lets a process check the log; without a login nobody can forge it.

use crate::desk::Desk;
use crate::error::Result;
use crate::event::{Event, Hash, Head, Record};
use crate::fault::{Answer, Call, Fault};
use crate::prove::{self, Method};
use crate::step::Verb;
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
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    /// The key, filled up with zeroes to HMAC's block as HMAC itself would do it.
    block: Zeroizing<[u8; 64]>,
}

impl Seal {
    /// Derives the MAC key on a member that holds the ring's log key.
    pub fn derive(desk: &Desk<'_>, log_key: Handle) -> Answer<Self> {
        let method = Method {
            usage: &[CKA_SIGN],
            verb: Verb::Sign,
            mechanism: Mechanism::plain(CKM_SHA256_HMAC),
            len: CONTEXT.len(),
        };
        let answer = prove::run(desk, &method, log_key, CONTEXT)?;
        Self::of(&answer).ok_or_else(|| Fault::new(Call::Step, CKR_GENERAL_ERROR))
    }

    /// A seal with this key of 32 bytes; `None` for any other length.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let key: &[u8; 32] = bytes.try_into().ok()?;
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Some(Self { block })
    }

    fn mac(&self) -> Hmac<Sha256> {
        let block: &[u8; 64] = &self.block;
        Hmac::new(block.into())
    }

    /// The MAC of a link.
    pub fn sign(&self, link: &Hash) -> Hash {
        self.mac().chain_update(link).finalize().into_bytes().into()
    }

    /// The MAC of a whole that is made of records, over its SHA-256.
    pub fn witness(&self, digest: &Hash) -> Hash {
        self.mac().chain_update(b"whole").chain_update(digest).finalize().into_bytes().into()
    }

    /// The MAC of a page of a checkpoint: of which one, and where in it.
    pub fn page(&self, of: &Hash, number: u64, bytes: &[u8]) -> Hash {
        let mac = self.mac().chain_update(b"page").chain_update(of);
        mac.chain_update(number.to_be_bytes()).chain_update(bytes).finalize().into_bytes().into()
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
        let body =
            minicbor::to_vec(event).map_err(|_| crate::error::Error::from(CKR_GENERAL_ERROR))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(seal: &Seal) -> Vec<Record> {
        let site = Site { id: [7; 16], epoch: 1 };
        let mut head = Head::default();
        (1..=3_u8)
            .map(|n| {
                let event = Event::Destroyed(crate::object::ObjectId([n; 16]));
                let record = seal.record(&head, site, 5, &event, Some(vec![n; 40])).unwrap();
                head =
                    Head { position: record.position, counter: record.counter, link: record.link };
                record
            })
            .collect()
    }

    fn holds(seal: &Seal, records: &[Record]) -> bool {
        let mut link = [0; 32];
        records.iter().all(|record| {
            let holds = seal.holds(record, &link);
            link = record.link;
            holds
        })
    }

    #[test]
    fn the_mac_is_the_one_of_rfc_4231() {
        // Test case 2: the key "Jefe", here with its zeroes written out, must give the published MAC.
        let mut block = Zeroizing::new([0; 64]);
        block[..4].copy_from_slice(b"Jefe");
        let mac = Seal { block }
            .mac()
            .chain_update(b"what do ya want for nothing?")
            .finalize()
            .into_bytes();
        assert_eq!(&mac[..8], &[0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn any_change_to_a_record_breaks_its_seal() {
        let seal = Seal::of(&[1; 32]).unwrap();
        let records = chain(&seal);
        assert!(holds(&seal, &records));
        let changes: [fn(&mut Record); 8] = [
            |r| r.position += 1,
            |r| r.site[0] ^= 1,
            |r| r.counter += 1,
            |r| r.epoch += 1,
            |r| r.at_ms += 1,
            |r| r.body[0] ^= 1,
            |r| r.wrapped = Some(vec![0; 40]),
            |r| r.mac[31] ^= 1,
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut changed = records.clone();
            change(&mut changed[1]);
            assert!(!holds(&seal, &changed), "change {n} went unnoticed");
        }
    }

    #[test]
    fn removed_and_reordered_records_are_noticed_and_erased_ones_are_not_missed() {
        let seal = Seal::of(&[1; 32]).unwrap();
        let records = chain(&seal);
        assert!(!holds(&seal, &[records[0].clone(), records[2].clone()]));
        assert!(!holds(&seal, &[records[1].clone(), records[0].clone(), records[2].clone()]));
        let mut erased = records;
        erased[1].wrapped = None;
        assert!(holds(&seal, &erased));
    }

    #[test]
    fn another_key_seals_otherwise() {
        let records = chain(&Seal::of(&[1; 32]).unwrap());
        assert!(!holds(&Seal::of(&[2; 32]).unwrap(), &records));
        assert!(Seal::of(&[1; 31]).is_none() && Seal::of(&[]).is_none());
    }
}
