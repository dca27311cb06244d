//! Section 5.7: objects and their attributes; section 4 says what the attributes mean.

use crate::answer::{ensure, same, skip};
use crate::argument::Place;
use crate::case::{Cases, Need, State};
use crate::key::{Sort, Usage};
use crate::template;
use crate::token::LABEL;
use crate::value::Template;
use tandem_values::ck::*;

/// An object that there isn't.
const NO_OBJECT: CK_OBJECT_HANDLE = 0x7fff_ffff_ffff_fff0;

pub(super) fn add(cases: &mut Cases) {
    creating(cases);
    wrong_templates(cases);
    copying(cases);
    destroying(cases);
    reading(cases);
    reading_nothing(cases);
    sensitive(cases);
    changing(cases);
    changing_nothing(cases);
    life(cases);
    cases.begin(State::Alone);
    without_login(cases);
}

/// A data object of the session that anybody sees.
fn data() -> Template {
    template! {
        CKA_CLASS: CKO_DATA, CKA_TOKEN: false, CKA_PRIVATE: false, CKA_LABEL: LABEL,
        CKA_APPLICATION: "conformance", CKA_VALUE: b"value",
    }
}

/// An AES key of the session whose bytes may be read.
fn open_key() -> Template {
    template! {
        CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES, CKA_TOKEN: false, CKA_PRIVATE: true, CKA_LABEL: LABEL,
        CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_ENCRYPT: true, CKA_VALUE: &[3; 16],
    }
}

