//! Keys that are made as they should be.

use super::*;
use crate::answer::{ensure, same};
use crate::token::LABEL;

pub(super) fn add(cases: &mut Cases) {
    secret(cases);
    pairs(cases);
    parameters(cases);
    kept(cases);
}

fn secret(cases: &mut Cases) {
    for bytes in [16, 24, 32] {
        cases.add_with(
            "C_GenerateKey",
            CKM_AES_KEY_GEN,
            &format!("of {bytes} bytes"),
            &[AES_GEN],
            move |token| {
                let (session, mut key) = (token.session()?, Place::new());
                let wanted = aes().with(CKA_VALUE_LEN, bytes).with(CKA_SENSITIVE, false);
                generate(token, session.handle, wanted, &mut key).prepares()?;
                let value = token.read(session.handle, key.value, CKA_VALUE);
                ensure(value.is_ok_and(|value| value.len() as u64 == bytes), || {
                    "CKA_VALUE is of another length".into()
                })
            },
        );
    }
    cases.add_with("C_GenerateKey", CKM_AES_KEY_GEN, "two keys are two", &[AES_GEN], |token| {
        let (session, mut one, mut other) = (token.session()?, Place::new(), Place::new());
        let wanted = || aes().with(CKA_SENSITIVE, false);
        generate(token, session.handle, wanted(), &mut one).prepares()?;
        generate(token, session.handle, wanted(), &mut other).prepares()?;
        let value = |key| token.read(session.handle, key, CKA_VALUE).unwrap_or_default();
        ensure(one.value != other.value, || "both have one handle".into())?;
        ensure(value(one.value) != value(other.value), || "both have the same bytes".into())
    });
    let generic = [Need::Mechanism(CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE)];
    for bytes in [1, 20, 64] {
        cases.add_with(
            "C_GenerateKey",
            CKM_GENERIC_SECRET_KEY_GEN,
            &format!("of {bytes} bytes"),
            &generic,
            move |token| {
                let (session, mut key) = (token.session()?, Place::new());
                let mut wanted = Sort::Secret.public(Usage::All).with(CKA_VALUE_LEN, bytes);
                let mut mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
                token
                    .module
                    .C_GenerateKey(session.handle, &mut mechanism, &mut wanted, &mut key)
                    .prepares()?;
                let len = token.read(session.handle, key.value, CKA_VALUE_LEN).unwrap_or_default();
                same("CKA_VALUE_LEN", &len, &bytes.to_ne_bytes())
            },
        );
    }
}

fn pairs(cases: &mut Cases) {
    for (sort, sign) in [
        (Sort::Ec, CKM_ECDSA_SHA256),
        (Sort::Rsa, CKM_SHA256_RSA_PKCS),
        (Sort::Edwards, CKM_EDDSA),
        (Sort::MlDsa, CKM_ML_DSA),
        (Sort::SlhDsa, CKM_SLH_DSA),
    ] {
        let needs = [
            Need::Mechanism(sort.generator(), CKF_GENERATE_KEY_PAIR),
            Need::Mechanism(sign, CKF_SIGN | CKF_VERIFY),
        ];
        cases.add_with(
            "C_GenerateKeyPair",
            sort.generator(),
            "one half verifies what the other signs",
            &needs,
            move |token| {
                let session = token.session()?;
                let key = token.key(sort, Usage::All)?;
                let signature =
                    token.sign(session.handle, &Mechanism::plain(sign), key.private, b"data")?;
                token
                    .module
                    .C_VerifyInit(session.handle, &mut Mechanism::plain(sign), key.public)
                    .ok()?;
                token.module.C_Verify(session.handle, b"data".into(), (&signature).into()).ok()
            },
        );
        cases.add_with(
            "C_GenerateKeyPair",
            sort.generator(),
            "what both halves say of themselves",
            &needs[..1],
            move |token| {
                let session = token.session()?;
                let key = token.key(sort, Usage::All)?;
                let read = |key, kind| token.read(session.handle, key, kind).unwrap_or_default();
                for half in [key.public, key.private] {
                    same("CKA_LOCAL", &read(half, CKA_LOCAL), &[1])?;
                    same(
                        "CKA_KEY_GEN_MECHANISM",
                        &read(half, CKA_KEY_GEN_MECHANISM),
                        &sort.generator().to_ne_bytes(),
                    )?;
                }
                same("CKA_ALWAYS_SENSITIVE", &read(key.private, CKA_ALWAYS_SENSITIVE), &[1])?;
                same("CKA_CLASS", &read(key.public, CKA_CLASS), &CKO_PUBLIC_KEY.to_ne_bytes())
            },
        );
    }
    cases.add_with(
        "C_GenerateKeyPair",
        CKM_EC_KEY_PAIR_GEN,
        "CKA_EC_POINT is in an OCTET STRING",
        &[EC_GEN],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Ec, Usage::All)?;
            let point = token.read(session.handle, key.public, CKA_EC_POINT).unwrap_or_default();
            ensure(point.starts_with(&[0x04, 65, 0x04]) && point.len() == 67, || {
                format!("it is {}", crate::answer::hex(&point))
            })
        },
    );
}

