//! What may leave and what may not: keys that an application wraps, reads, copies, derives or tightens, and those that
//! it made so that nobody can.

use cryptoki::error::Error;
use cryptoki::error::RvError::{
    ActionProhibited, AttributeReadOnly, KeyNotWrappable, KeyUnextractable, MechanismParamInvalid,
    ObjectHandleInvalid, TemplateInconsistent,
};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use tandem_tests::keys::{DIGEST, Kind, Made, P256};
use tandem_tests::openssl::{aes_256_cbc, octets};
use tandem_tests::{Demo, Vendor, Wanted, alone, application, refused, value};

const IV: [u8; 16] = [7; 16];

fn flags(session: &Session, key: ObjectHandle) -> String {
    let kinds = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
    ];
    let read = session.get_attributes(key, &kinds).expect("flags");
    let flags = read.iter().map(|flag| match flag {
        Attribute::Sensitive(flag)
        | Attribute::Extractable(flag)
        | Attribute::AlwaysSensitive(flag)
        | Attribute::NeverExtractable(flag) => {
            if *flag {
                'T'
            } else {
                'F'
            }
        }
        other => panic!("{other:?} is no flag"),
    });
    flags.collect()
}

/// An AES key of the application's that wraps and unwraps, and a KEK for tests.
fn wrapper(session: &Session) -> ObjectHandle {
    let template = [
        Attribute::Token(true),
        Attribute::Label(b"wrapper".to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).expect("a wrapping key")
}

fn open() -> [Attribute; 2] {
    [Attribute::Sensitive(false), Attribute::Extractable(true)]
}

#[test]
fn a_key_that_may_leave_is_wrapped_and_unwrapped_by_the_application() {
    alone(&Wanted::mixed(), |demo| {
        let (application, session) = application();
        let by = wrapper(&session);
        let extractable = [Attribute::Sensitive(true), Attribute::Extractable(true)];
        let aes = Kind::Aes(32).make_with(&session, "aes", &extractable).expect("a key");
        assert_eq!(flags(&session, aes.key), "TTTF");
        let known = Kind::Aes(32).work(&session, aes).expect("a ciphertext");
        let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, by, aes.key).expect("C_WrapKey");
        assert_eq!(wrapped.len(), 40);
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
            Attribute::Label(b"again".to_vec()),
            Attribute::Id(b"again".to_vec()),
            Attribute::Encrypt(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        let again = session
            .unwrap_key(&Mechanism::AesKeyWrap, by, &wrapped, &template)
            .expect("C_UnwrapKey");
        assert_eq!(flags(&session, again), "TFFF");
        let made = Made { key: again, public: None };
        assert_eq!(Kind::Aes(32).work(&session, made).expect("a ciphertext"), known);
        refused(
            "wrapping what was unwrapped",
            session.wrap_key(&Mechanism::AesKeyWrap, by, again),
            &[KeyUnextractable],
        );

        // With the first member away it is the same key; and so it is on each.
        drop(session);
        application.finalize();
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            for name in ["aes", "again"] {
                let made = Kind::Aes(32).find(&direct, name).expect("the key");
                assert_eq!(
                    Kind::Aes(32).work(&direct, made).expect("a ciphertext"),
                    known,
                    "{name} on {member}"
                );
                // Even a key that may leave leaves through Tandem only.
                let read =
                    direct.get_attributes(made.key, &[AttributeType::Extractable]).expect("a flag");
                assert!(
                    matches!(read[..], [Attribute::Extractable(false)]),
                    "{name} on {member}: {read:?}"
                );
            }
        }
        demo.take_away("a");
        let (_application, session) = tandem_tests::application();
        let by =
            session.find_objects(&[Attribute::Label(b"wrapper".to_vec())]).expect("a search")[0];
        let aes = Kind::Aes(32).find(&session, "aes").expect("the key");
        assert_eq!(
            session.wrap_key(&Mechanism::AesKeyWrap, by, aes.key).expect("C_WrapKey"),
            wrapped
        );
    });
}

