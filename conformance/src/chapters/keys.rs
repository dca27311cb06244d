//! Section 5.18: making, wrapping, unwrapping and deriving keys, and key encapsulation.

use crate::answer::{Verdict, ensure, same};
use crate::argument::{Data, Out, Place};
use crate::case::{Cases, Need, State};
use crate::key::{P256, Sort, Usage};
use crate::template;
use crate::token::{LABEL, Token};
use crate::value::{Mechanism, Parameter, Template};
use tandem_values::ck::*;

const AES_GEN: Need = Need::Mechanism(CKM_AES_KEY_GEN, CKF_GENERATE);
const EC_GEN: Need = Need::Mechanism(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
const WRAP: Need = Need::Mechanism(CKM_AES_KEY_WRAP, CKF_WRAP | CKF_UNWRAP);
const ECDH: Need = Need::Mechanism(CKM_ECDH1_DERIVE, CKF_DERIVE);

pub(super) fn add(cases: &mut Cases) {
    secret(cases);
    pairs(cases);
    wrong(cases);
    kept(cases);
    wrapping(cases);
    wrong_wrapping(cases);
    unwrapping(cases);
    unwrap_templates(cases);
    authenticated(cases);
    deriving(cases);
    encapsulating(cases);
    cases.begin(State::Alone);
    without_login(cases);
}

fn aes() -> Template {
    Sort::Aes.public(Usage::All)
}

fn generate(token: &Token<'_>, session: CK_SESSION_HANDLE, mut wanted: Template, key: &mut Place<CK_ULONG>) -> crate::answer::Answer {
    token.module.C_GenerateKey(session, &mut Mechanism::plain(CKM_AES_KEY_GEN), &mut wanted, key)
}

fn secret(cases: &mut Cases) {
    for bytes in [16, 24, 32] {
        cases.add_with("C_GenerateKey", CKM_AES_KEY_GEN, &format!("of {bytes} bytes"), &[AES_GEN], move |token| {
            let (session, mut key) = (token.session()?, Place::new());
            let wanted = aes().with(CKA_VALUE_LEN, bytes).with(CKA_SENSITIVE, false);
            generate(token, session.handle, wanted, &mut key).prepares()?;
            let value = token.read(session.handle, key.value, CKA_VALUE);
            ensure(value.is_ok_and(|value| value.len() as u64 == bytes), || "CKA_VALUE is of another length".into())
        });
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
        cases.add_with("C_GenerateKey", CKM_GENERIC_SECRET_KEY_GEN, &format!("of {bytes} bytes"), &generic, move |token| {
            let (session, mut key) = (token.session()?, Place::new());
            let mut wanted = Sort::Secret.public(Usage::All).with(CKA_VALUE_LEN, bytes);
            let mut mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
            token.module.C_GenerateKey(session.handle, &mut mechanism, &mut wanted, &mut key).prepares()?;
            let len = token.read(session.handle, key.value, CKA_VALUE_LEN).unwrap_or_default();
            same("CKA_VALUE_LEN", &len, &bytes.to_ne_bytes())
        });
    }
}

fn pairs(cases: &mut Cases) {
    for (sort, sign) in [(Sort::Ec, CKM_ECDSA_SHA256), (Sort::Rsa, CKM_SHA256_RSA_PKCS), (Sort::Edwards, CKM_EDDSA)] {
        let needs = [Need::Mechanism(sort.generator(), CKF_GENERATE_KEY_PAIR), Need::Mechanism(sign, CKF_SIGN | CKF_VERIFY)];
        cases.add_with("C_GenerateKeyPair", sort.generator(), "one half verifies what the other signs", &needs, move |token| {
            let session = token.session()?;
            let key = token.key(sort, Usage::All)?;
            let signature = token.sign(session.handle, &Mechanism::plain(sign), key.private, b"data")?;
            token.module.C_VerifyInit(session.handle, &mut Mechanism::plain(sign), key.public).ok()?;
            token.module.C_Verify(session.handle, b"data".into(), (&signature).into()).ok()
        });
        cases.add_with("C_GenerateKeyPair", sort.generator(), "what both halves say of themselves", &needs[..1], move |token| {
            let session = token.session()?;
            let key = token.key(sort, Usage::All)?;
            let read = |key, kind| token.read(session.handle, key, kind).unwrap_or_default();
            for half in [key.public, key.private] {
                same("CKA_LOCAL", &read(half, CKA_LOCAL), &[1])?;
                same("CKA_KEY_GEN_MECHANISM", &read(half, CKA_KEY_GEN_MECHANISM), &sort.generator().to_ne_bytes())?;
            }
            same("CKA_ALWAYS_SENSITIVE", &read(key.private, CKA_ALWAYS_SENSITIVE), &[1])?;
            same("CKA_CLASS", &read(key.public, CKA_CLASS), &CKO_PUBLIC_KEY.to_ne_bytes())
        });
    }
    cases.add_with("C_GenerateKeyPair", CKM_EC_KEY_PAIR_GEN, "CKA_EC_POINT is in an OCTET STRING", &[EC_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Ec, Usage::All)?;
        let point = token.read(session.handle, key.public, CKA_EC_POINT).unwrap_or_default();
        ensure(point.starts_with(&[0x04, 65, 0x04]) && point.len() == 67, || format!("it is {}", crate::answer::hex(&point)))
    });
}

