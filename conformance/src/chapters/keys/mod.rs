//! Section 5.18: keys are made, wrapped, unwrapped, derived and encapsulated.

mod deriving;
mod encapsulating;
mod making;
mod refused;
mod unwrapping;
mod wrapping;

use crate::answer::{Answer, Verdict};
use crate::argument::{Data, Out, Place};
use crate::case::{Cases, Need, State};
use crate::key::{Sort, Usage};
use crate::template;
use crate::token::Token;
use crate::value::{Mechanism, Template};
use tandem_values::ck::*;

const AES_GEN: Need = Need::Mechanism(CKM_AES_KEY_GEN, CKF_GENERATE);
const EC_GEN: Need = Need::Mechanism(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
const WRAP: Need = Need::Mechanism(CKM_AES_KEY_WRAP, CKF_WRAP | CKF_UNWRAP);
const ECDH: Need = Need::Mechanism(CKM_ECDH1_DERIVE, CKF_DERIVE);

pub(super) fn add(cases: &mut Cases) {
    making::add(cases);
    refused::add(cases);
    wrapping::add(cases);
    unwrapping::add(cases);
    deriving::add(cases);
    encapsulating::add(cases);
    cases.begin(State::Alone);
    refused::add_without_login(cases);
}

/// An AES key of the session that does everything.
fn aes() -> Template {
    Sort::Aes.public(Usage::All)
}

fn generate(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    mut wanted: Template,
    key: &mut Place<CK_ULONG>,
) -> Answer {
    token.module.C_GenerateKey(session, &mut Mechanism::plain(CKM_AES_KEY_GEN), &mut wanted, key)
}

/// A key that may be read, to be wrapped.
fn readable(token: &Token<'_>, session: CK_SESSION_HANDLE) -> Verdict<CK_OBJECT_HANDLE> {
    token.create(
        session,
        template! {
            CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES, CKA_TOKEN: false, CKA_PRIVATE: true,
            CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_ENCRYPT: true, CKA_VALUE: &[5; 32],
        },
    )
}

/// What an unwrapped key is to be.
fn unwrapped() -> Template {
    template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES, CKA_TOKEN: false, CKA_PRIVATE: true,
        CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_ENCRYPT: true,
    }
}

fn wrap(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    by: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    out: &mut Out,
) -> Answer {
    token.module.C_WrapKey(session, &mut Mechanism::plain(CKM_AES_KEY_WRAP), by, key, out)
}

fn unwrap(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    by: CK_OBJECT_HANDLE,
    data: Data<'_>,
    wanted: &mut Template,
) -> Answer {
    token.module.C_UnwrapKey(
        session,
        &mut Mechanism::plain(CKM_AES_KEY_WRAP),
        by,
        data,
        wanted,
        &mut Place::new(),
    )
}

/// What a derived key is to be.
fn derived(bytes: CK_ULONG) -> Template {
    template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_GENERIC_SECRET, CKA_TOKEN: false, CKA_PRIVATE: true,
        CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_VALUE_LEN: bytes,
    }
}