#[test]
fn a_private_key_that_may_leave_comes_back_the_same() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let by = wrapper(&session);
        let extractable = [Attribute::Sensitive(true), Attribute::Extractable(true)];
        for kind in [Kind::P256, Kind::Rsa(2048)] {
            let made = kind.make_with(&session, "original", &extractable).expect("a key");
            let public = kind.public(&session, made).expect("a public key");
            let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, by, made.key);
            // The two vendors share no number for RFC 5649, so that Tandem may not offer it at all.
            let wrapped = match wrapped {
                Ok(wrapped) => wrapped,
                Err(Error::Pkcs11(cryptoki::error::RvError::MechanismInvalid, _)) => {
                    session.wrap_key(&Mechanism::AesKeyWrap, by, made.key).unwrap_or_default()
                }
                Err(other) => panic!("C_WrapKey: {other}"),
            };
            if wrapped.is_empty() {
                println!("| {kind} | no common mechanism wraps it for the application |");
                session.destroy_object(made.key).expect("C_DestroyObject");
                session
                    .destroy_object(made.public.expect("a public key"))
                    .expect("C_DestroyObject");
                continue;
            }
            session.destroy_object(made.key).expect("C_DestroyObject");
            let template = [
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::KeyType(kind.key_type()),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Label(b"again".to_vec()),
                Attribute::Sign(true),
            ];
            let key = session
                .unwrap_key(&Mechanism::AesKeyWrap, by, &wrapped, &template)
                .expect("C_UnwrapKey");
            let signature = kind.work(&session, Made { key, public: None }).expect("a signature");
            assert!(public.verifies(&DIGEST, &signature), "{kind}");
            session.destroy_object(key).expect("C_DestroyObject");
            session.destroy_object(made.public.expect("a public key")).expect("C_DestroyObject");
        }
    });
}

#[test]
fn a_key_that_may_not_leave_cannot_be_made_to() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let by = wrapper(&session);
        let closed = Kind::Aes(32).make(&session, "closed").expect("a key").key;
        let pair = Kind::P256.make(&session, "pair").expect("a key").key;
        assert_eq!(
            (flags(&session, closed), flags(&session, pair)),
            ("TFTT".into(), "TFTT".into())
        );
        for key in [closed, pair] {
            for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
                if session.wrap_key(&mechanism, by, by).is_err_and(|error| {
                    matches!(error, Error::Pkcs11(cryptoki::error::RvError::MechanismInvalid, _))
                }) {
                    continue;
                }
                refused("C_WrapKey", session.wrap_key(&mechanism, by, key), &[KeyUnextractable]);
            }
            let read = session.get_attributes(key, &[AttributeType::Value]).expect("no value");
            assert!(read.is_empty(), "the value is shown");
            for flag in open() {
                let one = std::slice::from_ref(&flag);
                refused(
                    "C_SetAttributeValue",
                    session.update_attributes(key, one),
                    &[AttributeReadOnly],
                );
                for token in [true, false] {
                    let template = [Attribute::Token(token), flag.clone()];
                    let told = [AttributeReadOnly, TemplateInconsistent, ActionProhibited];
                    refused("C_CopyObject", session.copy_object(key, &template), &told);
                }
            }
            // A copy is as closed as its original, and says so.
            for token in [true, false] {
                let template = [Attribute::Token(token), Attribute::Label(b"copy".to_vec())];
                let copy = session.copy_object(key, &template).expect("a copy");
                assert_eq!(flags(&session, copy), "TFTT");
                refused(
                    "wrapping a copy",
                    session.wrap_key(&Mechanism::AesKeyWrap, by, copy),
                    &[KeyUnextractable],
                );
                refused(
                    "opening a copy",
                    session.update_attributes(copy, &open()[1..]),
                    &[AttributeReadOnly],
                );
                refused(
                    "copying a copy",
                    session.copy_object(copy, &open()[1..]),
                    &[AttributeReadOnly],
                );
                session.destroy_object(copy).expect("C_DestroyObject");
            }
        }
    });
}

