//! One step of an operation, by its C functions (PKCS #11 3.2 sections 5.8 to 5.17).

use crate::functions::{Functions, Sink};
use crate::output::{Outcome, output};
use crate::parameter::{CMechanism, Encoded};
use tandem_engine::step::{Bytes, Output, Room, Step, Verb};
use tandem_values::ck::*;
use tandem_values::mechanism::message_layout;
use tandem_values::{Field, MechanismType, Parameter, Rv, Secret, rv::Result};

/// The most output of an operation that is ended only to be rid of it, in bytes.
const DISCARD_BYTES: usize = 64 << 10;

/// Steps in one session.
pub(crate) struct Steps<'a> {
    pub(crate) functions: &'a Functions,
    pub(crate) session: CK_SESSION_HANDLE,
    /// The mechanism of the message operation that a step goes on with: a message's parameter is laid out by it.
    pub(crate) messages: Option<MechanismType>,
}

impl Steps<'_> {
    /// Takes a step.
    pub(crate) fn step(&self, step: &Step, room: Room) -> Result<Output> {
        let Self { functions, session, .. } = *self;
        match step {
            Step::Init { verb, mechanism, key, signature } => {
                let mut mechanism = if verb.is_of_messages() {
                    CMechanism::for_messages(mechanism)
                } else {
                    CMechanism::new(mechanism)
                }?;
                let signature = signature.as_ref().map(Bytes::as_slice);
                functions.init(session, *verb, &mut mechanism, *key, signature)?;
            }
            Step::Whole(verb, data) => {
                return put(room, |sink| functions.whole(session, *verb, data, sink));
            }
            Step::Part(verb, data) => {
                return put(room, |sink| functions.part(session, *verb, data, sink));
            }
            Step::Both(first, second, data) => {
                let verbs = (*first, *second);
                return put(room, |sink| functions.both(session, verbs, data, sink));
            }
            Step::Last(verb) => return put(room, |sink| functions.last(session, *verb, sink)),
            Step::Feed(verb, data) => functions.feed(session, *verb, data)?,
            Step::FeedKey(key) => functions.digest_key(session, *key)?,
            Step::Check(verb, data, signature) => {
                functions.check(session, *verb, data, signature)?;
            }
            Step::CheckLast(verb, signature) => functions.check_last(session, *verb, signature)?,
            Step::Authenticate(pin) => self.authenticate(pin.as_ref())?,
            Step::Message(verb, parameter, associated, data) => {
                return self.message(*verb, parameter, associated, data, room);
            }
            Step::MessageBegin(verb, parameter, associated) => {
                return self.message_begin(*verb, parameter, associated);
            }
            Step::MessageNext(verb, parameter, data, last) => {
                return self.message_next(*verb, parameter, data, *last, room);
            }
            Step::MessageCheck(_, parameter, data, signature, whole) => {
                let mut parameter = Encoded::new(self.fields(parameter), parameter)?;
                let signature = signature.as_ref().map(Bytes::as_slice);
                functions.message_check(session, &mut parameter, data, signature, *whole)?;
            }
            Step::MessageFinal(verb) => functions.message_final(session, *verb)?,
        }
        Ok(Output::Nothing)
    }

    fn authenticate(&self, pin: Option<&Secret>) -> Result {
        self.functions.login(self.session, CKU_CONTEXT_SPECIFIC, pin)
    }

    /// The layout of a message's parameter. Flat bytes are as they are under any mechanism.
    fn fields(&self, parameter: &Parameter) -> Option<&'static [Field]> {
        match parameter {
            Parameter::Parts(_) => self.messages.and_then(message_layout),
            Parameter::None | Parameter::Flat(_) => None,
        }
    }

    fn message(
        &self,
        verb: Verb,
        asked: &Parameter,
        associated: &Bytes,
        data: &Bytes,
        room: Room,
    ) -> Result<Output> {
        let fields = self.fields(asked);
        let mut parameter = Encoded::new(fields, asked)?;
        let outcome = output(room, asks_freely(verb), |sink| {
            self.functions.message(self.session, verb, &mut parameter, associated, data, sink)
        })?;
        Ok(with_parameter(outcome, &parameter, fields, asked))
    }

    fn message_begin(&self, verb: Verb, asked: &Parameter, associated: &Bytes) -> Result<Output> {
        let fields = self.fields(asked);
        let mut parameter = Encoded::new(fields, asked)?;
        self.functions.message_begin(self.session, verb, &mut parameter, associated)?;
        // The vendor may have made the IV.
        Ok(Output::Message(Bytes::default(), parameter.read(fields, asked)))
    }

    fn message_next(
        &self,
        verb: Verb,
        asked: &Parameter,
        data: &Bytes,
        last: bool,
        room: Room,
    ) -> Result<Output> {
        let Self { functions, session, .. } = *self;
        let fields = self.fields(asked);
        let mut parameter = Encoded::new(fields, asked)?;
        let outcome = match (verb, last) {
            (Verb::MessageSign, false) => {
                functions.message_sign_next(session, &mut parameter, data, None)?;
                return Ok(Output::Nothing);
            }
            (Verb::MessageSign, true) => output(room, asks_freely(verb), |sink| {
                functions.message_sign_next(session, &mut parameter, data, Some(sink))
            }),
            _ => output(room, asks_freely(verb), |sink| {
                functions.message_next(session, verb, &mut parameter, data, sink, last)
            }),
        }?;
        Ok(with_parameter(outcome, &parameter, fields, asked))
    }

    /// Ends an operation that nobody wants to finish: by C_SessionCancel; where that is missing or fails, by
    /// C_…Init with a null mechanism (both PKCS #11 3.0); and in an older module by finishing it and throwing
    /// away what comes, which any module must take as the end. So a key that may sign only so often
    /// loses one of its signatures there.
    pub(crate) fn cancel(&self, verb: Verb) -> Result {
        let Self { functions, session, .. } = *self;
        if functions.cancel(session, flag_of(verb)).is_ok() {
            return Ok(());
        }
        if functions.version() >= (3, 0) && functions.end_by_init(session, verb).is_ok() {
            return Ok(());
        }
        let ended = match verb {
            Verb::MessageEncrypt
            | Verb::MessageDecrypt
            | Verb::MessageSign
            | Verb::MessageVerify => functions.message_final(session, verb),
            // Its end in parts; a mechanism that has none (CKM_ECDSA on SoftHSM) goes on, and ends as a whole.
            _ => self.finish_in_parts(verb).or_else(|_| self.finish_whole(verb)),
        };
        match ended {
            // By the specification every error but these ends the operation as well.
            Err(
                rv @ Rv(
                    CKR_SESSION_HANDLE_INVALID
                    | CKR_SESSION_CLOSED
                    | CKR_DEVICE_REMOVED
                    | CKR_FUNCTION_NOT_SUPPORTED
                    | CKR_BUFFER_TOO_SMALL,
                ),
            ) => Err(rv),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn finish_in_parts(&self, verb: Verb) -> Result {
        match verb {
            Verb::Verify | Verb::VerifySignature => {
                self.functions.check_last(self.session, verb, &[])
            }
            _ => discard(|sink| self.functions.last(self.session, verb, sink)),
        }
    }

    fn finish_whole(&self, verb: Verb) -> Result {
        match verb {
            Verb::Verify | Verb::VerifySignature => {
                self.functions.check(self.session, verb, &[], &[])
            }
            _ => discard(|sink| self.functions.whole(self.session, verb, &[], sink)),
        }
    }
}

/// Has output made and throws it away.
fn discard(call: impl FnMut(&mut Sink<'_>) -> Result) -> Result {
    match output(Room::Bytes(DISCARD_BYTES), false, call)? {
        Outcome::Bytes(_) => Ok(()),
        // It goes on.
        Outcome::Short(_) | Outcome::Length(_) => Err(Rv(CKR_BUFFER_TOO_SMALL)),
    }
}

/// Output of a plain function: a query beside the call does no harm.
fn put(room: Room, call: impl FnMut(&mut Sink<'_>) -> Result) -> Result<Output> {
    output(room, true, call).map(Output::from)
}

/// True if asking a length can't use up an IV or a signature.
const fn asks_freely(verb: Verb) -> bool {
    matches!(verb, Verb::MessageDecrypt)
}

/// Output of a message with the parameter as the vendor left it.
fn with_parameter(
    outcome: Outcome,
    parameter: &Encoded,
    fields: Option<&[Field]>,
    asked: &Parameter,
) -> Output {
    match outcome {
        Outcome::Bytes(bytes) => Output::Message(bytes, parameter.read(fields, asked)),
        other => other.into(),
    }
}

/// The flag that names a kind of operation to C_SessionCancel (PKCS #11 3.2 section 5.6.8).
const fn flag_of(verb: Verb) -> CK_FLAGS {
    match verb {
        Verb::Encrypt => CKF_ENCRYPT,
        Verb::Decrypt => CKF_DECRYPT,
        Verb::Digest => CKF_DIGEST,
        Verb::Sign => CKF_SIGN,
        Verb::SignRecover => CKF_SIGN_RECOVER,
        // C_VerifySignatureInit begins a verification too.
        Verb::Verify | Verb::VerifySignature => CKF_VERIFY,
        Verb::VerifyRecover => CKF_VERIFY_RECOVER,
        Verb::MessageEncrypt => CKF_MESSAGE_ENCRYPT,
        Verb::MessageDecrypt => CKF_MESSAGE_DECRYPT,
        Verb::MessageSign => CKF_MESSAGE_SIGN,
        Verb::MessageVerify => CKF_MESSAGE_VERIFY,
    }
}