fn creating(cases: &mut Cases) {
    cases.add("C_CreateObject", "a data object of the session", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        ensure(object != CK_INVALID_HANDLE, || "its handle is 0".into())?;
        token.shows(session.handle, object, CKA_VALUE, b"value")?;
        token.shows(session.handle, object, CKA_TOKEN, &[0])
    });
    cases.add("C_CreateObject", "a data object of the token", &[Need::Writable], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data().with(CKA_TOKEN, true))?;
        token.shows(session.handle, object, CKA_VALUE, b"value")?;
        token.module.C_DestroyObject(session.handle, object).ok()
    });
    cases.add("C_CreateObject", "a secret key", &[], |token| {
        let session = token.session()?;
        let key = token.create(session.handle, open_key())?;
        token.shows(session.handle, key, CKA_VALUE, &[3; 16])?;
        token.shows(session.handle, key, CKA_VALUE_LEN, &16_u64.to_ne_bytes())?;
        token.shows(session.handle, key, CKA_LOCAL, &[0])?;
        token.shows(session.handle, key, CKA_ALWAYS_SENSITIVE, &[0])?;
        token.shows(session.handle, key, CKA_NEVER_EXTRACTABLE, &[0])
    });
    cases.add("C_CreateObject", "a certificate", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, certificate())?;
        token.shows(session.handle, object, CKA_VALUE, &[0x30, 0])?;
        token.shows(session.handle, object, CKA_ID, b"id")
    });
    cases.add(
        "C_CreateObject",
        "a token object in a session that only reads",
        &[Need::Writable],
        |token| {
            let session = token.session_with(0)?;
            let mut wanted = data().with(CKA_TOKEN, true);
            let answer =
                token.module.C_CreateObject(session.handle, &mut wanted, &mut Place::new());
            answer.is(CKR_SESSION_READ_ONLY)
        },
    );
    cases.add("C_CreateObject", "null pointers where something must be", &[], |token| {
        let session = token.session()?;
        let module = token.module;
        module
            .C_CreateObject(session.handle, &mut Template::null(2), &mut Place::new())
            .is(CKR_ARGUMENTS_BAD)?;
        module.C_CreateObject(session.handle, &mut data(), &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
}

fn certificate() -> Template {
    template! {
        CKA_CLASS: CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE: CKC_X_509, CKA_TOKEN: false, CKA_PRIVATE: false,
        CKA_SUBJECT: &[0x30, 0], CKA_VALUE: &[0x30, 0], CKA_ID: b"id",
    }
}

/// A template that must be refused.
type Refused = (&'static str, fn() -> Template, &'static [CK_RV]);

const REFUSED: &[Refused] = &[
    ("no attributes at all", Template::default, &[CKR_TEMPLATE_INCOMPLETE]),
    ("a key without its type", || open_key().without(CKA_KEY_TYPE), &[CKR_TEMPLATE_INCOMPLETE]),
    ("a key without its value", || open_key().without(CKA_VALUE), &[CKR_TEMPLATE_INCOMPLETE]),
    (
        "a certificate without its subject",
        || certificate().without(CKA_SUBJECT),
        &[CKR_TEMPLATE_INCOMPLETE],
    ),
    (
        "a certificate without its value",
        || certificate().without(CKA_VALUE),
        &[CKR_TEMPLATE_INCOMPLETE],
    ),
    (
        "no such class",
        || data().with(CKA_CLASS, 0x7fff_0000),
        &[CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
    ),
    (
        "an attribute that the class doesn't have",
        || data().with(CKA_MODULUS, &[1; 16]),
        &[CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT],
    ),
    (
        "an attribute that there isn't",
        || data().with(CKA_VENDOR_DEFINED | 0x3fff_fff0, &[1]),
        &[CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT],
    ),
    (
        "a flag of two bytes",
        || data().with(CKA_MODIFIABLE, &[1, 1]),
        &[CKR_ATTRIBUTE_VALUE_INVALID],
    ),
    (
        "a key of a length that AES doesn't have",
        || open_key().with(CKA_VALUE, &[3; 15]),
        &[CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT],
    ),
    (
        "CKA_LOCAL, which the token sets",
        || open_key().with(CKA_LOCAL, true),
        &[CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT],
    ),
];

fn wrong_templates(cases: &mut Cases) {
    for (what, wanted, refused) in REFUSED {
        cases.add("C_CreateObject", what, &[], move |token| {
            let session = token.session()?;
            let answer =
                token.module.C_CreateObject(session.handle, &mut wanted(), &mut Place::new());
            answer.is_one_of(refused)
        });
    }
    cases.add("C_CreateObject", "one attribute twice, with two values", &[], |token| {
        let session = token.session()?;
        let twice = vec![
            (CKA_CLASS, CKO_DATA.into()),
            (CKA_TOKEN, false.into()),
            (CKA_LABEL, "one".into()),
            (CKA_LABEL, "other".into()),
        ];
        let answer = token.module.C_CreateObject(
            session.handle,
            &mut Template::of(twice),
            &mut Place::new(),
        );
        answer.is(CKR_TEMPLATE_INCONSISTENT)
    });
}

fn copying(cases: &mut Cases) {
    cases.add("C_CopyObject", "another label, the same value", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        let mut copy = Place::new();
        let mut changed = template! { CKA_LABEL: "copy" };
        token.module.C_CopyObject(session.handle, object, &mut changed, &mut copy).ok()?;
        ensure(copy.value != object, || "the copy has the same handle".into())?;
        token.shows(session.handle, copy.value, CKA_LABEL, b"copy")?;
        token.shows(session.handle, copy.value, CKA_VALUE, b"value")?;
        token.shows(session.handle, object, CKA_LABEL, LABEL.as_bytes())
    });
    cases.add("C_CopyObject", "from the session to the token", &[Need::Writable], |token| {
        let session = token.session()?;
        let (object, mut copy) = (token.create(session.handle, data())?, Place::new());
        let mut changed = template! { CKA_TOKEN: true };
        token.module.C_CopyObject(session.handle, object, &mut changed, &mut copy).ok()?;
        token.shows(session.handle, copy.value, CKA_TOKEN, &[1])?;
        token.module.C_DestroyObject(session.handle, copy.value).ok()
    });
    cases.add("C_CopyObject", "a key becomes sensitive, never the other way", &[], |token| {
        let session = token.session()?;
        let (key, mut copy) = (token.create(session.handle, open_key())?, Place::new());
        let module = token.module;
        module
            .C_CopyObject(session.handle, key, &mut template! { CKA_SENSITIVE: true }, &mut copy)
            .ok()?;
        token.shows(session.handle, copy.value, CKA_SENSITIVE, &[1])?;
        let back = module.C_CopyObject(
            session.handle,
            copy.value,
            &mut template! { CKA_SENSITIVE: false },
            &mut Place::new(),
        );
        back.is_one_of(&[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT])
    });
    cases.add("C_CopyObject", "one that must not be copied", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data().with(CKA_COPYABLE, false))?;
        let answer =
            token.module.C_CopyObject(session.handle, object, &mut template! {}, &mut Place::new());
        answer.is(CKR_ACTION_PROHIBITED)
    });
    cases.add("C_CopyObject", "no such object, no place", &[], |token| {
        let session = token.session()?;
        let module = token.module;
        module
            .C_CopyObject(session.handle, NO_OBJECT, &mut template! {}, &mut Place::new())
            .is(CKR_OBJECT_HANDLE_INVALID)?;
        let object = token.create(session.handle, data())?;
        module
            .C_CopyObject(session.handle, object, &mut template! {}, &mut Place::null())
            .is(CKR_ARGUMENTS_BAD)
    });
}

