//! What members held before Tandem came is found, matched by what a key is and never by its name, and shown.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use serde_json::Value;
use std::fs;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::{self, SHA256_INFO};
use tandem_tests::{Demo, Wanted, alone, application, kill_when, refused};

/// Forgets the pairing: the members keep what they hold, and are strangers to Tandem again.
fn forget(demo: &Demo) {
    for name in ["state", "shares"] {
        fs::remove_dir_all(demo.dir().join(name)).expect("a folder");
    }
    for (member, _) in demo.members() {
        let direct = demo.direct(member);
        for object in
            direct.find_objects(&[Attribute::Id(b"tandem key ring".to_vec())]).expect("a search")
        {
            // A locked key may be destroyed: that is the way out.
            direct.destroy_object(object).expect("C_DestroyObject");
        }
        let keys = [Attribute::Class(ObjectClass::SECRET_KEY)];
        assert!(direct.find_objects(&keys).expect("a search").is_empty(), "{member} is empty");
    }
}

fn pair(demo: &Demo) -> Value {
    let paired = demo.command(["pair"]).output().expect("tandem runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(paired.status.success(), "{}{}", said(&paired.stdout), said(&paired.stderr));
    demo.report(&["keys"])
}

/// The lines of `tandem keys` with this label.
fn lines<'a>(keys: &'a Value, label: &str) -> Vec<&'a Value> {
    let objects = keys["objects"].as_array().expect("objects");
    objects.iter().filter(|object| object["label"] == label).collect()
}

/// The members that hold an object, as `tandem keys` says.
fn holders(line: &Value) -> Vec<&str> {
    let replicas = line["replicas"].as_array().expect("replicas");
    let held = replicas
        .iter()
        .filter(|replica| replica["state"] == "proven" || replica["state"] == "held");
    held.map(|replica| replica["member"].as_str().expect("a name")).collect()
}

/// Imports an RSA key pair on a member, as its vendor's tools would.
fn import(session: &Session, name: &str, key: &openssl::RsaKey, extractable: bool) {
    let common = |class| {
        [
            Attribute::Class(class),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(true),
            Attribute::Label(name.into()),
            Attribute::Id(name.into()),
            Attribute::Modulus(key.modulus.clone()),
            Attribute::PublicExponent(key.exponent.clone()),
        ]
    };
    let public = [
        &common(ObjectClass::PUBLIC_KEY)[..],
        &[Attribute::Verify(true), Attribute::Private(false)],
    ];
    session.create_object(&public.concat()).expect("a public key");
    let private = [
        &common(ObjectClass::PRIVATE_KEY)[..],
        &[
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
            Attribute::Sign(true),
            Attribute::PrivateExponent(key.private.clone()),
            Attribute::Prime1(key.primes[0].clone()),
            Attribute::Prime2(key.primes[1].clone()),
            Attribute::Exponent1(key.exponents[0].clone()),
            Attribute::Exponent2(key.exponents[1].clone()),
            Attribute::Coefficient(key.coefficient.clone()),
        ],
    ];
    session.create_object(&private.concat()).expect("a private key");
}

fn work(session: &Session, name: &str, key: &openssl::RsaKey) {
    let made = Kind::Rsa(2048).find(session, name).expect("the key");
    let signature = Kind::Rsa(2048).work(session, made).expect("a signature");
    let public = openssl::PublicKey::rsa(&key.modulus, &key.exponent);
    assert!(public.verifies(&DIGEST, &signature), "{name}");
    assert_eq!(Kind::Rsa(2048).public(session, made).expect("a public key"), public);
}

#[test]
fn one_key_on_two_members_is_one_object() {
    alone(&Wanted::mixed(), |demo| {
        forget(demo);
        let key = openssl::RsaKey::generate();
        for (member, _) in demo.members() {
            import(&demo.direct(member), "twin", &key, false);
        }
        let keys = pair(demo);
        let found = lines(&keys, "twin");
        assert_eq!(found.len(), 2, "one private and one public object: {found:?}");
        for line in found {
            assert_eq!(line["adopted"], line["class"] == "private", "{line}");
            assert_eq!(holders(line), ["a", "b"], "{line}");
        }
        // One on each, where it was; and it works on either.
        for (member, _) in demo.members() {
            work(&demo.direct(member), "twin", &key);
        }
        for (member, _) in demo.members() {
            demo.take_away(member);
            let (application, session) = application();
            work(&session, "twin", &key);
            drop(session);
            application.finalize();
            demo.bring_back(member);
        }
    });
}

