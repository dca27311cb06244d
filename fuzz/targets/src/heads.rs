//! Head records: what stands on a member is believed only as it was sealed.

use crate::edits;
use crate::random::Random;
use tandem_engine::heads::HeadRecord;
use tandem_engine::seal::Seal;

/// The ring of the log.
const RING: [u8; 16] = [7; 16];

/// Reads bytes as a head record, or changes one that is sealed.
pub(crate) fn run(data: &[u8]) {
    let mut random = Random::of(data);
    let seal = Seal::of(&[1; 32]).expect("a key of 32 bytes");
    let record = HeadRecord {
        ring: RING,
        era: random.below(3) as u64,
        position: random.below(1000) as u64,
        link: [random.byte(); 32],
        at_ms: random.number(),
    };
    let mut bytes = record.seal(&seal).expect("it can be encoded");
    assert_eq!(HeadRecord::open(&bytes, &seal, &RING), Some(record), "what was sealed opens");
    assert_eq!(HeadRecord::unchecked(&bytes), Some(record), "and can be read by anyone");
    let other = Seal::of(&[2; 32]).expect("a key of 32 bytes");
    if random.one_in(4) {
        bytes = random.rest().to_vec();
    } else {
        edits::edit(&mut random, &mut bytes);
    }
    let opened = HeadRecord::open(&bytes, &seal, &RING);
    assert!(opened.is_none_or(|opened| opened == record), "a changed one is believed");
    assert_eq!(HeadRecord::open(&bytes, &other, &RING), None, "another ring's is believed");
    if let Some(read) = HeadRecord::unchecked(&bytes) {
        let again = read.seal(&seal).expect("it can be encoded");
        assert_eq!(HeadRecord::unchecked(&again), Some(read), "it comes back as another");
    }
}