fn destroying(cases: &mut Cases) {
    cases.add("C_DestroyObject", "its handle is gone", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        token.module.C_DestroyObject(session.handle, object).ok()?;
        token.module.C_DestroyObject(session.handle, object).is(CKR_OBJECT_HANDLE_INVALID)?;
        let answer = token.module.C_GetAttributeValue(
            session.handle,
            object,
            &mut Template::lengths(&[CKA_CLASS]),
        );
        answer.is(CKR_OBJECT_HANDLE_INVALID)
    });
    cases.add("C_DestroyObject", "no such object", &[], |token| {
        let session = token.session()?;
        for object in [CK_INVALID_HANDLE, NO_OBJECT] {
            token.module.C_DestroyObject(session.handle, object).is(CKR_OBJECT_HANDLE_INVALID)?;
        }
        Ok(())
    });
    cases.add("C_DestroyObject", "one that must not be destroyed", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data().with(CKA_DESTROYABLE, false))?;
        token.module.C_DestroyObject(session.handle, object).is(CKR_ACTION_PROHIBITED)
    });
    cases.add(
        "C_DestroyObject",
        "a token object in a session that only reads",
        &[Need::Writable],
        |token| {
            let (writes, reads) = (token.session()?, token.session_with(0)?);
            let object = token.create(writes.handle, data().with(CKA_TOKEN, true))?;
            let refused = token.module.C_DestroyObject(reads.handle, object);
            token.module.C_DestroyObject(writes.handle, object).ok()?;
            refused.is(CKR_SESSION_READ_ONLY)
        },
    );
    cases.add("C_GetObjectSize", "of an object", &[], |token| {
        let session = token.session()?;
        let (object, mut size) = (token.create(session.handle, data())?, Place::new());
        let answer = token.module.C_GetObjectSize(session.handle, object, &mut size);
        answer.is_one_of(&[CKR_OK, CKR_INFORMATION_SENSITIVE])
    });
    cases.add("C_GetObjectSize", "no such object, no place", &[], |token| {
        let session = token.session()?;
        let answer = token.module.C_GetObjectSize(session.handle, NO_OBJECT, &mut Place::new());
        answer.is(CKR_OBJECT_HANDLE_INVALID)?;
        let object = token.create(session.handle, data())?;
        token
            .module
            .C_GetObjectSize(session.handle, object, &mut Place::null())
            .is(CKR_ARGUMENTS_BAD)
    });
}

