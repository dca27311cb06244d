//! C_DeriveKey.

use super::*;
use crate::answer::{ensure, same};
use crate::value::Parameter;

pub(super) fn add(cases: &mut Cases) {
    deriving(cases);
    refused(cases);
}

/// The point of a public key, without the OCTET STRING around it.
fn point(token: &Token<'_>, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let point = token.read(session, key, CKA_EC_POINT).unwrap_or_default();
    if point.len() == 67 { point.get(2..).unwrap_or_default().to_vec() } else { point }
}

fn deriving(cases: &mut Cases) {
    cases.add_with(
        "C_DeriveKey",
        CKM_ECDH1_DERIVE,
        "both sides come to the same secret",
        &[ECDH, EC_GEN],
        |token| {
            let session = token.session()?;
            let (s, module, one) = (session.handle, token.module, token.key(Sort::Ec, Usage::All)?);
            let other = Sort::Ec.make(module, s, Usage::All)?;
            let agree = |private, public| -> Verdict<Vec<u8>> {
                let (mut mechanism, mut key) =
                    (Mechanism::ecdh(&point(token, s, public)), Place::new());
                module.C_DeriveKey(s, &mut mechanism, private, &mut derived(32), &mut key).ok()?;
                token.shows(s, key.value, CKA_LOCAL, &[0])?;
                Ok(token.read(s, key.value, CKA_VALUE).unwrap_or_default())
            };
            let (here, there) =
                (agree(one.private, other.public)?, agree(other.private, one.public)?);
            ensure(here.len() == 32, || "CKA_VALUE is not 32 bytes".into())?;
            same("the other side's secret", &there, &here)
        },
    );
    cases.add_with(
        "C_DeriveKey",
        CKM_ECDH1_DERIVE,
        "a point that isn't on the curve",
        &[ECDH, EC_GEN],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Ec, Usage::All)?.private;
            let off = [&[4_u8][..], &[7; 64]].concat();
            let answer = token.module.C_DeriveKey(
                session.handle,
                &mut Mechanism::ecdh(&off),
                key,
                &mut derived(32),
                &mut Place::new(),
            );
            answer.is_one_of(&[
                CKR_MECHANISM_PARAM_INVALID,
                CKR_PUBLIC_KEY_INVALID,
                CKR_DOMAIN_PARAMS_INVALID,
            ])
        },
    );
    cases.add_with(
        "C_DeriveKey",
        CKM_AES_ECB_ENCRYPT_DATA,
        "what is derived is what AES makes of the data",
        &[Need::Mechanism(CKM_AES_ECB_ENCRYPT_DATA, CKF_DERIVE)],
        |token| {
            let session = token.session()?;
            let (s, mut key) = (session.handle, Place::new());
            let base = token.key(Sort::Aes, Usage::All)?.private;
            token
                .module
                .C_DeriveKey(
                    s,
                    &mut Mechanism::encrypt_data(&[9; 32]),
                    base,
                    &mut derived(32),
                    &mut key,
                )
                .ok()?;
            let wanted = token.encrypt(s, &Mechanism::plain(CKM_AES_ECB), base, &[9; 32])?;
            token.shows(s, key.value, CKA_VALUE, &wanted)
        },
    );
}

/// A key to derive from, or one that there isn't.
type Base = Option<(Sort, Usage)>;

/// Bases and mechanisms that derive nothing.
fn refused(cases: &mut Cases) {
    let bases: [(&str, Base, CK_RV); 3] = [
        ("no such key", None, CKR_KEY_HANDLE_INVALID),
        (
            "from a key that must not derive",
            Some((Sort::Ec, Usage::None)),
            CKR_KEY_FUNCTION_NOT_PERMITTED,
        ),
        ("from a key of another type", Some((Sort::Aes, Usage::All)), CKR_KEY_TYPE_INCONSISTENT),
    ];
    for (what, base, wanted) in bases {
        cases.add("C_DeriveKey", what, &[ECDH, EC_GEN], move |token| {
            let session = token.session()?;
            let good = point(token, session.handle, token.key(Sort::Ec, Usage::All)?.public);
            let base = match base {
                Some((sort, usage)) => token.key(sort, usage)?.private,
                None => CK_UNAVAILABLE_INFORMATION,
            };
            let mut mechanism = Mechanism::ecdh(&good);
            let answer = token.module.C_DeriveKey(
                session.handle,
                &mut mechanism,
                base,
                &mut derived(32),
                &mut Place::new(),
            );
            answer.is(wanted)
        });
    }
    cases.add("C_DeriveKey", "no such mechanism, a wrong parameter", &[ECDH, EC_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Ec, Usage::All)?.private;
        let by = |mut mechanism: Mechanism| {
            token.module.C_DeriveKey(
                session.handle,
                &mut mechanism,
                key,
                &mut derived(32),
                &mut Place::new(),
            )
        };
        by(Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0)).is(CKR_MECHANISM_INVALID)?;
        by(Mechanism::new(CKM_ECDH1_DERIVE, Parameter::bytes(&[1; 5])))
            .is(CKR_MECHANISM_PARAM_INVALID)?;
        by(Mechanism::plain(CKM_ECDH1_DERIVE)).is(CKR_MECHANISM_PARAM_INVALID)
    });
}
