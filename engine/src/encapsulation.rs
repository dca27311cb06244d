//! Keys that are sent (PKCS #11 3.2 section 5.18.8): a secret and its ciphertext made with a public key, the secret got back
//! with the private one. So a private key is proven, too.

use crate::desk::Desk;
use crate::error::Result;
use crate::fault::{Answer, Call, Fault};
use crate::held::Held;
use crate::import::impose;
use crate::prove::{Failure, Proof, readable, reveal};
use crate::session::Session;
use crate::shown::{self, Origin};
use crate::step::{Bytes, Output, Room};
use crate::{check, check::Purpose};
use std::cell::RefCell;
use tandem_values::{AttributeType, Handle, Mechanism, Template, ck::*};

/// Bytes of a secret that ML-KEM sends (FIPS 203, table 3).
const SECRET_BYTES: usize = 32;
/// The longest ciphertext of ML-KEM (the same table).
const SENT_BYTES_MAX: usize = 1_568;

impl Session {
    /// C_EncapsulateKey: the ciphertext, and the secret's handle. There is a secret only if there are bytes: a length that is asked
    /// for and a buffer that is too short ([`Output::Short`]) make none.
    pub fn encapsulate(
        &self,
        mechanism: &Mechanism,
        public: Handle,
        template: &Template,
        room: Room,
    ) -> Result<(Output, Handle)> {
        let by = self.usable(public, mechanism, CKA_ENCAPSULATE, CKR_KEY_HANDLE_INVALID)?;
        let wanted = self.sent(template, &by, CKA_ENCAPSULATE_TEMPLATE)?;
        let needed = self.sent_bytes(mechanism, &by)?;
        match room {
            Room::Query => return Ok((Output::Length(needed), CK_INVALID_HANDLE)),
            Room::Bytes(room) if room < needed => {
                return Ok((Output::Short(needed), CK_INVALID_HANDLE));
            }
            Room::Bytes(_) => {}
        }
        let ciphertext = RefCell::new(Bytes::default());
        let key = self.make_with(&[by], &wanted.shown, |desk, keys, scratch| {
            let public = first(keys)?;
            let (scratch, room) = (wanted.sized(scratch), Room::Bytes(needed));
            match desk.member.encapsulate(desk.session, mechanism, public, &scratch, room)? {
                (Output::Bytes(bytes), key) => {
                    ciphertext.replace(bytes);
                    Ok(key)
                }
                _ => Err(Fault::new(Call::Encapsulate, CKR_GENERAL_ERROR)),
            }
        })?;
        Ok((Output::Bytes(ciphertext.into_inner()), key))
    }

    /// C_DecapsulateKey.
    pub fn decapsulate(
        &self,
        mechanism: &Mechanism,
        private: Handle,
        ciphertext: &[u8],
        template: &Template,
    ) -> Result<Handle> {
        let by = self.usable(private, mechanism, CKA_DECAPSULATE, CKR_KEY_HANDLE_INVALID)?;
        let wanted = self.sent(template, &by, CKA_DECAPSULATE_TEMPLATE)?;
        self.make_with(&[by], &wanted.shown, |desk, keys, scratch| {
            let (private, scratch) = (first(keys)?, wanted.sized(scratch));
            desk.member.decapsulate(desk.session, mechanism, private, ciphertext, &scratch)
        })
    }

    /// How long a ciphertext for this key is. A member says so, and makes nothing.
    fn sent_bytes(&self, mechanism: &Mechanism, by: &Held) -> Result<usize> {
        let token = self.token();
        token.on_holders(std::slice::from_ref(by), |lease| {
            let (desk, public) = (lease.desk(), token.place(lease, by)?);
            let template = readable(SECRET_BYTES);
            let asked =
                desk.member.encapsulate(desk.session, mechanism, public, &template, Room::Query)?;
            match asked {
                (Output::Length(len), _) => Ok(len),
                _ => Err(Fault::new(Call::Encapsulate, CKR_GENERAL_ERROR)),
            }
        })
    }

    /// What the secret shows. Its past is unknown to one side, so it is to both.
    fn sent(&self, template: &Template, by: &Held, bound: AttributeType) -> Result<Wanted> {
        let mut shown = check::template(template, Purpose::Make)?;
        if let Some(required) = by.object().template.template(bound) {
            impose(&mut shown, required)?;
        }
        shown.set_default(CKA_KEY_TYPE, CKK_GENERIC_SECRET);
        check::expect(&mut shown, CKO_SECRET_KEY, None)?;
        check::values(&shown)?;
        let len = shown.number(CKA_VALUE_LEN);
        shown::complete(&mut shown, Origin::Imported);
        self.may_make(&shown)?;
        Ok(Wanted { shown, len })
    }
}

/// A secret that is wanted, and how long it shall be.
struct Wanted {
    shown: Template,
    len: Option<u64>,
}

impl Wanted {
    fn sized(&self, scratch: &Template) -> Template {
        match self.len {
            Some(len) => scratch.clone().with(CKA_VALUE_LEN, len),
            None => scratch.clone(),
        }
    }
}

fn first(keys: &[Handle]) -> Answer<Handle> {
    keys.first().copied().ok_or_else(|| Fault::new(Call::Encapsulate, CKR_GENERAL_ERROR))
}

/// True for a private key that may get back what was sent to it, so that it can be proven as it stands.
pub(crate) fn proves(template: &Template) -> bool {
    let allowed = template.numbers(CKA_ALLOWED_MECHANISMS).filter(|allowed| !allowed.is_empty());
    template.key_type() == Some(CKK_ML_KEM)
        && template.is(CKA_DECAPSULATE)
        && !template.is(CKA_ALWAYS_AUTHENTICATE)
        && allowed.is_none_or(|allowed| allowed.contains(&CKM_ML_KEM))
}

/// Proves a private key: it gets back a fresh secret that the judge sends to the one public key. Another key gets something
/// else, and no error (FIPS 203, implicit rejection), so the secrets are compared; they are worth nothing afterwards.
pub(crate) fn prove(desk: &Desk<'_>, judge: &Desk<'_>, key: Handle, public: &Template) -> Proof {
    let (kem, secret) = (Mechanism::plain(CKM_ML_KEM), readable(SECRET_BYTES));
    let public = public.clone().with(CKA_TOKEN, false).with(CKA_PRIVATE, false);
    let public = judge.member.create(judge.session, &public.with(CKA_ENCAPSULATE, true))?;
    let room = Room::Bytes(SENT_BYTES_MAX);
    let sent = judge.member.encapsulate(judge.session, &kem, public, &secret, room);
    // The judge's key is a session object of ours: that it can't be removed now does no harm.
    judge.discard(public);
    let (Output::Bytes(ciphertext), there) = sent? else {
        return Err(Fault::new(Call::Encapsulate, CKR_GENERAL_ERROR).into());
    };
    let there = reveal(judge, there)?;
    let here = desk.member.decapsulate(desk.session, &kem, key, &ciphertext, &secret)?;
    let here = reveal(desk, here)?;
    if !here.is_empty() && here == there {
        return Ok(());
    }
    Err(Failure::Different(format!(
        "a fresh secret that {} sends to the one public key comes out as another on {}",
        judge.name(),
        desk.name()
    )))
}
