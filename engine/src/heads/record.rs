//! What a head record says, and its seal.

use crate::event::Hash;
use crate::log::Position;
use crate::pair::RingId;
use crate::seal::Seal;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What stands before the body where it is witnessed: nothing else that is witnessed begins so.
const CONTEXT: &[u8] = b"tandem head record, version 1";

/// Where the log ended when a member was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HeadRecord {
    /// The key ring of the log.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub ring: RingId,
    /// The era of the log: how often it was taken for the true one against what members knew.
    #[n(1)]
    pub era: u64,
    /// Position of its last record.
    #[n(2)]
    pub position: Position,
    /// That record's link: it stands for all before it.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub link: Hash,
    /// When the member was told, in milliseconds since the Unix epoch; for people.
    #[n(4)]
    pub at_ms: u64,
}

/// A head record as it stands on a member.
#[derive(Encode, Decode)]
struct Sealed {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    witness: Hash,
}

impl HeadRecord {
    /// Its bytes, sealed. `None` never happens: everything in it can be encoded.
    pub fn seal(&self, seal: &Seal) -> Option<Vec<u8>> {
        let body = minicbor::to_vec(self).ok()?;
        let witness = seal.witness(&digest(&body));
        minicbor::to_vec(Sealed { body, witness }).ok()
    }

    /// What sealed bytes say, if they are of this ring and nobody has changed them.
    pub fn open(bytes: &[u8], seal: &Seal, ring: &RingId) -> Option<Self> {
        let sealed: Sealed = minicbor::decode(bytes).ok()?;
        if seal.witness(&digest(&sealed.body)) != sealed.witness {
            return None;
        }
        minicbor::decode(&sealed.body).ok().filter(|record: &Self| record.ring == *ring)
    }

    /// What sealed bytes say, whoever wrote them: for people, while nobody is logged in.
    pub fn unchecked(bytes: &[u8]) -> Option<Self> {
        minicbor::decode(&minicbor::decode::<Sealed>(bytes).ok()?.body).ok()
    }

    /// Which of two is the later: an era is of one history.
    pub(crate) fn age(&self) -> (u64, Position) {
        (self.era, self.position)
    }
}

fn digest(body: &[u8]) -> Hash {
    Sha256::new().chain_update(CONTEXT).chain_update(body).finalize().into()
}

/// The label of a ring's head record on the members: hidden from applications by it.
pub(crate) fn label(ring: &RingId) -> String {
    format!("tandem:{}:head", Uuid::from_bytes(*ring).as_simple())
}

/// True for the label of a head record, of whichever ring.
pub fn is_label(bytes: &[u8]) -> bool {
    let hex = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.strip_prefix("tandem:")?.strip_suffix(":head"));
    // UUIDs can be written in several ways, labels in one.
    hex.and_then(|hex| Uuid::try_parse(hex).ok())
        .is_some_and(|id| label(id.as_bytes()).as_bytes() == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::of(&[byte; 32]).unwrap()
    }

    fn record() -> HeadRecord {
        HeadRecord { ring: [7; 16], era: 2, position: 99, link: [5; 32], at_ms: 12_345 }
    }

    #[test]
    fn it_opens_under_its_own_seal_and_ring_only() {
        let bytes = record().seal(&seal(1)).unwrap();
        assert_eq!(HeadRecord::open(&bytes, &seal(1), &[7; 16]), Some(record()));
        assert_eq!(HeadRecord::open(&bytes, &seal(2), &[7; 16]), None);
        assert_eq!(HeadRecord::open(&bytes, &seal(1), &[8; 16]), None);
    }

    #[test]
    fn every_bit_of_it_counts() {
        let bytes = record().seal(&seal(1)).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let opened = HeadRecord::open(&changed, &seal(1), &[7; 16]);
                assert_eq!(opened, None, "bit {bit} of byte {at}");
            }
            assert_eq!(HeadRecord::open(&bytes[..at], &seal(1), &[7; 16]), None, "cut at {at}");
        }
    }

    #[test]
    fn what_is_witnessed_elsewhere_is_no_head_record() {
        let body = minicbor::to_vec(record()).unwrap();
        let witness = seal(1).witness(&Sha256::digest(&body).into());
        let forged = minicbor::to_vec(Sealed { body, witness }).unwrap();
        assert_eq!(HeadRecord::open(&forged, &seal(1), &[7; 16]), None);
    }

    #[test]
    fn labels_of_head_records_are_known_and_no_others() {
        assert!(is_label(label(&[0xab; 16]).as_bytes()));
        let hex = "ab".repeat(16);
        for other in [
            "tandem::head".to_owned(),
            format!("tandem:{hex}"),
            format!("tandem:{hex}:log"),
            format!("tandem:{hex}:head "),
            format!("tandem:{}:head", hex.to_uppercase()),
            format!("tandem:{}:head", Uuid::from_bytes([0xab; 16])),
        ] {
            assert!(!is_label(other.as_bytes()), "{other}");
        }
        assert!(!is_label(&[0xff, 0xfe]));
    }
}
