//! Keys that must not be made.

use super::*;
use crate::key::P256;
use crate::value::Parameter;

pub(super) fn add(cases: &mut Cases) {
    wrong(cases);
    wrong_pairs(cases);
}

/// Generates a pair on a curve; answers what came.
fn pair(
    token: &Token<'_>,
    mechanism: &mut Mechanism,
    public: &mut Template,
    private: &mut Template,
) -> Verdict<Answer> {
    let session = token.session()?;
    let (mut one, mut other) = (Place::new(), Place::new());
    Ok(token.module.C_GenerateKeyPair(
        session.handle,
        mechanism,
        public,
        private,
        &mut one,
        &mut other,
    ))
}

fn wrong(cases: &mut Cases) {
    cases.add("C_GenerateKey", "no such mechanism", &[], |token| {
        let (session, mut mechanism) =
            (token.session()?, Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0));
        let answer = token.module.C_GenerateKey(
            session.handle,
            &mut mechanism,
            &mut aes(),
            &mut Place::new(),
        );
        answer.is(CKR_MECHANISM_INVALID)
    });
    cases.add("C_GenerateKey", "a parameter where there is none", &[AES_GEN], |token| {
        let (session, mut mechanism) =
            (token.session()?, Mechanism::new(CKM_AES_KEY_GEN, Parameter::bytes(&[1; 5])));
        let answer = token.module.C_GenerateKey(
            session.handle,
            &mut mechanism,
            &mut aes(),
            &mut Place::new(),
        );
        answer.is(CKR_MECHANISM_PARAM_INVALID)
    });
    cases.add("C_GenerateKey", "without CKA_VALUE_LEN", &[AES_GEN], |token| {
        let session = token.session()?;
        generate(token, session.handle, aes().without(CKA_VALUE_LEN), &mut Place::new())
            .is(CKR_TEMPLATE_INCOMPLETE)
    });
    cases.add("C_GenerateKey", "a length that AES doesn't have", &[AES_GEN], |token| {
        let session = token.session()?;
        let answer =
            generate(token, session.handle, aes().with(CKA_VALUE_LEN, 17), &mut Place::new());
        answer.is_one_of(&[
            CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_KEY_SIZE_RANGE,
            CKR_TEMPLATE_INCONSISTENT,
        ])
    });
    cases.add("C_GenerateKey", "another class or another type of key", &[AES_GEN], |token| {
        let session = token.session()?;
        let module = aes().with(CKA_CLASS, CKO_PRIVATE_KEY);
        generate(token, session.handle, module, &mut Place::new()).is(CKR_TEMPLATE_INCONSISTENT)?;
        let other = aes().with(CKA_KEY_TYPE, CKK_GENERIC_SECRET);
        generate(token, session.handle, other, &mut Place::new()).is(CKR_TEMPLATE_INCONSISTENT)
    });
    cases.add("C_GenerateKey", "null pointers where something must be", &[AES_GEN], |token| {
        let session = token.session()?;
        let (s, module, mut mechanism) =
            (session.handle, token.module, Mechanism::plain(CKM_AES_KEY_GEN));
        module
            .C_GenerateKey(s, &mut Mechanism::null(), &mut aes(), &mut Place::new())
            .is(CKR_ARGUMENTS_BAD)?;
        module
            .C_GenerateKey(s, &mut mechanism, &mut Template::null(2), &mut Place::new())
            .is(CKR_ARGUMENTS_BAD)?;
        module
            .C_GenerateKey(s, &mut mechanism, &mut aes(), &mut Place::null())
            .is(CKR_ARGUMENTS_BAD)
    });
}

fn wrong_pairs(cases: &mut Cases) {
    cases.add("C_GenerateKeyPair", "no such mechanism", &[], |token| {
        let (mut public, mut private) = (Sort::Ec.public(Usage::All), Sort::Ec.private(Usage::All));
        let mut mechanism = Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0);
        pair(token, &mut mechanism, &mut public, &mut private)?.is(CKR_MECHANISM_INVALID)
    });
    cases.add("C_GenerateKeyPair", "without a curve", &[EC_GEN], |token| {
        let (mut public, mut private) =
            (Sort::Ec.public(Usage::All).without(CKA_EC_PARAMS), Sort::Ec.private(Usage::All));
        let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
        pair(token, &mut mechanism, &mut public, &mut private)?.is(CKR_TEMPLATE_INCOMPLETE)
    });
    cases.add("C_GenerateKeyPair", "a curve that there isn't", &[EC_GEN], |token| {
        let mut public =
            Sort::Ec.public(Usage::All).with(CKA_EC_PARAMS, &[0x06, 0x03, 0x2a, 0x03, 0x04]);
        let (mut private, mut mechanism) =
            (Sort::Ec.private(Usage::All), Mechanism::plain(CKM_EC_KEY_PAIR_GEN));
        let wanted =
            [CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID];
        pair(token, &mut mechanism, &mut public, &mut private)?.is_one_of(&wanted)
    });
    cases.add("C_GenerateKeyPair", "null pointers where something must be", &[EC_GEN], |token| {
        let session = token.session()?;
        let (mut public, mut private) = (Sort::Ec.public(Usage::All), Sort::Ec.private(Usage::All));
        let (s, module, mut mechanism) =
            (session.handle, token.module, Mechanism::plain(CKM_EC_KEY_PAIR_GEN));
        module
            .C_GenerateKeyPair(
                s,
                &mut Mechanism::null(),
                &mut public,
                &mut private,
                &mut Place::new(),
                &mut Place::new(),
            )
            .is(CKR_ARGUMENTS_BAD)?;
        module
            .C_GenerateKeyPair(
                s,
                &mut mechanism,
                &mut public,
                &mut private,
                &mut Place::null(),
                &mut Place::new(),
            )
            .is(CKR_ARGUMENTS_BAD)?;
        module
            .C_GenerateKeyPair(
                s,
                &mut mechanism,
                &mut public,
                &mut private,
                &mut Place::new(),
                &mut Place::null(),
            )
            .is(CKR_ARGUMENTS_BAD)
    });
}

pub(super) fn add_without_login(cases: &mut Cases) {
    cases.add("C_GenerateKeyPair", "a private key when nobody is logged in", &[EC_GEN], |token| {
        let session = token.session()?;
        let (mut public, mut private) =
            (template! { CKA_EC_PARAMS: &P256, CKA_TOKEN: false }, Sort::Ec.private(Usage::All));
        let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
        let answer = token.module.C_GenerateKeyPair(
            session.handle,
            &mut mechanism,
            &mut public,
            &mut private,
            &mut Place::new(),
            &mut Place::new(),
        );
        answer.is(CKR_USER_NOT_LOGGED_IN)
    });
    cases.add("C_GenerateKey", "a private key when nobody is logged in", &[AES_GEN], |token| {
        let session = token.session()?;
        generate(token, session.handle, aes(), &mut Place::new()).is(CKR_USER_NOT_LOGGED_IN)
    });
}
