//! Templates that no application should send: unknown, repeated, contradictory, read-only and vendors' attributes, and
//! values of the wrong size. Each is refused as the specification says, before anything is made.

use cryptoki::context::Function;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use cryptoki_sys::*;
use std::ptr;
use tandem_tests::keys::{Kind, P256};
use tandem_tests::{Broken, Demo, Wanted, alone, application, attribute, call, refused, verbose};

use cryptoki::error::RvError::{
    ActionProhibited, AttributeReadOnly, AttributeTypeInvalid, AttributeValueInvalid,
    CurveNotSupported, DomainParamsInvalid, KeySizeRange, TemplateIncomplete, TemplateInconsistent,
};

/// CKA_TANDEM_BACKED_UP (pkcs11-headers/tandem-pkcs11.h).
const BACKED_UP: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x1444_0001;

/// Does things that must all be refused, and sees that nothing came of them: not in the catalogue, not on any member.
fn nothing_is_made(demo: &Demo, act: impl FnOnce(&Session)) {
    let count = |session: &Session| session.find_objects(&[]).expect("a search").len();
    let (application, session) = application();
    Kind::P256.make(&session, "before").expect("a key");
    let before = count(&session);
    act(&session);
    assert_eq!(count(&session), before, "something was made, or lost");
    drop(session);
    application.finalize();
    for (member, _) in demo.members() {
        let direct = demo.direct(member);
        let named =
            direct.find_objects(&[Attribute::Label(b"hostile".to_vec())]).expect("a search");
        assert_eq!(named.len(), 0, "something was made on {member}");
        assert!(Kind::P256.find(&direct, "before").is_some(), "{member} has lost a key");
    }
}

/// A template of this name with these attributes.
fn hostile(more: &[Attribute]) -> Vec<Attribute> {
    [&[Attribute::Token(true), Attribute::Label(b"hostile".to_vec())][..], more].concat()
}

