//! C_UnwrapKey, templates of wrapping keys, and authenticated wrapping.

use super::*;

pub(super) fn add(cases: &mut Cases) {
    unwrapping(cases);
    unwrap_templates(cases);
    authenticated(cases);
}

fn unwrapping(cases: &mut Cases) {
    cases.add("C_UnwrapKey", "bytes that are no wrapped key", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        unwrap(token, session.handle, by, (&[7; 40]).into(), &mut unwrapped())
            .is(CKR_WRAPPED_KEY_INVALID)
    });
    cases.add(
        "C_UnwrapKey",
        "bytes of a length that no wrapped key has",
        &[WRAP, AES_GEN],
        |token| {
            let session = token.session()?;
            let by = token.key(Sort::Aes, Usage::All)?.private;
            let answer = unwrap(token, session.handle, by, (&[7; 13]).into(), &mut unwrapped());
            answer.is_one_of(&[CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID])
        },
    );
    cases.add("C_UnwrapKey", "no such key", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let answer = unwrap(
            token,
            session.handle,
            CK_UNAVAILABLE_INFORMATION,
            (&[7; 40]).into(),
            &mut unwrapped(),
        );
        answer.is(CKR_UNWRAPPING_KEY_HANDLE_INVALID)
    });
    cases.add("C_UnwrapKey", "by a key that must not unwrap", &[WRAP, AES_GEN], |token| {
        let (session, by) = (token.session()?, token.key(Sort::Aes, Usage::None)?.private);
        let answer = unwrap(token, session.handle, by, (&[7; 40]).into(), &mut unwrapped());
        answer.is(CKR_KEY_FUNCTION_NOT_PERMITTED)
    });
    cases.add("C_UnwrapKey", "by a key of another type", &[WRAP, AES_GEN, EC_GEN], |token| {
        let (session, by) = (token.session()?, token.key(Sort::Ec, Usage::All)?.private);
        let answer = unwrap(token, session.handle, by, (&[7; 40]).into(), &mut unwrapped());
        answer.is(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT)
    });
    cases.add("C_UnwrapKey", "a template without a type of key", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (by, key, mut wrapped) = (
            token.key(Sort::Aes, Usage::All)?.private,
            readable(token, session.handle)?,
            Out::room(64),
        );
        wrap(token, session.handle, by, key, &mut wrapped).ok()?;
        let answer = unwrap(
            token,
            session.handle,
            by,
            wrapped.bytes().into(),
            &mut unwrapped().without(CKA_KEY_TYPE),
        );
        answer.is(CKR_TEMPLATE_INCOMPLETE)
    });
    cases.add("C_UnwrapKey", "null pointers where something must be", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        unwrap(token, session.handle, by, Data::null(40), &mut unwrapped())
            .is(CKR_ARGUMENTS_BAD)?;
        unwrap(token, session.handle, by, (&[7; 40]).into(), &mut Template::null(2))
            .is(CKR_ARGUMENTS_BAD)
    });
}

/// CKA_UNWRAP_TEMPLATE and CKA_WRAP_TEMPLATE of a wrapping key.
fn unwrap_templates(cases: &mut Cases) {
    cases.add("C_UnwrapKey", "CKA_UNWRAP_TEMPLATE holds", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (s, mut by, mut wrapped) = (session.handle, Place::new(), Out::room(64));
        let closed = aes().with(CKA_UNWRAP_TEMPLATE, template! { CKA_EXTRACTABLE: false });
        generate(token, s, closed, &mut by).prepares()?;
        wrap(token, s, by.value, readable(token, s)?, &mut wrapped).prepares()?;
        let answer = unwrap(token, s, by.value, wrapped.bytes().into(), &mut unwrapped());
        answer.is(CKR_TEMPLATE_INCONSISTENT)?;
        unwrap(
            token,
            s,
            by.value,
            wrapped.bytes().into(),
            &mut unwrapped().with(CKA_EXTRACTABLE, false),
        )
        .ok()
    });
    cases.add("C_WrapKey", "CKA_WRAP_TEMPLATE holds", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (s, mut by) = (session.handle, Place::new());
        let picky = aes().with(CKA_WRAP_TEMPLATE, template! { CKA_KEY_TYPE: CKK_GENERIC_SECRET });
        generate(token, s, picky, &mut by).prepares()?;
        wrap(token, s, by.value, readable(token, s)?, &mut Out::room(64)).is(CKR_KEY_HANDLE_INVALID)
    });
}

fn gcm() -> Mechanism {
    Mechanism::new(CKM_AES_GCM, Mechanism::gcm_message(&[1; 12], &[0; 16]))
}

fn authenticated(cases: &mut Cases) {
    let needs = [
        Need::Function("C_WrapKeyAuthenticated"),
        Need::Mechanism(CKM_AES_GCM, CKF_WRAP | CKF_UNWRAP),
    ];
    cases.add(
        "C_WrapKeyAuthenticated",
        "what is unwrapped is what was wrapped",
        &needs,
        move |token| {
            let session = token.session()?;
            let (s, module, by) =
                (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
            let (key, mut wrapped, mut copy, mut mechanism) =
                (readable(token, s)?, Out::room(128), Place::new(), gcm());
            module
                .C_WrapKeyAuthenticated(
                    s,
                    &mut mechanism,
                    by,
                    key,
                    b"associated".into(),
                    &mut wrapped,
                )
                .ok()?;
            let answer = module.C_UnwrapKeyAuthenticated(
                s,
                &mut mechanism,
                by,
                wrapped.bytes().into(),
                &mut unwrapped(),
                b"associated".into(),
                &mut copy,
            );
            answer.ok()?;
            token.shows(s, copy.value, CKA_VALUE, &[5; 32])
        },
    );
    let what = "it is what C_WrapKey makes, and the tag apart";
    cases.add("C_WrapKeyAuthenticated", what, &needs, tag_apart);
    cases.add("C_UnwrapKeyAuthenticated", "other associated data", &needs, move |token| {
        let session = token.session()?;
        let (s, module, by) =
            (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
        let (key, mut wrapped, mut mechanism) = (readable(token, s)?, Out::room(128), gcm());
        module
            .C_WrapKeyAuthenticated(s, &mut mechanism, by, key, b"associated".into(), &mut wrapped)
            .ok()?;
        let answer = module.C_UnwrapKeyAuthenticated(
            s,
            &mut mechanism,
            by,
            wrapped.bytes().into(),
            &mut unwrapped(),
            b"other".into(),
            &mut Place::new(),
        );
        answer.is_one_of(&[
            CKR_WRAPPED_KEY_INVALID,
            CKR_AEAD_DECRYPT_FAILED,
            CKR_ENCRYPTED_DATA_INVALID,
        ])
    });
}

/// The tag stands where the parameter has its place, and not behind what was wrapped.
fn tag_apart(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module, by) = (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
    let (key, mut wrapped, mut whole) = (readable(token, s)?, Out::room(128), Out::room(128));
    let mut mechanism = gcm();
    module
        .C_WrapKeyAuthenticated(s, &mut mechanism, by, key, b"associated".into(), &mut wrapped)
        .ok()?;
    let mut plain = Mechanism::gcm(&[1; 12], b"associated", 128);
    module.C_WrapKey(s, &mut plain, by, key, &mut whole).prepares()?;
    let tag = mechanism.parameter.behind(4);
    crate::answer::same(
        "what was wrapped, and its tag",
        &[wrapped.bytes(), tag].concat(),
        whole.bytes(),
    )
}
