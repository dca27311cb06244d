//! Proof that what a member holds is the key the log means: a fresh challenge, answered there, judged by the one public
//! key; for secret keys, a keyed fingerprint.
//!
//! Identifiers prove nothing: two keys may share an id and a label (both have happened in the field).

use crate::desk::Desk;
use crate::encapsulation;
use crate::event::Hash;
use crate::fault::{Answer, Call, Class, Fault};
use crate::object::Object;
use crate::seal::Seal;
use crate::step::{Bytes, Output, Room, Step, Verb};
use std::fmt;
use tandem_values::template::Reading;
use tandem_values::{
    AttributeType, Handle, Mechanism, Parameter, Part, Template, Value, ck::*, names,
};
use zeroize::Zeroizing;

/// Why a proof did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The member holds something else under this name.
    Different(String),
    /// A call failed, which says nothing about the key.
    Fault(Fault),
    /// No such key can be there, as the member is: why. It was not tried.
    Beyond(String),
    /// A copy that failed its proof could not be removed either: what it failed by, and what the member answered.
    Left(Box<Self>, Fault),
}

impl Failure {
    /// What failed first.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Left(failure, _) => failure.cause(),
            cause => cause,
        }
    }
}

/// How the reason of an exception says that a copy was left. It is read again by whoever tries to remove the copy.
const LEFT: &str = "an unproven copy of it could not be removed";

/// True if the reason of an exception says that an unproven copy was left.
pub fn says_left(reason: &str) -> bool {
    reason.contains(LEFT)
}

/// How the reason of an exception says that the key is beyond the member.
const BEYOND: &str = "such keys are beyond it: ";

/// Why a key is beyond a member, if the reason of an exception says that.
pub fn says_beyond(reason: &str) -> Option<&str> {
    reason.strip_prefix(BEYOND)
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Different(what) => write!(f, "it is another key: {what}"),
            Self::Fault(fault) => write!(f, "it could not be proven: {fault}"),
            Self::Beyond(why) => write!(f, "{BEYOND}{why}"),
            Self::Left(failure, fault) => {
                write!(f, "{failure}; and {LEFT} ({fault}), which is tried again")
            }
        }
    }
}

/// True if all that failed is that a member lacks keys of the ring, made while it was away.
pub(crate) fn is_for_want_of_keys(failure: &Failure) -> bool {
    matches!(failure, Failure::Fault(fault) if fault.rv.0 == CKR_KEY_NEEDED)
}

/// What a proof comes to.
pub type Proof<T = ()> = Result<T, Failure>;

/// The text that secret keys are asked to encrypt or sign. Fixed, so that a fingerprint can be kept.
const QUESTION: &[u8; 32] = b"Tandem asks: which key are you??";

/// How a key of some type can be made to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The attributes that must allow it.
    pub usage: &'static [AttributeType],
    /// Sign, encrypt, or digest: what the key itself is fed to after the question.
    pub verb: Verb,
    /// The mechanism.
    pub mechanism: Mechanism,
    /// Bytes of challenge.
    pub len: usize,
}

impl Method {
    /// The usage flags of a twin that answers so.
    pub fn flags(&self) -> Vec<(AttributeType, bool)> {
        self.usage.iter().map(|kind| (*kind, true)).collect()
    }
}

/// Sign and verify, for private keys: the mechanisms worth trying, in order.
fn private_methods(key_type: u64) -> &'static [(MechanismNumber, usize)] {
    match key_type {
        CKK_RSA => &[(CKM_RSA_PKCS, 32), (CKM_SHA256_RSA_PKCS, 32), (CKM_SHA1_RSA_PKCS, 32)],
        CKK_EC => &[(CKM_ECDSA, 32), (CKM_ECDSA_SHA256, 32), (CKM_ECDSA_SHA384, 32)],
        CKK_EC_EDWARDS => &[(CKM_EDDSA, 32)],
        CKK_DSA => &[(CKM_DSA_SHA1, 32), (CKM_DSA, 20), (CKM_DSA_SHA256, 32)],
        CKK_ML_DSA => &[(CKM_ML_DSA, 32)],
        CKK_SLH_DSA => &[(CKM_SLH_DSA, 32)],
        _ => &[],
    }
}
type MechanismNumber = u64;