#[test]
fn a_key_that_is_not_sensitive_is_read_and_is_the_key() {
    alone(&Wanted::mixed(), |demo| {
        let (application, session) = application();
        for token in [true, false] {
            let template = [
                Attribute::Token(token),
                Attribute::Label(b"open".to_vec()),
                Attribute::ValueLen(32.into()),
                Attribute::Encrypt(true),
                Attribute::Sensitive(false),
                Attribute::Extractable(true),
            ];
            let key = session.generate_key(&Mechanism::AesKeyGen, &template).expect("a key");
            assert_eq!(flags(&session, key), "FTFF");
            let known = value(&session, key, AttributeType::Value);
            assert_eq!(known.len(), 32);
            let encrypted =
                session.encrypt(&Mechanism::AesCbc(IV), key, &DIGEST).expect("a ciphertext");
            assert_eq!(encrypted, aes_256_cbc(&known, &IV, &DIGEST));
        }
        drop(session);
        application.finalize();
        // Whichever member is there, it reads the same.
        let mut read = Vec::new();
        for (member, _) in demo.members() {
            demo.take_away(member);
            let (application, session) = tandem_tests::application();
            let key =
                session.find_objects(&[Attribute::Label(b"open".to_vec())]).expect("a search")[0];
            read.push(value(&session, key, AttributeType::Value));
            drop(session);
            application.finalize();
            demo.bring_back(member);
        }
        assert_eq!(read[0], read[1]);
    });
}

