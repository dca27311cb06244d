//! Finding and reading objects: as the specification has it, and the same whichever member is there.

use cryptoki::error::RvError::{
    AttributeTypeInvalid, ObjectHandleInvalid, OperationNotInitialized,
};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki_sys::*;
use std::ptr;
use tandem_tests::keys::{Kind, P256};
use tandem_tests::openssl::hex;
use tandem_tests::{
    Application, Raw, USER_PIN, Wanted, alone, application, call, initialised, name_of, number,
    pin, refused, value,
};

/// The first of Tandem's own attributes (pkcs11-headers/tandem-pkcs11.h).
const TANDEM: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x1444_0001;

fn tandems(offset: CK_ATTRIBUTE_TYPE) -> AttributeType {
    AttributeType::VendorDefined(TANDEM - 1 + offset)
}

fn label(text: &str) -> Attribute {
    Attribute::Label(text.into())
}

/// A pair, a secret, a certificate, public and private data, and a session object.
fn furnish(session: &Session) {
    Kind::P256.make(session, "pair").expect("a key");
    Kind::Rsa(2048).make(session, "rsa").expect("a key");
    Kind::Aes(32).make(session, "secret").expect("a key");
    for (name, token, private) in
        [("open", true, false), ("closed", true, true), ("passing", false, false)]
    {
        let data = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(token),
            Attribute::Private(private),
            label(name),
            Attribute::Application(b"a test".to_vec()),
            Attribute::Value(name.into()),
        ];
        session.create_object(&data).expect("a data object");
    }
    let certificate = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(cryptoki::object::CertificateType::X_509),
        Attribute::Token(true),
        label("certificate"),
        Attribute::Id(b"pair".to_vec()),
        Attribute::Subject(b"0".to_vec()),
        Attribute::Value(b"no certificate, but nobody looks".to_vec()),
    ];
    session.create_object(&certificate).expect("a certificate");
}

/// The labels of what is found, in order.
fn found(session: &Session, template: &[Attribute]) -> Vec<String> {
    let objects = session.find_objects(template).expect("a search").into_iter();
    let mut labels: Vec<_> = objects
        .map(|object| {
            String::from_utf8(value(session, object, AttributeType::Label)).expect("text")
        })
        .collect();
    labels.sort();
    labels
}

#[test]
fn objects_are_found_by_any_mix_of_attributes() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        furnish(&session);
        let class = Attribute::Class;
        let cases = [
            (
                vec![],
                vec![
                    "certificate",
                    "closed",
                    "open",
                    "pair",
                    "pair",
                    "passing",
                    "rsa",
                    "rsa",
                    "secret",
                ],
            ),
            (vec![class(ObjectClass::PRIVATE_KEY)], vec!["pair", "rsa"]),
            (vec![label("pair")], vec!["pair", "pair"]),
            (vec![Attribute::Id(b"pair".to_vec())], vec!["certificate", "pair", "pair"]),
            (vec![Attribute::Id(b"pair".to_vec()), class(ObjectClass::PUBLIC_KEY)], vec!["pair"]),
            (vec![Attribute::Sign(true), class(ObjectClass::PRIVATE_KEY)], vec!["pair", "rsa"]),
            (vec![Attribute::KeyType(KeyType::AES)], vec!["secret"]),
            (vec![Attribute::KeyType(KeyType::EC), Attribute::Verify(true)], vec!["pair"]),
            (
                vec![Attribute::EcParams(P256.to_vec()), class(ObjectClass::PUBLIC_KEY)],
                vec!["pair"],
            ),
            (vec![Attribute::Token(false)], vec!["passing"]),
            (vec![Attribute::Token(true), class(ObjectClass::DATA)], vec!["closed", "open"]),
            (vec![Attribute::Private(true)], vec!["closed", "pair", "rsa", "secret"]),
            (vec![Attribute::Application(b"a test".to_vec())], vec!["closed", "open", "passing"]),
            (vec![Attribute::ModulusBits(2048.into())], vec!["rsa"]),
            (
                vec![Attribute::Extractable(false), Attribute::Local(true)],
                vec!["pair", "rsa", "secret"],
            ),
            (vec![label("pair"), label("pair"), Attribute::Local(true)], vec!["pair", "pair"]),
            // What nobody has.
            (vec![label("")], vec![]),
            (vec![label("pai")], vec![]),
            (vec![Attribute::Id(Vec::new()), class(ObjectClass::PRIVATE_KEY)], vec![]),
            (vec![label("pair"), label("rsa")], vec![]),
            (vec![class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::AES)], vec![]),
            (vec![class(ObjectClass::HARDWARE_FEATURE)], vec![]),
            (
                vec![Attribute::VendorDefined((
                    AttributeType::VendorDefined(CKA_VENDOR_DEFINED | 7),
                    vec![1],
                ))],
                vec![],
            ),
            (vec![Attribute::Value(b"closed".to_vec())], vec!["closed"]),
            (vec![Attribute::Value(b"open".to_vec())], vec!["open"]),
        ];
        for (template, wanted) in cases {
            assert_eq!(found(&session, &template), wanted, "{template:?}");
        }
        // A secret isn't found by guessing it.
        let guess = [class(ObjectClass::SECRET_KEY), Attribute::Value(vec![0; 32])];
        assert!(found(&session, &guess).is_empty());
    });
}