fn vendors(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Attribute {
    Attribute::VendorDefined((AttributeType::VendorDefined(kind), value.to_vec()))
}

/// Asks for an AES key, an EC key pair and a data object with these attributes.
fn all(session: &Session, more: &[Attribute]) -> [(&'static str, Result<(), Error>); 4] {
    let aes = hostile(&[&[Attribute::ValueLen(32.into())], more].concat());
    let curve = hostile(&[Attribute::EcParams(P256.to_vec())]);
    let data = hostile(&[&[Attribute::Class(ObjectClass::DATA)], more].concat());
    let pair = |public: &[Attribute], private: &[Attribute]| {
        session.generate_key_pair(&Mechanism::EccKeyPairGen, public, private).map(drop)
    };
    [
        ("C_GenerateKey", session.generate_key(&Mechanism::AesKeyGen, &aes).map(drop)),
        ("C_GenerateKeyPair, public", pair(&[&curve, more].concat(), &hostile(&[]))),
        ("C_GenerateKeyPair, private", pair(&curve, &hostile(more))),
        ("C_CreateObject", session.create_object(&data).map(drop)),
    ]
}

#[test]
fn attributes_that_nobody_knows_are_invalid() {
    alone(&Wanted::mixed(), |demo| {
        nothing_is_made(demo, |session| {
            // A vendor's own attribute means nothing to the other vendors' members.
            for kind in
                [CKA_VENDOR_DEFINED | 0x1234, CKA_VENDOR_DEFINED | 0x1444_0007, CK_ULONG::MAX - 1]
            {
                for (what, answer) in all(session, &[vendors(kind, &[1])]) {
                    refused(what, answer, &[AttributeTypeInvalid]);
                }
            }
            let key = Kind::P256.find(session, "before").expect("a key").key;
            let unknown = [vendors(CKA_VENDOR_DEFINED | 0x1234, &[1])];
            refused(
                "C_SetAttributeValue",
                session.update_attributes(key, &unknown),
                &[AttributeTypeInvalid],
            );
            refused("C_CopyObject", session.copy_object(key, &unknown), &[AttributeTypeInvalid]);
        });
    });
}

#[test]
fn what_only_tandem_says_cannot_be_set() {
    alone(&Wanted::mixed(), |demo| {
        nothing_is_made(demo, |session| {
            let key = Kind::P256.find(session, "before").expect("a key").key;
            let told = [
                vendors(BACKED_UP, &[1]),
                vendors(BACKED_UP, &[0]),
                vendors(BACKED_UP + 1, b"2026-05-05T00:00:00Z"),
                vendors(BACKED_UP + 4, &[7; 16]),
                vendors(BACKED_UP + 5, &7_u64.to_ne_bytes()),
                Attribute::Local(true),
                Attribute::AlwaysSensitive(true),
                Attribute::NeverExtractable(true),
                Attribute::UniqueId(b"mine".to_vec()),
                Attribute::KeyGenMechanism(cryptoki::mechanism::MechanismType::AES_KEY_GEN),
                Attribute::Trusted(true),
            ];
            for attribute in told {
                let one = std::slice::from_ref(&attribute);
                for (what, answer) in all(session, one) {
                    refused(&format!("{what} with {attribute:?}"), answer, &[AttributeReadOnly]);
                }
                let set = session.update_attributes(key, one);
                refused(
                    &format!("C_SetAttributeValue with {attribute:?}"),
                    set,
                    &[AttributeReadOnly],
                );
                let copied = session.copy_object(key, one);
                refused(&format!("C_CopyObject with {attribute:?}"), copied, &[AttributeReadOnly]);
            }
        });
    });
}

#[test]
fn templates_that_contradict_themselves_or_the_call_are_inconsistent() {
    alone(&Wanted::mixed(), |demo| {
        nothing_is_made(demo, |session| {
            let twice = [
                vec![Attribute::Private(true), Attribute::Private(false)],
                vec![Attribute::Id(b"one".to_vec()), Attribute::Id(b"other".to_vec())],
            ];
            for template in twice {
                for (what, answer) in all(session, &template) {
                    refused(&format!("{what} with {template:?}"), answer, &[TemplateInconsistent]);
                }
            }
            let aes = |more: &[Attribute]| {
                let template = hostile(&[&[Attribute::ValueLen(32.into())], more].concat());
                session.generate_key(&Mechanism::AesKeyGen, &template)
            };
            for wrong in [
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::Class(ObjectClass::DATA),
                Attribute::KeyType(KeyType::RSA),
                Attribute::KeyType(KeyType::GENERIC_SECRET),
            ] {
                refused(&format!("{wrong:?}"), aes(&[wrong]), &[TemplateInconsistent]);
            }
            let curve = [Attribute::EcParams(P256.to_vec())];
            for (public, private) in [
                (vec![Attribute::Class(ObjectClass::PRIVATE_KEY)], vec![]),
                (vec![], vec![Attribute::Class(ObjectClass::PUBLIC_KEY)]),
                (vec![Attribute::KeyType(KeyType::RSA)], vec![]),
                (vec![], vec![Attribute::KeyType(KeyType::EC_EDWARDS)]),
            ] {
                let public = hostile(&[&curve, &public[..]].concat());
                let answer = session.generate_key_pair(
                    &Mechanism::EccKeyPairGen,
                    &public,
                    &hostile(&private),
                );
                refused(&format!("{public:?} {private:?}"), answer, &[TemplateInconsistent]);
            }
        });
    });
}

#[test]
fn an_attribute_that_is_named_twice_alike_is_named_once() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let twice = [
            Attribute::Token(true),
            Attribute::Token(true),
            Attribute::ValueLen(32.into()),
            Attribute::Label(b"twice".to_vec()),
            Attribute::Label(b"twice".to_vec()),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &twice).expect("a key");
        let found = session.find_objects(&[Attribute::Label(b"twice".to_vec())]).expect("a search");
        assert_eq!(found.len(), 1);
    });
}

#[test]
fn templates_that_say_too_little_are_incomplete() {
    alone(&Wanted::mixed(), |demo| {
        nothing_is_made(demo, |session| {
            let pair = |mechanism: &Mechanism<'_>| {
                session.generate_key_pair(mechanism, &hostile(&[]), &hostile(&[])).map(drop)
            };
            let create = |more: &[Attribute]| session.create_object(&hostile(more)).map(drop);
            for (what, answer) in [
                (
                    "AES without a length",
                    session.generate_key(&Mechanism::AesKeyGen, &hostile(&[])).map(drop),
                ),
                ("RSA without a length", pair(&Mechanism::RsaPkcsKeyPairGen)),
                ("EC without a curve", pair(&Mechanism::EccKeyPairGen)),
                ("an object without a class", create(&[Attribute::Value(vec![1])])),
                ("a key without a type", create(&[Attribute::Class(ObjectClass::SECRET_KEY)])),
                (
                    "a secret key without a value",
                    create(&[
                        Attribute::Class(ObjectClass::SECRET_KEY),
                        Attribute::KeyType(KeyType::AES),
                    ]),
                ),
                (
                    "a public key without a point",
                    create(&[
                        Attribute::Class(ObjectClass::PUBLIC_KEY),
                        Attribute::KeyType(KeyType::EC),
                        Attribute::EcParams(P256.to_vec()),
                    ]),
                ),
            ] {
                refused(what, answer, &[TemplateIncomplete]);
            }
        });
    });
}

