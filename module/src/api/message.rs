//! Messages: many encryptions or signatures under one key (PKCS #11 3.2 sections 5.9, 5.11, 5.14, 5.16).

use super::crypto::{feed_step, put_message};
use crate::abi::RawParameter;
use crate::abi::wire::{Caller, Output};
use tandem_engine::error::Result;
use tandem_engine::step::{Bytes, Step, Verb};
use tandem_values::{MechanismType, ck::*};

/// The mechanism of the active operation, which shapes its messages' parameters.
fn mechanism(session: &Caller<'_>, verb: Verb) -> Result<MechanismType> {
    session.active(verb).ok_or_else(|| CKR_OPERATION_NOT_INITIALIZED.into())
}

/// A step of a message with output; afterwards the member's part of the parameter is the application's.
fn put(
    session: &Caller<'_>,
    verb: Verb,
    raw: &RawParameter<'_>,
    out: &Output<'_>,
    input: usize,
    step: impl FnOnce(tandem_values::Parameter) -> Step,
) -> Result {
    let kind = mechanism(session, verb)?;
    let step = step(raw.read(kind)?);
    match put_message(session, step, input, out)? {
        Some(parameter) => raw.write(kind, &parameter),
        None => Ok(()),
    }
}

/// C_EncryptMessage, C_DecryptMessage.
pub fn whole(
    verb: Verb,
    session: Caller<'_>,
    raw: RawParameter<'_>,
    aad: Bytes,
    data: Bytes,
    out: Output<'_>,
) -> Result {
    let len = data.len();
    put(&session, verb, &raw, &out, len, |parameter| Step::Message(verb, parameter, aad, data))
}

/// C_EncryptMessageBegin, C_DecryptMessageBegin.
pub fn begin(verb: Verb, session: Caller<'_>, raw: RawParameter<'_>, aad: Bytes) -> Result {
    let kind = mechanism(&session, verb)?;
    let step = Step::MessageBegin(verb, raw.read(kind)?, aad);
    match session.step(step, tandem_engine::step::Room::Bytes(0))? {
        // A nonce that the member made is known from the beginning.
        tandem_engine::step::Output::Message(_, parameter) => raw.write(kind, &parameter),
        _ => Ok(()),
    }
}

/// C_SignMessageBegin, C_VerifyMessageBegin.
pub fn begin_plain(verb: Verb, session: Caller<'_>, raw: RawParameter<'_>) -> Result {
    begin(verb, session, raw, Bytes::default())
}

/// C_EncryptMessageNext, C_DecryptMessageNext.
pub fn next(
    verb: Verb,
    session: Caller<'_>,
    raw: RawParameter<'_>,
    part: Bytes,
    out: Output<'_>,
    flags: CK_FLAGS,
) -> Result {
    let (len, last) = (part.len(), flags & CKF_END_OF_MESSAGE != 0);
    put(&session, verb, &raw, &out, len, |parameter| Step::MessageNext(verb, parameter, part, last))
}

/// C_SignMessage.
pub fn sign(session: Caller<'_>, raw: RawParameter<'_>, data: Bytes, out: Output<'_>) -> Result {
    whole(Verb::MessageSign, session, raw, Bytes::default(), data, out)
}

/// C_SignMessageNext: without a place for the signature, the message goes on.
pub fn sign_next(
    session: Caller<'_>,
    raw: RawParameter<'_>,
    part: Bytes,
    out: Option<Output<'_>>,
) -> Result {
    let verb = Verb::MessageSign;
    if let Some(out) = out {
        let len = part.len();
        return put(&session, verb, &raw, &out, len, |parameter| {
            Step::MessageNext(verb, parameter, part, true)
        });
    }
    let parameter = raw.read(mechanism(&session, verb)?)?;
    feed_step(&session, Step::MessageNext(verb, parameter, part, false))
}

/// C_VerifyMessage.
pub fn verify(session: Caller<'_>, raw: RawParameter<'_>, data: Bytes, signature: Bytes) -> Result {
    judge(&session, &raw, data, Some(signature), true)
}

/// C_VerifyMessageNext: without a signature, the message goes on.
pub fn verify_next(
    session: Caller<'_>,
    raw: RawParameter<'_>,
    part: Bytes,
    signature: Option<Bytes>,
) -> Result {
    judge(&session, &raw, part, signature, false)
}

/// `whole`: the message is in one piece.
fn judge(
    session: &Caller<'_>,
    raw: &RawParameter<'_>,
    data: Bytes,
    signature: Option<Bytes>,
    whole: bool,
) -> Result {
    let verb = Verb::MessageVerify;
    let parameter = raw.read(mechanism(session, verb)?)?;
    feed_step(session, Step::MessageCheck(verb, parameter, data, signature, whole))
}

/// C_MessageEncryptFinal, C_MessageDecryptFinal, C_MessageSignFinal, C_MessageVerifyFinal.
pub fn finish(verb: Verb, session: Caller<'_>) -> Result {
    feed_step(&session, Step::MessageFinal(verb))
}