/// Generates a pair on a curve; answers what came.
fn pair(token: &Token<'_>, mechanism: &mut Mechanism, public: &mut Template, private: &mut Template) -> Verdict<crate::answer::Answer> {
    let session = token.session()?;
    let (mut one, mut other) = (Place::new(), Place::new());
    Ok(token.module.C_GenerateKeyPair(session.handle, mechanism, public, private, &mut one, &mut other))
}

fn wrong(cases: &mut Cases) {
    cases.add("C_GenerateKey", "no such mechanism", &[], |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0));
        let answer = token.module.C_GenerateKey(session.handle, &mut mechanism, &mut aes(), &mut Place::new());
        answer.is(CKR_MECHANISM_INVALID)
    });
    cases.add("C_GenerateKey", "a parameter where there is none", &[AES_GEN], |token| {
        let (session, mut mechanism) = (token.session()?, Mechanism::new(CKM_AES_KEY_GEN, Parameter::bytes(&[1; 5])));
        let answer = token.module.C_GenerateKey(session.handle, &mut mechanism, &mut aes(), &mut Place::new());
        answer.is(CKR_MECHANISM_PARAM_INVALID)
    });
    cases.add("C_GenerateKey", "without CKA_VALUE_LEN", &[AES_GEN], |token| {
        let session = token.session()?;
        generate(token, session.handle, aes().without(CKA_VALUE_LEN), &mut Place::new()).is(CKR_TEMPLATE_INCOMPLETE)
    });
    cases.add("C_GenerateKey", "a length that AES doesn't have", &[AES_GEN], |token| {
        let session = token.session()?;
        let answer = generate(token, session.handle, aes().with(CKA_VALUE_LEN, 17), &mut Place::new());
        answer.is_one_of(&[CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT])
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
        let (s, module, mut mechanism) = (session.handle, token.module, Mechanism::plain(CKM_AES_KEY_GEN));
        module.C_GenerateKey(s, &mut Mechanism::null(), &mut aes(), &mut Place::new()).is(CKR_ARGUMENTS_BAD)?;
        module.C_GenerateKey(s, &mut mechanism, &mut Template::null(2), &mut Place::new()).is(CKR_ARGUMENTS_BAD)?;
        module.C_GenerateKey(s, &mut mechanism, &mut aes(), &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GenerateKeyPair", "no such mechanism", &[], |token| {
        let (mut public, mut private) = (Sort::Ec.public(Usage::All), Sort::Ec.private(Usage::All));
        let mut mechanism = Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0);
        pair(token, &mut mechanism, &mut public, &mut private)?.is(CKR_MECHANISM_INVALID)
    });
    cases.add("C_GenerateKeyPair", "without a curve", &[EC_GEN], |token| {
        let (mut public, mut private) = (Sort::Ec.public(Usage::All).without(CKA_EC_PARAMS), Sort::Ec.private(Usage::All));
        let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
        pair(token, &mut mechanism, &mut public, &mut private)?.is(CKR_TEMPLATE_INCOMPLETE)
    });
    cases.add("C_GenerateKeyPair", "a curve that there isn't", &[EC_GEN], |token| {
        let mut public = Sort::Ec.public(Usage::All).with(CKA_EC_PARAMS, &[0x06, 0x03, 0x2a, 0x03, 0x04]);
        let (mut private, mut mechanism) = (Sort::Ec.private(Usage::All), Mechanism::plain(CKM_EC_KEY_PAIR_GEN));
        let wanted = [CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID];
        pair(token, &mut mechanism, &mut public, &mut private)?.is_one_of(&wanted)
    });
    cases.add("C_GenerateKeyPair", "null pointers where something must be", &[EC_GEN], |token| {
        let session = token.session()?;
        let (mut public, mut private) = (Sort::Ec.public(Usage::All), Sort::Ec.private(Usage::All));
        let (s, module, mut mechanism) = (session.handle, token.module, Mechanism::plain(CKM_EC_KEY_PAIR_GEN));
        module.C_GenerateKeyPair(s, &mut Mechanism::null(), &mut public, &mut private, &mut Place::new(), &mut Place::new()).is(CKR_ARGUMENTS_BAD)?;
        module.C_GenerateKeyPair(s, &mut mechanism, &mut public, &mut private, &mut Place::null(), &mut Place::new()).is(CKR_ARGUMENTS_BAD)?;
        module.C_GenerateKeyPair(s, &mut mechanism, &mut public, &mut private, &mut Place::new(), &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
}

/// Keys of the token.
fn kept(cases: &mut Cases) {
    cases.add("C_GenerateKey", "a key of the token, found by another session", &[AES_GEN, Need::Writable], |token| {
        let (one, other, mut key) = (token.session()?, token.session()?, Place::new());
        let wanted = aes().with(CKA_TOKEN, true).with(CKA_LABEL, LABEL).with(CKA_ID, b"kept");
        generate(token, one.handle, wanted, &mut key).prepares()?;
        drop(one);
        let found = token.find(other.handle, template! { CKA_LABEL: LABEL, CKA_ID: b"kept" })?;
        let destroyed = token.module.C_DestroyObject(other.handle, key.value);
        ensure(found.len() == 1, || format!("{} keys were found", found.len()))?;
        destroyed.ok()
    });
    cases.add("C_GenerateKeyPair", "a pair of the token signs, and is destroyed", &[EC_GEN, Need::Writable, Need::Mechanism(CKM_ECDSA, CKF_SIGN)], |token| {
        let (session, mut public, mut private) = (token.session()?, Place::new(), Place::new());
        let named = |wanted: Template| wanted.with(CKA_TOKEN, true).with(CKA_LABEL, LABEL);
        let (mut one, mut other) = (named(Sort::Ec.public(Usage::All)), named(Sort::Ec.private(Usage::All)));
        let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
        token.module.C_GenerateKeyPair(session.handle, &mut mechanism, &mut one, &mut other, &mut public, &mut private).prepares()?;
        let signed = token.sign(session.handle, &Mechanism::plain(CKM_ECDSA), private.value, &[7; 32]);
        token.module.C_DestroyObject(session.handle, public.value).ok()?;
        token.module.C_DestroyObject(session.handle, private.value).ok()?;
        ensure(signed?.len() == 64, || "the signature is not 64 bytes".into())
    });
    cases.add("C_GenerateKey", "a key of the token in a session that only reads", &[AES_GEN, Need::Writable], |token| {
        let session = token.session_with(0)?;
        let wanted = aes().with(CKA_TOKEN, true).with(CKA_LABEL, LABEL);
        generate(token, session.handle, wanted, &mut Place::new()).is(CKR_SESSION_READ_ONLY)
    });
}

/// A key that may be read, to be wrapped.
fn readable(token: &Token<'_>, session: CK_SESSION_HANDLE) -> Verdict<CK_OBJECT_HANDLE> {
    token.create(session, template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES, CKA_TOKEN: false, CKA_PRIVATE: true,
        CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_ENCRYPT: true, CKA_VALUE: &[5; 32],
    })
}

/// What an unwrapped key is to be.
fn unwrapped() -> Template {
    template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES, CKA_TOKEN: false, CKA_PRIVATE: true,
        CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_ENCRYPT: true,
    }
}

