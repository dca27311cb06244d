//! Operations: encrypt, decrypt, digest, sign, verify, recover, and two at once (PKCS #11 3.2 sections 5.8 to 5.17).
//!
//! A function's name in C says which operation it is for and what part of it; here the first is an argument, the second a
//! function.

use crate::abi::wire::{Caller, Output};
use crate::limits::OUTPUT_SLACK_BYTES;
use tandem_engine::error::{Error, Result};
use tandem_engine::step::{self, Bytes, Room, Step, Verb};
use tandem_values::{Handle, Mechanism, Parameter, ck::*};

/// C_EncryptInit, C_SignInit and every other that begins an operation with a key.
pub fn init(verb: Verb, session: Caller<'_>, mechanism: Option<Mechanism>, key: Handle) -> Result {
    begin(verb, &session, mechanism, Some(key), None)
}

/// C_DigestInit.
pub fn init_digest(session: Caller<'_>, mechanism: Option<Mechanism>) -> Result {
    begin(Verb::Digest, &session, mechanism, None, None)
}

/// C_VerifySignatureInit.
pub fn init_verify(
    session: Caller<'_>,
    mechanism: Option<Mechanism>,
    key: Handle,
    signature: Bytes,
) -> Result {
    begin(Verb::VerifySignature, &session, mechanism, Some(key), Some(signature))
}

/// Begins an operation, or with a null mechanism ends the one that is active. If none is, null is what it was before
/// PKCS #11 3.0: a bad argument.
fn begin(
    verb: Verb,
    session: &Caller<'_>,
    mechanism: Option<Mechanism>,
    key: Option<Handle>,
    signature: Option<Bytes>,
) -> Result {
    match mechanism {
        Some(mechanism) => feed_step(session, Step::Init { verb, mechanism, key, signature }),
        None if session.active(verb).is_some() => session
            .cancel(verb)
            .map_err(|error| Error { rv: CKR_OPERATION_CANCEL_FAILED.into(), ..error }),
        None => Err(CKR_ARGUMENTS_BAD.into()),
    }
}

/// C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover, C_VerifyRecover.
pub fn whole(verb: Verb, session: Caller<'_>, data: Bytes, out: Output<'_>) -> Result {
    let len = data.len();
    put_step(&session, Step::Whole(verb, data), len, &out)
}

/// C_EncryptUpdate, C_DecryptUpdate.
pub fn part(verb: Verb, session: Caller<'_>, part: Bytes, out: Output<'_>) -> Result {
    let len = part.len();
    put_step(&session, Step::Part(verb, part), len, &out)
}

/// C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal.
pub fn last(verb: Verb, session: Caller<'_>, out: Output<'_>) -> Result {
    put_step(&session, Step::Last(verb), 0, &out)
}

/// C_DigestUpdate, C_SignUpdate, C_VerifyUpdate, C_VerifySignatureUpdate.
pub fn feed(verb: Verb, session: Caller<'_>, part: Bytes) -> Result {
    feed_step(&session, Step::Feed(verb, part))
}

/// C_DigestKey.
pub fn feed_key(session: Caller<'_>, key: Handle) -> Result {
    feed_step(&session, Step::FeedKey(key))
}

/// C_Verify.
pub fn check(verb: Verb, session: Caller<'_>, data: Bytes, signature: Bytes) -> Result {
    feed_step(&session, Step::Check(verb, data, signature))
}

/// C_VerifyFinal.
pub fn check_last(verb: Verb, session: Caller<'_>, signature: Bytes) -> Result {
    feed_step(&session, Step::CheckLast(verb, signature))
}

/// C_VerifySignature: the signature came with C_VerifySignatureInit.
pub fn check_whole(session: Caller<'_>, data: Bytes) -> Result {
    check(Verb::VerifySignature, session, data, Bytes::default())
}

/// C_VerifySignatureFinal.
pub fn check_end(session: Caller<'_>) -> Result {
    check_last(Verb::VerifySignature, session, Bytes::default())
}

/// C_DigestEncryptUpdate, C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate.
pub fn both(
    first: Verb,
    second: Verb,
    session: Caller<'_>,
    part: Bytes,
    out: Output<'_>,
) -> Result {
    let len = part.len();
    put_step(&session, Step::Both(first, second, part), len, &out)
}

/// A step without output.
pub(super) fn feed_step(session: &Caller<'_>, step: Step) -> Result {
    session.step(step, Room::Bytes(0)).map(drop)
}

/// A step with output.
fn put_step(session: &Caller<'_>, step: Step, input: usize, out: &Output<'_>) -> Result {
    put_message(session, step, input, out).map(drop)
}

/// A step with output, and what a member wrote into a message's parameter. `input` is how long the data is.
pub(super) fn put_message(
    session: &Caller<'_>,
    step: Step,
    input: usize,
    out: &Output<'_>,
) -> Result<Option<Parameter>> {
    let (bytes, parameter) = match ask(session, step, input, out.room())? {
        step::Output::Nothing => (Bytes::default(), None),
        step::Output::Bytes(bytes) => (bytes, None),
        step::Output::Message(bytes, parameter) => (bytes, Some(parameter)),
        step::Output::Length(len) => return out.needs(len).map(|()| None),
        step::Output::Short(len) => {
            out.needs(len)?;
            return Err(CKR_BUFFER_TOO_SMALL.into());
        }
    };
    out.put(&bytes)?;
    Ok(parameter)
}

/// Asks with as much room as an output can need, whatever room the application claims to have.
fn ask(
    session: &Caller<'_>,
    step: Step,
    input: usize,
    room: Option<usize>,
) -> Result<step::Output> {
    let Some(room) = room else { return session.step(step, Room::Query) };
    let likely = input.saturating_add(OUTPUT_SLACK_BYTES);
    if room <= likely {
        return session.step(step, Room::Bytes(room));
    }
    match session.step(step.clone(), Room::Bytes(likely))? {
        step::Output::Short(needed) if needed <= room => session.step(step, Room::Bytes(needed)),
        output => Ok(output),
    }
}