/// How a private key with these attributes can sign; `None` if its flags or its type don't let it.
pub fn private_method(template: &Template) -> Option<Method> {
    if template.is(CKA_ALWAYS_AUTHENTICATE) || !template.is(CKA_SIGN) {
        return None;
    }
    let allowed = template.numbers(CKA_ALLOWED_MECHANISMS).filter(|allowed| !allowed.is_empty());
    private_methods(template.key_type()?)
        .iter()
        .find(|(kind, _)| allowed.is_none_or(|allowed| allowed.contains(kind)))
        .map(|(kind, len)| Method {
            usage: &[CKA_SIGN],
            verb: Verb::Sign,
            mechanism: Mechanism::plain(*kind),
            len: *len,
        })
}

/// How a secret key of this type and length (bytes; 0 if unknown) answers [`QUESTION`].
pub fn secret_method(key_type: u64, len: u64) -> Option<Method> {
    let sign = |kind| Method {
        usage: &[CKA_SIGN],
        verb: Verb::Sign,
        mechanism: Mechanism::plain(kind),
        len: 32,
    };
    let digest = |kind| Method {
        usage: &[],
        verb: Verb::Digest,
        mechanism: Mechanism::plain(kind),
        len: 32,
    };
    let encrypt = |kind, len| Method {
        usage: &[CKA_ENCRYPT],
        verb: Verb::Encrypt,
        mechanism: Mechanism::plain(kind),
        len,
    };
    Some(match key_type {
        CKK_AES => encrypt(CKM_AES_ECB, 16),
        CKK_DES => encrypt(CKM_DES_ECB, 8),
        CKK_DES2 | CKK_DES3 => encrypt(CKM_DES3_ECB, 8),
        // Some modules demand a key as long as the hash's output for a MAC, and the shortest hash in common may be SHA-1.
        // A digest (C_DigestKey) takes a key of any length.
        CKK_GENERIC_SECRET if (1..20).contains(&len) => digest(CKM_SHA256),
        CKK_GENERIC_SECRET if (20..32).contains(&len) => sign(CKM_SHA_1_HMAC),
        CKK_GENERIC_SECRET | CKK_SHA256_HMAC => sign(CKM_SHA256_HMAC),
        CKK_MD5_HMAC => sign(CKM_MD5_HMAC),
        CKK_SHA_1_HMAC => sign(CKM_SHA_1_HMAC),
        CKK_SHA224_HMAC => sign(CKM_SHA224_HMAC),
        CKK_SHA384_HMAC => sign(CKM_SHA384_HMAC),
        CKK_SHA512_HMAC => sign(CKM_SHA512_HMAC),
        _ => return None,
    })
}

/// Runs a one-step operation and answers its output.
pub fn run(desk: &Desk<'_>, method: &Method, key: Handle, data: &[u8]) -> Answer<Bytes> {
    let (verb, mechanism) = (method.verb, method.mechanism.clone());
    if verb == Verb::Digest {
        return digest(desk, mechanism, key, data);
    }
    desk.operate(verb, mechanism, key, data, 65_536)
}

/// The digest of the data and, after it, the key itself.
fn digest(desk: &Desk<'_>, mechanism: Mechanism, key: Handle, data: &[u8]) -> Answer<Bytes> {
    let verb = Verb::Digest;
    let step = |step: &Step, room| desk.member.step(desk.session, step, room);
    let digested = step(&Step::Init { verb, mechanism, key: None, signature: None }, Room::Query)
        .and_then(|_| step(&Step::Feed(verb, data.into()), Room::Query))
        .and_then(|_| step(&Step::FeedKey(key), Room::Query))
        .and_then(|_| step(&Step::Last(verb), Room::Bytes(64)));
    match digested {
        Ok(Output::Bytes(bytes)) => Ok(bytes),
        other => {
            desk.end(verb);
            Err(other.err().unwrap_or_else(|| Fault::new(Call::Step, CKR_GENERAL_ERROR)))
        }
    }
}

