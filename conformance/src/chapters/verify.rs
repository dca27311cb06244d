//! Section 5.15: verifying.

use super::signature_first;
use crate::answer::Verdict;
use crate::argument::Out;
use crate::aspects;
use crate::case::{Cases, Need};
use crate::key::{ED25519, P256, Sort, Usage};
use crate::template;
use crate::token::Token;
use crate::value::{Mechanism, Template};
use crate::vectors::{self, unhex};
use crate::work::{Recipe, SIGNATURES, Task, Work};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    for recipe in SIGNATURES {
        aspects::add(cases, Work::Verify, recipe);
        wrong_signatures(cases, recipe);
        signature_first::add(cases, recipe);
    }
    for vector in vectors::SIGNED {
        let needs = [Need::Mechanism(vector.kind, CKF_VERIFY)];
        cases.add_with("C_Verify", vector.kind, vector.source, &needs, move |token| {
            known(token, vector)
        });
    }
    recovering(cases);
}

/// The public key of a published signature. Points are given as the specification has it, in an OCTET STRING.
fn public_key(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    vector: &vectors::Signed,
) -> Verdict<CK_OBJECT_HANDLE> {
    let common = template! { CKA_CLASS: CKO_PUBLIC_KEY, CKA_TOKEN: false, CKA_VERIFY: true };
    let key = unhex(vector.key);
    let point = |kind: CK_KEY_TYPE, curve: &[u8]| {
        let len = u8::try_from(key.len()).unwrap_or(0);
        let encoded = [&[0x04, len], key.as_slice()].concat();
        common
            .clone()
            .with(CKA_KEY_TYPE, kind)
            .with(CKA_EC_PARAMS, curve)
            .with(CKA_EC_POINT, encoded)
    };
    let wanted: Template = match vector.kind {
        CKM_SHA256_RSA_PKCS => common
            .with(CKA_KEY_TYPE, CKK_RSA)
            .with(CKA_MODULUS, &key)
            .with(CKA_PUBLIC_EXPONENT, &[1, 0, 1]),
        CKM_EDDSA => point(CKK_EC_EDWARDS, &ED25519),
        _ => point(CKK_EC, &P256),
    };
    token.create(session, wanted)
}

fn known(token: &Token<'_>, vector: &vectors::Signed) -> Verdict {
    let session = token.session()?;
    let key = public_key(token, session.handle, vector)?;
    let mut signature = unhex(vector.signature);
    let verify = |signature: &Vec<u8>| -> Verdict<crate::answer::Answer> {
        token.module.C_VerifyInit(session.handle, &mut Mechanism::plain(vector.kind), key).ok()?;
        Ok(token.module.C_Verify(session.handle, vector.data.into(), signature.into()))
    };
    verify(&signature)?.ok()?;
    if let Some(byte) = signature.last_mut() {
        *byte ^= 1;
    }
    verify(&signature)?.is(CKR_SIGNATURE_INVALID)
}

fn wrong_signatures(cases: &mut Cases, recipe: Recipe) {
    let needs = [Need::Mechanism(recipe.kind, CKF_SIGN | CKF_VERIFY)];
    cases.add_with(
        "C_Verify",
        recipe.kind,
        "a signature of something else ends the operation",
        &needs,
        move |token| {
            let session = token.session()?;
            let mut task = Task::of(token, session.handle, Work::Verify, recipe)?;
            if let Some(byte) = task.input.first_mut() {
                *byte ^= 1;
            }
            task.init().ok()?;
            task.whole(&mut Out::query()).is(CKR_SIGNATURE_INVALID)?;
            task.whole(&mut Out::query()).is(CKR_OPERATION_NOT_INITIALIZED)
        },
    );
    cases.add_with(
        "C_Verify",
        recipe.kind,
        "a signature that is too short or too long",
        &needs,
        move |token| {
            let session = token.session()?;
            let mut task = Task::of(token, session.handle, Work::Verify, recipe)?;
            let good = task.wanted.clone().unwrap_or_default();
            let longer = [good.as_slice(), &[0]].concat();
            for wrong in [good.get(1..).unwrap_or_default().to_vec(), longer] {
                task.wanted = Some(wrong);
                task.init().ok()?;
                task.whole(&mut Out::query())
                    .is_one_of(&[CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID])?;
            }
            Ok(())
        },
    );
    if recipe.parts {
        cases.add_with(
            "C_VerifyFinal",
            recipe.kind,
            "a signature of something else",
            &needs,
            move |token| {
                let session = token.session()?;
                let task = Task::of(token, session.handle, Work::Verify, recipe)?;
                task.init().ok()?;
                task.update(b"something else".into(), &mut Out::query()).ok()?;
                task.last(&mut Out::query()).is(CKR_SIGNATURE_INVALID)?;
                task.last(&mut Out::query()).is(CKR_OPERATION_NOT_INITIALIZED)
            },
        );
    }
}

fn recovering(cases: &mut Cases) {
    let needs = [Need::Mechanism(CKM_RSA_PKCS, CKF_VERIFY_RECOVER)];
    cases.add("C_VerifyRecoverInit", "no such key", &needs, |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_RSA_PKCS));
        let answer = token.module.C_VerifyRecoverInit(
            session.handle,
            &mut mechanism,
            CK_UNAVAILABLE_INFORMATION,
        );
        answer.is(CKR_KEY_HANDLE_INVALID)
    });
    cases.add("C_VerifyRecoverInit", "a mechanism that doesn't verify", &needs, |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_SHA256));
        let key = token.key(Sort::Rsa, Usage::All)?.public;
        token
            .module
            .C_VerifyRecoverInit(session.handle, &mut mechanism, key)
            .is(CKR_MECHANISM_INVALID)
    });
    cases.add("C_VerifyRecoverInit", "a key that must not be used for it", &needs, |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_RSA_PKCS));
        let key = token.key(Sort::Rsa, Usage::None)?.public;
        token
            .module
            .C_VerifyRecoverInit(session.handle, &mut mechanism, key)
            .is(CKR_KEY_FUNCTION_NOT_PERMITTED)
    });
    cases.add("C_VerifyRecover", "what is no signature", &needs, |token| {
        let session = token.session()?;
        let key = token.key(Sort::Rsa, Usage::All)?.public;
        token
            .module
            .C_VerifyRecoverInit(session.handle, &mut Mechanism::plain(CKM_RSA_PKCS), key)
            .ok()?;
        let answer =
            token.module.C_VerifyRecover(session.handle, (&[1; 256]).into(), &mut Out::room(512));
        answer.is(CKR_SIGNATURE_INVALID)
    });
    cases.add("C_VerifyRecover", "without C_VerifyRecoverInit", &[], |token| {
        let session = token.session()?;
        let answer =
            token.module.C_VerifyRecover(session.handle, (&[1; 256]).into(), &mut Out::room(512));
        answer.is(CKR_OPERATION_NOT_INITIALIZED)
    });
}
