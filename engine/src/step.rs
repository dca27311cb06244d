//! Operations as values: what an application asked of one, step by step, owned, so that it can be asked again elsewhere.

use tandem_values::{Handle, Mechanism, Parameter, Secret};

pub use tandem_values::Bytes;

/// The kind of an operation. A session has at most one active operation of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// C_Encrypt…
    Encrypt,
    /// C_Decrypt…
    Decrypt,
    /// C_Digest…
    Digest,
    /// C_Sign…
    Sign,
    /// C_SignRecover…
    SignRecover,
    /// C_Verify…
    Verify,
    /// C_VerifyRecover…
    VerifyRecover,
    /// C_EncryptMessage…
    MessageEncrypt,
    /// C_DecryptMessage…
    MessageDecrypt,
    /// C_SignMessage…
    MessageSign,
    /// C_VerifyMessage…
    MessageVerify,
    /// C_VerifySignature…
    VerifySignature,
}

impl Verb {
    /// True for operations of many messages (PKCS #11 3.2 sections 5.9, 5.11, 5.14 and 5.16).
    pub const fn is_of_messages(self) -> bool {
        matches!(
            self,
            Self::MessageEncrypt | Self::MessageDecrypt | Self::MessageSign | Self::MessageVerify
        )
    }
}

/// One step. `K` is how keys are named: the application's handle above the engine, the member's below it.
#[derive(Clone, PartialEq, Eq)]
pub enum Step<K = Handle> {
    /// C_…Init. `key` is `None` for digests.
    Init {
        /// The kind of operation.
        verb: Verb,
        /// The mechanism.
        mechanism: Mechanism,
        /// The key.
        key: Option<K>,
        /// C_VerifySignatureInit only: the signature to verify.
        signature: Option<Bytes>,
    },
    /// C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover, C_VerifyRecover: everything at once, with output.
    Whole(Verb, Bytes),
    /// C_EncryptUpdate, C_DecryptUpdate: data in, data out.
    Part(Verb, Bytes),
    /// C_DigestUpdate, C_SignUpdate, C_VerifyUpdate, C_VerifySignatureUpdate: data in, nothing out.
    Feed(Verb, Bytes),
    /// C_DigestKey.
    FeedKey(K),
    /// C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal: ends with output.
    Last(Verb),
    /// C_Verify, C_VerifySignature (data and signature, which a member may know already): ends with a judgement.
    Check(Verb, Bytes, Bytes),
    /// C_VerifyFinal, C_VerifySignatureFinal (signature, which a member may know already).
    CheckLast(Verb, Bytes),
    /// C_DigestEncryptUpdate, C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate.
    Both(Verb, Verb, Bytes),
    /// C_Login(CKU_CONTEXT_SPECIFIC) for the operation just begun.
    Authenticate(Option<Secret>),
    /// C_EncryptMessage, C_DecryptMessage, C_SignMessage: one message whole, with output.
    Message(Verb, Parameter, Bytes, Bytes),
    /// C_…MessageBegin: parameter and associated data.
    MessageBegin(Verb, Parameter, Bytes),
    /// C_EncryptMessageNext, C_DecryptMessageNext, C_SignMessageNext: parameter, part, and whether it is the last.
    MessageNext(Verb, Parameter, Bytes, bool),
    /// C_VerifyMessage, C_VerifyMessageNext: parameter, data, the signature where this ends the message.
    MessageCheck(Verb, Parameter, Bytes, Option<Bytes>, bool),
    /// C_Message…Final: ends the operation.
    MessageFinal(Verb),
}

impl<K> Step<K> {
    /// The same step with its keys named otherwise.
    pub fn try_map<L, E>(self, mut name: impl FnMut(K) -> Result<L, E>) -> Result<Step<L>, E> {
        Ok(match self {
            Self::Init { verb, mechanism, key, signature } => {
                Step::Init { verb, mechanism, key: key.map(name).transpose()?, signature }
            }
            Self::FeedKey(key) => Step::FeedKey(name(key)?),
            Self::Whole(verb, data) => Step::Whole(verb, data),
            Self::Part(verb, data) => Step::Part(verb, data),
            Self::Feed(verb, data) => Step::Feed(verb, data),
            Self::Last(verb) => Step::Last(verb),
            Self::Check(verb, data, signature) => Step::Check(verb, data, signature),
            Self::CheckLast(verb, signature) => Step::CheckLast(verb, signature),
            Self::Both(one, other, data) => Step::Both(one, other, data),
            Self::Authenticate(pin) => Step::Authenticate(pin),
            Self::Message(verb, parameter, aad, data) => Step::Message(verb, parameter, aad, data),
            Self::MessageBegin(verb, parameter, aad) => Step::MessageBegin(verb, parameter, aad),
            Self::MessageNext(verb, parameter, part, last) => {
                Step::MessageNext(verb, parameter, part, last)
            }
            Self::MessageCheck(verb, parameter, data, signature, last) => {
                Step::MessageCheck(verb, parameter, data, signature, last)
            }
            Self::MessageFinal(verb) => Step::MessageFinal(verb),
        })
    }
}

/// How much room the application has for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// None: it asks how long the output will be.
    Query,
    /// So many bytes.
    Bytes(usize),
}

/// What a step puts out.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// The step has no output.
    Nothing,
    /// Bytes that the application gets.
    Bytes(Bytes),
    /// The answer to a length query, in bytes: nothing was done.
    Length(usize),
    /// The buffer is too short, and this length is needed (CKR_BUFFER_TOO_SMALL): the operation goes on.
    Short(usize),
    /// A message's output, with what the member wrote into the parameter (IV, tag).
    Message(Bytes, Parameter),
}
