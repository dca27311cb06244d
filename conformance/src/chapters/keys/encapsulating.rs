//! C_EncapsulateKey and C_DecapsulateKey.

use super::*;
use crate::answer::{ensure, same};
use crate::key::Key;

pub(super) fn add(cases: &mut Cases) {
    encapsulating(cases);
}

/// A pair of ML-KEM-768.
fn kem_pair(token: &Token<'_>, session: CK_SESSION_HANDLE) -> Verdict<Key> {
    let (mut public, mut private) = (Place::new(), Place::new());
    let mut one =
        template! { CKA_TOKEN: false, CKA_PARAMETER_SET: CKP_ML_KEM_768, CKA_ENCAPSULATE: true };
    let mut other = template! { CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_DECAPSULATE: true };
    let mut mechanism = Mechanism::plain(CKM_ML_KEM_KEY_PAIR_GEN);
    token
        .module
        .C_GenerateKeyPair(session, &mut mechanism, &mut one, &mut other, &mut public, &mut private)
        .prepares()?;
    Ok(Key { public: public.value, private: private.value })
}

fn encapsulating(cases: &mut Cases) {
    let needs = [
        Need::Function("C_EncapsulateKey"),
        Need::Mechanism(CKM_ML_KEM, CKF_ENCAPSULATE | CKF_DECAPSULATE),
    ];
    cases.add_with(
        "C_EncapsulateKey",
        CKM_ML_KEM,
        "C_DecapsulateKey comes to the same secret",
        &needs,
        |token| {
            let session = token.session()?;
            let (s, module, pair) =
                (session.handle, token.module, kem_pair(token, session.handle)?);
            let (mut sent, mut one, mut other, mut kem) =
                (Out::room(4096), Place::new(), Place::new(), Mechanism::plain(CKM_ML_KEM));
            module
                .C_EncapsulateKey(s, &mut kem, pair.public, &mut derived(32), &mut sent, &mut one)
                .ok()?;
            module
                .C_DecapsulateKey(
                    s,
                    &mut kem,
                    pair.private,
                    &mut derived(32),
                    sent.bytes().into(),
                    &mut other,
                )
                .ok()?;
            let value = |key| token.read(s, key, CKA_VALUE).unwrap_or_default();
            ensure(value(one.value).len() == 32, || "CKA_VALUE is not 32 bytes".into())?;
            same("what was decapsulated", &value(other.value), &value(one.value))
        },
    );
    cases.add_with("C_EncapsulateKey", CKM_ML_KEM, "a short buffer", &needs, |token| {
        let session = token.session()?;
        let (pair, mut kem) = (kem_pair(token, session.handle)?, Mechanism::plain(CKM_ML_KEM));
        let answer = token.module.C_EncapsulateKey(
            session.handle,
            &mut kem,
            pair.public,
            &mut derived(32),
            &mut Out::room(1),
            &mut Place::new(),
        );
        answer.is(CKR_BUFFER_TOO_SMALL)
    });
    cases.add_with("C_DecapsulateKey", CKM_ML_KEM, "no such key", &needs, |token| {
        let session = token.session()?;
        let answer = token.module.C_DecapsulateKey(
            session.handle,
            &mut Mechanism::plain(CKM_ML_KEM),
            CK_UNAVAILABLE_INFORMATION,
            &mut derived(32),
            (&[1; 1088]).into(),
            &mut Place::new(),
        );
        answer.is(CKR_KEY_HANDLE_INVALID)
    });
}
