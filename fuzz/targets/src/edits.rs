//! Changes of something sound.

use crate::random::Random;

/// Makes some changes in bytes: as many as the source has for.
pub(crate) fn edit(random: &mut Random<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        one(random, bytes);
    }
}

fn one(random: &mut Random<'_>, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let len = random.pick(&[1, 1, 2, 4, 8, 32, 64, 4096]).min(bytes.len() - at);
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + len)),
        2 => {
            let more = random.bytes(len);
            bytes.splice(at..at, more);
        }
        3 => {
            let piece = bytes[at..at + len].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, piece);
        }
        4 => {
            let filler = random.pick(&[0x00, 0xff, 0x80, 0x7f]);
            bytes[at..at + len].fill(filler);
        }
        _ => {
            let (bits, byte) = (random.byte(), bytes.get_mut(at));
            if let Some(byte) = byte {
                *byte ^= bits;
            }
        }
    }
}