/// The keyed fingerprint of a secret key: what it answers to a fixed question, under the log's MAC key.
pub fn fingerprint(desk: &Desk<'_>, key: Handle, method: &Method, seal: &Seal) -> Answer<Hash> {
    let answer = run(desk, method, key, QUESTION.get(..method.len).unwrap_or(QUESTION))?;
    Ok(seal.fingerprint(&answer))
}

/// Compares what a replica shows with what the log says, for the attributes that tell keys apart.
pub fn compare(desk: &Desk<'_>, replica: Handle, expected: &Template) -> Proof {
    let kinds: Vec<_> = expected.kinds().collect();
    let readings = desk.member.read(desk.session, replica, &kinds)?;
    for (attribute, reading) in expected.iter().zip(readings) {
        if let Reading::Value(value) = reading
            && !same(attribute.kind, &attribute.value, &value)
        {
            return Err(Failure::Different(format!(
                "{} differs",
                names::attribute(attribute.kind)
            )));
        }
    }
    Ok(())
}

/// Equal, allowing for leading zeroes of big integers, which vendors write or leave out.
fn same(kind: AttributeType, a: &Value, b: &Value) -> bool {
    match (a, b) {
        // Some modules say nothing of the length of a key that they unwrapped: it is no length at all, not another.
        (Value::Number(_), Value::Number(0)) if kind == CKA_VALUE_LEN => true,
        (Value::Bytes(a), Value::Bytes(b)) if matches!(kind, CKA_MODULUS | CKA_PUBLIC_EXPONENT) => {
            let trim = |bytes: &[u8]| {
                bytes.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>()
            };
            trim(a) == trim(b)
        }
        _ => a == b,
    }
}

/// The attributes of an object that its replica must show alike, where it shows them.
pub fn telling(object: &Object) -> Template {
    match object.class() {
        CKO_PRIVATE_KEY => object
            .public
            .as_ref()
            .map(|public| {
                public.filtered(|kind| {
                    matches!(kind, CKA_MODULUS | CKA_PUBLIC_EXPONENT | CKA_KEY_TYPE)
                })
            })
            .unwrap_or_default(),
        CKO_SECRET_KEY => {
            object.template.filtered(|kind| matches!(kind, CKA_KEY_TYPE | CKA_VALUE_LEN))
        }
        CKO_PUBLIC_KEY => object.template.filtered(|kind| {
            matches!(
                kind,
                CKA_KEY_TYPE
                    | CKA_MODULUS
                    | CKA_PUBLIC_EXPONENT
                    | CKA_EC_POINT
                    | CKA_VALUE
                    | CKA_PRIME
                    | CKA_BASE
            )
        }),
        CKO_CERTIFICATE | CKO_DATA if object.kek.is_none() => {
            object.template.filtered(|kind| matches!(kind, CKA_VALUE | CKA_OBJECT_ID))
        }
        _ => Template::new(),
    }
}

/// True if a fault says that the key may not or can't be used so, rather than that the member is ill or has no room just
/// now: that says nothing of the key.
pub fn is_refusal(fault: Fault) -> bool {
    let no_room = matches!(
        fault.rv.0,
        CKR_DEVICE_MEMORY | CKR_HOST_MEMORY | CKR_SESSION_COUNT | CKR_OPERATION_ACTIVE
    );
    matches!(fault.class, Class::Refused | Class::Unable) && !no_room
}

/// How a key answers a fixed question, where its answer depends on nothing else: secret keys, and private keys whose
/// signatures are deterministic.
pub fn keyed_method(object: &Object) -> Option<Method> {
    let key_type = object.template.key_type()?;
    match object.class() {
        CKO_SECRET_KEY => {
            secret_method(key_type, object.template.number(CKA_VALUE_LEN).unwrap_or(0))
        }
        CKO_PRIVATE_KEY if matches!(key_type, CKK_RSA | CKK_EC_EDWARDS) => {
            private_methods(key_type).first().map(|(kind, len)| Method {
                usage: &[CKA_SIGN],
                verb: Verb::Sign,
                mechanism: Mechanism::plain(*kind),
                len: *len,
            })
        }
        _ => None,
    }
}