fn reading(cases: &mut Cases) {
    cases.add("C_GetAttributeValue", "a null pointer asks for the length", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        let mut asked = Template::lengths(&[CKA_VALUE, CKA_LABEL, CKA_CLASS, CKA_TOKEN]);
        token.module.C_GetAttributeValue(session.handle, object, &mut asked).ok()?;
        let told: Vec<_> = (0..4).map(|at| asked.told(at)).collect();
        ensure(told == [5, crate::argument::number(LABEL.len()), 8, 1], || {
            format!("the lengths are {told:?}")
        })
    });
    cases.add(
        "C_GetAttributeValue",
        "too little room for one: the others are told",
        &[],
        |token| {
            let session = token.session()?;
            let object = token.create(session.handle, data())?;
            let mut asked = Template::ask(&[CKA_VALUE], 1).and(&Template::ask(&[CKA_LABEL], 64));
            let answer = token.module.C_GetAttributeValue(session.handle, object, &mut asked);
            answer.is(CKR_BUFFER_TOO_SMALL)?;
            ensure(asked.told(0) == CK_UNAVAILABLE_INFORMATION, || {
                format!("the length of the short one is {}", asked.told(0))
            })?;
            same("CKA_LABEL", asked.value(1).unwrap_or_default(), LABEL.as_bytes())
        },
    );
    cases.add(
        "C_GetAttributeValue",
        "one that the object doesn't have: the others are told",
        &[],
        |token| {
            let session = token.session()?;
            let object = token.create(session.handle, data())?;
            let mut asked = Template::ask(&[CKA_MODULUS, CKA_LABEL], 64);
            let answer = token.module.C_GetAttributeValue(session.handle, object, &mut asked);
            answer.is(CKR_ATTRIBUTE_TYPE_INVALID)?;
            ensure(asked.told(0) == CK_UNAVAILABLE_INFORMATION, || {
                format!("the length of what isn't there is {}", asked.told(0))
            })?;
            same("CKA_LABEL", asked.value(1).unwrap_or_default(), LABEL.as_bytes())
        },
    );
}

fn reading_nothing(cases: &mut Cases) {
    cases.add("C_GetAttributeValue", "no such object", &[], |token| {
        let session = token.session()?;
        for object in [CK_INVALID_HANDLE, NO_OBJECT] {
            let mut asked = Template::lengths(&[CKA_CLASS]);
            token
                .module
                .C_GetAttributeValue(session.handle, object, &mut asked)
                .is(CKR_OBJECT_HANDLE_INVALID)?;
        }
        Ok(())
    });
    cases.add("C_GetAttributeValue", "a null pointer for the template", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        let answer =
            token.module.C_GetAttributeValue(session.handle, object, &mut Template::null(1));
        answer.is(CKR_ARGUMENTS_BAD)
    });
    cases.add(
        "C_GetAttributeValue",
        "what a generated key says of itself",
        &[Need::Mechanism(CKM_AES_KEY_GEN, CKF_GENERATE)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Aes, Usage::All)?.private;
            token.shows(session.handle, key, CKA_CLASS, &CKO_SECRET_KEY.to_ne_bytes())?;
            token.shows(session.handle, key, CKA_KEY_TYPE, &CKK_AES.to_ne_bytes())?;
            token.shows(session.handle, key, CKA_LOCAL, &[1])?;
            token.shows(session.handle, key, CKA_ALWAYS_SENSITIVE, &[1])?;
            token.shows(session.handle, key, CKA_NEVER_EXTRACTABLE, &[0])?;
            token.shows(session.handle, key, CKA_KEY_GEN_MECHANISM, &CKM_AES_KEY_GEN.to_ne_bytes())
        },
    );
}