fn wrap(token: &Token<'_>, session: CK_SESSION_HANDLE, by: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: &mut Out) -> crate::answer::Answer {
    token.module.C_WrapKey(session, &mut Mechanism::plain(CKM_AES_KEY_WRAP), by, key, out)
}

fn wrapping(cases: &mut Cases) {
    let ways: [(CK_MECHANISM_TYPE, fn() -> Mechanism, Sort); 5] = [
        (CKM_AES_KEY_WRAP, || Mechanism::plain(CKM_AES_KEY_WRAP), Sort::Aes),
        (CKM_AES_KEY_WRAP_PAD, || Mechanism::plain(CKM_AES_KEY_WRAP_PAD), Sort::Aes),
        (CKM_AES_KEY_WRAP_KWP, || Mechanism::plain(CKM_AES_KEY_WRAP_KWP), Sort::Aes),
        (CKM_AES_CBC_PAD, || Mechanism::with_iv(CKM_AES_CBC_PAD, &[1; 16]), Sort::Aes),
        (CKM_RSA_PKCS_OAEP, Mechanism::oaep, Sort::Rsa),
    ];
    for (kind, mechanism, sort) in ways {
        cases.add_with("C_WrapKey", kind, "what is unwrapped is what was wrapped", &[Need::Mechanism(kind, CKF_WRAP | CKF_UNWRAP)], move |token| {
            let session = token.session()?;
            let (s, module, by) = (session.handle, token.module, token.key(sort, Usage::All)?);
            let (key, mut wrapped, mut copy) = (readable(token, s)?, Out::room(1024), Place::new());
            module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut wrapped).ok()?;
            module.C_UnwrapKey(s, &mut mechanism(), by.private, wrapped.bytes().into(), &mut unwrapped(), &mut copy).ok()?;
            same("CKA_VALUE", &token.read(s, copy.value, CKA_VALUE).unwrap_or_default(), &[5; 32])?;
            same("CKA_LOCAL", &token.read(s, copy.value, CKA_LOCAL).unwrap_or_default(), &[0])?;
            same("CKA_ALWAYS_SENSITIVE", &token.read(s, copy.value, CKA_ALWAYS_SENSITIVE).unwrap_or_default(), &[0])?;
            same("CKA_NEVER_EXTRACTABLE", &token.read(s, copy.value, CKA_NEVER_EXTRACTABLE).unwrap_or_default(), &[0])
        });
        cases.add_with("C_WrapKey", kind, "a null pointer asks for the length, a short buffer is told", &[Need::Mechanism(kind, CKF_WRAP)], move |token| {
            let session = token.session()?;
            let (s, module, by) = (session.handle, token.module, token.key(sort, Usage::All)?);
            let (key, mut asked) = (readable(token, s)?, Out::query());
            module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut asked).ok()?;
            module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut Out::room(1)).is(CKR_BUFFER_TOO_SMALL)?;
            let mut out = Out::room(usize::try_from(asked.len).unwrap_or(0));
            module.C_WrapKey(s, &mut mechanism(), by.public, key, &mut out).ok()
        });
    }
    cases.add("C_WrapKey", "a private key comes back and signs", &[Need::Mechanism(CKM_AES_CBC_PAD, CKF_WRAP | CKF_UNWRAP), EC_GEN], private_key);
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
    module.C_UnwrapKey(s, &mut mechanism, by, wrapped.bytes().into(), &mut wanted, &mut copy).ok()?;
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
        generate(token, session.handle, aes().with(CKA_WRAP_WITH_TRUSTED, true), &mut key).prepares()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        wrap(token, session.handle, by, key.value, &mut Out::room(64)).is(CKR_KEY_NOT_WRAPPABLE)
    });
    cases.add("C_WrapKey", "by a key that must not wrap", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (by, key) = (token.key(Sort::Aes, Usage::None)?.private, token.key(Sort::Aes, Usage::All)?.private);
        wrap(token, session.handle, by, key, &mut Out::room(64)).is(CKR_KEY_FUNCTION_NOT_PERMITTED)
    });
    cases.add("C_WrapKey", "by a key of another type", &[WRAP, AES_GEN, Need::Mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR)], |token| {
        let session = token.session()?;
        let (by, key) = (token.key(Sort::Rsa, Usage::All)?.public, token.key(Sort::Aes, Usage::All)?.private);
        wrap(token, session.handle, by, key, &mut Out::room(64)).is(CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
    });
    cases.add("C_WrapKey", "no such key, on either side", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Aes, Usage::All)?.private;
        let none = CK_UNAVAILABLE_INFORMATION;
        wrap(token, session.handle, none, key, &mut Out::room(64)).is(CKR_WRAPPING_KEY_HANDLE_INVALID)?;
        wrap(token, session.handle, key, none, &mut Out::room(64)).is(CKR_KEY_HANDLE_INVALID)
    });
    cases.add("C_WrapKey", "no such mechanism, no place for the length", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Aes, Usage::All)?.private;
        let mut none = Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0);
        token.module.C_WrapKey(session.handle, &mut none, key, key, &mut Out::room(64)).is(CKR_MECHANISM_INVALID)?;
        wrap(token, session.handle, key, key, &mut Out::without_length()).is(CKR_ARGUMENTS_BAD)
    });
}