#[test]
fn what_tandem_knows_of_an_object_is_read_and_found() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        furnish(&session);
        let made = Kind::P256.find(&session, "pair").expect("a key");
        let read = |offset| value(&session, made.key, tandems(offset));
        assert_eq!(read(1), [CK_FALSE], "backed up: not before there are backups");
        assert_eq!((read(2), read(3)), (Vec::new(), Vec::new()), "when, and by which backup");
        let created = String::from_utf8(read(4)).expect("a text");
        let shape = |byte: u8| if byte.is_ascii_digit() { '0' } else { char::from(byte) };
        assert_eq!(
            created.bytes().map(shape).collect::<String>(),
            "0000-00-00T00:00:00.000Z",
            "{created}"
        );
        let id = read(5);
        assert_eq!((id.len(), id[6] >> 4, id[8] >> 6), (16, 7, 2), "a UUID v7: {id:?}");
        assert_eq!(number(&session, made.key, tandems(6)), 2, "members on which it is proven");
        let unique =
            String::from_utf8(value(&session, made.key, AttributeType::UniqueId)).expect("a text");
        assert_eq!(unique.replace('-', ""), hex(&id), "CKA_UNIQUE_ID is the same in text");

        let vendors =
            |offset, value: &[u8]| Attribute::VendorDefined((tandems(offset), value.to_vec()));
        assert_eq!(session.find_objects(&[vendors(5, &id)]).expect("a search"), [made.key]);
        assert_eq!(
            session.find_objects(&[Attribute::UniqueId(unique.into())]).expect("a search"),
            [made.key]
        );
        let not_backed_up = [vendors(1, &[CK_FALSE]), Attribute::Class(ObjectClass::PRIVATE_KEY)];
        assert_eq!(found(&session, &not_backed_up), ["pair", "rsa"]);
        assert!(found(&session, &[vendors(1, &[CK_TRUE])]).is_empty());
        let on_both = [vendors(6, &2_u64.to_ne_bytes()), Attribute::Class(ObjectClass::SECRET_KEY)];
        assert_eq!(found(&session, &on_both), ["secret"]);
    });
}

