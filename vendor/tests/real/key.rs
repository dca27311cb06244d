//! Keys for tests.

use tandem_engine::fault::Answer;
use tandem_engine::member::{Member, SessionId};
use tandem_engine::step::{Bytes, Output, Room, Step, Verb};
use tandem_values::template::Pair;
use tandem_values::{Handle, Mechanism, Template, ck::*};
use tandem_vendor::VendorMember;
use zeroize::Zeroizing;

/// The object identifier of P-256, DER.
pub(crate) const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// An AES key of known bytes: what pairing does over RSA, made short.
pub(crate) fn kek(member: &VendorMember, session: SessionId) -> Handle {
    let template = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_AES)
        .with(CKA_VALUE, vec![0x42_u8; 32])
        .with(CKA_TOKEN, false)
        .with(CKA_SENSITIVE, true)
        .with(CKA_WRAP, true)
        .with(CKA_UNWRAP, true)
        .with(CKA_ENCRYPT, true)
        .with(CKA_DECRYPT, true);
    member.create(session, &template).unwrap()
}

/// A P-256 pair, on the token or in the session.
pub(crate) fn pair(member: &VendorMember, session: SessionId, token: bool) -> Pair {
    let public = Template::new()
        .with(CKA_TOKEN, token)
        .with(CKA_VERIFY, true)
        .with(CKA_ID, vec![1_u8, 2])
        .with(CKA_EC_PARAMS, P256.as_slice());
    let private = Template::new()
        .with(CKA_TOKEN, token)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, !token)
        .with(CKA_ID, vec![1_u8, 2])
        .with(CKA_SIGN, true);
    let mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
    member.generate_pair(session, &mechanism, &public, &private).unwrap()
}

/// What a replica of that private key is unwrapped as.
pub(crate) fn replica() -> Template {
    Template::new()
        .with(CKA_CLASS, CKO_PRIVATE_KEY)
        .with(CKA_KEY_TYPE, CKK_EC)
        .with(CKA_TOKEN, true)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, false)
        .with(CKA_ID, vec![1_u8, 2])
        .with(CKA_SIGN, true)
}

pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::from(bytes.as_ref())
}

pub(crate) fn secret(bytes: impl AsRef<[u8]>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.as_ref().to_vec())
}

pub(crate) fn init(verb: Verb, mechanism: Mechanism, key: Handle) -> Step {
    Step::Init { verb, mechanism, key: Some(key), signature: None }
}

/// What a step puts out.
pub(crate) fn out(output: Output) -> Vec<u8> {
    match output {
        Output::Bytes(bytes) => bytes.to_vec(),
        Output::Nothing => panic!("nothing"),
        Output::Length(len) => panic!("length {len}"),
        Output::Short(len) => panic!("short of {len}"),
        Output::Message(..) => panic!("a message"),
    }
}

/// An ECDSA signature over a digest.
pub(crate) fn sign(
    member: &VendorMember,
    session: SessionId,
    key: Handle,
    digest: &[u8],
) -> Answer<Vec<u8>> {
    let ecdsa = Mechanism::plain(CKM_ECDSA);
    member.step(session, &init(Verb::Sign, ecdsa, key), Room::Query)?;
    member.step(session, &Step::Whole(Verb::Sign, bytes(digest)), Room::Bytes(512)).map(out)
}

/// Whether it verifies.
pub(crate) fn verify(
    member: &VendorMember,
    session: SessionId,
    key: Handle,
    digest: &[u8],
    signature: &[u8],
) -> Answer {
    let ecdsa = Mechanism::plain(CKM_ECDSA);
    member.step(session, &init(Verb::Verify, ecdsa, key), Room::Query)?;
    let check = Step::Check(Verb::Verify, bytes(digest), bytes(signature));
    member.step(session, &check, Room::Query).map(drop)
}