#[test]
fn values_that_make_no_sense_are_invalid() {
    alone(&Wanted::mixed(), |demo| {
        nothing_is_made(demo, |session| {
            for len in [0, 1, 17, 33, 1 << 40] {
                let template = hostile(&[Attribute::ValueLen(len.into())]);
                let answer = session.generate_key(&Mechanism::AesKeyGen, &template);
                refused(
                    &format!("AES of {len} bytes"),
                    answer,
                    &[KeySizeRange, AttributeValueInvalid],
                );
            }
            for bits in [0, 1, 511, 1 << 40] {
                let public = hostile(&[Attribute::ModulusBits(bits.into())]);
                let answer = session.generate_key_pair(
                    &Mechanism::RsaPkcsKeyPairGen,
                    &public,
                    &hostile(&[]),
                );
                refused(
                    &format!("RSA of {bits} bits"),
                    answer,
                    &[KeySizeRange, AttributeValueInvalid],
                );
            }
            for curve in [&[][..], &[0], &[6, 3, 1, 2, 3], &[0xff; 300]] {
                let public = hostile(&[Attribute::EcParams(curve.to_vec())]);
                let answer =
                    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &hostile(&[]));
                let told = match curve {
                    // Nothing is as good as nothing said.
                    [] => vec![TemplateIncomplete],
                    _ => vec![
                        CurveNotSupported,
                        DomainParamsInvalid,
                        AttributeValueInvalid,
                        TemplateInconsistent,
                    ],
                };
                refused(&format!("the curve {curve:x?}"), answer, &told);
            }
            let key = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::Value(vec![1; 17]),
            ];
            let answer = session.create_object(&hostile(&key));
            refused(
                "AES of 17 bytes",
                answer,
                &[AttributeValueInvalid, KeySizeRange, TemplateInconsistent],
            );
            let class = [Attribute::Class(ObjectClass::MECHANISM)];
            let answer = session.create_object(&hostile(&class));
            refused("a mechanism", answer, &[AttributeValueInvalid, TemplateInconsistent]);
        });
    });
}

#[test]
fn values_of_the_wrong_size_are_invalid() {
    alone(&Wanted::mixed(), |demo| {
        verbose();
        nothing_is_made(demo, |session| {
            let broken = Broken::new(demo, session.handle());
            let mut handle = 0;
            for (kind, len) in [
                (CKA_TOKEN, 0),
                (CKA_TOKEN, 2),
                (CKA_PRIVATE, 8),
                (CKA_CLASS, 0),
                (CKA_CLASS, 4),
                (CKA_CLASS, 16),
                (CKA_ALLOWED_MECHANISMS, 7),
                (CKA_UNWRAP_TEMPLATE, 23),
            ] {
                let mut bytes = [1_u8; 32];
                let mut row = CK_ATTRIBUTE {
                    type_: kind,
                    pValue: bytes.as_mut_ptr().cast(),
                    ulValueLen: len,
                };
                let row = &raw mut row;
                for function in ["C_CreateObject", "C_FindObjectsInit"] {
                    let what = format!("{function} with {kind:#x} of {len} bytes");
                    broken.expect(&what, CKR_ATTRIBUTE_VALUE_INVALID, |raw, s| {
                        if function == "C_CreateObject" {
                            call!(raw, C_CreateObject(s, row, 1, &raw mut handle))
                        } else {
                            call!(raw, C_FindObjectsInit(s, row, 1))
                        }
                    });
                }
            }
            // A value that is nowhere, and one whose length was never asked.
            for (place, len) in
                [(ptr::null_mut(), 5), (ptr::null_mut(), CK_UNAVAILABLE_INFORMATION)]
            {
                let mut row = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: place, ulValueLen: len };
                broken.expect(
                    "C_CreateObject with a value of nowhere",
                    CKR_ATTRIBUTE_VALUE_INVALID,
                    |raw, s| call!(raw, C_CreateObject(s, &raw mut row, 1, &raw mut handle)),
                );
            }
            // A key that is for no mechanism at all.
            let (mut class, mut aes, mut value) = (CKO_SECRET_KEY, CKK_AES, [1_u8; 16]);
            let mut idle = [
                attribute(CKA_CLASS, &mut class),
                attribute(CKA_KEY_TYPE, &mut aes),
                attribute(CKA_VALUE, &mut value),
                CK_ATTRIBUTE {
                    type_: CKA_ALLOWED_MECHANISMS,
                    pValue: ptr::null_mut(),
                    ulValueLen: 0,
                },
            ];
            broken.expect(
                "C_CreateObject of a key for no mechanism",
                CKR_ATTRIBUTE_VALUE_INVALID,
                |raw, s| call!(raw, C_CreateObject(s, idle.as_mut_ptr(), 4, &raw mut handle)),
            );
            // A certificate of nobody.
            let (mut class, mut kind) = (CKO_CERTIFICATE, CKC_X_509);
            let mut nobodys = [
                attribute(CKA_CLASS, &mut class),
                attribute(CKA_CERTIFICATE_TYPE, &mut kind),
                attribute(CKA_VALUE, &mut value),
            ];
            broken.expect(
                "C_CreateObject of a certificate without a subject",
                CKR_TEMPLATE_INCOMPLETE,
                |raw, s| call!(raw, C_CreateObject(s, nobodys.as_mut_ptr(), 3, &raw mut handle)),
            );
            // Templates in templates, deeper than anybody needs.
            let mut token = CK_TRUE;
            let mut nested = vec![attribute(CKA_TOKEN, &mut token)];
            for _ in 0..100 {
                let inner = Box::leak(Box::new(nested.pop().expect("the last")));
                nested.push(attribute(CKA_UNWRAP_TEMPLATE, inner));
            }
            broken.expect(
                "C_CreateObject of a deep template",
                CKR_ATTRIBUTE_VALUE_INVALID,
                |raw, s| call!(raw, C_CreateObject(s, nested.as_mut_ptr(), 1, &raw mut handle)),
            );
            // And one that contains itself.
            let mut own = CK_ATTRIBUTE {
                type_: CKA_UNWRAP_TEMPLATE,
                pValue: ptr::null_mut(),
                ulValueLen: 24,
            };
            own.pValue = (&raw mut own).cast();
            broken.expect("C_CreateObject of itself", CKR_ATTRIBUTE_VALUE_INVALID, |raw, s| {
                call!(raw, C_CreateObject(s, &raw mut own, 1, &raw mut handle))
            });
        });
    });
}