#[test]
fn what_a_key_shows_is_what_it_is() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        furnish(&session);
        let key = Kind::P256.find(&session, "pair").expect("a key").key;
        let kinds = [
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::AlwaysSensitive,
            AttributeType::NeverExtractable,
            AttributeType::Local,
            AttributeType::Modifiable,
            AttributeType::Copyable,
            AttributeType::Destroyable,
            AttributeType::Derive,
            AttributeType::AlwaysAuthenticate,
            AttributeType::Token,
            AttributeType::Private,
        ];
        let read = session.get_attributes(key, &kinds).expect("attributes");
        let wanted = [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::AlwaysSensitive(true),
            Attribute::NeverExtractable(true),
            Attribute::Local(true),
            Attribute::Modifiable(true),
            Attribute::Copyable(true),
            Attribute::Destroyable(true),
            Attribute::Derive(false),
            Attribute::AlwaysAuthenticate(false),
            Attribute::Token(true),
            Attribute::Private(true),
        ];
        assert_eq!(format!("{read:?}"), format!("{wanted:?}"));
        let made_by =
            session.get_attributes(key, &[AttributeType::KeyGenMechanism]).expect("a mechanism");
        assert_eq!(
            format!("{made_by:?}"),
            format!("[KeyGenMechanism({:?})]", Mechanism::EccKeyPairGen.mechanism_type())
        );
        // An import has no such past.
        let import = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
            Attribute::Value(vec![7; 32]),
            Attribute::Encrypt(true),
        ];
        let import = session.create_object(&import).expect("an import");
        let read = session.get_attributes(import, &kinds[2..5]).expect("attributes");
        let wanted = [
            Attribute::AlwaysSensitive(false),
            Attribute::NeverExtractable(false),
            Attribute::Local(false),
        ];
        assert_eq!(format!("{read:?}"), format!("{wanted:?}"));
        assert_eq!(number(&session, import, AttributeType::ValueLen), 32);
    });
}

#[test]
fn secrets_are_sensitive_and_everything_else_around_them_is_answered() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        furnish(&session);
        let rsa = Kind::Rsa(2048).find(&session, "rsa").expect("a key").key;
        let pair = Kind::P256.find(&session, "pair").expect("a key").key;
        let secret = Kind::Aes(32).find(&session, "secret").expect("a key").key;
        let raw = Raw::tandem();
        let read = |object: ObjectHandle, kind| {
            let mut buffer = [0_u8; 512];
            let mut row =
                CK_ATTRIBUTE { type_: kind, pValue: buffer.as_mut_ptr().cast(), ulValueLen: 512 };
            let rv =
                call!(raw, C_GetAttributeValue(session.handle(), object.handle(), &raw mut row, 1));
            assert!(rv == CKR_OK || buffer == [0; 512], "{kind:#x}: something was written");
            (rv, row.ulValueLen)
        };
        let secrets = [
            (pair, CKA_VALUE),
            (secret, CKA_VALUE),
            (rsa, CKA_PRIVATE_EXPONENT),
            (rsa, CKA_PRIME_1),
            (rsa, CKA_PRIME_2),
            (rsa, CKA_EXPONENT_1),
            (rsa, CKA_EXPONENT_2),
            (rsa, CKA_COEFFICIENT),
        ];
        for (object, kind) in secrets {
            assert_eq!(
                read(object, kind),
                (CKR_ATTRIBUTE_SENSITIVE, CK_UNAVAILABLE_INFORMATION),
                "{kind:#x}"
            );
        }
        for (object, kind) in
            [(secret, CKA_MODULUS), (pair, CKA_VALUE_LEN), (pair, CKA_VENDOR_DEFINED | 7)]
        {
            assert_eq!(
                read(object, kind),
                (CKR_ATTRIBUTE_TYPE_INVALID, CK_UNAVAILABLE_INFORMATION),
                "{kind:#x}"
            );
        }

        // All at once: each row has its own answer, whatever the others have (section 5.7.5).
        let (mut named, mut short, mut class) = ([0_u8; 16], [0_u8; 1], 0 as CK_ULONG);
        let mut rows = [
            CK_ATTRIBUTE { type_: CKA_LABEL, pValue: named.as_mut_ptr().cast(), ulValueLen: 16 },
            CK_ATTRIBUTE { type_: CKA_VALUE, pValue: named.as_mut_ptr().cast(), ulValueLen: 16 },
            CK_ATTRIBUTE { type_: CKA_ID, pValue: short.as_mut_ptr().cast(), ulValueLen: 1 },
            CK_ATTRIBUTE { type_: CKA_MODULUS, pValue: named.as_mut_ptr().cast(), ulValueLen: 16 },
            CK_ATTRIBUTE { type_: CKA_EC_PARAMS, pValue: ptr::null_mut(), ulValueLen: 0 },
            CK_ATTRIBUTE { type_: CKA_CLASS, pValue: (&raw mut class).cast(), ulValueLen: 8 },
        ];
        let rv =
            call!(raw, C_GetAttributeValue(session.handle(), pair.handle(), rows.as_mut_ptr(), 6));
        let told = [CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL];
        assert!(told.contains(&rv), "{}", name_of(rv));
        let none = CK_UNAVAILABLE_INFORMATION;
        assert_eq!(rows.map(|row| row.ulValueLen), [4, none, none, none, 10, 8]);
        assert_eq!((&named[..5], short[0], class), (&b"pair\0"[..], 0, CKO_PRIVATE_KEY));

        // Only too short: that is what is said, and a longer buffer is filled.
        let mut rows = [
            CK_ATTRIBUTE { type_: CKA_ID, pValue: short.as_mut_ptr().cast(), ulValueLen: 1 },
            CK_ATTRIBUTE { type_: CKA_LABEL, pValue: named.as_mut_ptr().cast(), ulValueLen: 4 },
        ];
        let rv =
            call!(raw, C_GetAttributeValue(session.handle(), pair.handle(), rows.as_mut_ptr(), 2));
        assert_eq!((rv, rows.map(|row| row.ulValueLen)), (CKR_BUFFER_TOO_SMALL, [none, 4]));
        assert_eq!(
            call!(raw, C_GetAttributeValue(session.handle(), pair.handle(), ptr::null_mut(), 0)),
            CKR_OK
        );
    });
}

