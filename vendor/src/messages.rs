//! Many messages under one key (PKCS #11 3.2 sections 5.9, 5.11, 5.14 and 5.16) on a module that has no functions for them: each message
//! is an operation of its own.
//!
//! That comes to the same where a message brings all that the operation needs: signatures, and AES-GCM of a whole message whose IV
//! the application brings. What doesn't (an IV of the module's own making, a sealed message in parts) is refused.

use crate::step::Steps;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_engine::step::{Bytes, Output, Room, Step, Verb};
use tandem_values::ck::*;
use tandem_values::info::MechanismInfo;
use tandem_values::{Handle, Mechanism, MechanismType, Parameter, Part, Rv, rv::Result};
use zeroize::Zeroizing;

/// The longest IV of AES-GCM in bytes: longer ones are not in PKCS #11 2.40, and a module of that version may encrypt otherwise with them.
const IV_MAX: usize = 256;

/// An operation of many messages.
pub(crate) struct Apart {
    /// What each message is.
    verb: Verb,
    mechanism: Mechanism,
    key: Handle,
    /// The module has begun what the next message goes on with.
    begun: AtomicBool,
}

/// What a sealed message brings.
struct Sealing<'a> {
    iv: &'a [u8],
    tag: &'a [u8],
}

impl Apart {
    /// Begins one. What is wrong with a signature's key or mechanism shows here; AES-GCM can't begin before there is an IV.
    pub(crate) fn begin(
        steps: &Steps<'_>,
        verb: Verb,
        mechanism: &Mechanism,
        key: Option<Handle>,
    ) -> Result<Self> {
        let (Some(verb), Some(key)) = (apart(verb), key) else {
            return Err(Rv(CKR_FUNCTION_NOT_SUPPORTED));
        };
        let mechanism = mechanism.clone();
        let this = Self { verb, mechanism, key, begun: AtomicBool::new(false) };
        if this.seals() {
            if this.mechanism.kind != CKM_AES_GCM {
                return Err(Rv(CKR_MECHANISM_INVALID));
            }
        } else if is_for_one_message(this.mechanism.kind) {
            return Err(Rv(CKR_MECHANISM_INVALID));
        } else {
            this.ready(steps)?;
        }
        Ok(this)
    }

    const fn seals(&self) -> bool {
        matches!(self.verb, Verb::Encrypt | Verb::Decrypt)
    }

    /// Takes a step of it.
    pub(crate) fn step(&self, steps: &Steps<'_>, step: &Step, room: Room) -> Result<Output> {
        match step {
            Step::MessageFinal(_) => self.end(steps).map(|()| Output::Nothing),
            Step::Message(_, parameter, associated, data) if self.seals() => {
                self.sealed(steps, parameter, (associated, data), room)
            }
            _ if self.seals() => Err(Rv(CKR_FUNCTION_NOT_SUPPORTED)),
            Step::Message(_, parameter, _, data) => {
                self.go_on(steps, parameter)?;
                let whole = self.take(steps, &Step::Whole(self.verb, data.clone()), room);
                whole.map(|output| with_parameter(output, parameter))
            }
            Step::MessageBegin(_, parameter, _) => {
                self.go_on(steps, parameter)?;
                Ok(Output::Message(Bytes::default(), parameter.clone()))
            }
            Step::MessageNext(_, parameter, data, last) => {
                self.go_on(steps, parameter)?;
                let next = if *last {
                    self.signed(steps, data, room)
                } else {
                    self.take(steps, &Step::Feed(self.verb, data.clone()), room)
                };
                next.map(|output| with_parameter(output, parameter))
            }
            Step::MessageCheck(_, parameter, data, signature, whole) => {
                self.go_on(steps, parameter)?;
                self.checked(steps, data, signature.as_ref(), *whole)
            }
            _ => Err(Rv(CKR_OPERATION_NOT_INITIALIZED)),
        }
    }

    /// Nobody wants to go on with it.
    pub(crate) fn end(&self, steps: &Steps<'_>) -> Result {
        if self.begun.swap(false, Ordering::Relaxed) { steps.cancel(self.verb) } else { Ok(()) }
    }

