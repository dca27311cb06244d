//! Section 5.12: digests.

use crate::answer::same;
use crate::argument::Out;
use crate::aspects;
use crate::case::{Cases, Need};
use crate::key::{Sort, Usage};
use crate::template;
use crate::value::Mechanism;
use crate::vectors;
use crate::work::{DIGESTS, Work};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    for recipe in DIGESTS {
        aspects::add(cases, Work::Digest, recipe);
    }
    for vector in vectors::DIGESTS {
        let needs = [Need::Mechanism(vector.kind, CKF_DIGEST)];
        let what = format!("{} bytes of {}", vector.data.len(), vector.source);
        cases.add_with("C_Digest", vector.kind, &what, &needs, move |token| {
            let (session, mut out) = (token.session()?, Out::room(64));
            token.module.C_DigestInit(session.handle, &mut Mechanism::plain(vector.kind)).ok()?;
            token.module.C_Digest(session.handle, vector.data.into(), &mut out).ok()?;
            same("the digest", out.bytes(), &vectors::unhex(vector.result))
        });
    }
    keys(cases);
}

fn keys(cases: &mut Cases) {
    let needs = [Need::Mechanism(CKM_SHA256, CKF_DIGEST)];
    cases.add("C_DigestKey", "the bytes of a secret key are part of the data", &needs, |token| {
        let (session, mut out) = (token.session()?, Out::room(64));
        let key = token.create(session.handle, template! {
            CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_GENERIC_SECRET, CKA_TOKEN: false, CKA_PRIVATE: true,
            CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_VALUE: b"b",
        })?;
        let module = token.module;
        module.C_DigestInit(session.handle, &mut Mechanism::plain(CKM_SHA256)).ok()?;
        module.C_DigestUpdate(session.handle, b"a".into()).ok()?;
        module.C_DigestKey(session.handle, key).prepares()?;
        module.C_DigestUpdate(session.handle, b"c".into()).ok()?;
        module.C_DigestFinal(session.handle, &mut out).ok()?;
        same("the digest", out.bytes(), &vectors::SHA256_ABC)
    });
    cases.add("C_DigestKey", "without C_DigestInit", &needs, |token| {
        let session = token.session()?;
        let key = token.key(Sort::Secret, Usage::All)?.private;
        token.module.C_DigestKey(session.handle, key).is(CKR_OPERATION_NOT_INITIALIZED)
    });
    cases.add("C_DigestKey", "no such key", &needs, |token| {
        let session = token.session()?;
        token.module.C_DigestInit(session.handle, &mut Mechanism::plain(CKM_SHA256)).ok()?;
        token
            .module
            .C_DigestKey(session.handle, CK_UNAVAILABLE_INFORMATION)
            .is(CKR_KEY_HANDLE_INVALID)
    });
    cases.add("C_DigestKey", "a key that isn't secret", &needs, |token| {
        let session = token.session()?;
        let key = token.key(Sort::Ec, Usage::All)?.public;
        token.module.C_DigestInit(session.handle, &mut Mechanism::plain(CKM_SHA256)).ok()?;
        token.module.C_DigestKey(session.handle, key).is(CKR_KEY_INDIGESTIBLE)
    });
}
