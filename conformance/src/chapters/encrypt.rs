//! Sections 5.8 and 5.10: encryption and decryption.

use crate::answer::{Verdict, same};
use crate::argument::Out;
use crate::aspects;
use crate::case::{Cases, Need};
use crate::key::{Sort, Usage};
use crate::template;
use crate::token::Token;
use crate::value::Mechanism;
use crate::vectors::{self, unhex};
use crate::work::{CIPHERS, Work};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    for recipe in CIPHERS {
        aspects::add(cases, Work::Encrypt, recipe);
    }
    for recipe in CIPHERS {
        aspects::add(cases, Work::Decrypt, recipe);
    }
    for vector in vectors::AES {
        let needs = [Need::Mechanism(vector.kind, CKF_ENCRYPT | CKF_DECRYPT)];
        cases.add_with(
            "C_Encrypt",
            vector.kind,
            &format!("the vector of {}", vector.source),
            &needs,
            move |token| known(token, vector),
        );
    }
    damaged(cases);
}

/// Encrypts and decrypts a published vector.
fn known(token: &Token<'_>, vector: &vectors::Cipher) -> Verdict {
    let session = token.session()?;
    let key = token.create(
        session.handle,
        template! {
            CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES, CKA_TOKEN: false, CKA_PRIVATE: true,
            CKA_ENCRYPT: true, CKA_DECRYPT: true, CKA_VALUE: unhex(vector.key),
        },
    )?;
    let (plain, encrypted) = (unhex(vector.plain), unhex(vector.encrypted));
    let got = token.encrypt(session.handle, &(vector.mechanism)(), key, &plain)?;
    same("the ciphertext", &got, &encrypted)?;
    let mut out = Out::room(1024);
    token.module.C_DecryptInit(session.handle, &mut (vector.mechanism)(), key).ok()?;
    token.module.C_Decrypt(session.handle, (&encrypted).into(), &mut out).ok()?;
    same("the plaintext", out.bytes(), &plain)
}

/// Ciphertext that was tampered with.
fn damaged(cases: &mut Cases) {
    cases.add_with(
        "C_Decrypt",
        CKM_AES_GCM,
        "a ciphertext, a tag or associated data that was changed",
        &[Need::Mechanism(CKM_AES_GCM, CKF_DECRYPT)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Aes, Usage::All)?.private;
            let mechanism = Mechanism::gcm(&[1; 12], b"associated", 128);
            let good = token.encrypt(session.handle, &mechanism, key, b"some data")?;
            let last = good.len().saturating_sub(1);
            for place in [0, last] {
                let mut bad = good.clone();
                if let Some(byte) = bad.get_mut(place) {
                    *byte ^= 1;
                }
                refuses(token, session.handle, &mechanism, key, &bad)?;
            }
            refuses(token, session.handle, &Mechanism::gcm(&[1; 12], b"other", 128), key, &good)
        },
    );
    cases.add_with(
        "C_Decrypt",
        CKM_AES_CBC_PAD,
        "a padding that is wrong",
        &[Need::Mechanism(CKM_AES_CBC_PAD, CKF_DECRYPT)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Aes, Usage::All)?.private;
            // Encrypted without padding, its last byte is one that no padding ends with.
            let bare = token.encrypt(
                session.handle,
                &Mechanism::with_iv(CKM_AES_CBC, &[1; 16]),
                key,
                &[0xee; 16],
            )?;
            refuses(
                token,
                session.handle,
                &Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 16]),
                key,
                &bare,
            )
        },
    );
    cases.add_with(
        "C_Decrypt",
        CKM_AES_CBC_PAD,
        "a length that isn't whole blocks",
        &[Need::Mechanism(CKM_AES_CBC_PAD, CKF_DECRYPT)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Aes, Usage::All)?.private;
            let mut mechanism = Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 16]);
            token.module.C_DecryptInit(session.handle, &mut mechanism, key).ok()?;
            let answer =
                token.module.C_Decrypt(session.handle, (&[7; 15]).into(), &mut Out::room(64));
            answer.is(CKR_ENCRYPTED_DATA_LEN_RANGE)
        },
    );
}

fn refuses(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    mechanism: &Mechanism,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Verdict {
    token.module.C_DecryptInit(session, &mut mechanism.clone(), key).ok()?;
    let answer = token.module.C_Decrypt(session, data.into(), &mut Out::room(1024));
    answer.is_one_of(&[CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED])
}
