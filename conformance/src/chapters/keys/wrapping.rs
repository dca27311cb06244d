//! C_WrapKey, and C_UnwrapKey after it.

use super::*;

pub(super) fn add(cases: &mut Cases) {
    wrapping(cases);
    wrong_wrapping(cases);
}

/// A mechanism, its parameter, and the sort of key that wraps by it.
type Way = (CK_MECHANISM_TYPE, fn() -> Mechanism, Sort);

fn wrapping(cases: &mut Cases) {
    let ways: [Way; 5] = [
        (CKM_AES_KEY_WRAP, || Mechanism::plain(CKM_AES_KEY_WRAP), Sort::Aes),
        (CKM_AES_KEY_WRAP_PAD, || Mechanism::plain(CKM_AES_KEY_WRAP_PAD), Sort::Aes),
        (CKM_AES_KEY_WRAP_KWP, || Mechanism::plain(CKM_AES_KEY_WRAP_KWP), Sort::Aes),
        (CKM_AES_CBC_PAD, || Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 16]), Sort::Aes),
        (CKM_RSA_PKCS_OAEP, Mechanism::oaep, Sort::Rsa),
    ];
    for (kind, mechanism, sort) in ways {
        cases.add_with(
            "C_WrapKey",
            kind,
            "what is unwrapped is what was wrapped",
            &[Need::Mechanism(kind, CKF_WRAP | CKF_UNWRAP)],
            move |token| {
                let session = token.session()?;
                let (s, module, by) = (session.handle, token.module, token.key(sort, Usage::All)?);
                let (key, mut wrapped, mut copy) =
                    (readable(token, s)?, Out::room(1024), Place::new());
                module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut wrapped).ok()?;
                module
                    .C_UnwrapKey(
                        s,
                        &mut mechanism(),
                        by.private,
                        wrapped.bytes().into(),
                        &mut unwrapped(),
                        &mut copy,
                    )
                    .ok()?;
                token.shows(s, copy.value, CKA_VALUE, &[5; 32])?;
                token.shows(s, copy.value, CKA_LOCAL, &[0])?;
                token.shows(s, copy.value, CKA_ALWAYS_SENSITIVE, &[0])?;
                token.shows(s, copy.value, CKA_NEVER_EXTRACTABLE, &[0])
            },
        );
        cases.add_with(
            "C_WrapKey",
            kind,
            "a null pointer asks for the length, a short buffer is told",
            &[Need::Mechanism(kind, CKF_WRAP)],
            move |token| {
                let session = token.session()?;
                let (s, module, by) = (session.handle, token.module, token.key(sort, Usage::All)?);
                let (key, mut asked) = (readable(token, s)?, Out::query());
                module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut asked).ok()?;
                module
                    .C_WrapKey(s, &mut mechanism(), by.public, key, &mut Out::room(1))
                    .is(CKR_BUFFER_TOO_SMALL)?;
                let mut out = Out::room(usize::try_from(asked.len).unwrap_or(0));
                module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut out).ok()
            },
        );
    }
    cases.add(
        "C_WrapKey",
        "a private key comes back and signs",
        &[Need::Mechanism(CKM_AES_CBC_PAD, CKF_WRAP | CKF_UNWRAP), EC_GEN],
        private_key,
    );
}

fn private_key(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module) = (session.handle, token.module);
    let (by, pair) = (token.key(Sort::Aes, Usage::All)?.private, token.key(Sort::Ec, Usage::All)?);
    let mut mechanism = Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 16]);
    let (mut wrapped, mut copy) = (Out::room(1024), Place::new());
    module.C_WrapKey(s, &mut mechanism, by, pair.private, &mut wrapped).prepares()?;
    let mut wanted = template! {
        CKA_CLASS: CKO_PRIVATE_KEY, CKA_KEY_TYPE: CKK_EC, CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_SIGN: true,
    };
    module
        .C_UnwrapKey(s, &mut mechanism, by, wrapped.bytes().into(), &mut wanted, &mut copy)
        .ok()?;
    let signature = token.sign(s, &Mechanism::plain(CKM_ECDSA), copy.value, &[7; 32])?;
    module.C_VerifyInit(s, &mut Mechanism::plain(CKM_ECDSA), pair.public).ok()?;
    module.C_Verify(s, (&[7; 32]).into(), (&signature).into()).ok()
}

fn wrong_wrapping(cases: &mut Cases) {
    cases.add("C_WrapKey", "a key that must not be extracted", &[WRAP, AES_GEN], |token| {
        let (session, mut key) = (token.session()?, Place::new());
        generate(token, session.handle, aes().with(CKA_EXTRACTABLE, false), &mut key).prepares()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        wrap(token, session.handle, by, key.value, &mut Out::room(64)).is(CKR_KEY_UNEXTRACTABLE)
    });
    cases.add("C_WrapKey", "a key that trusts only trusted keys", &[WRAP, AES_GEN], |token| {
        let (session, mut key) = (token.session()?, Place::new());
        generate(token, session.handle, aes().with(CKA_WRAP_WITH_TRUSTED, true), &mut key)
            .prepares()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        wrap(token, session.handle, by, key.value, &mut Out::room(64)).is(CKR_KEY_NOT_WRAPPABLE)
    });
    cases.add("C_WrapKey", "by a key that must not wrap", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (by, key) =
            (token.key(Sort::Aes, Usage::None)?.private, token.key(Sort::Aes, Usage::All)?.private);
        wrap(token, session.handle, by, key, &mut Out::room(64)).is(CKR_KEY_FUNCTION_NOT_PERMITTED)
    });
    cases.add(
        "C_WrapKey",
        "by a key of another type",
        &[WRAP, AES_GEN, Need::Mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR)],
        |token| {
            let session = token.session()?;
            let (by, key) = (
                token.key(Sort::Rsa, Usage::All)?.public,
                token.key(Sort::Aes, Usage::All)?.private,
            );
            wrap(token, session.handle, by, key, &mut Out::room(64))
                .is(CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
        },
    );
    cases.add("C_WrapKey", "no such key", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        wrap(token, session.handle, by, CK_UNAVAILABLE_INFORMATION, &mut Out::room(64))
            .is(CKR_KEY_HANDLE_INVALID)
    });
    cases.add("C_WrapKey", "by no such key", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Aes, Usage::All)?.private;
        let answer =
            wrap(token, session.handle, CK_UNAVAILABLE_INFORMATION, key, &mut Out::room(64));
        answer.is(CKR_WRAPPING_KEY_HANDLE_INVALID)
    });
    cases.add(
        "C_WrapKey",
        "no such mechanism, no place for the length",
        &[WRAP, AES_GEN],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Aes, Usage::All)?.private;
            let mut none = Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0);
            token
                .module
                .C_WrapKey(session.handle, &mut none, key, key, &mut Out::room(64))
                .is(CKR_MECHANISM_INVALID)?;
            wrap(token, session.handle, key, key, &mut Out::without_length()).is(CKR_ARGUMENTS_BAD)
        },
    );
}
