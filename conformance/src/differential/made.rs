//! What calls are made with: templates that leave nothing to a module's defaults, and mechanisms.

use super::call::{Change, Flaw, Made, Method, Sort};
use crate::key::P256;
use crate::template;
use crate::token::LABEL;
use crate::value::{Mechanism, Parameter, Template};
use crate::vectors::unhex;
use tandem_values::ck::*;

/// Bytes that are always the same.
pub(super) fn fixed(len: usize) -> Vec<u8> {
    (1..=u8::MAX).cycle().take(len).collect()
}

/// A mechanism with its parameter, or with a wrong one.
pub(super) fn mechanism(method: Method, wrong: bool) -> Mechanism {
    let plain = |kind| {
        if wrong { Mechanism::new(kind, Parameter::bytes(&[1; 5])) } else { Mechanism::plain(kind) }
    };
    let iv = if wrong { fixed(15) } else { fixed(16) };
    match method {
        Method::Sha256 => plain(CKM_SHA256),
        Method::Sha512 => plain(CKM_SHA512),
        Method::Hmac => plain(CKM_SHA256_HMAC),
        Method::Ecdsa => plain(CKM_ECDSA),
        Method::EcdsaSha256 => plain(CKM_ECDSA_SHA256),
        Method::Ecb => plain(CKM_AES_ECB),
        Method::Cbc => Mechanism::with_iv(CKM_AES_CBC, &iv),
        Method::CbcPad => Mechanism::with_iv(CKM_AES_CBC_PAD, &iv),
        Method::Ctr => Mechanism::ctr(if wrong { 129 } else { 128 }, [3; 16]),
        Method::Gcm => Mechanism::gcm(&fixed(12), &fixed(20), if wrong { 129 } else { 128 }),
        Method::NoSuch => Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0),
    }
}

/// A public key of P-256 (RFC 6979, A.2.5).
const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

const OF_SECRETS: [CK_ATTRIBUTE_TYPE; 7] =
    [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE];
const OF_PUBLIC: [CK_ATTRIBUTE_TYPE; 4] = [CKA_ENCRYPT, CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_WRAP];
const OF_PRIVATE: [CK_ATTRIBUTE_TYPE; 5] =
    [CKA_DECRYPT, CKA_SIGN, CKA_SIGN_RECOVER, CKA_UNWRAP, CKA_DERIVE];

/// Every use of a class of keys: these as it is said, the others not.
fn uses(of: &[CK_ATTRIBUTE_TYPE], these: &[CK_ATTRIBUTE_TYPE], may: bool) -> Template {
    of.iter().fold(Template::default(), |all, kind| all.with(*kind, may && these.contains(kind)))
}

fn secret_uses(made: Made) -> Template {
    let these: &[_] = match made.sort {
        Sort::Aes => &[CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE],
        _ => &[CKA_SIGN, CKA_VERIFY],
    };
    uses(&OF_SECRETS, these, made.usable)
}

fn common(made: Made) -> Template {
    template! { CKA_TOKEN: made.token, CKA_PRIVATE: made.private, CKA_LABEL: LABEL }
}

fn secrecy(made: Made) -> Template {
    template! { CKA_ID: b"id", CKA_SENSITIVE: made.sensitive, CKA_EXTRACTABLE: made.extractable }
}

/// For C_CreateObject.
pub(super) fn created(made: Made) -> Template {
    let common = common(made);
    match made.sort {
        Sort::Data => common.and(&template! {
            CKA_CLASS: CKO_DATA, CKA_APPLICATION: "differential", CKA_VALUE: b"value",
        }),
        Sort::Certificate => common.and(&template! {
            CKA_CLASS: CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE: CKC_X_509, CKA_SUBJECT: &[0x30, 0],
            CKA_VALUE: &[0x30, 0], CKA_ID: b"id",
        }),
        Sort::Aes | Sort::Secret => {
            let kind = if made.sort == Sort::Aes { CKK_AES } else { CKK_GENERIC_SECRET };
            common.and(&secrecy(made)).and(&secret_uses(made)).and(&template! {
                CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: kind, CKA_VALUE: fixed(32),
            })
        }
        Sort::Ec => common
            .with(CKA_PRIVATE, false)
            .and(&uses(&OF_PUBLIC, &[CKA_VERIFY], made.usable))
            .and(&template! {
                CKA_CLASS: CKO_PUBLIC_KEY, CKA_KEY_TYPE: CKK_EC, CKA_EC_PARAMS: &P256, CKA_ID: b"id",
                CKA_EC_POINT: [&[4, 65][..], &unhex(POINT)].concat(),
            }),
    }
}

/// For C_GenerateKey.
pub(super) fn generated(made: Made) -> Template {
    common(made).and(&secrecy(made)).and(&secret_uses(made)).with(CKA_VALUE_LEN, 32)
}

/// For C_GenerateKeyPair: the public key's, and the private one's.
pub(super) fn pair(made: Made) -> [Template; 2] {
    let public = common(made)
        .with(CKA_PRIVATE, false)
        .and(&uses(&OF_PUBLIC, &[CKA_VERIFY], made.usable))
        .and(&template! { CKA_ID: b"id", CKA_EC_PARAMS: &P256 });
    let private =
        common(made).and(&secrecy(made)).and(&uses(&OF_PRIVATE, &[CKA_SIGN], made.usable));
    [public, private]
}

/// With something wrong, or not.
pub(super) fn flawed(wanted: Template, flaw: Flaw) -> Template {
    match flaw {
        Flaw::None => wanted,
        Flaw::Missing => [CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_EC_PARAMS, CKA_CERTIFICATE_TYPE]
            .into_iter()
            .fold(wanted, Template::without),
        Flaw::Value => wanted.with(CKA_TOKEN, &[1, 1]),
        Flaw::Foreign => wanted.with(CKA_MODULUS, &[1; 8]),
    }
}

/// For C_CopyObject and C_SetAttributeValue.
pub(super) fn changed(change: Change) -> Template {
    match change {
        Change::Nothing => template! {},
        Change::Id => template! { CKA_ID: b"changed" },
        Change::Sensitive(yes) => template! { CKA_SENSITIVE: yes },
        Change::Extractable(yes) => template! { CKA_EXTRACTABLE: yes },
        Change::Sign(yes) => template! { CKA_SIGN: yes },
        Change::Encrypt(yes) => template! { CKA_ENCRYPT: yes },
        Change::Token(yes) => template! { CKA_TOKEN: yes },
        Change::Class => template! { CKA_CLASS: CKO_DATA },
        Change::Value => template! { CKA_VALUE: b"other" },
    }
}

fn readable(kind: CK_KEY_TYPE, these: &[CK_ATTRIBUTE_TYPE]) -> Template {
    uses(&OF_SECRETS, these, true).and(&template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: kind, CKA_TOKEN: false, CKA_PRIVATE: true, CKA_LABEL: LABEL,
        CKA_ID: b"id", CKA_SENSITIVE: false, CKA_EXTRACTABLE: true,
    })
}

/// For C_UnwrapKey.
pub(super) fn unwrapped() -> Template {
    readable(CKK_AES, &[CKA_ENCRYPT, CKA_DECRYPT])
}

/// For C_DeriveKey.
pub(super) fn derived() -> Template {
    readable(CKK_GENERIC_SECRET, &[CKA_SIGN, CKA_VERIFY]).with(CKA_VALUE_LEN, 32)
}
