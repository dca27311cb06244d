//! Operations of a toy HSM.

use super::{Hsm, Life, Thing, crypto, template};
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::SessionId;
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::{Handle, Mechanism, Parameter, Part, Template, ck::*};

/// An operation under way.
#[derive(Clone)]
pub struct Operation {
    mechanism: Mechanism,
    /// `None` for a digest.
    key: Option<Thing>,
    fed: Vec<u8>,
    /// How much of the output is out already, in bytes.
    released: usize,
    /// The member has lost its mind in this operation.
    skewed: bool,
}

const fn usage(verb: Verb) -> Option<u64> {
    match verb {
        Verb::Encrypt => Some(CKA_ENCRYPT),
        Verb::Decrypt => Some(CKA_DECRYPT),
        Verb::Sign => Some(CKA_SIGN),
        Verb::Verify => Some(CKA_VERIFY),
        _ => None,
    }
}

/// True if a key of this type does this with this mechanism.
fn goes_with(verb: Verb, mechanism: u64, key: &Template) -> bool {
    matches!(
        (verb, mechanism, key.key_type()),
        (
            Verb::Sign | Verb::Verify,
            CKM_RSA_PKCS | CKM_SHA256_RSA_PKCS | CKM_SHA1_RSA_PKCS,
            Some(CKK_RSA)
        ) | (Verb::Sign | Verb::Verify, CKM_ECDSA | CKM_ECDSA_SHA256, Some(CKK_EC))
            | (
                Verb::Sign | Verb::Verify,
                CKM_MD5_HMAC | CKM_SHA_1_HMAC | CKM_SHA256_HMAC | CKM_SHA512_HMAC,
                Some(CKK_GENERIC_SECRET)
            )
            | (
                Verb::Encrypt | Verb::Decrypt,
                CKM_AES_ECB | CKM_AES_CBC | CKM_AES_GCM,
                Some(CKK_AES)
            )
    )
}

impl Hsm {
    /// One step of an operation. `skewed`: what begins here comes out wrong.
    pub fn step(
        &mut self,
        life: Life,
        session: SessionId,
        step: &Step,
        room: Room,
        skewed: bool,
    ) -> Answer<Output> {
        let refuse = |rv| Fault::new(Call::Step, rv);
        if let Step::Init { verb, mechanism, key, .. } = step {
            let key = self.key_for(life, session, *verb, mechanism, *key)?;
            let sitting = self.sitting(life, session, Call::Step)?;
            if sitting.operations.contains_key(verb) {
                return Err(refuse(CKR_OPERATION_ACTIVE));
            }
            let mechanism = mechanism.clone();
            let operation = Operation { mechanism, key, fed: Vec::new(), released: 0, skewed };
            sitting.operations.insert(*verb, operation);
            return Ok(Output::Nothing);
        }
        if let Step::FeedKey(key) = step {
            let key = self.thing(life, session, *key, Call::Step, CKR_KEY_HANDLE_INVALID)?;
            if key.template.class() != Some(CKO_SECRET_KEY) {
                return Err(refuse(CKR_KEY_INDIGESTIBLE));
            }
            let feed = Step::Feed(Verb::Digest, key.secret.clone().into());
            return self.step(life, session, &feed, room, skewed);
        }
        let (verb, ends) = match step {
            Step::Whole(verb, _) | Step::Check(verb, ..) | Step::CheckLast(verb, _) => {
                (*verb, true)
            }
            Step::Last(verb) => (*verb, true),
            Step::Part(verb, _) | Step::Feed(verb, _) => (*verb, false),
            _ => return Err(refuse(CKR_FUNCTION_NOT_SUPPORTED)),
        };
        let sitting = self.sitting(life, session, Call::Step)?;
        let operation = sitting.operations.get(&verb).cloned();
        let mut operation = operation.ok_or_else(|| refuse(CKR_OPERATION_NOT_INITIALIZED))?;
        let output = match operation.go_on(verb, step) {
            Ok(output) => fit(output, room),
            Err(rv) => {
                sitting.operations.remove(&verb);
                return Err(refuse(rv));
            }
        };
        match &output {
            Output::Length(_) | Output::Short(_) => {}
            _ if ends => _ = sitting.operations.remove(&verb),
            _ => _ = sitting.operations.insert(verb, operation),
        }
        Ok(output)
    }

    /// The key that an operation begins with: none for a digest.
    fn key_for(
        &mut self,
        life: Life,
        session: SessionId,
        verb: Verb,
        mechanism: &Mechanism,
        key: Option<Handle>,
    ) -> Answer<Option<Thing>> {
        let refuse = |rv| Fault::new(Call::Step, rv);
        if verb == Verb::Digest {
            let known = mechanism.kind == CKM_SHA256;
            return if known { Ok(None) } else { Err(refuse(CKR_MECHANISM_INVALID)) };
        }
        let usage = usage(verb).ok_or_else(|| refuse(CKR_FUNCTION_NOT_SUPPORTED))?;
        let key = key.ok_or_else(|| refuse(CKR_KEY_HANDLE_INVALID))?;
        let key = self.thing(life, session, key, Call::Step, CKR_KEY_HANDLE_INVALID)?;
        template::may_use(&key.template, usage, mechanism.kind).map_err(refuse)?;
        if !goes_with(verb, mechanism.kind, &key.template) {
            return Err(refuse(CKR_KEY_TYPE_INCONSISTENT));
        }
        Ok(Some(key.clone()))
    }

