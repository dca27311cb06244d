//! The proof of a private key: its signature, as a rule over a fresh challenge, judged by the one public key.
//!
//! Who judges: a well-kept library of the host, where it knows the kind of key; it owes no HSM anything and costs no call of one.
//! What it doesn't know, or doesn't find good, a member judges, and that counts.

use crate::desk::Desk;
use crate::fault::{Answer, Fault, Weight};
use crate::ports::Verifier;
use crate::prove::{Failure, Method, Proof, is_refusal, run};
use crate::step::{Room, Step, Verb};
use sha2::{Digest, Sha256, Sha384};
use tandem_values::{Bytes, Handle, Template, ck::*};

/// The ASN.1 name of P-384, as CKA_EC_PARAMS has it.
const P384: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// What PKCS #1 puts before a SHA-256 digest (DigestInfo).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A signature that was made just now, and not yet judged.
pub struct Signature<'a> {
    desk: &'a Desk<'a>,
    method: &'a Method,
    public: &'a Template,
    data: Bytes,
    bytes: Bytes,
}

impl<'a> Signature<'a> {
    /// Has a private key sign the challenge.
    pub fn by(
        desk: &'a Desk<'a>,
        key: Handle,
        method: &'a Method,
        public: &'a Template,
        challenge: &[u8; 32],
    ) -> Answer<Self> {
        Self::over(desk, key, method, public, to_be_signed(method, public, challenge).into())
    }

    /// Has a private key sign what somebody else wants signed.
    pub fn over(
        desk: &'a Desk<'a>,
        key: Handle,
        method: &'a Method,
        public: &'a Template,
        data: Bytes,
    ) -> Answer<Self> {
        let bytes = run(desk, method, key, &data)?;
        Ok(Self { desk, method, public, data, bytes })
    }

    /// The signature itself.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// True if the host finds it good. False says nothing.
    pub fn is_good(&self, verifier: &dyn Verifier) -> bool {
        verifier.is_good(self.public, self.method.mechanism.kind, &self.data, &self.bytes)
    }

    /// What a member says of it, with the public key as a session object there.
    pub fn judged_by(&self, judge: &Desk<'_>) -> Proof {
        let public = self.public.clone();
        let public = public.with(CKA_TOKEN, false).with(CKA_PRIVATE, false).with(CKA_VERIFY, true);
        let judge_key = judge.member.create(judge.session, &public)?;
        let good = self.verify(judge, judge_key);
        // The judge's key is a session object of ours: that it can't be removed now does no harm.
        judge.discard(judge_key);
        good?.map_err(|fault| {
            Failure::Different(format!(
                "the signature that {} gives of a fresh challenge is not the one public key's ({} answers {})",
                self.desk.name(),
                judge.name(),
                fault.rv
            ))
        })
    }

    /// What a public key says of it: good, or what its member answers to it.
    ///
    /// Some have no better word than an ill one for what is no signature at all. One that is well and says so again has judged.
    fn verify(&self, judge: &Desk<'_>, key: Handle) -> Answer<Result<(), Fault>> {
        match self.verify_once(judge, key) {
            Err(fault) if fault.weight() != Weight::Member => match self.verify_once(judge, key) {
                Err(again) if again == fault && judge.member.token().is_ok() => Ok(Err(fault)),
                judged => judged,
            },
            judged => judged,
        }
    }

    fn verify_once(&self, judge: &Desk<'_>, key: Handle) -> Answer<Result<(), Fault>> {
        let (verb, mechanism) = (Verb::Verify, self.method.mechanism.clone());
        let init = Step::Init { verb, mechanism, key: Some(key), signature: None };
        let check = Step::Check(verb, self.data.clone(), self.bytes.clone());
        let step = |step: &Step| judge.member.step(judge.session, step, Room::Query);
        let judged = step(&init).and_then(|_| match step(&check) {
            Ok(_) => Ok(Ok(())),
            Err(fault) if is_refusal(fault) => Ok(Err(fault)),
            Err(fault) => Err(fault),
        });
        if judged.is_err() {
            // It may have begun, and not looked: then the operation goes on.
            judge.end(verb);
        }
        judged
    }
}

/// Proves a private key by a signature over a challenge that a member judges.
pub fn prove(
    desk: &Desk<'_>,
    judge: &Desk<'_>,
    key: Handle,
    method: &Method,
    public: &Template,
    challenge: &[u8; 32],
) -> Proof {
    Signature::by(desk, key, method, public, challenge)?.judged_by(judge)
}

/// What the key is given. Mechanisms that sign what they are given get the challenge's digest.
fn to_be_signed(method: &Method, public: &Template, challenge: &[u8; 32]) -> Vec<u8> {
    match method.mechanism.kind {
        CKM_ECDSA if public.bytes(CKA_EC_PARAMS) == Some(&P384) => {
            Sha384::digest(challenge).to_vec()
        }
        CKM_ECDSA => Sha256::digest(challenge).to_vec(),
        CKM_RSA_PKCS => [&SHA256_INFO[..], &Sha256::digest(challenge)].concat(),
        _ => challenge.get(..method.len).unwrap_or(challenge).to_vec(),
    }
}