fn sensitive(cases: &mut Cases) {
    cases.add(
        "C_GetAttributeValue",
        "the bytes of a sensitive key are never told",
        &[Need::Mechanism(CKM_AES_KEY_GEN, CKF_GENERATE)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Aes, Usage::All)?.private;
            let mut asked = Template::ask(&[CKA_VALUE, CKA_VALUE_LEN], 64);
            token
                .module
                .C_GetAttributeValue(session.handle, key, &mut asked)
                .is(CKR_ATTRIBUTE_SENSITIVE)?;
            ensure(asked.told(0) == CK_UNAVAILABLE_INFORMATION, || {
                format!("the length told is {}", asked.told(0))
            })?;
            same("CKA_VALUE_LEN", asked.value(1).unwrap_or_default(), &32_u64.to_ne_bytes())
        },
    );
    cases.add(
        "C_GetAttributeValue",
        "the secrets of a private key are never told",
        &[Need::Mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR)],
        |token| {
            let session = token.session()?;
            let key = token.key(Sort::Rsa, Usage::All)?;
            for kind in [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2] {
                let mut asked = Template::ask(&[kind], 512);
                token
                    .module
                    .C_GetAttributeValue(session.handle, key.private, &mut asked)
                    .is(CKR_ATTRIBUTE_SENSITIVE)?;
            }
            let modulus = token.read(session.handle, key.public, CKA_MODULUS);
            ensure(modulus.is_ok_and(|modulus| modulus.len() == 256), || {
                "CKA_MODULUS is not 256 bytes".into()
            })
        },
    );
}

fn changing(cases: &mut Cases) {
    cases.add("C_SetAttributeValue", "a label", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        let mut changed = template! { CKA_LABEL: "changed" };
        token.module.C_SetAttributeValue(session.handle, object, &mut changed).ok()?;
        token.shows(session.handle, object, CKA_LABEL, b"changed")
    });
    cases.add(
        "C_SetAttributeValue",
        "of a token object, seen by another session",
        &[Need::Writable],
        |token| {
            let (one, other) = (token.session()?, token.session()?);
            let object = token.create(one.handle, open_key().with(CKA_TOKEN, true))?;
            let mut changed = template! { CKA_ID: b"changed" };
            let answer = token.module.C_SetAttributeValue(one.handle, object, &mut changed);
            let seen = token.shows(other.handle, object, CKA_ID, b"changed");
            token.module.C_DestroyObject(one.handle, object).ok()?;
            answer.ok()?;
            seen
        },
    );
    cases.add("C_SetAttributeValue", "what can't be changed", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data())?;
        for mut changed in [
            template! { CKA_CLASS: CKO_DATA },
            template! { CKA_TOKEN: true },
            template! { CKA_PRIVATE: true },
        ] {
            let answer = token.module.C_SetAttributeValue(session.handle, object, &mut changed);
            answer.is(CKR_ATTRIBUTE_READ_ONLY)?;
        }
        Ok(())
    });
    cases.add("C_SetAttributeValue", "a key becomes sensitive and stays so", &[], |token| {
        let session = token.session()?;
        let key = token.create(session.handle, open_key())?;
        let module = token.module;
        module
            .C_SetAttributeValue(session.handle, key, &mut template! { CKA_SENSITIVE: true })
            .ok()?;
        module
            .C_SetAttributeValue(session.handle, key, &mut template! { CKA_SENSITIVE: false })
            .is(CKR_ATTRIBUTE_READ_ONLY)?;
        module
            .C_SetAttributeValue(session.handle, key, &mut template! { CKA_EXTRACTABLE: false })
            .ok()?;
        module
            .C_SetAttributeValue(session.handle, key, &mut template! { CKA_EXTRACTABLE: true })
            .is(CKR_ATTRIBUTE_READ_ONLY)
    });
}