#[test]
fn two_keys_of_one_name_are_never_taken_for_one() {
    alone(&Wanted::mixed(), |demo| {
        forget(demo);
        // The failure of May 2026: one name, another key on each HSM.
        let keys = [openssl::RsaKey::generate(), openssl::RsaKey::generate()];
        for ((member, _), key) in demo.members().into_iter().zip(&keys) {
            import(&demo.direct(member), "33834", key, false);
        }
        let listed = pair(demo);
        let private: Vec<_> =
            lines(&listed, "33834").into_iter().filter(|line| line["class"] == "private").collect();
        assert_eq!(private.len(), 2, "two keys are two objects: {listed}");
        let mut where_they_are: Vec<_> = private.iter().map(|line| holders(line)).collect();
        where_they_are.sort();
        assert_eq!(where_they_are, [["a"], ["b"]]);
        // Each signs as itself, wherever its like is.
        let (_application, session) = application();
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(b"33834".to_vec())];
        let handles = session.find_objects(&wanted).expect("a search");
        assert_eq!(handles.len(), 2);
        for handle in handles {
            let modulus = tandem_tests::value(&session, handle, AttributeType::Modulus);
            let key = keys.iter().find(|key| key.modulus == modulus).expect("one of the two");
            let data = [&SHA256_INFO[..], &DIGEST].concat();
            for _ in 0..6 {
                let signature =
                    session.sign(&Mechanism::RsaPkcs, handle, &data).expect("a signature");
                let public = openssl::PublicKey::rsa(&key.modulus, &key.exponent);
                assert!(public.verifies(&DIGEST, &signature), "the other key has signed");
            }
        }
        let doctor = demo.report(&["doctor"]).to_string();
        assert!(doctor.contains("33834"), "the doctor names what is on one member only: {doctor}");
    });
}

#[test]
fn a_key_that_may_leave_its_member_is_copied_to_the_others() {
    alone(&Wanted::mixed(), |demo| {
        forget(demo);
        let key = openssl::RsaKey::generate();
        import(&demo.direct("a"), "mobile", &key, true);
        Kind::Aes(32)
            .make_with(
                &demo.direct("b"),
                "secret",
                &[Attribute::Sensitive(true), Attribute::Extractable(true)],
            )
            .expect("a key");
        let known = {
            let direct = demo.direct("b");
            let made = Kind::Aes(32).find(&direct, "secret").expect("a key");
            Kind::Aes(32).work(&direct, made).expect("a ciphertext")
        };
        let keys = pair(demo);
        for line in lines(&keys, "mobile").into_iter().chain(lines(&keys, "secret")) {
            assert_eq!(holders(line), ["a", "b"], "{line}");
        }
        // One on each, the one that was there included, and locked from now on.
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            work(&direct, "mobile", &key);
            for found in
                [Kind::Rsa(2048).find(&direct, "mobile"), Kind::Aes(32).find(&direct, "secret")]
            {
                let key = found.expect("the key").key;
                let flags = [AttributeType::Sensitive, AttributeType::Extractable];
                let flags = direct.get_attributes(key, &flags).expect("flags");
                let locked = [Attribute::Sensitive(true), Attribute::Extractable(false)];
                assert_eq!(format!("{flags:?}"), format!("{locked:?}"), "{member}");
            }
        }
        for (member, _) in demo.members() {
            demo.take_away(member);
            let (application, session) = application();
            work(&session, "mobile", &key);
            let made = Kind::Aes(32).find(&session, "secret").expect("the key");
            assert_eq!(Kind::Aes(32).work(&session, made).expect("a ciphertext"), known);
            drop(session);
            application.finalize();
            demo.bring_back(member);
        }
    });
}

