//! Keys that an application brings by their bare value: they are proven like any other, on every member.

use cryptoki::error::RvError::KeyNotWrappable;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use tandem_tests::keys::DIGEST;
use tandem_tests::openssl::{EcKey, sha256};
use tandem_tests::{Demo, Vendor, Wanted, alone, application, refused};

use Vendor::{Kryoptic, SoftHsm};

/// Finds a key by its label, which is there once.
fn find(session: &Session, class: ObjectClass, label: &str) -> ObjectHandle {
    let template = [Attribute::Class(class), Attribute::Label(label.into())];
    let found = session.find_objects(&template).expect("a search");
    assert_eq!(found.len(), 1, "{label}");
    found[0]
}

/// A private key as C_CreateObject takes it with the least that it may be given: curve and scalar.
fn private(key: &EcKey, label: &str, token: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(token),
        Attribute::Private(true),
        Attribute::Sign(true),
        Attribute::Label(label.into()),
        Attribute::EcParams(key.params.clone()),
        Attribute::Value(key.scalar.clone()),
    ]
}

#[test]
fn a_private_key_without_its_public_point_is_proven_and_signs_everywhere() {
    alone(&Wanted::mixed(), |demo| {
        let keys =
            ["prime256v1", "secp384r1", "secp521r1"].map(|name| (name, EcKey::generate(name)));
        let (application, session) = application();
        for (name, key) in &keys {
            let made = session.create_object(&private(key, name, true)).expect(name);
            signs(&session, made, key, "through Tandem");
            // One that was a session object first takes the same way to the token.
            let copied = format!("{name} copied");
            let made = session.create_object(&private(key, &copied, false)).expect(name);
            session.copy_object(made, &[Attribute::Token(true)]).expect("C_CopyObject");
            session.destroy_object(made).expect("C_DestroyObject");
        }
        drop(session);
        application.finalize();
        for (member, _) in demo.members() {
            let direct = demo.direct(member);
            for (name, key) in &keys {
                for label in [(*name).to_owned(), format!("{name} copied")] {
                    let made = find(&direct, ObjectClass::PRIVATE_KEY, &label);
                    signs(&direct, made, key, &format!("{label} on {member}"));
                }
            }
        }
    });
}

fn signs(session: &Session, made: ObjectHandle, key: &EcKey, what: &str) {
    let signature = session.sign(&Mechanism::Ecdsa, made, &DIGEST).expect(what);
    assert!(key.public.verifies(&DIGEST, &signature), "{what}");
}

/// A secret of so many bytes.
fn bytes(len: usize) -> Vec<u8> {
    (1_u8..).take(len).collect()
}

fn secret(len: usize) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Label(format!("{len} bytes").into_bytes()),
        Attribute::Value(bytes(len)),
    ]
}

/// C_DigestKey says which bytes a member holds, how many of them as well.
fn secrets_are_the_same(demo: &Demo, lengths: &[usize]) {
    let (application, session) = application();
    for len in lengths {
        session.create_object(&secret(*len)).unwrap_or_else(|error| panic!("{len}: {error}"));
    }
    drop(session);
    application.finalize();
    for (member, _) in demo.members() {
        let direct = demo.direct(member);
        for len in lengths {
            let key = find(&direct, ObjectClass::SECRET_KEY, &format!("{len} bytes"));
            direct.digest_init(&Mechanism::Sha256).expect("C_DigestInit");
            direct.digest_key(key).expect("C_DigestKey");
            let digest = direct.digest_final().expect("C_DigestFinal");
            assert_eq!(digest, sha256(&bytes(*len)), "{len} bytes on {member}");
        }
    }
}

const LENGTHS: [usize; 12] = [1, 7, 8, 15, 16, 17, 18, 19, 20, 24, 33, 64];

#[test]
fn a_secret_of_any_length_is_the_same_on_both_vendors() {
    alone(&Wanted::mixed(), |demo| secrets_are_the_same(demo, &LENGTHS));
}

#[test]
fn a_secret_of_any_length_is_the_same_on_two_kryoptic_members() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| secrets_are_the_same(demo, &LENGTHS));
}

#[test]
fn two_softhsm_members_take_secrets_of_whole_blocks_only() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        secrets_are_the_same(demo, &[8, 16, 24, 64]);
        let (_application, session) = application();
        // They would come out with zeroes behind them.
        for len in [1, 15, 17, 20, 33] {
            let made = session.create_object(&secret(len));
            refused(&format!("{len} bytes"), made, &[KeyNotWrappable]);
        }
    });
}