fn unwrap(token: &Token<'_>, session: CK_SESSION_HANDLE, by: CK_OBJECT_HANDLE, data: Data<'_>, wanted: &mut Template) -> crate::answer::Answer {
    token.module.C_UnwrapKey(session, &mut Mechanism::plain(CKM_AES_KEY_WRAP), by, data, wanted, &mut Place::new())
}

fn unwrapping(cases: &mut Cases) {
    cases.add("C_UnwrapKey", "bytes that are no wrapped key", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        unwrap(token, session.handle, by, (&[7; 40]).into(), &mut unwrapped()).is(CKR_WRAPPED_KEY_INVALID)
    });
    cases.add("C_UnwrapKey", "bytes of a length that no wrapped key has", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        let answer = unwrap(token, session.handle, by, (&[7; 13]).into(), &mut unwrapped());
        answer.is_one_of(&[CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID])
    });
    cases.add("C_UnwrapKey", "no such key, a key that must not unwrap, a key of another type", &[WRAP, AES_GEN, EC_GEN], |token| {
        let session = token.session()?;
        let data = [7; 40];
        let by = |key: CK_OBJECT_HANDLE| unwrap(token, session.handle, key, (&data).into(), &mut unwrapped());
        by(CK_UNAVAILABLE_INFORMATION).is(CKR_UNWRAPPING_KEY_HANDLE_INVALID)?;
        by(token.key(Sort::Aes, Usage::None)?.private).is(CKR_KEY_FUNCTION_NOT_PERMITTED)?;
        by(token.key(Sort::Ec, Usage::All)?.private).is(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT)
    });
    cases.add("C_UnwrapKey", "a template without a class", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (by, key, mut wrapped) = (token.key(Sort::Aes, Usage::All)?.private, readable(token, session.handle)?, Out::room(64));
        wrap(token, session.handle, by, key, &mut wrapped).ok()?;
        let answer = unwrap(token, session.handle, by, wrapped.bytes().into(), &mut unwrapped().without(CKA_KEY_TYPE));
        answer.is(CKR_TEMPLATE_INCOMPLETE)
    });
    cases.add("C_UnwrapKey", "null pointers where something must be", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let by = token.key(Sort::Aes, Usage::All)?.private;
        unwrap(token, session.handle, by, Data::null(40), &mut unwrapped()).is(CKR_ARGUMENTS_BAD)?;
        unwrap(token, session.handle, by, (&[7; 40]).into(), &mut Template::null(2)).is(CKR_ARGUMENTS_BAD)
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
        unwrap(token, s, by.value, wrapped.bytes().into(), &mut unwrapped().with(CKA_EXTRACTABLE, false)).ok()
    });
    cases.add("C_WrapKey", "CKA_WRAP_TEMPLATE holds", &[WRAP, AES_GEN], |token| {
        let session = token.session()?;
        let (s, mut by) = (session.handle, Place::new());
        let picky = aes().with(CKA_WRAP_TEMPLATE, template! { CKA_KEY_TYPE: CKK_GENERIC_SECRET });
        generate(token, s, picky, &mut by).prepares()?;
        wrap(token, s, by.value, readable(token, s)?, &mut Out::room(64)).is(CKR_KEY_HANDLE_INVALID)
    });
}