/// The use by which a private key that doesn't sign is proven.
pub const fn agrees_by(key_type: Option<u64>) -> AttributeType {
    match key_type {
        Some(CKK_ML_KEM) => CKA_DECAPSULATE,
        _ => CKA_DERIVE,
    }
}

/// Proves that a private key agrees as its public key says: a fresh pair on the judge, derived both ways, gives one secret.
/// The secret is worth nothing afterwards, so it may be read.
pub fn agreement(desk: &Desk<'_>, judge: &Desk<'_>, key: Handle, public: &Template) -> Proof {
    if public.key_type() == Some(CKK_ML_KEM) {
        return encapsulation::prove(desk, judge, key, public);
    }
    let (generator, derive) = match public.key_type() {
        Some(CKK_EC_MONTGOMERY) => (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, CKM_ECDH1_DERIVE),
        Some(CKK_EC) => (CKM_EC_KEY_PAIR_GEN, CKM_ECDH1_DERIVE),
        Some(CKK_DH) => (CKM_DH_PKCS_KEY_PAIR_GEN, CKM_DH_PKCS_DERIVE),
        _ => return Err(Failure::Different("no way is known to prove a key of this type".into())),
    };
    let value = if derive == CKM_DH_PKCS_DERIVE { CKA_VALUE } else { CKA_EC_POINT };
    let domain = public
        .filtered(|kind| matches!(kind, CKA_EC_PARAMS | CKA_PRIME | CKA_BASE))
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, false);
    let own = Template::new().with(CKA_TOKEN, false).with(CKA_PRIVATE, true).with(CKA_DERIVE, true);
    let pair =
        judge.member.generate_pair(judge.session, &Mechanism::plain(generator), &domain, &own)?;
    let proof = (|| {
        let mut readings = judge.member.read(judge.session, pair.public, &[value])?.into_iter();
        let Some(Reading::Value(Value::Bytes(fresh))) = readings.next() else {
            return Err(Fault::new(Call::Read, CKR_GENERAL_ERROR));
        };
        let known = public.bytes(value).unwrap_or_default();
        let here = agreed(desk, key, derive, &fresh, 32)?;
        let there = agreed(judge, pair.private, derive, known, 32)?;
        Ok(!here.is_empty() && here == there)
    })();
    for handle in [pair.public, pair.private] {
        judge.discard(handle);
    }
    if proof? {
        Ok(())
    } else {
        Err(Failure::Different("it does not agree as its public key does".into()))
    }
}

/// So many bytes of the secret that a key agrees on with a public value.
pub(crate) fn agreed(
    desk: &Desk<'_>,
    key: Handle,
    mechanism: u64,
    value: &[u8],
    len: usize,
) -> Answer<Zeroizing<Vec<u8>>> {
    let parameter = if mechanism == CKM_DH_PKCS_DERIVE {
        Parameter::Flat(Zeroizing::new(value.to_vec()))
    } else {
        Parameter::Parts(vec![
            Part::Number(CKD_NULL),
            Part::Bytes(None),
            Part::Bytes(Some(Zeroizing::new(value.to_vec()))),
        ])
    };
    let secret = desk.member.derive(
        desk.session,
        &Mechanism { kind: mechanism, parameter },
        key,
        &readable(len),
    )?;
    reveal(desk, secret)
}

/// The template of a secret of so many bytes that is read and thrown away.
pub(crate) fn readable(len: usize) -> Template {
    Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
        .with(CKA_TOKEN, false)
        .with(CKA_SENSITIVE, false)
        .with(CKA_EXTRACTABLE, true)
        .with(CKA_VALUE_LEN, u64::try_from(len).unwrap_or(0))
}

/// Reads such a secret, and destroys it.
pub(crate) fn reveal(desk: &Desk<'_>, secret: Handle) -> Answer<Zeroizing<Vec<u8>>> {
    let reading = desk.member.read(desk.session, secret, &[CKA_VALUE]);
    desk.discard(secret);
    match reading?.into_iter().next() {
        Some(Reading::Value(Value::Bytes(bytes))) => Ok(bytes),
        _ => Err(Fault::new(Call::Read, CKR_GENERAL_ERROR)),
    }
}