    /// C_SessionCancel.
    pub fn cancel(&mut self, life: Life, session: SessionId, verb: Verb) -> Answer {
        self.sitting(life, session, Call::Step)?.operations.remove(&verb);
        Ok(())
    }
}

/// The output as there is room for it.
fn fit(output: Option<Vec<u8>>, room: Room) -> Output {
    match (output, room) {
        (None, _) => Output::Nothing,
        (Some(bytes), Room::Query) => Output::Length(bytes.len()),
        (Some(bytes), Room::Bytes(len)) if len < bytes.len() => Output::Short(bytes.len()),
        (Some(bytes), Room::Bytes(_)) => Output::Bytes(bytes.into()),
    }
}

impl Operation {
    fn go_on(&mut self, verb: Verb, step: &Step) -> Result<Option<Vec<u8>>, u64> {
        match step {
            Step::Feed(_, data) => {
                self.fed.extend(data.iter());
                Ok(None)
            }
            Step::Whole(_, data) => {
                self.fed.extend(data.iter());
                self.result(verb).map(Some)
            }
            Step::Last(_) if matches!(verb, Verb::Encrypt | Verb::Decrypt) => {
                if self.released < self.fed.len() {
                    return Err(CKR_DATA_LEN_RANGE);
                }
                Ok(Some(Vec::new()))
            }
            Step::Last(_) => self.result(verb).map(Some),
            Step::Part(_, data) => {
                if self.mechanism.kind == CKM_AES_GCM {
                    return Err(CKR_FUNCTION_NOT_SUPPORTED);
                }
                self.fed.extend(data.iter());
                let whole = self.result(verb)?;
                let part = whole.get(self.released..).unwrap_or_default().to_vec();
                self.released = whole.len();
                Ok(Some(part))
            }
            Step::Check(_, data, signature) => {
                self.fed.extend(data.iter());
                self.check(verb, signature)
            }
            Step::CheckLast(_, signature) => self.check(verb, signature),
            _ => Err(CKR_FUNCTION_NOT_SUPPORTED),
        }
    }

    fn check(&self, verb: Verb, signature: &[u8]) -> Result<Option<Vec<u8>>, u64> {
        let expected = self.result(verb)?;
        if expected.len() != signature.len() {
            return Err(CKR_SIGNATURE_LEN_RANGE);
        }
        if expected == signature { Ok(None) } else { Err(CKR_SIGNATURE_INVALID) }
    }

    /// What comes of everything that was fed.
    fn result(&self, verb: Verb) -> Result<Vec<u8>, u64> {
        let kind = self.mechanism.kind;
        let Some(Thing { template, secret, .. }) = &self.key else {
            return Ok(crypto::digest(kind, &self.fed, self.skewed));
        };
        Ok(match (template.class(), kind, verb) {
            (Some(CKO_PRIVATE_KEY), ..) => {
                let public = crypto::public_of(secret).ok_or(CKR_GENERAL_ERROR)?;
                crypto::sign(&public, kind, &self.fed, self.skewed)
            }
            (Some(CKO_PUBLIC_KEY), ..) => crypto::sign(template, kind, &self.fed, self.skewed),
            (_, _, Verb::Sign | Verb::Verify) => crypto::mac(secret, kind, &self.fed, self.skewed),
            (_, CKM_AES_GCM, _) => return self.gcm(secret, verb),
            (_, _, Verb::Encrypt) => {
                crypto::encrypt_blocks(secret, self.iv(), &self.fed, self.skewed)
            }
            _ => crypto::decrypt_blocks(secret, self.iv(), &self.fed, self.skewed),
        })
    }

    fn iv(&self) -> Option<&[u8]> {
        match &self.mechanism.parameter {
            Parameter::Flat(iv) => Some(iv),
            _ => None,
        }
    }

    fn gcm(&self, secret: &[u8], verb: Verb) -> Result<Vec<u8>, u64> {
        let Parameter::Parts(parts) = &self.mechanism.parameter else {
            return Err(CKR_MECHANISM_PARAM_INVALID);
        };
        let mut texts = parts.iter().filter_map(|part| match part {
            Part::Bytes(bytes) => Some(bytes.as_ref().map_or(&[][..], |bytes| bytes.as_slice())),
            _ => None,
        });
        let (iv, aad) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match verb {
            Verb::Encrypt => Ok(crypto::seal(secret, &[iv, aad], &self.fed)),
            _ => crypto::open(secret, &[iv, aad], &self.fed).ok_or(CKR_ENCRYPTED_DATA_INVALID),
        }
    }
}

impl Hsm {
    /// True if a step judges a signature with a session object: the engine's proofs do, a script never.
    pub fn judges_for_us(&self, session: SessionId, step: &Step) -> bool {
        let sitting = self.sittings.get(&session.0);
        matches!(step, Step::Check(..))
            && sitting
                .and_then(|sitting| sitting.operations.get(&Verb::Verify))
                .and_then(|operation| operation.key.as_ref())
                .is_some_and(|key| key.session.is_some())
    }
}
