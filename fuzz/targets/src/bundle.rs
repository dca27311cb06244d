//! Bundles: one that is not as it was written is refused, with the reason, even if all that needs no key was put right.

use crate::edits;
use crate::random::Random;
use crate::scene::{Bytes, Process, Scene};
use std::sync::OnceLock;
use tandem_engine::backup::{Bundle, Header, Part, Trailer, Written};
use tandem_engine::error::{Error, Result};
use tandem_values::ck::*;

/// How a bundle begins, before its frames.
const MAGIC: usize = 16;

/// Reads bytes as a bundle, or changes one.
pub(crate) fn run(data: &[u8]) {
    let sound = &Scene::get().bundle;
    let mut random = Random::of(data);
    let bytes = match random.below(4) {
        0 => random.rest().to_vec(),
        1 => {
            let mut bytes = sound.clone();
            edits::edit(&mut random, &mut bytes);
            bytes
        }
        how => joined(sound, &in_its_frames(sound, &mut random, how == 3)),
    };
    holds_together(&bytes);
    match process().token.check_against(&Bytes(&bytes)) {
        // A number can be written in several ways, and nothing vouches for how the trailer is.
        Ok(_) => assert!(says(&bytes) == says(sound), "a changed bundle is believed"),
        Err(error) => says_why(&error),
    }
}

/// A process that knows the seal. It changes nothing, so one is enough.
fn process() -> &'static Process {
    static PROCESS: OnceLock<Process> = OnceLock::new();
    PROCESS.get_or_init(|| Process::begin(&Scene::get().world(), usize::MAX).expect("a login"))
}

fn says_why(error: &Error) {
    assert_eq!(error.rv.0, CKR_DATA_INVALID, "{error}");
    assert!(error.message.starts_with("the bundle can't be used: "), "{error}");
}

/// What can be read without a key: it ends, and what its trailer says is so.
fn holds_together(bytes: &[u8]) {
    match read(bytes) {
        Ok((_, _, written)) => {
            assert_eq!(written.bytes, bytes.len() as u64, "something was passed over");
        }
        Err(error) => says_why(&error),
    }
}

/// What a bundle that is believed says.
fn says(bytes: &[u8]) -> (Header, Vec<Part>) {
    let (header, parts, _) = read(bytes).expect("a bundle");
    (header, parts)
}

fn read(mut bytes: &[u8]) -> Result<(Header, Vec<Part>, Written)> {
    let mut bundle = Bundle::open(&mut bytes)?;
    let mut parts = Vec::new();
    while let Some(part) = bundle.advance()? {
        parts.push(part);
    }
    Ok((bundle.header().clone(), parts, bundle.written()))
}

/// The frames of a bundle with some changed, moved, left out or there twice. `mends`: the trailer counts and hashes them as
/// whoever changed them would have it; the MAC stays what it was.
fn in_its_frames(sound: &[u8], random: &mut Random<'_>, mends: bool) -> Vec<Vec<u8>> {
    let mut frames = frames(sound);
    for _ in 0..=random.below(3) {
        let (one, other) = (random.below(frames.len()), random.below(frames.len()));
        match random.below(5) {
            0 => frames.swap(one, other),
            1 if frames.len() > 1 => drop(frames.remove(one)),
            2 => frames.insert(other, frames[one].clone()),
            3 => frames[one] = in_its_part(&frames[one], random),
            _ => edits::edit(random, &mut frames[one]),
        }
    }
    if mends {
        mend(sound, &mut frames);
    }
    frames
}

/// A frame whose record is a stub now, or its header or record another that can be read.
fn in_its_part(frame: &[u8], random: &mut Random<'_>) -> Vec<u8> {
    let changed = match minicbor::decode::<Part>(frame) {
        Ok(Part::Record(record)) if random.one_in(2) => {
            Part::Stub { position: record.position, link: record.link, mac: record.mac }
        }
        Ok(Part::Record(mut record)) => {
            match random.below(3) {
                0 => record.position = record.position.wrapping_add(random.byte().into()),
                1 => record.wrapped = None,
                _ => edits::edit(random, &mut record.body),
            }
            Part::Record(record)
        }
        Ok(Part::Header(mut header)) => {
            match random.below(4) {
                0 => header.since = random.byte().into(),
                1 => header.to = random.byte().into(),
                2 => header.names = !header.names,
                _ => header.whole = !header.whole,
            }
            Part::Header(header)
        }
        _ => return frame.to_vec(),
    };
    minicbor::to_vec(changed).expect("a part can be encoded")
}

/// Gives the frames a trailer that is right but for its MAC.
fn mend(sound: &[u8], frames: &mut [Vec<u8>]) {
    let Some((last, before)) = frames.split_last_mut() else { return };
    let Ok(Part::Trailer(Trailer { mac, .. })) = minicbor::decode(last) else { return };
    let digest = digest(&joined(sound, before));
    let parts = before.len().saturating_sub(1) as u64;
    *last = minicbor::to_vec(Part::Trailer(Trailer { parts, digest, mac })).expect("a trailer");
}

/// SHA-256, as a bundle has it of what comes before its trailer.
fn digest(bytes: &[u8]) -> [u8; 32] {
    tandem_engine::event::Record::hash_wrapped(Some(bytes))
}

/// What is in the frames after the first line.
pub(crate) fn frames(bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bundle[MAGIC..];
    let mut frames = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*len) as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

fn joined(bundle: &[u8], frames: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = bundle[..MAGIC].to_vec();
    for frame in frames {
        joined.extend(u32::try_from(frame.len()).expect("a short one").to_be_bytes());
        joined.extend(frame);
    }
    joined
}