    /// The module is at work on a message, whose parameter is none: all that it needs was said at the beginning.
    fn go_on(&self, steps: &Steps<'_>, parameter: &Parameter) -> Result {
        match parameter {
            Parameter::None => self.ready(steps),
            Parameter::Flat(bytes) if bytes.is_empty() => self.ready(steps),
            Parameter::Flat(_) | Parameter::Parts(_) => Err(Rv(CKR_MECHANISM_PARAM_INVALID)),
        }
    }

    fn ready(&self, steps: &Steps<'_>) -> Result {
        if self.begun.load(Ordering::Relaxed) {
            return Ok(());
        }
        steps.step(&self.init(self.mechanism.clone()), Room::Query)?;
        self.begun.store(true, Ordering::Relaxed);
        Ok(())
    }

    const fn init(&self, mechanism: Mechanism) -> Step {
        Step::Init { verb: self.verb, mechanism, key: Some(self.key), signature: None }
    }

    /// A step after which the module is still at work only if it says so.
    fn take(&self, steps: &Steps<'_>, step: &Step, room: Room) -> Result<Output> {
        let output = steps.step(step, room);
        let goes_on = matches!(step, Step::Feed(..)) && output.is_ok()
            || matches!(output, Ok(Output::Length(_) | Output::Short(_)));
        self.begun.store(goes_on, Ordering::Relaxed);
        output
    }

    /// The last part of a message, and its signature, which is as long whatever comes before it: the part is fed once there is room.
    fn signed(&self, steps: &Steps<'_>, data: &Bytes, room: Room) -> Result<Output> {
        let last = Step::Last(self.verb);
        let Output::Length(needed) = self.take(steps, &last, Room::Query)? else {
            return Err(Rv(CKR_GENERAL_ERROR));
        };
        match room {
            Room::Query => Ok(Output::Length(needed)),
            Room::Bytes(most) if most < needed => Ok(Output::Short(needed)),
            Room::Bytes(_) => {
                self.take(steps, &Step::Feed(self.verb, data.clone()), room)?;
                self.take(steps, &last, room)
            }
        }
    }

    fn checked(
        &self,
        steps: &Steps<'_>,
        data: &Bytes,
        signature: Option<&Bytes>,
        whole: bool,
    ) -> Result<Output> {
        let take = |step| self.take(steps, &step, Room::Query);
        match (whole, signature) {
            (true, signature) => {
                take(Step::Check(self.verb, data.clone(), signature.cloned().unwrap_or_default()))
            }
            (false, None) => take(Step::Feed(self.verb, data.clone())),
            (false, Some(signature)) => {
                take(Step::Feed(self.verb, data.clone()))?;
                take(Step::CheckLast(self.verb, signature.clone()))
            }
        }
    }

    /// A whole message of AES-GCM. The module has the tag behind the ciphertext, the application in the parameter.
    fn sealed(
        &self,
        steps: &Steps<'_>,
        parameter: &Parameter,
        (associated, data): (&Bytes, &Bytes),
        room: Room,
    ) -> Result<Output> {
        let sealing = Sealing::of(parameter)?;
        match room {
            Room::Query => return Ok(Output::Length(data.len())),
            Room::Bytes(most) if most < data.len() => return Ok(Output::Short(data.len())),
            Room::Bytes(_) => {}
        }
        let all = data.len().saturating_add(sealing.tag.len());
        let (input, expected) = match self.verb {
            Verb::Encrypt => (data.clone(), all),
            _ => ([data.as_slice(), sealing.tag].concat().into(), data.len()),
        };
        steps.step(&self.init(sealing.mechanism(associated)), Room::Query)?;
        let output = steps.step(&Step::Whole(self.verb, input), Room::Bytes(all));
        let bytes = match output {
            Ok(Output::Bytes(bytes)) if bytes.len() == expected => bytes,
            Ok(Output::Bytes(_) | Output::Nothing | Output::Message(..)) => {
                return Err(Rv(CKR_GENERAL_ERROR));
            }
            Ok(Output::Length(_) | Output::Short(_)) => {
                steps.cancel(self.verb)?;
                return Err(Rv(CKR_GENERAL_ERROR));
            }
            Err(Rv(CKR_ENCRYPTED_DATA_INVALID)) => return Err(Rv(CKR_AEAD_DECRYPT_FAILED)),
            Err(rv) => return Err(rv),
        };
        let (text, tag) = bytes.as_slice().split_at(data.len());
        let parameter =
            if self.verb == Verb::Encrypt { sealed_by(parameter, tag) } else { parameter.clone() };
        Ok(Output::Message(text.to_vec().into(), parameter))
    }
}