#[test]
fn private_objects_are_there_for_the_user_only() {
    alone(&Wanted::mixed(), |_| {
        let (application, session) = application();
        furnish(&session);
        let key = Kind::P256.find(&session, "pair").expect("a key").key;
        session.logout().expect("C_Logout");
        // Session objects that are public stay, as public token objects do.
        assert_eq!(found(&session, &[]), ["certificate", "open", "pair", "passing", "rsa"]);
        let hidden = [ObjectHandleInvalid];
        refused("reading", session.get_attributes(key, &[AttributeType::Label]), &hidden);
        refused("changing", session.update_attributes(key, &[label("mine")]), &hidden);
        refused("copying", session.copy_object(key, &[]), &hidden);
        refused("destroying", session.destroy_object(key), &hidden);
        drop(session);
        let session = application.open(false);
        assert_eq!(
            found(&session, &[]),
            ["certificate", "open", "pair", "rsa"],
            "session objects are gone"
        );
        session.login(UserType::User, Some(&pin(USER_PIN))).expect("a login");
        assert_eq!(
            value(&session, key, AttributeType::Label),
            b"pair",
            "the same handle as before"
        );
    });
}

#[test]
fn handles_stay_and_are_never_given_twice() {
    alone(&Wanted::mixed(), |_| {
        let (application, session) = application();
        let first = Kind::Aes(32).make(&session, "first").expect("a key").key;
        let second = Kind::Aes(32).make(&session, "second").expect("a key").key;
        session.destroy_object(second).expect("C_DestroyObject");
        drop(session);
        application.finalize();
        let (_application, session) = tandem_tests::application();
        assert_eq!(Kind::Aes(32).find(&session, "first").expect("a key").key, first);
        let third = Kind::Aes(32).make(&session, "third").expect("a key").key;
        assert!(third != first && third != second, "{first} {second} {third}");
        refused(
            "what was destroyed",
            session.get_attributes(second, &[AttributeType::Label]),
            &[ObjectHandleInvalid],
        );
    });
}

#[test]
fn a_search_shows_what_there_was_when_it_began() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        for n in 0..5 {
            Kind::Aes(16).make(&session, &format!("key {n}")).expect("a key");
        }
        let raw = Raw::tandem();
        let s = session.handle();
        assert_eq!(call!(raw, C_FindObjectsInit(s, ptr::null_mut(), 0)), CKR_OK);
        let next = |max: CK_ULONG| {
            let (mut handles, mut count) = ([0; 8], 0);
            let rv = call!(raw, C_FindObjects(s, handles.as_mut_ptr(), max, &raw mut count));
            assert_eq!(name_of(rv), "CKR_OK");
            handles[..usize::try_from(count).expect("a count")].to_vec()
        };
        let mut all = next(2);
        assert_eq!(all.len(), 2);
        Kind::Aes(16).make(&session, "late").expect("a key while a search is open");
        all.extend(next(2));
        all.extend(next(8));
        assert_eq!((all.len(), next(8).len()), (5, 0), "neither more nor less than there was");
        assert_eq!(call!(raw, C_FindObjectsFinal(s)), CKR_OK);
        let rv = call!(raw, C_FindObjectsFinal(s));
        assert_eq!(name_of(rv), format!("{OperationNotInitialized:?}"));
        all.dedup();
        assert_eq!(all.len(), 5);
    });
}