fn authenticated(cases: &mut Cases) {
    let needs = [Need::Function("C_WrapKeyAuthenticated"), Need::Mechanism(CKM_AES_GCM, CKF_WRAP | CKF_UNWRAP)];
    let gcm = || Mechanism::new(CKM_AES_GCM, Mechanism::gcm_message(&[1; 12], &[0; 16]));
    cases.add("C_WrapKeyAuthenticated", "what is unwrapped is what was wrapped", &needs, move |token| {
        let session = token.session()?;
        let (s, module, by) = (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
        let (key, mut wrapped, mut copy, mut mechanism) = (readable(token, s)?, Out::room(128), Place::new(), gcm());
        module.C_WrapKeyAuthenticated(s, &mut mechanism, by, key, b"associated".into(), &mut wrapped).ok()?;
        let answer = module.C_UnwrapKeyAuthenticated(s, &mut mechanism, by, wrapped.bytes().into(), &mut unwrapped(), b"associated".into(), &mut copy);
        answer.ok()?;
        same("CKA_VALUE", &token.read(s, copy.value, CKA_VALUE).unwrap_or_default(), &[5; 32])
    });
    cases.add("C_UnwrapKeyAuthenticated", "other associated data", &needs, move |token| {
        let session = token.session()?;
        let (s, module, by) = (session.handle, token.module, token.key(Sort::Aes, Usage::All)?.private);
        let (key, mut wrapped, mut mechanism) = (readable(token, s)?, Out::room(128), gcm());
        module.C_WrapKeyAuthenticated(s, &mut mechanism, by, key, b"associated".into(), &mut wrapped).ok()?;
        let answer = module.C_UnwrapKeyAuthenticated(s, &mut mechanism, by, wrapped.bytes().into(), &mut unwrapped(), b"other".into(), &mut Place::new());
        answer.is_one_of(&[CKR_WRAPPED_KEY_INVALID, CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID])
    });
}

/// What a derived key is to be.
fn derived(bytes: CK_ULONG) -> Template {
    template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_GENERIC_SECRET, CKA_TOKEN: false, CKA_PRIVATE: true,
        CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_VALUE_LEN: bytes,
    }
}