fn changing_nothing(cases: &mut Cases) {
    cases.add("C_SetAttributeValue", "an object that must not be modified", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, data().with(CKA_MODIFIABLE, false))?;
        let mut changed = template! { CKA_LABEL: "changed" };
        let answer = token.module.C_SetAttributeValue(session.handle, object, &mut changed);
        answer.is(CKR_ACTION_PROHIBITED)
    });
    cases.add("C_SetAttributeValue", "no such object, no template", &[], |token| {
        let session = token.session()?;
        let mut changed = template! { CKA_LABEL: "changed" };
        token
            .module
            .C_SetAttributeValue(session.handle, NO_OBJECT, &mut changed)
            .is(CKR_OBJECT_HANDLE_INVALID)?;
        let object = token.create(session.handle, data())?;
        token
            .module
            .C_SetAttributeValue(session.handle, object, &mut Template::null(1))
            .is(CKR_ARGUMENTS_BAD)
    });
    cases.add(
        "C_SetAttributeValue",
        "a token object in a session that only reads",
        &[Need::Writable],
        |token| {
            let (writes, reads) = (token.session()?, token.session_with(0)?);
            let object = token.create(writes.handle, open_key().with(CKA_TOKEN, true))?;
            let mut changed = template! { CKA_ID: b"changed" };
            let answer = token.module.C_SetAttributeValue(reads.handle, object, &mut changed);
            token.module.C_DestroyObject(writes.handle, object).ok()?;
            answer.is(CKR_SESSION_READ_ONLY)
        },
    );
}

fn life(cases: &mut Cases) {
    cases.add_of("4.4", "A session object goes with its session", &[], |token| {
        let (one, other) = (token.session()?, token.session()?);
        let object = token.create(one.handle, data())?;
        token.shows(other.handle, object, CKA_VALUE, b"value")?;
        drop(one);
        let answer = token.module.C_GetAttributeValue(
            other.handle,
            object,
            &mut Template::lengths(&[CKA_CLASS]),
        );
        answer.is(CKR_OBJECT_HANDLE_INVALID)
    });
    cases.add_of("4.4", "A token object stays when its session goes", &[Need::Writable], |token| {
        let (one, other) = (token.session()?, token.session()?);
        let object = token.create(one.handle, data().with(CKA_TOKEN, true))?;
        drop(one);
        let seen = token.shows(other.handle, object, CKA_VALUE, b"value");
        token.module.C_DestroyObject(other.handle, object).ok()?;
        seen
    });
    cases.add_of(
        "4.4.1",
        "CKA_UNIQUE_ID is an object's own, and read-only",
        &[Need::Function("C_GetInterface")],
        |token| {
            let session = token.session()?;
            let (one, other) =
                (token.create(session.handle, data())?, token.create(session.handle, data())?);
            let id = |object| token.read(session.handle, object, CKA_UNIQUE_ID);
            let (Ok(first), Ok(second)) = (id(one), id(other)) else {
                return skip("the objects have no CKA_UNIQUE_ID");
            };
            ensure(first != second, || "two objects have one".into())?;
            let mut changed = template! { CKA_UNIQUE_ID: "mine" };
            let answer = token.module.C_SetAttributeValue(session.handle, one, &mut changed);
            answer.is(CKR_ATTRIBUTE_READ_ONLY)
        },
    );
}

fn without_login(cases: &mut Cases) {
    cases.add("C_CreateObject", "a private object when nobody is logged in", &[], |token| {
        let session = token.session()?;
        let mut wanted = data().with(CKA_PRIVATE, true);
        let answer = token.module.C_CreateObject(session.handle, &mut wanted, &mut Place::new());
        answer.is(CKR_USER_NOT_LOGGED_IN)
    });
    cases.add("C_CreateObject", "a public session object when nobody is logged in", &[], |token| {
        let session = token.session()?;
        let mut object = Place::new();
        let answer = token.module.C_CreateObject(session.handle, &mut data(), &mut object);
        answer.is_one_of(&[CKR_OK, CKR_USER_NOT_LOGGED_IN])?;
        if answer.rv != CKR_OK {
            return skip("the token wants a login for every object");
        }
        token.shows(session.handle, object.value, CKA_VALUE, b"value")
    });
}
