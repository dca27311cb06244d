//! Section 5.4.1 with a fork: a child isn't initialised by what its parent did, and each goes its way.

use crate::answer::{Verdict, fail, skip};
use crate::argument::{Out, Place};
use crate::case::{Cases, Need};
use crate::key::{Sort, Usage};
use crate::module::in_child;
use crate::token::Token;
use crate::value::Mechanism;
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    cases.add("C_Initialize", "in a child after a fork", &[], |token| {
        child(token, |token| {
            token
                .module
                .C_Initialize(&mut token.reach.start.arguments())
                .is_one_of(&[CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED])
        })
    });
    cases.add(
        "C_Initialize",
        "in a child after a fork, then a login and a digest",
        &[Need::Mechanism(CKM_SHA256, CKF_DIGEST)],
        |token| {
            child(token, |token| {
                token.module.C_Initialize(&mut token.reach.start.arguments()).ok()?;
                let session = token.session()?;
                token.login(session.handle, CKU_USER).ok()?;
                token
                    .module
                    .C_DigestInit(session.handle, &mut Mechanism::plain(CKM_SHA256))
                    .ok()?;
                token.module.C_Digest(session.handle, b"abc".into(), &mut Out::room(32)).ok()?;
                token.module.C_Finalize(false).ok()
            })
        },
    );
    cases.add("C_GetSessionInfo", "the parent's session in a child after a fork", &[], |token| {
        let anchor = token.anchor();
        child(token, move |token| {
            let answer = token.module.C_GetSessionInfo(anchor, &mut Place::new());
            answer.is(CKR_CRYPTOKI_NOT_INITIALIZED)
        })
    });
    cases.add(
        "C_Finalize",
        "a child's end leaves the parent as it was",
        &[Need::Mechanism(CKM_SHA256_HMAC, CKF_SIGN)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Secret, Usage::All)?.private;
            token
                .module
                .C_SignInit(session.handle, &mut Mechanism::plain(CKM_SHA256_HMAC), key)
                .ok()?;
            child(token, |token| {
                let answer = token.module.C_Initialize(&mut token.reach.start.arguments());
                answer.is_one_of(&[CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED])?;
                token.module.C_Finalize(false).ok()
            })?;
            token.module.C_Sign(session.handle, b"data".into(), &mut Out::room(32)).ok()
        },
    );
}

/// Does something in a forked child; it fails as the child does.
fn child(token: &Token<'_>, work: impl Fn(&Token<'_>) -> Verdict) -> Verdict {
    let told = in_child(|| match work(token) {
        Ok(()) => "passed".to_owned(),
        Err(stop) => crate::token::reason(stop),
    });
    match told {
        Ok(Some(told)) if told == "passed" => Ok(()),
        Ok(Some(told)) => fail(format!("in the child {told}")),
        Ok(None) => fail("the child ended without a word: it crashed"),
        Err(error) => skip(format!("there can be no child: {error}")),
    }
}