/// The point of a public key, without the OCTET STRING around it.
fn point(token: &Token<'_>, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let point = token.read(session, key, CKA_EC_POINT).unwrap_or_default();
    if point.len() == 67 { point.get(2..).unwrap_or_default().to_vec() } else { point }
}

fn deriving(cases: &mut Cases) {
    cases.add_with("C_DeriveKey", CKM_ECDH1_DERIVE, "both sides come to the same secret", &[ECDH, EC_GEN], |token| {
        let session = token.session()?;
        let (s, module, one) = (session.handle, token.module, token.key(Sort::Ec, Usage::All)?);
        let other = Sort::Ec.make(module, s, Usage::All)?;
        let agree = |private, public| -> Verdict<Vec<u8>> {
            let (mut mechanism, mut key) = (Mechanism::ecdh(&point(token, s, public)), Place::new());
            module.C_DeriveKey(s, &mut mechanism, private, &mut derived(32), &mut key).ok()?;
            same("CKA_LOCAL", &token.read(s, key.value, CKA_LOCAL).unwrap_or_default(), &[0])?;
            Ok(token.read(s, key.value, CKA_VALUE).unwrap_or_default())
        };
        let (here, there) = (agree(one.private, other.public)?, agree(other.private, one.public)?);
        ensure(here.len() == 32, || "CKA_VALUE is not 32 bytes".into())?;
        same("the other side's secret", &there, &here)
    });
    cases.add_with("C_DeriveKey", CKM_ECDH1_DERIVE, "a point that isn't on the curve", &[ECDH, EC_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Ec, Usage::All)?.private;
        let off = [&[4_u8][..], &[7; 64]].concat();
        let answer = token.module.C_DeriveKey(session.handle, &mut Mechanism::ecdh(&off), key, &mut derived(32), &mut Place::new());
        answer.is_one_of(&[CKR_MECHANISM_PARAM_INVALID, CKR_PUBLIC_KEY_INVALID, CKR_DOMAIN_PARAMS_INVALID])
    });
    cases.add_with("C_DeriveKey", CKM_AES_ECB_ENCRYPT_DATA, "what is derived is what AES makes of the data", &[Need::Mechanism(CKM_AES_ECB_ENCRYPT_DATA, CKF_DERIVE)], |token| {
        let session = token.session()?;
        let (s, mut key) = (session.handle, Place::new());
        let base = token.key(Sort::Aes, Usage::All)?.private;
        token.module.C_DeriveKey(s, &mut Mechanism::encrypt_data(&[9; 32]), base, &mut derived(32), &mut key).ok()?;
        let wanted = token.encrypt(s, &Mechanism::plain(CKM_AES_ECB), base, &[9; 32])?;
        same("CKA_VALUE", &token.read(s, key.value, CKA_VALUE).unwrap_or_default(), &wanted)
    });
    cases.add("C_DeriveKey", "no such key, a key that must not derive, a key of another type", &[ECDH, EC_GEN], |token| {
        let session = token.session()?;
        let good = point(token, session.handle, token.key(Sort::Ec, Usage::All)?.public);
        let from = |key| token.module.C_DeriveKey(session.handle, &mut Mechanism::ecdh(&good), key, &mut derived(32), &mut Place::new());
        from(CK_UNAVAILABLE_INFORMATION).is(CKR_KEY_HANDLE_INVALID)?;
        from(token.key(Sort::Ec, Usage::None)?.private).is(CKR_KEY_FUNCTION_NOT_PERMITTED)?;
        from(token.key(Sort::Aes, Usage::All)?.private).is(CKR_KEY_TYPE_INCONSISTENT)
    });
    cases.add("C_DeriveKey", "no such mechanism, a wrong parameter", &[ECDH, EC_GEN], |token| {
        let session = token.session()?;
        let key = token.key(Sort::Ec, Usage::All)?.private;
        let by = |mut mechanism: Mechanism| token.module.C_DeriveKey(session.handle, &mut mechanism, key, &mut derived(32), &mut Place::new());
        by(Mechanism::plain(CKM_VENDOR_DEFINED | 0x7fff_fff0)).is(CKR_MECHANISM_INVALID)?;
        by(Mechanism::new(CKM_ECDH1_DERIVE, Parameter::bytes(&[1; 5]))).is(CKR_MECHANISM_PARAM_INVALID)?;
        by(Mechanism::plain(CKM_ECDH1_DERIVE)).is(CKR_MECHANISM_PARAM_INVALID)
    });
}

