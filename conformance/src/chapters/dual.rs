//! Section 5.17: two operations at once.

use crate::answer::{Answer, Verdict, same};
use crate::argument::{Data, Out};
use crate::case::{Cases, Need};
use crate::key::{Sort, Usage};
use crate::module::Module;
use crate::token::Token;
use crate::value::Mechanism;
use tandem_values::ck::*;

/// A function of two operations.
type Both = fn(&Module, CK_SESSION_HANDLE, Data<'_>, &mut Out) -> Answer;

const FUNCTIONS: [(&str, Both); 4] = [
    ("C_DigestEncryptUpdate", |module, session, data, out| {
        module.C_DigestEncryptUpdate(session, data, out)
    }),
    ("C_DecryptDigestUpdate", |module, session, data, out| {
        module.C_DecryptDigestUpdate(session, data, out)
    }),
    ("C_SignEncryptUpdate", |module, session, data, out| {
        module.C_SignEncryptUpdate(session, data, out)
    }),
    ("C_DecryptVerifyUpdate", |module, session, data, out| {
        module.C_DecryptVerifyUpdate(session, data, out)
    }),
];

const CIPHER: Need = Need::Mechanism(CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT);
const DIGEST: Need = Need::Mechanism(CKM_SHA256, CKF_DIGEST);
const MAC: Need = Need::Mechanism(CKM_SHA256_HMAC, CKF_SIGN | CKF_VERIFY);
const TEXT: [u8; 64] = [9; 64];

fn cipher() -> Mechanism {
    Mechanism::with_iv(CKM_AES_CBC, &[1; 16])
}

pub(super) fn add(cases: &mut Cases) {
    for (name, both) in FUNCTIONS {
        cases.add(name, "without both operations", &[], move |token| {
            let session = token.session()?;
            let answer = both(token.module, session.handle, (&TEXT).into(), &mut Out::room(128));
            answer.is(CKR_OPERATION_NOT_INITIALIZED)
        });
    }
    cases.add(
        "C_DigestEncryptUpdate",
        "with one of the two operations",
        &[CIPHER, DIGEST, Need::Dual],
        |token| {
            let session = token.session()?;
            token.module.C_DigestInit(session.handle, &mut Mechanism::plain(CKM_SHA256)).ok()?;
            let answer = token.module.C_DigestEncryptUpdate(
                session.handle,
                (&TEXT).into(),
                &mut Out::room(128),
            );
            answer.is(CKR_OPERATION_NOT_INITIALIZED)
        },
    );
    cases.add(
        "C_DigestEncryptUpdate",
        "and back by C_DecryptDigestUpdate: both digests are the text's",
        &[CIPHER, DIGEST, Need::Dual],
        digests,
    );
    cases.add(
        "C_DecryptDigestUpdate",
        "too little room changes nothing",
        &[CIPHER, DIGEST, Need::Dual],
        short_room,
    );
    cases.add(
        "C_SignEncryptUpdate",
        "and back by C_DecryptVerifyUpdate",
        &[CIPHER, MAC, Need::Dual],
        signs,
    );
}

fn plain_digest(token: &Token<'_>, session: CK_SESSION_HANDLE) -> Verdict<Vec<u8>> {
    let mut out = Out::room(32);
    token.module.C_DigestInit(session, &mut Mechanism::plain(CKM_SHA256)).ok()?;
    token.module.C_Digest(session, (&TEXT).into(), &mut out).ok()?;
    Ok(out.bytes().to_vec())
}

fn digests(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module) = (session.handle, token.module);
    let key = token.key(Sort::Aes, Usage::All)?.private;
    let wanted = plain_digest(token, s)?;
    let (mut encrypted, mut digest) = (Out::room(128), Out::room(32));
    module.C_DigestInit(s, &mut Mechanism::plain(CKM_SHA256)).ok()?;
    module.C_EncryptInit(s, &mut cipher(), key).ok()?;
    module.C_DigestEncryptUpdate(s, (&TEXT).into(), &mut encrypted).ok()?;
    module.C_EncryptFinal(s, &mut Out::room(64)).ok()?;
    module.C_DigestFinal(s, &mut digest).ok()?;
    same("the digest of what was encrypted", digest.bytes(), &wanted)?;
    same("the ciphertext", encrypted.bytes(), &token.encrypt(s, &cipher(), key, &TEXT)?)?;
    let (mut text, mut digest) = (Out::room(128), Out::room(32));
    module.C_DecryptInit(s, &mut cipher(), key).ok()?;
    module.C_DigestInit(s, &mut Mechanism::plain(CKM_SHA256)).ok()?;
    module.C_DecryptDigestUpdate(s, encrypted.bytes().into(), &mut text).ok()?;
    module.C_DecryptFinal(s, &mut Out::room(64)).ok()?;
    module.C_DigestFinal(s, &mut digest).ok()?;
    same("the plaintext", text.bytes(), &TEXT)?;
    same("the digest of what was decrypted", digest.bytes(), &wanted)
}

fn short_room(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module) = (session.handle, token.module);
    let key = token.key(Sort::Aes, Usage::All)?.private;
    let wanted = plain_digest(token, s)?;
    let encrypted = token.encrypt(s, &cipher(), key, &TEXT)?;
    let (mut digest, mut text) = (Out::room(32), Out::room(128));
    module.C_DecryptInit(s, &mut cipher(), key).ok()?;
    module.C_DigestInit(s, &mut Mechanism::plain(CKM_SHA256)).ok()?;
    let short = module.C_DecryptDigestUpdate(s, (&encrypted).into(), &mut Out::room(1));
    short.is(CKR_BUFFER_TOO_SMALL)?;
    module.C_DecryptDigestUpdate(s, (&encrypted).into(), &mut text).ok()?;
    module.C_DigestFinal(s, &mut digest).ok()?;
    same("the plaintext", text.bytes(), &TEXT)?;
    same("the digest", digest.bytes(), &wanted)
}

fn signs(token: &Token<'_>) -> Verdict {
    let session = token.session()?;
    let (s, module) = (session.handle, token.module);
    let key = token.key(Sort::Aes, Usage::All)?.private;
    let mac = token.key(Sort::Secret, Usage::All)?.private;
    let (mut encrypted, mut signature, mut text) = (Out::room(128), Out::room(32), Out::room(128));
    module.C_SignInit(s, &mut Mechanism::plain(CKM_SHA256_HMAC), mac).ok()?;
    module.C_EncryptInit(s, &mut cipher(), key).ok()?;
    module.C_SignEncryptUpdate(s, (&TEXT).into(), &mut encrypted).ok()?;
    module.C_EncryptFinal(s, &mut Out::room(64)).ok()?;
    module.C_SignFinal(s, &mut signature).ok()?;
    let wanted = token.sign(s, &Mechanism::plain(CKM_SHA256_HMAC), mac, &TEXT)?;
    same("the MAC", signature.bytes(), &wanted)?;
    module.C_DecryptInit(s, &mut cipher(), key).ok()?;
    module.C_VerifyInit(s, &mut Mechanism::plain(CKM_SHA256_HMAC), mac).ok()?;
    module.C_DecryptVerifyUpdate(s, encrypted.bytes().into(), &mut text).ok()?;
    module.C_DecryptFinal(s, &mut Out::room(64)).ok()?;
    same("the plaintext", text.bytes(), &TEXT)?;
    module.C_VerifyFinal(s, (&wanted).into()).ok()
}