#[test]
fn a_key_that_may_not_leave_is_listed_and_works_while_its_member_is_there() {
    alone(&Wanted::mixed(), |demo| {
        forget(demo);
        for (member, _) in demo.members() {
            let name = format!("only on {member}");
            Kind::P256.make(&demo.direct(member), &name).expect("a key");
        }
        let keys = pair(demo);
        for (member, _) in demo.members() {
            let name = format!("only on {member}");
            let found = lines(&keys, &name);
            let private =
                found.iter().find(|line| line["class"] == "private").expect("the private key");
            assert_eq!(holders(private), [member], "{private}");
            let report = demo.report(&["doctor"]);
            let told = report["findings"].as_array().expect("findings").iter().any(|finding| {
                let found = finding["found"].as_str().expect("a text");
                found.contains(&name) && found.contains("only") && finding["remedy"] != ""
            });
            assert!(told, "the doctor says nothing of {name}: {report}");
        }
        let use_one = |session: &Session, member: &str| {
            let made: Made =
                Kind::P256.find(session, &format!("only on {member}")).expect("the key");
            let public = Kind::P256.public(session, made).expect("a public key");
            Kind::P256
                .work(session, made)
                .map(|signature| assert!(public.verifies(&DIGEST, &signature)))
        };
        {
            let (_application, session) = application();
            for (member, _) in demo.members() {
                for _ in 0..4 {
                    use_one(&session, member).expect("a signature");
                }
            }
            let made = Kind::P256.find(&session, "only on a").expect("the key");
            let copied = session.copy_object(made.key, &[Attribute::Label(b"copy".to_vec())]);
            refused("C_CopyObject", copied, &[RvError::KeyNotWrappable, RvError::KeyUnextractable]);
        }
        for (member, other) in [("a", "b"), ("b", "a")] {
            demo.take_away(member);
            let (application, session) = application();
            use_one(&session, other).expect("the other's key");
            let told = [RvError::DeviceRemoved, RvError::DeviceError, RvError::KeyHandleInvalid];
            let (answer, _) = demo.logged(|| use_one(&session, member));
            refused("a key whose member is away", answer, &told);
            drop(session);
            application.finalize();
            demo.bring_back(member);
        }
    });
}

#[test]
fn certificates_and_data_are_adopted_and_brought_to_every_member() {
    alone(&Wanted::mixed(), |demo| {
        forget(demo);
        let data = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Label(b"notes".to_vec()),
            Attribute::Application(b"a test".to_vec()),
            Attribute::Value(b"what was there before".to_vec()),
        ];
        demo.direct("a").create_object(&data).expect("a data object");
        pair(demo);
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            let found =
                direct.find_objects(&[Attribute::Label(b"notes".to_vec())]).expect("a search");
            assert_eq!(found.len(), 1, "{member}");
            let value = tandem_tests::value(&direct, found[0], AttributeType::Value);
            assert_eq!(value, b"what was there before", "{member}");
        }
    });
}

#[test]
fn pairing_again_changes_nothing() {
    alone(&Wanted::mixed(), |demo| {
        let before = {
            let (_application, session) = application();
            Kind::P256.make(&session, "key").expect("a key");
            demo.report(&["keys"])
        };
        let again = pair(demo);
        assert_eq!(again, before);
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            let ring = direct
                .find_objects(&[Attribute::Id(b"tandem key ring".to_vec())])
                .expect("a search");
            assert_eq!(ring.len(), 5, "{member}");
        }
    });
}

#[test]
fn a_pairing_that_is_killed_while_it_adopts_makes_nothing_twice() {
    const FOUND: usize = 100;
    alone(&Wanted::mixed(), |demo| {
        forget(demo);
        let direct = demo.direct("a");
        for number in 0..FOUND {
            let data = [
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Label(format!("found-{number}").into()),
                Attribute::Value(vec![7; 16]),
            ];
            direct.create_object(&data).expect("a data object");
        }
        drop(direct);
        // Most of them are in the log, and no member has followed it yet.
        kill_when(demo.command(["pair"]), || demo.head() > 90);
        assert!(demo.position("a") < 10);
        pair(demo);
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            for number in 0..FOUND {
                let label = [Attribute::Label(format!("found-{number}").into())];
                let there = direct.find_objects(&label).expect("a search").len();
                assert_eq!(there, 1, "found-{number} on {member}");
            }
        }
    });
}
