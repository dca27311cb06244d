//! Section 5.13: signatures and MACs.

use crate::answer::{same, skip};
use crate::argument::{Out, Place};
use crate::aspects;
use crate::case::{Cases, Need};
use crate::key::{P256, Sort, Usage};
use crate::template;
use crate::token::Token;
use crate::value::Mechanism;
use crate::vectors::{self, unhex};
use crate::work::{SIGNATURES, Work};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    for recipe in SIGNATURES {
        aspects::add(cases, Work::Sign, recipe);
    }
    for vector in vectors::MACS {
        let needs = [Need::Mechanism(vector.kind, CKF_SIGN)];
        cases.add_with("C_Sign", vector.kind, vector.source, &needs, move |token| {
            let session = token.session()?;
            let sort = if vector.kind == CKM_AES_CMAC { CKK_AES } else { CKK_GENERIC_SECRET };
            let key = token.create(session.handle, template! {
                CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: sort, CKA_TOKEN: false, CKA_PRIVATE: true,
                CKA_SIGN: true, CKA_VALUE: unhex(vector.key),
            })?;
            let got =
                token.sign(session.handle, &Mechanism::plain(vector.kind), key, vector.data)?;
            same("the MAC", &got, &unhex(vector.result))
        });
    }
    let needs = [Need::Mechanism(CKM_AES_ECB, CKF_ENCRYPT)];
    cases.add(
        "C_SignInit",
        "a mechanism that encrypts, and a key that isn't one for it",
        &needs,
        |token| {
            let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_AES_ECB));
            let key = token.key(Sort::Rsa, Usage::All)?.private;
            token.module.C_SignInit(session.handle, &mut mechanism, key).is(CKR_MECHANISM_INVALID)
        },
    );
    recovering(cases);
    always_asking(cases);
}

fn recovering(cases: &mut Cases) {
    let needs = [Need::Mechanism(CKM_RSA_PKCS, CKF_SIGN_RECOVER)];
    cases.add("C_SignRecoverInit", "no such key", &needs, |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_RSA_PKCS));
        let answer = token.module.C_SignRecoverInit(
            session.handle,
            &mut mechanism,
            CK_UNAVAILABLE_INFORMATION,
        );
        answer.is(CKR_KEY_HANDLE_INVALID)
    });
    cases.add("C_SignRecoverInit", "a mechanism that doesn't sign", &needs, |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_SHA256));
        let key = token.key(Sort::Rsa, Usage::All)?.private;
        token
            .module
            .C_SignRecoverInit(session.handle, &mut mechanism, key)
            .is(CKR_MECHANISM_INVALID)
    });
    cases.add("C_SignRecoverInit", "a key that must not be used for it", &needs, |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_RSA_PKCS));
        let key = token.key(Sort::Rsa, Usage::None)?.private;
        token
            .module
            .C_SignRecoverInit(session.handle, &mut mechanism, key)
            .is(CKR_KEY_FUNCTION_NOT_PERMITTED)
    });
    cases.add("C_SignRecover", "what was signed is recovered", &needs, |token| {
        let session = token.session()?;
        let key = token.key(Sort::Rsa, Usage::All)?;
        let (mut signature, mut data, module) = (Out::room(512), Out::room(512), token.module);
        module
            .C_SignRecoverInit(session.handle, &mut Mechanism::plain(CKM_RSA_PKCS), key.private)
            .ok()?;
        module.C_SignRecover(session.handle, b"recover me".into(), &mut signature).ok()?;
        module
            .C_VerifyRecoverInit(session.handle, &mut Mechanism::plain(CKM_RSA_PKCS), key.public)
            .ok()?;
        module.C_VerifyRecover(session.handle, signature.bytes().into(), &mut data).ok()?;
        same("the data", data.bytes(), b"recover me")
    });
    cases.add("C_SignRecover", "without C_SignRecoverInit", &[], |token| {
        let session = token.session()?;
        let answer =
            token.module.C_SignRecover(session.handle, b"data".into(), &mut Out::room(512));
        answer.is(CKR_OPERATION_NOT_INITIALIZED)
    });
}

/// A key that wants the PIN before each use (CKA_ALWAYS_AUTHENTICATE).
fn asking_key(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
) -> crate::answer::Verdict<CK_OBJECT_HANDLE> {
    let (mut public, mut private) = (Place::new(), Place::new());
    let mut first = template! { CKA_EC_PARAMS: &P256, CKA_TOKEN: false, CKA_VERIFY: true };
    let mut second = template! {
        CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_SIGN: true, CKA_ALWAYS_AUTHENTICATE: true,
    };
    let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
    let made = token.module.C_GenerateKeyPair(
        session,
        &mut mechanism,
        &mut first,
        &mut second,
        &mut public,
        &mut private,
    );
    made.prepares()?;
    if token.read(session, private.value, CKA_ALWAYS_AUTHENTICATE).is_ok_and(|value| value == [1]) {
        return Ok(private.value);
    }
    skip("the token doesn't keep CKA_ALWAYS_AUTHENTICATE")
}

fn always_asking(cases: &mut Cases) {
    let needs = [
        Need::Mechanism(CKM_ECDSA, CKF_SIGN),
        Need::Mechanism(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR),
    ];
    cases.add_with(
        "C_Sign",
        CKM_ECDSA,
        "a key that wants the PIN before each use",
        &needs,
        |token| {
            let session = token.session()?;
            let key = asking_key(token, session.handle)?;
            let mut mechanism = Mechanism::plain(CKM_ECDSA);
            token.module.C_SignInit(session.handle, &mut mechanism, key).ok()?;
            token
                .module
                .C_Sign(session.handle, (&[7; 32]).into(), &mut Out::room(64))
                .is(CKR_USER_NOT_LOGGED_IN)
        },
    );
    cases.add_with(
        "C_Sign",
        CKM_ECDSA,
        "after the PIN that its key wants, once",
        &needs,
        |token| {
            let session = token.session()?;
            let key = asking_key(token, session.handle)?;
            let mut mechanism = Mechanism::plain(CKM_ECDSA);
            token.module.C_SignInit(session.handle, &mut mechanism, key).ok()?;
            token.login(session.handle, CKU_CONTEXT_SPECIFIC).ok()?;
            token.module.C_Sign(session.handle, (&[7; 32]).into(), &mut Out::room(64)).ok()?;
            token.module.C_SignInit(session.handle, &mut mechanism, key).ok()?;
            token
                .module
                .C_Sign(session.handle, (&[7; 32]).into(), &mut Out::room(64))
                .is(CKR_USER_NOT_LOGGED_IN)
        },
    );
}