#[test]
fn a_session_key_that_is_copied_to_the_token_is_the_same_key_everywhere() {
    alone(&Wanted::mixed(), |demo| {
        let (application, session) = application();
        // As Java's key stores do: made in the session, then copied with a name.
        let curve = [Attribute::Token(false), Attribute::EcParams(P256.to_vec())];
        let private = [
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let (public, key) = session
            .generate_key_pair(&Mechanism::EccKeyPairGen, &curve, &private)
            .expect("a session pair");
        let named = [
            Attribute::Token(true),
            Attribute::Id(b"copied".to_vec()),
            Attribute::Label(b"copied".to_vec()),
        ];
        let copied = session.copy_object(key, &named).expect("C_CopyObject");
        let copied_public = session.copy_object(public, &named).expect("C_CopyObject");
        assert_eq!(flags(&session, copied), "TFTT");
        let made = Made { key: copied, public: Some(copied_public) };
        let known = Kind::P256.public(&session, made).expect("a public key");
        let session_key = Made { key, public: Some(public) };
        assert_eq!(Kind::P256.public(&session, session_key).expect("a public key"), known);

        let secret = [
            Attribute::Token(false),
            Attribute::ValueLen(32.into()),
            Attribute::Encrypt(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        let secret = session.generate_key(&Mechanism::AesKeyGen, &secret).expect("a session key");
        let ciphertext =
            session.encrypt(&Mechanism::AesCbc(IV), secret, &DIGEST).expect("a ciphertext");
        let named = [
            Attribute::Token(true),
            Attribute::Id(b"secret".to_vec()),
            Attribute::Label(b"secret".to_vec()),
        ];
        session.copy_object(secret, &named).expect("C_CopyObject");
        drop(session);

        // The session's own are gone, the copies are everywhere.
        let session = application.log_in();
        assert_eq!(session.find_objects(&[Attribute::Token(false)]).expect("a search").len(), 0);
        drop(session);
        application.finalize();
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            let made = Kind::P256.find(&direct, "copied").expect("the copy");
            assert_eq!(Kind::P256.public(&direct, made).expect("a public key"), known, "{member}");
            let signature = Kind::P256.work(&direct, made).expect("a signature");
            assert!(known.verifies(&DIGEST, &signature), "{member}");
            let made = Kind::Aes(32).find(&direct, "secret").expect("the copy");
            assert_eq!(
                Kind::Aes(32).work(&direct, made).expect("a ciphertext"),
                ciphertext,
                "{member}"
            );
        }
    });
}

#[test]
fn session_objects_go_with_their_session_and_private_ones_with_the_login() {
    alone(&Wanted::mixed(), |_| {
        let (application, session) = application();
        let other = application.open(true);
        let data = |private: bool| {
            [
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(false),
                Attribute::Private(private),
                Attribute::Label(b"passing".to_vec()),
                Attribute::Value(b"passing".to_vec()),
            ]
        };
        let open = other.create_object(&data(false)).expect("an object");
        let closed = other.create_object(&data(true)).expect("an object");
        let template =
            [Attribute::Token(false), Attribute::ValueLen(32.into()), Attribute::Encrypt(true)];
        let key = other.generate_key(&Mechanism::AesKeyGen, &template).expect("a key");
        // Every session of the application sees them.
        for object in [open, closed, key] {
            session
                .get_attributes(object, &[AttributeType::Class])
                .expect("another session's object");
        }
        session.encrypt(&Mechanism::AesCbc(IV), key, &DIGEST).expect("another session's key");
        session.logout().expect("C_Logout");
        session.get_attributes(open, &[AttributeType::Class]).expect("a public object");
        for object in [closed, key] {
            let read = session.get_attributes(object, &[AttributeType::Class]);
            refused("after C_Logout", read, &[ObjectHandleInvalid]);
        }
        session
            .login(cryptoki::session::UserType::User, Some(&tandem_tests::pin("123456")))
            .expect("a login");
        for object in [closed, key] {
            let read = session.get_attributes(object, &[AttributeType::Class]);
            refused("destroyed by C_Logout", read, &[ObjectHandleInvalid]);
        }
        drop(other);
        let read = session.get_attributes(open, &[AttributeType::Class]);
        refused("destroyed by C_CloseSession", read, &[ObjectHandleInvalid]);
    });
}

#[test]
fn a_key_that_is_tightened_leaves_no_longer_and_what_could_have_opened_it_is_erased() {
    alone(&Wanted::mixed(), |demo| {
        let (_application, session) = application();
        let by = wrapper(&session);
        let made = Kind::Aes(32).make_with(&session, "loose", &open()).expect("a key");
        let known = Kind::Aes(32).work(&session, made).expect("a ciphertext");
        session.wrap_key(&Mechanism::AesKeyWrap, by, made.key).expect("it may leave");
        let before = wrapped(demo);
        session
            .update_attributes(made.key, &[Attribute::Sensitive(true)])
            .expect("it becomes sensitive");
        assert_eq!(flags(&session, made.key), "TTFF");
        session.update_attributes(made.key, &[Attribute::Extractable(false)]).expect("it stays");
        assert_eq!(flags(&session, made.key), "TFFF");
        refused(
            "C_WrapKey",
            session.wrap_key(&Mechanism::AesKeyWrap, by, made.key),
            &[KeyUnextractable],
        );
        for flag in open() {
            let one = std::slice::from_ref(&flag);
            refused(
                "loosening it again",
                session.update_attributes(made.key, one),
                &[AttributeReadOnly],
            );
        }
        assert_eq!(
            Kind::Aes(32).work(&session, made).expect("a ciphertext"),
            known,
            "it is the same key"
        );
        // What the open KEK opens is not in the log any more, nor anywhere in its files.
        let old = before.last().expect("the key's wrapped bytes");
        assert!(!wrapped(demo).contains(old), "the old bytes are still in the log");
        for file in std::fs::read_dir(demo.dir().join("state")).expect("the state folder") {
            let file = file.expect("an entry").path();
            let bytes = std::fs::read(&file).expect("a file");
            let there = bytes.windows(old.len()).any(|window| window == old);
            assert!(!there, "the old bytes are still in {}", file.display());
        }
    });
}

/// The wrapped keys that are in the log.
fn wrapped(demo: &Demo) -> Vec<Vec<u8>> {
    let log = rusqlite::Connection::open(demo.database()).expect("the log");
    let mut query = log
        .prepare("SELECT wrapped FROM records WHERE wrapped IS NOT NULL AND erased = 0 ORDER BY position")
        .expect("the log's records");
    let rows = query.query_map([], |row| row.get(0)).expect("wrapped bytes");
    rows.map(|row| row.expect("wrapped bytes")).collect()
}

#[test]
fn what_is_destroyed_is_erased_from_the_log() {
    alone(&Wanted::mixed(), |demo| {
        let (_application, session) = application();
        let made = Kind::P256.make(&session, "doomed").expect("a key");
        let bytes = wrapped(demo).pop().expect("its wrapped bytes");
        session.destroy_object(made.key).expect("C_DestroyObject");
        for file in std::fs::read_dir(demo.dir().join("state")).expect("the state folder") {
            let file = file.expect("an entry").path();
            let there = std::fs::read(&file)
                .expect("a file")
                .windows(bytes.len())
                .any(|window| window == bytes);
            assert!(!there, "the wrapped key is still in {}", file.display());
        }
    });
}

#[test]
fn private_data_is_not_in_the_clear_in_what_tandem_keeps() {
    alone(&Wanted::mixed(), |demo| {
        const SECRET: &[u8] = b"what nobody but the user may read";
        let (_application, session) = application();
        let data = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(b"diary".to_vec()),
            Attribute::Value(SECRET.to_vec()),
        ];
        let object = session.create_object(&data).expect("a data object");
        assert_eq!(value(&session, object, AttributeType::Value), SECRET);
        let copy =
            session.copy_object(object, &[Attribute::Label(b"copy".to_vec())]).expect("a copy");
        assert_eq!(value(&session, copy, AttributeType::Value), SECRET);
        // How a member keeps what its user may read is its vendor's affair (Kryoptic: as it is).
        let kept = std::fs::read_dir(demo.dir().join("state")).expect("the state folder");
        let kept = kept
            .map(|entry| entry.expect("an entry").path())
            .chain([demo.dir().join("tandem.log")]);
        let mut files = 0;
        for file in kept {
            let there = std::fs::read(&file)
                .expect("a file")
                .windows(SECRET.len())
                .any(|window| window == SECRET);
            assert!(!there, "it is in {}", file.display());
            files += 1;
        }
        assert!(files > 3);
        // Each member has it, for whoever logs in there.
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            let found =
                direct.find_objects(&[Attribute::Label(b"diary".to_vec())]).expect("a search");
            assert_eq!(value(&direct, found[0], AttributeType::Value), SECRET, "{member}");
        }
    });
}

