//! A share as text: fields to bits, bits to words, and what is wrong when words don't make a share.

use super::{Fields, SECRET_LEN, ShareError, VERSION};
use sha2::{Digest, Sha256};
use tandem_values::Secret;
use zeroize::Zeroizing;

/// The English list of BIP-39: 2048 words in order, told apart by their first four letters.
const LIST: &str = include_str!("english.txt");
/// How many words it has.
const LIST_LEN: u16 = 2048;
/// How many letters tell a word from the others.
const LETTERS: usize = 4;
/// The longest word, and a space.
const LETTERS_MAX: usize = 9;
/// Bits of a word.
const WORD_BITS: u32 = 11;
/// Words of a share.
pub(super) const WORDS: usize = 30;

/// Version, set, threshold, number and value.
const PAYLOAD_LEN: usize = 5 + SECRET_LEN;
/// The checksum's 34 bits are the first ones of so many bytes.
const CHECKSUM_LEN: usize = 5;
/// Which bits of the last of them count.
const CHECKSUM_LAST: u8 = 0b1100_0000;
/// Payload and checksum.
const LEN: usize = PAYLOAD_LEN + CHECKSUM_LEN;

type Payload = Zeroizing<[u8; PAYLOAD_LEN]>;
type Bytes = Zeroizing<[u8; LEN]>;
type Words = Zeroizing<[u16; WORDS]>;

/// Writes a share as words.
pub(super) fn write(fields: &Fields) -> Secret {
    let payload = payload(fields);
    let mut bytes: Bytes = Zeroizing::new([0; LEN]);
    for (byte, from) in bytes.iter_mut().zip(payload.iter().chain(&checksum(&payload))) {
        *byte = *from;
    }
    // Room for the longest line, so that no half of a secret is left behind by growing.
    let mut line = Zeroizing::new(Vec::with_capacity(WORDS * LETTERS_MAX));
    for word in unpack(&bytes).iter() {
        if !line.is_empty() {
            line.push(b' ');
        }
        let word = LIST.lines().nth(usize::from(*word)).unwrap_or_default();
        line.extend_from_slice(word.as_bytes());
    }
    Secret::new(std::mem::take(&mut *line))
}

/// Reads a share from words; `place` says in errors which share it is.
pub(super) fn read(words: &Secret, place: usize) -> Result<Fields, ShareError> {
    let text = std::str::from_utf8(words.expose()).map_err(|_| ShareError::Damaged { place })?;
    let count = text.split_whitespace().count();
    if count != WORDS {
        return Err(ShareError::Length { place, words: count });
    }
    let mut found: Words = Zeroizing::new([0; WORDS]);
    for (word, (slot, typed)) in (1..).zip(found.iter_mut().zip(text.split_whitespace())) {
        *slot = look_up(typed).ok_or(ShareError::Unknown { place, word })?;
    }
    match checked(&found) {
        Some(payload) => fields(&payload, place),
        None => Err(diagnose(&mut found, place)),
    }
}

/// The number of a word in the list, whole or by its first four letters.
fn look_up(typed: &str) -> Option<u16> {
    let is = |listed: &str| {
        let start = listed.get(..LETTERS).unwrap_or(listed);
        typed.eq_ignore_ascii_case(listed) || typed.eq_ignore_ascii_case(start)
    };
    LIST.lines().position(is).and_then(|at| u16::try_from(at).ok())
}

/// Finds what is wrong with words whose checksum is: two that have changed places, one that is mistyped, or more. One
/// of some sixty thousand ways to put it right being so by chance is one in three hundred thousand.
fn diagnose(words: &mut Words, place: usize) -> ShareError {
    for first in 0..WORDS {
        for second in first.saturating_add(1)..WORDS {
            words.swap(first, second);
            if checked(words).is_some() {
                let (first, second) = (first.saturating_add(1), second.saturating_add(1));
                return ShareError::Swapped { place, first, second };
            }
            words.swap(first, second);
        }
    }
    for at in 0..WORDS {
        let Some(typed) = words.get(at).copied() else { continue };
        for other in 0..LIST_LEN {
            set(words, at, other);
            if checked(words).is_some() {
                return ShareError::Mistyped { place, word: at.saturating_add(1) };
            }
        }
        set(words, at, typed);
    }
    ShareError::Damaged { place }
}

fn set(words: &mut Words, at: usize, word: u16) {
    if let Some(slot) = words.get_mut(at) {
        *slot = word;
    }
}

/// The payload of words whose checksum is right.
fn checked(words: &Words) -> Option<Payload> {
    let bytes = pack(words);
    let (payload, checksum) = bytes.split_at(PAYLOAD_LEN);
    let payload: Payload = Zeroizing::new(payload.try_into().ok()?);
    (self::checksum(&payload) == checksum).then_some(payload)
}

fn checksum(payload: &Payload) -> [u8; CHECKSUM_LEN] {
    let hash =
        Sha256::new().chain_update(b"tandem share").chain_update(payload.as_slice()).finalize();
    let mut checksum = [0; CHECKSUM_LEN];
    for (byte, from) in checksum.iter_mut().zip(hash) {
        *byte = from;
    }
    if let Some(last) = checksum.last_mut() {
        *last &= CHECKSUM_LAST;
    }
    checksum
}

fn payload(fields: &Fields) -> Payload {
    let [high, low] = fields.set.to_be_bytes();
    let head = [fields.version, high, low, fields.threshold, fields.number];
    let mut payload: Payload = Zeroizing::new([0; PAYLOAD_LEN]);
    for (byte, from) in payload.iter_mut().zip(head.iter().chain(fields.value.iter())) {
        *byte = *from;
    }
    payload
}

fn fields(payload: &Payload, place: usize) -> Result<Fields, ShareError> {
    let [version, high, low, threshold, number, value @ ..] = **payload;
    let value = Zeroizing::new(value);
    if version != VERSION {
        return Err(ShareError::Version { place, version });
    }
    Ok(Fields { version, set: u16::from_be_bytes([high, low]), threshold, number, value })
}

/// Bytes as words, the first bit first. What doesn't fill a word is dropped.
fn unpack(bytes: &Bytes) -> Words {
    let mut words: Words = Zeroizing::new([0; WORDS]);
    let mut slots = words.iter_mut();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes.iter() {
        held = held << 8 | u32::from(*byte);
        bits = bits.saturating_add(8);
        if let Some(rest) = bits.checked_sub(WORD_BITS) {
            let [_, _, high, low] = (held >> rest).to_be_bytes();
            held &= (1 << rest) - 1;
            bits = rest;
            if let Some(slot) = slots.next() {
                *slot = u16::from_be_bytes([high, low]);
            }
        }
    }
    words
}

/// Words as bytes, the last one filled up with zeroes.
fn pack(words: &Words) -> Bytes {
    let mut bytes: Bytes = Zeroizing::new([0; LEN]);
    let mut slots = bytes.iter_mut();
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut put = |byte: u32| {
        let [.., low] = byte.to_be_bytes();
        if let Some(slot) = slots.next() {
            *slot = low;
        }
    };
    for word in words.iter() {
        held = held << WORD_BITS | u32::from(*word);
        bits = bits.saturating_add(WORD_BITS);
        while let Some(rest) = bits.checked_sub(8) {
            put(held >> rest);
            held &= (1 << rest) - 1;
            bits = rest;
        }
    }
    put(held << 8_u32.saturating_sub(bits));
    bytes
}