/// A pair of ML-KEM-768.
fn kem_pair(token: &Token<'_>, session: CK_SESSION_HANDLE) -> Verdict<crate::key::Key> {
    let (mut public, mut private) = (Place::new(), Place::new());
    let mut one = template! { CKA_TOKEN: false, CKA_PARAMETER_SET: CKP_ML_KEM_768, CKA_ENCAPSULATE: true };
    let mut other = template! { CKA_TOKEN: false, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_DECAPSULATE: true };
    let mut mechanism = Mechanism::plain(CKM_ML_KEM_KEY_PAIR_GEN);
    token.module.C_GenerateKeyPair(session, &mut mechanism, &mut one, &mut other, &mut public, &mut private).prepares()?;
    Ok(crate::key::Key { public: public.value, private: private.value })
}

fn encapsulating(cases: &mut Cases) {
    let needs = [Need::Function("C_EncapsulateKey"), Need::Mechanism(CKM_ML_KEM, CKF_ENCAPSULATE | CKF_DECAPSULATE)];
    cases.add_with("C_EncapsulateKey", CKM_ML_KEM, "C_DecapsulateKey comes to the same secret", &needs, |token| {
        let session = token.session()?;
        let (s, module, pair) = (session.handle, token.module, kem_pair(token, session.handle)?);
        let (mut sent, mut one, mut other, mut kem) = (Out::room(4096), Place::new(), Place::new(), Mechanism::plain(CKM_ML_KEM));
        module.C_EncapsulateKey(s, &mut kem, pair.public, &mut derived(32), &mut sent, &mut one).ok()?;
        module.C_DecapsulateKey(s, &mut kem, pair.private, &mut derived(32), sent.bytes().into(), &mut other).ok()?;
        let value = |key| token.read(s, key, CKA_VALUE).unwrap_or_default();
        ensure(value(one.value).len() == 32, || "CKA_VALUE is not 32 bytes".into())?;
        same("what was decapsulated", &value(other.value), &value(one.value))
    });
    cases.add_with("C_EncapsulateKey", CKM_ML_KEM, "a short buffer", &needs, |token| {
        let session = token.session()?;
        let (pair, mut kem) = (kem_pair(token, session.handle)?, Mechanism::plain(CKM_ML_KEM));
        let answer = token.module.C_EncapsulateKey(session.handle, &mut kem, pair.public, &mut derived(32), &mut Out::room(1), &mut Place::new());
        answer.is(CKR_BUFFER_TOO_SMALL)
    });
    cases.add_with("C_DecapsulateKey", CKM_ML_KEM, "no such key", &needs, |token| {
        let session = token.session()?;
        let answer = token.module.C_DecapsulateKey(session.handle, &mut Mechanism::plain(CKM_ML_KEM), CK_UNAVAILABLE_INFORMATION, &mut derived(32), (&[1; 1088]).into(), &mut Place::new());
        answer.is(CKR_KEY_HANDLE_INVALID)
    });
}

fn without_login(cases: &mut Cases) {
    cases.add("C_GenerateKeyPair", "a private key when nobody is logged in", &[EC_GEN], |token| {
        let session = token.session()?;
        let (mut public, mut private) = (template! { CKA_EC_PARAMS: &P256, CKA_TOKEN: false }, Sort::Ec.private(Usage::All));
        let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
        let answer = token.module.C_GenerateKeyPair(session.handle, &mut mechanism, &mut public, &mut private, &mut Place::new(), &mut Place::new());
        answer.is(CKR_USER_NOT_LOGGED_IN)
    });
    cases.add("C_GenerateKey", "a private key when nobody is logged in", &[AES_GEN], |token| {
        let session = token.session()?;
        generate(token, session.handle, aes(), &mut Place::new()).is(CKR_USER_NOT_LOGGED_IN)
    });
}