/// What a member's own module shows of the diary: each value once.
fn diaries(demo: &Demo, member: &str) -> Vec<Vec<u8>> {
    let direct = demo.direct(member);
    let found = direct.find_objects(&[Attribute::Label(b"diary".to_vec())]).expect("a search");
    found.into_iter().map(|object| value(&direct, object, AttributeType::Value)).collect()
}

/// A private data object gets another value, first with every member there, then while one is away.
fn another_value(demo: &Demo) {
    let set = |session: &Session, object, value: &[u8]| {
        session.update_attributes(object, &[Attribute::Value(value.to_vec())])
    };
    let find = |session: &Session| {
        session.find_objects(&[Attribute::Label(b"diary".to_vec())]).expect("a search")[0]
    };
    {
        let (_application, session) = application();
        let data = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(b"diary".to_vec()),
            Attribute::Value(b"the first day".to_vec()),
        ];
        session.create_object(&data).expect("a data object");
    }
    let old = wrapped(demo).pop().expect("its sealed value");
    {
        let (_application, session) = application();
        let object = find(&session);
        set(&session, object, b"the second day, which was longer").expect("C_SetAttributeValue");
        assert_eq!(
            value(&session, object, AttributeType::Value),
            b"the second day, which was longer"
        );
        for file in std::fs::read_dir(demo.dir().join("state")).expect("the state folder") {
            let file = file.expect("an entry").path();
            let kept = std::fs::read(&file).expect("a file");
            for secret in [&old[..], b"the first day", b"the second day"] {
                let there = kept.windows(secret.len()).any(|window| window == secret);
                assert!(!there, "{} is still in {}", secret.escape_ascii(), file.display());
            }
        }
    }
    let members: Vec<_> = demo.members().into_iter().map(|(name, _)| name).collect();
    for member in &members {
        assert_eq!(diaries(demo, member), [b"the second day, which was longer"], "{member}");
    }
    for member in &members {
        demo.take_away(member);
        let text = format!("while {member} was away");
        {
            let (_application, session) = application();
            set(&session, find(&session), text.as_bytes()).expect("C_SetAttributeValue");
        }
        demo.bring_back(member);
        let (_application, session) = application();
        assert_eq!(value(&session, find(&session), AttributeType::Value), text.as_bytes());
        for member in &members {
            assert_eq!(diaries(demo, member), [text.as_bytes()], "{member}");
        }
    }
    let verified = demo.tandem(&["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn private_data_gets_another_value() {
    alone(&Wanted::mixed(), |demo| another_value(demo));
}

#[test]
fn private_data_gets_another_value_on_two_softhsm_members() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]), |demo| another_value(demo));
}