impl<'a> Sealing<'a> {
    /// An IV that is there, and a place for the tag.
    fn of(parameter: &'a Parameter) -> Result<Self> {
        match parameter {
            Parameter::Parts(parts) => match parts.as_slice() {
                [
                    Part::Bytes(Some(iv)),
                    _,
                    Part::Number(CKG_NO_GENERATE),
                    Part::Bytes(Some(tag)),
                ] if iv.len() <= IV_MAX => Ok(Self { iv, tag }),
                [Part::Bytes(Some(_)), _, Part::Number(CKG_NO_GENERATE), Part::Bytes(Some(_))] => {
                    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
                }
                _ => Err(Rv(CKR_MECHANISM_PARAM_INVALID)),
            },
            Parameter::None | Parameter::Flat(_) => Err(Rv(CKR_MECHANISM_PARAM_INVALID)),
        }
    }

    /// CK_GCM_PARAMS: the IV and how many bits that is, the associated data, how many bits the tag has.
    fn mechanism(&self, associated: &Bytes) -> Mechanism {
        let bits = |bytes: &[u8]| {
            Part::Number(u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(8))
        };
        let bytes = |bytes: &[u8]| Part::Bytes(Some(Zeroizing::new(bytes.to_vec())));
        let associated =
            if associated.is_empty() { Part::Bytes(None) } else { bytes(associated.as_slice()) };
        let parts = vec![bytes(self.iv), bits(self.iv), associated, bits(self.tag)];
        Mechanism { kind: CKM_AES_GCM, parameter: Parameter::Parts(parts) }
    }
}

/// A message's parameter with its tag.
fn sealed_by(parameter: &Parameter, tag: &[u8]) -> Parameter {
    let mut parameter = parameter.clone();
    if let Parameter::Parts(parts) = &mut parameter
        && let Some(last) = parts.last_mut()
    {
        *last = Part::Bytes(Some(Zeroizing::new(tag.to_vec())));
    }
    parameter
}

fn with_parameter(output: Output, parameter: &Parameter) -> Output {
    match output {
        Output::Bytes(bytes) => Output::Message(bytes, parameter.clone()),
        other => other,
    }
}

/// What a message of such an operation is by itself.
const fn apart(verb: Verb) -> Option<Verb> {
    Some(match verb {
        Verb::MessageEncrypt => Verb::Encrypt,
        Verb::MessageDecrypt => Verb::Decrypt,
        Verb::MessageSign => Verb::Sign,
        Verb::MessageVerify => Verb::Verify,
        _ => return None,
    })
}

/// True of a MAC whose IV or key, said once at the beginning, is good for one message: for a second it would tell the key.
const fn is_for_one_message(kind: MechanismType) -> bool {
    matches!(kind, CKM_AES_GMAC | CKM_POLY1305)
}

/// What a mechanism can do, messages included: by the module itself or as here.
pub(crate) fn with_messages(kind: MechanismType, info: MechanismInfo) -> MechanismInfo {
    let pairs: &[(u64, u64)] = match kind {
        CKM_AES_GCM => &[(CKF_ENCRYPT, CKF_MESSAGE_ENCRYPT), (CKF_DECRYPT, CKF_MESSAGE_DECRYPT)],
        kind if is_for_one_message(kind) => &[],
        _ => &[(CKF_SIGN, CKF_MESSAGE_SIGN), (CKF_VERIFY, CKF_MESSAGE_VERIFY)],
    };
    let can = pairs.iter().filter(|(by_itself, _)| info.flags & by_itself != 0);
    MechanismInfo { flags: can.fold(info.flags, |flags, (_, message)| flags | message), ..info }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_that_is_for_one_message_is_offered_for_no_more() {
        let flags = |kind| {
            let info = MechanismInfo { key_size_min: 0, key_size_max: 0, flags: CKF_SIGN };
            with_messages(kind, info).flags
        };
        assert_eq!(flags(CKM_SHA256_HMAC), CKF_SIGN | CKF_MESSAGE_SIGN);
        assert_eq!((flags(CKM_AES_GMAC), flags(CKM_POLY1305)), (CKF_SIGN, CKF_SIGN));
    }
}