#[test]
fn what_an_object_is_cannot_be_changed() {
    alone(&Wanted::mixed(), |demo| {
        nothing_is_made(demo, |session| {
            let made = Kind::P256.find(session, "before").expect("a key");
            for change in [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::RSA),
                Attribute::Token(false),
                Attribute::Private(false),
                Attribute::EcParams(P256.to_vec()),
                Attribute::Sensitive(false),
                Attribute::Extractable(true),
                Attribute::Value(vec![1; 32]),
            ] {
                // With a change beside it that would be fine: all or nothing.
                let both = [Attribute::Label(b"changed".to_vec()), change.clone()];
                let answer = session.update_attributes(made.key, &both);
                refused(&format!("{change:?}"), answer, &[AttributeReadOnly]);
                assert!(
                    session.find_objects(&both[..1]).expect("a search").is_empty(),
                    "half a change"
                );
            }
            let point = [Attribute::EcPoint(vec![4; 67])];
            let answer = session.update_attributes(made.public.expect("a public key"), &point);
            refused("the point", answer, &[AttributeReadOnly]);
        });
    });
}

#[test]
fn what_an_object_forbids_is_prohibited() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let object = |flag: Attribute| {
            let template = hostile(&[Attribute::Class(ObjectClass::DATA), flag]);
            session.create_object(&template).expect("a data object")
        };
        let still = object(Attribute::Modifiable(false));
        let change = [Attribute::Label(b"changed".to_vec())];
        refused("CKA_MODIFIABLE", session.update_attributes(still, &change), &[ActionProhibited]);
        let single = object(Attribute::Copyable(false));
        refused("CKA_COPYABLE", session.copy_object(single, &[]), &[ActionProhibited]);
        let again = session.update_attributes(single, &[Attribute::Copyable(true)]);
        refused("CKA_COPYABLE again", again, &[AttributeReadOnly]);
        let lasting = object(Attribute::Destroyable(false));
        refused("CKA_DESTROYABLE", session.destroy_object(lasting), &[ActionProhibited]);
        // What they don't forbid goes on.
        session.update_attributes(single, &change).expect("a change");
        session.destroy_object(still).expect("an object that may be destroyed");
        session.destroy_object(single).expect("an object that may be destroyed");
        let found = session.find_objects(&[Attribute::Class(ObjectClass::DATA)]).expect("a search");
        assert_eq!(found, [lasting]);
        // The names in errors are those of the functions.
        match session.copy_object(single, &[]) {
            Err(Error::Pkcs11(_, function)) => {
                assert_eq!(format!("{function:?}"), format!("{:?}", Function::CopyObject));
            }
            other => panic!("a handle of nothing was copied: {other:?}"),
        }
    });
}