/// A point that is on no curve: Kryoptic says that it is itself ill.
#[test]
fn a_public_value_that_is_none_is_the_applications_fault() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::Kryoptic]), |demo| {
        let (_application, session) = application();
        let made =
            Kind::P256.make_with(&session, "ours", &[Attribute::Derive(true)]).expect("a key");
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
        ];
        let nowhere = [&[4][..], &[1; 64]].concat();
        let parameter = Ecdh1DeriveParams::new(EcKdf::null(), &nowhere);
        let (derived, log) = demo
            .logged(|| session.derive_key(&Mechanism::Ecdh1Derive(parameter), made.key, &template));
        refused("a point on no curve", derived, &[MechanismParamInvalid]);
        assert!(!log.iter().any(|line| line.contains("is down")), "{log:#?}");
        Kind::P256.work(&session, made).expect("both members are there");
    });
}

#[test]
fn two_keys_agree_on_the_secret_that_each_derives() {
    alone(&Wanted::mixed(), |demo| {
        let (application, session) = application();
        let derives = [Attribute::Derive(true)];
        let [ours, theirs] = ["ours", "theirs"]
            .map(|name| Kind::P256.make_with(&session, name, &derives).expect("a key"));
        let point = |made: Made| {
            value(&session, made.public.expect("a public key"), AttributeType::EcPoint)
        };
        let derive = |made: Made, point: &[u8], more: &[Attribute]| {
            let template = [
                &[
                    Attribute::Class(ObjectClass::SECRET_KEY),
                    Attribute::KeyType(KeyType::GENERIC_SECRET),
                    Attribute::ValueLen(32.into()),
                    Attribute::Sign(true),
                ],
                more,
            ]
            .concat();
            let mechanism =
                Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), octets(point)));
            session.derive_key(&mechanism, made.key, &template).expect("C_DeriveKey")
        };
        let open = [&[Attribute::Token(false)][..], &open()].concat();
        let one = value(&session, derive(ours, &point(theirs), &open), AttributeType::Value);
        let other = value(&session, derive(theirs, &point(ours), &open), AttributeType::Value);
        assert_eq!((one.len(), &one), (32, &other));
        // As a token object it is on every member.
        let kept = [
            Attribute::Token(true),
            Attribute::Label(b"shared".to_vec()),
            Attribute::Id(b"shared".to_vec()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        derive(ours, &point(theirs), &kept);
        drop(session);
        application.finalize();
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            let made = Kind::Generic(32).find(&direct, "shared").expect("the secret");
            let mac = Kind::Generic(32).work(&direct, made).expect("a MAC");
            assert_eq!(mac, tandem_tests::openssl::hmac_sha256(&one, &DIGEST), "{member}");
        }
    });
}

#[test]
fn a_key_that_wants_a_trusted_wrapper_gets_none() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let by = wrapper(&session);
        let template = [
            Attribute::Extractable(true),
            Attribute::Sensitive(true),
            Attribute::WrapWithTrusted(true),
        ];
        let key = Kind::Aes(32).make_with(&session, "choosy", &template).expect("a key").key;
        refused("C_WrapKey", session.wrap_key(&Mechanism::AesKeyWrap, by, key), &[KeyNotWrappable]);
        let no_longer = session.update_attributes(key, &[Attribute::WrapWithTrusted(false)]);
        refused("C_SetAttributeValue", no_longer, &[AttributeReadOnly]);
    });
}