/// Everything that an application can read without using a key.
fn everything(application: &Application, session: &Session) -> String {
    let raw = Raw::tandem();
    let mut said = Vec::new();
    let token = application.get_token_info(application.slot).expect("a token");
    said.push(format!("{token:?}"));
    said.push(format!("{:?}", application.get_slot_info(application.slot)));
    let mut mechanisms = application.get_mechanism_list(application.slot).expect("mechanisms");
    mechanisms.sort_by_key(|mechanism| format!("{mechanism:?}"));
    for mechanism in mechanisms {
        let info = application.get_mechanism_info(application.slot, mechanism);
        said.push(format!("{mechanism:?} {info:?}"));
    }
    // Every attribute that PKCS #11 or Tandem has a number for, of every object.
    let kinds = (0..0x700)
        .chain(CKF_ARRAY_ATTRIBUTE..CKF_ARRAY_ATTRIBUTE + 0x700)
        .chain(TANDEM..TANDEM + 8);
    let kinds: Vec<_> = kinds.collect();
    let mut objects = session.find_objects(&[Attribute::Token(true)]).expect("a search");
    objects.sort_by_key(ObjectHandle::handle);
    for object in objects {
        for kind in &kinds {
            let mut buffer = [0_u8; 1024];
            let mut row =
                CK_ATTRIBUTE { type_: *kind, pValue: buffer.as_mut_ptr().cast(), ulValueLen: 1024 };
            let rv =
                call!(raw, C_GetAttributeValue(session.handle(), object.handle(), &raw mut row, 1));
            if rv != CKR_ATTRIBUTE_TYPE_INVALID {
                let len = usize::try_from(row.ulValueLen).unwrap_or(0).min(1024);
                said.push(format!("{object} {kind:#x} {} {}", name_of(rv), hex(&buffer[..len])));
            }
        }
    }
    said.join("\n")
}

#[test]
fn an_application_reads_the_same_whichever_member_is_away() {
    alone(&Wanted::mixed(), |demo| {
        let (application, session) = application();
        furnish(&session);
        drop(session);
        application.finalize();
        let read = || {
            let application = initialised();
            let session = application.log_in();
            everything(&application, &session)
        };
        let whole = read();
        assert!(whole.lines().count() > 200, "{whole}");
        for (member, _) in demo.members() {
            demo.take_away(member);
            let alone = read();
            demo.bring_back(member);
            let different: Vec<_> = whole
                .lines()
                .zip(alone.lines())
                .filter(|(one, other)| one != other)
                .take(5)
                .collect();
            assert!(whole == alone, "without {member}: {different:#?}");
        }
        // And in one process, while it goes away.
        let application = initialised();
        let session = application.log_in();
        assert_eq!(everything(&application, &session), whole);
        demo.take_away("a");
        assert_eq!(everything(&application, &session), whole);
    });
}

#[test]
fn attributes_that_are_not_there_are_said_to_be_invalid() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        furnish(&session);
        let secret = Kind::Aes(32).find(&session, "secret").expect("a key").key;
        let raw = Raw::tandem();
        let mut rows = [CKA_CLASS, CKA_EC_POINT].map(|type_| CK_ATTRIBUTE {
            type_,
            pValue: ptr::null_mut(),
            ulValueLen: 0,
        });
        let rv = call!(
            raw,
            C_GetAttributeValue(session.handle(), secret.handle(), rows.as_mut_ptr(), 2)
        );
        assert_eq!(name_of(rv), format!("{AttributeTypeInvalid:?}"));
        assert_eq!(rows.map(|row| row.ulValueLen), [8, CK_UNAVAILABLE_INFORMATION]);
        let mut size = 0;
        let rv = call!(raw, C_GetObjectSize(session.handle(), secret.handle(), &raw mut size));
        assert_eq!(name_of(rv), "CKR_OK");
        assert!(size > 0 && size < 10_000, "{size}");
    });
}