/// Domain parameters, by how long their prime is to be (sections 6.2.4 and 6.5.4).
fn parameters(cases: &mut Cases) {
    for (kind, key_type, bits, parts) in [
        (CKM_DSA_PARAMETER_GEN, CKK_DSA, 1024_u64, &[CKA_PRIME, CKA_SUBPRIME, CKA_BASE][..]),
        (CKM_DH_PKCS_PARAMETER_GEN, CKK_DH, 512, &[CKA_PRIME, CKA_BASE]),
    ] {
        let generates = Need::Mechanism(kind, CKF_GENERATE);
        let make = move |token: &Token<'_>, kept: bool| {
            let wanted = template! {
                CKA_CLASS: CKO_DOMAIN_PARAMETERS,
                CKA_KEY_TYPE: key_type,
                CKA_TOKEN: kept,
                CKA_PRIME_BITS: bits,
            };
            made_whole(token, kind, wanted, parts)
        };
        let (session, token) = ("parameters of a session", "parameters of the token");
        cases.add_with("C_GenerateKey", kind, session, &[generates], move |it| make(it, false));
        let needs = [generates, Need::Writable];
        cases.add_with("C_GenerateKey", kind, token, &needs, move |it| make(it, true));
    }
}

/// All parts of what is generated can be read.
fn made_whole(
    token: &Token<'_>,
    kind: CK_MECHANISM_TYPE,
    mut wanted: Template,
    parts: &[CK_ATTRIBUTE_TYPE],
) -> Verdict {
    let (session, mut place) = (token.session()?, Place::new());
    let (mut mechanism, module) = (Mechanism::plain(kind), token.module);
    module.C_GenerateKey(session.handle, &mut mechanism, &mut wanted, &mut place).ok()?;
    let len = |part: &CK_ATTRIBUTE_TYPE| {
        token.read(session.handle, place.value, *part).map_or(0, |value| value.len())
    };
    let lens: Vec<_> = parts.iter().map(len).collect();
    module.C_DestroyObject(session.handle, place.value).ok()?;
    ensure(lens.iter().all(|len| *len > 0), || format!("their parts are {lens:?} bytes long"))
}

/// Keys of the token.
fn kept(cases: &mut Cases) {
    cases.add(
        "C_GenerateKey",
        "a key of the token, found by another session",
        &[AES_GEN, Need::Writable],
        |token| {
            let (one, other, mut key) = (token.session()?, token.session()?, Place::new());
            let wanted = aes().with(CKA_TOKEN, true).with(CKA_LABEL, LABEL).with(CKA_ID, b"kept");
            generate(token, one.handle, wanted, &mut key).prepares()?;
            drop(one);
            let found =
                token.find(other.handle, template! { CKA_LABEL: LABEL, CKA_ID: b"kept" })?;
            let destroyed = token.module.C_DestroyObject(other.handle, key.value);
            ensure(found.len() == 1, || format!("{} keys were found", found.len()))?;
            destroyed.ok()
        },
    );
    cases.add(
        "C_GenerateKeyPair",
        "a pair of the token signs, and is destroyed",
        &[EC_GEN, Need::Writable, Need::Mechanism(CKM_ECDSA, CKF_SIGN)],
        |token| {
            let (session, mut public, mut private) = (token.session()?, Place::new(), Place::new());
            let named = |wanted: Template| wanted.with(CKA_TOKEN, true).with(CKA_LABEL, LABEL);
            let (mut one, mut other) =
                (named(Sort::Ec.public(Usage::All)), named(Sort::Ec.private(Usage::All)));
            let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
            token
                .module
                .C_GenerateKeyPair(
                    session.handle,
                    &mut mechanism,
                    &mut one,
                    &mut other,
                    &mut public,
                    &mut private,
                )
                .prepares()?;
            let signed =
                token.sign(session.handle, &Mechanism::plain(CKM_ECDSA), private.value, &[7; 32]);
            token.module.C_DestroyObject(session.handle, public.value).ok()?;
            token.module.C_DestroyObject(session.handle, private.value).ok()?;
            ensure(signed?.len() == 64, || "the signature is not 64 bytes".into())
        },
    );
    cases.add(
        "C_GenerateKey",
        "a key of the token in a session that only reads",
        &[AES_GEN, Need::Writable],
        |token| {
            let session = token.session_with(0)?;
            let wanted = aes().with(CKA_TOKEN, true).with(CKA_LABEL, LABEL);
            generate(token, session.handle, wanted, &mut Place::new()).is(CKR_SESSION_READ_ONLY)
        },
    );
}
