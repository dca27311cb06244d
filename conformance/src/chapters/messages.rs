//! Sections 5.9, 5.11, 5.14 and 5.16: operations of many messages, since 3.0.

use crate::answer::{Answer, Verdict, same};
use crate::argument::Out;
use crate::case::{Cases, Need};
use crate::key::{Key, Sort, Usage};
use crate::token::Token;
use crate::value::{Mechanism, Parameter};
use tandem_values::ck::*;

const ENCRYPT: Need = Need::Mechanism(CKM_AES_GCM, CKF_MESSAGE_ENCRYPT);
const DECRYPT: Need = Need::Mechanism(CKM_AES_GCM, CKF_MESSAGE_DECRYPT);
const SIGN: Need = Need::Mechanism(CKM_SHA256_HMAC, CKF_MESSAGE_SIGN);
const VERIFY: Need = Need::Mechanism(CKM_SHA256_HMAC, CKF_MESSAGE_VERIFY);

pub(super) fn add(cases: &mut Cases) {
    states(cases);
    encrypting(cases);
    in_parts(cases);
    signing(cases);
}

/// Begins an operation, ends it, or does the only message's work: what all four kinds have.
struct Kind {
    init: &'static str,
    message: &'static str,
    finish: &'static str,
    needs: [Need; 2],
    mechanism: CK_MECHANISM_TYPE,
    sort: Sort,
    call: fn(&Token<'_>, CK_SESSION_HANDLE, What) -> Answer,
}

/// What of it.
#[derive(Clone, Copy)]
enum What {
    Init(CK_MECHANISM_TYPE, CK_OBJECT_HANDLE),
    Message,
    Begin,
    Next,
    Final,
    Null(CK_OBJECT_HANDLE),
}

/// The five functions of a kind as one function of [`What`].
macro_rules! calls {
    ($init:ident, $message:ident($($argument:expr),*), $begin:ident($($b:expr),*), $next:ident($($n:expr),*), $finish:ident) => {
        |token, session, what| match what {
            What::Init(kind, key) => token.module.$init(session, &mut Mechanism::plain(kind), key),
            What::Null(key) => token.module.$init(session, &mut Mechanism::null(), key),
            What::Message => token.module.$message(session $(, $argument)*),
            What::Begin => token.module.$begin(session $(, $b)*),
            What::Next => token.module.$next(session $(, $n)*),
            What::Final => token.module.$finish(session),
        }
    };
}

fn gcm() -> Parameter {
    Mechanism::gcm_message(&[1; 12], &[0; 16])
}

fn encrypts() -> Kind {
    Kind {
        init: "C_MessageEncryptInit",
        message: "C_EncryptMessage",
        finish: "C_MessageEncryptFinal",
        needs: [Need::Function("C_MessageEncryptInit"), ENCRYPT],
        mechanism: CKM_AES_GCM,
        sort: Sort::Aes,
        call: calls!(
            C_MessageEncryptInit,
            C_EncryptMessage(&mut gcm(), b"aad".into(), b"text".into(), &mut Out::room(64)),
            C_EncryptMessageBegin(&mut gcm(), b"aad".into()),
            C_EncryptMessageNext(
                &mut gcm(),
                b"text".into(),
                &mut Out::room(64),
                CKF_END_OF_MESSAGE
            ),
            C_MessageEncryptFinal
        ),
    }
}

fn decrypts() -> Kind {
    Kind {
        init: "C_MessageDecryptInit",
        message: "C_DecryptMessage",
        finish: "C_MessageDecryptFinal",
        needs: [Need::Function("C_MessageDecryptInit"), DECRYPT],
        mechanism: CKM_AES_GCM,
        sort: Sort::Aes,
        call: calls!(
            C_MessageDecryptInit,
            C_DecryptMessage(&mut gcm(), b"aad".into(), b"text".into(), &mut Out::room(64)),
            C_DecryptMessageBegin(&mut gcm(), b"aad".into()),
            C_DecryptMessageNext(
                &mut gcm(),
                b"text".into(),
                &mut Out::room(64),
                CKF_END_OF_MESSAGE
            ),
            C_MessageDecryptFinal
        ),
    }
}

fn signs() -> Kind {
    Kind {
        init: "C_MessageSignInit",
        message: "C_SignMessage",
        finish: "C_MessageSignFinal",
        needs: [Need::Function("C_MessageSignInit"), SIGN],
        mechanism: CKM_SHA256_HMAC,
        sort: Sort::Secret,
        call: calls!(
            C_MessageSignInit,
            C_SignMessage(&mut Parameter::none(), b"text".into(), &mut Out::room(64)),
            C_SignMessageBegin(&mut Parameter::none()),
            C_SignMessageNext(&mut Parameter::none(), b"text".into(), &mut Out::room(64)),
            C_MessageSignFinal
        ),
    }
}

fn verifies() -> Kind {
    Kind {
        init: "C_MessageVerifyInit",
        message: "C_VerifyMessage",
        finish: "C_MessageVerifyFinal",
        needs: [Need::Function("C_MessageVerifyInit"), VERIFY],
        mechanism: CKM_SHA256_HMAC,
        sort: Sort::Secret,
        call: calls!(
            C_MessageVerifyInit,
            C_VerifyMessage(&mut Parameter::none(), b"text".into(), (&[1; 32]).into()),
            C_VerifyMessageBegin(&mut Parameter::none()),
            C_VerifyMessageNext(&mut Parameter::none(), b"text".into(), (&[1; 32]).into()),
            C_MessageVerifyFinal
        ),
    }
}

fn states(cases: &mut Cases) {
    for kind in [encrypts(), decrypts(), signs(), verifies()] {
        let Kind { init, message, finish, needs, mechanism, sort, call } = kind;
        let parts = [(message, What::Message), (finish, What::Final)];
        let begin = init
            .strip_prefix("C_Message")
            .and_then(|rest| rest.strip_suffix("Init"))
            .unwrap_or_default();
        for (function, what) in parts {
            cases.add(function, &format!("without {init}"), &needs[..1], move |token| {
                let session = token.session()?;
                call(token, session.handle, what).is(CKR_OPERATION_NOT_INITIALIZED)
            });
        }
        for function in crate::function::FUNCTIONS {
            let rest = function.name.strip_prefix("C_").and_then(|rest| rest.strip_prefix(begin));
            let what = match rest {
                Some("MessageBegin") => What::Begin,
                Some("MessageNext") => What::Next,
                _ => continue,
            };
            cases.add(function.name, &format!("without {init}"), &needs[..1], move |token| {
                let session = token.session()?;
                call(token, session.handle, what).is(CKR_OPERATION_NOT_INITIALIZED)
            });
        }
        cases.add(init, "while one is active", &needs, move |token| {
            let (session, key) = (token.session()?, token.key(sort, Usage::All)?);
            call(token, session.handle, What::Init(mechanism, key.private)).ok()?;
            call(token, session.handle, What::Init(mechanism, key.private))
                .is(CKR_OPERATION_ACTIVE)?;
            call(token, session.handle, What::Final).ok()?;
            call(token, session.handle, What::Final).is(CKR_OPERATION_NOT_INITIALIZED)
        });
        cases.add(init, "a null mechanism ends the operation", &needs, move |token| {
            let (session, key) = (token.session()?, token.key(sort, Usage::All)?);
            call(token, session.handle, What::Init(mechanism, key.private)).ok()?;
            call(token, session.handle, What::Null(key.private)).ok()?;
            call(token, session.handle, What::Message).is(CKR_OPERATION_NOT_INITIALIZED)
        });
        cases.add(init, "no such key", &needs, move |token| {
            let session = token.session()?;
            call(token, session.handle, What::Init(mechanism, CK_UNAVAILABLE_INFORMATION))
                .is(CKR_KEY_HANDLE_INVALID)
        });
        cases.add(init, "no such mechanism", &needs, move |token| {
            let (session, key) = (token.session()?, token.key(sort, Usage::All)?);
            let none = CKM_VENDOR_DEFINED | 0x7fff_fff0;
            call(token, session.handle, What::Init(none, key.private)).is(CKR_MECHANISM_INVALID)
        });
        cases.add(init, "a key that must not be used for it", &needs, move |token| {
            let (session, key) = (token.session()?, token.key(sort, Usage::None)?);
            call(token, session.handle, What::Init(mechanism, key.private))
                .is(CKR_KEY_FUNCTION_NOT_PERMITTED)
        });
    }
}

fn encrypting(cases: &mut Cases) {
    let needs = [Need::Function("C_EncryptMessage"), ENCRYPT, DECRYPT];
    cases.add_with(
        "C_EncryptMessage",
        CKM_AES_GCM,
        "three messages are decrypted again",
        &needs,
        three_messages,
    );
    cases.add_with(
        "C_EncryptMessage",
        CKM_AES_GCM,
        "it is what C_Encrypt makes, and the tag apart",
        &needs,
        tag_apart,
    );
    cases.add_with(
        "C_DecryptMessage",
        CKM_AES_GCM,
        "a tag that was changed, and the next message",
        &needs,
        changed_tag,
    );
    cases.add_with(
        "C_EncryptMessage",
        CKM_AES_GCM,
        "a short buffer leaves the operation active",
        &needs,
        short_room,
    );
}

fn three_messages(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module, key) =
        (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
    module.C_MessageEncryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
    let mut sent = Vec::new();
    for number in 0..3 {
        let (mut parameter, mut out) =
            (Mechanism::gcm_message(&[number; 12], &[0; 16]), Out::room(64));
        module
            .C_EncryptMessage(
                s,
                &mut parameter,
                b"associated".into(),
                b"some text".into(),
                &mut out,
            )
            .ok()?;
        sent.push((parameter, out.bytes().to_vec()));
    }
    module.C_MessageEncryptFinal(s).ok()?;
    module.C_MessageDecryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
    for (mut parameter, encrypted) in sent {
        let mut out = Out::room(64);
        module
            .C_DecryptMessage(
                s,
                &mut parameter,
                b"associated".into(),
                (&encrypted).into(),
                &mut out,
            )
            .ok()?;
        same("the plaintext", out.bytes(), b"some text")?;
    }
    module.C_MessageDecryptFinal(s).ok()
}

fn tag_apart(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module, key) =
        (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
    let (mut parameter, mut out) = (gcm(), Out::room(64));
    module.C_MessageEncryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
    module
        .C_EncryptMessage(s, &mut parameter, b"associated".into(), b"some text".into(), &mut out)
        .ok()?;
    module.C_MessageEncryptFinal(s).ok()?;
    let wanted =
        token.encrypt(s, &Mechanism::gcm(&[1; 12], b"associated", 128), key, b"some text")?;
    same("ciphertext and tag", &[out.bytes(), parameter.behind(4)].concat(), &wanted)
}

fn changed_tag(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module, key) =
        (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
    let whole = token.encrypt(s, &Mechanism::gcm(&[1; 12], b"", 128), key, b"some text")?;
    let (encrypted, tag) = whole.split_at_checked(9).unwrap_or_default();
    let tag: [u8; 16] = tag.try_into().unwrap_or([0; 16]);
    let mut wrong = tag;
    wrong.reverse();
    module.C_MessageDecryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
    let mut parameter = Mechanism::gcm_message(&[1; 12], &wrong);
    let answer = module.C_DecryptMessage(
        s,
        &mut parameter,
        b"".into(),
        encrypted.into(),
        &mut Out::room(64),
    );
    answer.is_one_of(&[CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID])?;
    let (mut parameter, mut out) = (Mechanism::gcm_message(&[1; 12], &tag), Out::room(64));
    module.C_DecryptMessage(s, &mut parameter, b"".into(), encrypted.into(), &mut out).ok()?;
    same("the plaintext", out.bytes(), b"some text")
}

fn short_room(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module, key) =
        (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
    module.C_MessageEncryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
    let message = |out: &mut Out| {
        module.C_EncryptMessage(s, &mut gcm(), b"".into(), b"some text".into(), out)
    };
    message(&mut Out::room(1)).is(CKR_BUFFER_TOO_SMALL)?;
    let mut asked = Out::query();
    message(&mut asked).ok()?;
    message(&mut Out::room(usize::try_from(asked.len).unwrap_or(0))).ok()
}

fn in_parts(cases: &mut Cases) {
    let needs = [Need::Function("C_EncryptMessageBegin"), ENCRYPT, DECRYPT];
    cases.add_with(
        "C_EncryptMessageNext",
        CKM_AES_GCM,
        "parts come to what a single part does",
        &needs,
        |token| {
            let session = token.session()?;
            let (s, module, key) =
                (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
            let mut parameter = gcm();
            module.C_MessageEncryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
            let answer = module.C_EncryptMessageBegin(s, &mut parameter, b"associated".into());
            answer.ok()?;
            let mut all = Vec::new();
            for (part, flags) in [(&b"some"[..], 0), (&b" text"[..], CKF_END_OF_MESSAGE)] {
                let mut out = Out::room(64);
                module
                    .C_EncryptMessageNext(s, &mut parameter, part.into(), &mut out, flags)
                    .ok()?;
                all.extend_from_slice(out.bytes());
            }
            all.extend_from_slice(parameter.behind(4));
            module.C_MessageEncryptFinal(s).ok()?;
            let wanted = token.encrypt(
                s,
                &Mechanism::gcm(&[1; 12], b"associated", 128),
                key,
                b"some text",
            )?;
            same("ciphertext and tag", &all, &wanted)
        },
    );
    cases.add_with(
        "C_DecryptMessageNext",
        CKM_AES_GCM,
        "parts come to the plaintext",
        &needs,
        |token| {
            let session = token.session()?;
            let (s, module, key) =
                (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
            let whole = token.encrypt(
                s,
                &Mechanism::gcm(&[1; 12], b"associated", 128),
                key,
                b"some text",
            )?;
            let (encrypted, tag) = whole.split_at_checked(9).unwrap_or_default();
            let mut parameter =
                Mechanism::gcm_message(&[1; 12], &tag.try_into().unwrap_or([0; 16]));
            module.C_MessageDecryptInit(s, &mut Mechanism::plain(CKM_AES_GCM), key).ok()?;
            let answer = module.C_DecryptMessageBegin(s, &mut parameter, b"associated".into());
            answer.ok()?;
            let (first, second) = encrypted.split_at_checked(4).unwrap_or_default();
            let mut all = Vec::new();
            for (part, flags) in [(first, 0), (second, CKF_END_OF_MESSAGE)] {
                let mut out = Out::room(64);
                module
                    .C_DecryptMessageNext(s, &mut parameter, part.into(), &mut out, flags)
                    .ok()?;
                all.extend_from_slice(out.bytes());
            }
            same("the plaintext", &all, b"some text")
        },
    );
}

/// Mechanisms whose messages have no parameter.
fn signing(cases: &mut Cases) {
    let ways: [(CK_MECHANISM_TYPE, Sort, usize); 2] =
        [(CKM_SHA256_HMAC, Sort::Secret, 9), (CKM_ECDSA, Sort::Ec, 32)];
    for (kind, sort, len) in ways {
        let needs = [
            Need::Function("C_SignMessage"),
            Need::Mechanism(kind, CKF_MESSAGE_SIGN),
            Need::Mechanism(kind, CKF_MESSAGE_VERIFY),
        ];
        cases.add_with("C_SignMessage", kind, "three messages verify", &needs, move |token| {
            let session = token.session()?;
            let (s, key) = (session.handle, token.key(sort, Usage::All)?);
            let (messages, signatures) = signed(token, s, kind, key, len)?;
            token.module.C_MessageVerifyInit(s, &mut Mechanism::plain(kind), key.public).ok()?;
            for (message, signature) in messages.iter().zip(&signatures) {
                verified(token, s, message, signature).ok()?;
            }
            let (Some(message), Some(other)) = (messages.first(), signatures.last()) else {
                return Ok(());
            };
            verified(token, s, message, other).is(CKR_SIGNATURE_INVALID)?;
            token.module.C_MessageVerifyFinal(s).ok()
        });
    }
}

fn verified(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    message: &[u8],
    signature: &[u8],
) -> Answer {
    token.module.C_VerifyMessage(session, &mut Parameter::none(), message.into(), signature.into())
}

/// Three messages and their signatures.
type Signed = (Vec<Vec<u8>>, Vec<Vec<u8>>);

fn signed(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    kind: CK_MECHANISM_TYPE,
    key: Key,
    len: usize,
) -> Verdict<Signed> {
    let messages: Vec<_> = (0..3_u8).map(|number| vec![number; len]).collect();
    token.module.C_MessageSignInit(session, &mut Mechanism::plain(kind), key.private).ok()?;
    let mut signatures = Vec::new();
    for message in &messages {
        let mut out = Out::room(512);
        token
            .module
            .C_SignMessage(session, &mut Parameter::none(), message.into(), &mut out)
            .ok()?;
        signatures.push(out.bytes().to_vec());
    }
    token.module.C_MessageSignFinal(session).ok()?;
    Ok((messages, signatures))
}
