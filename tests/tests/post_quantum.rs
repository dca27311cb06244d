//! Post-quantum keys through Tandem are one key on every member: ML-DSA and SLH-DSA sign, ML-KEM gets back what was sent to it, on each
//! member alone, after a failover, and after everything was lost and restored.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::object::{
    Attribute, AttributeType, KeyType, MlDsaParameterSetType, MlKemParameterSetType, ObjectClass,
    ObjectHandle, ParameterSetType, SlhDsaParameterSetType,
};
use cryptoki::session::Session;
use std::fs;
use tandem_tests::{Demo, Vendor, Wanted, alone, application, initialised, refused, rv, value};

use Vendor::{Kryoptic, SoftHsm};

/// Kryoptic doesn't wrap keys of these types, so their values must be allowed to pass through the host.
fn kryoptic() -> Wanted {
    Wanted::over(&[Kryoptic, Kryoptic]).with("allow_host_keygen=true")
}

const DATA: &[u8] = b"what is signed";

/// A kind of key that signs.
struct Signer {
    name: &'static str,
    key_type: KeyType,
    generate: Mechanism<'static>,
    set: ParameterSetType,
    sign: Vec<Mechanism<'static>>,
    /// Bytes of a signature (FIPS 204 table 2, FIPS 205 table 2).
    len: usize,
}

fn signers() -> Vec<Signer> {
    let plain = SignAdditionalContext::new(HedgeType::Preferred, None);
    let context = SignAdditionalContext::new(HedgeType::Required, Some(b"a context"));
    let ml_dsa = |name, set: MlDsaParameterSetType, len| Signer {
        name,
        key_type: KeyType::ML_DSA,
        generate: Mechanism::MlDsaKeyPairGen,
        set: set.into(),
        sign: vec![
            Mechanism::MlDsa(plain),
            Mechanism::MlDsa(context),
            Mechanism::HashMlDsaSha512(plain),
        ],
        len,
    };
    let slh_dsa = |name, set: SlhDsaParameterSetType, len| Signer {
        name,
        key_type: KeyType::SLH_DSA,
        generate: Mechanism::SlhDsaKeyPairGen,
        set: set.into(),
        sign: vec![Mechanism::SlhDsa(plain), Mechanism::HashSlhDsaSha256(plain)],
        len,
    };
    vec![
        ml_dsa("ML-DSA-44", MlDsaParameterSetType::ML_DSA_44, 2420),
        ml_dsa("ML-DSA-65", MlDsaParameterSetType::ML_DSA_65, 3309),
        ml_dsa("ML-DSA-87", MlDsaParameterSetType::ML_DSA_87, 4627),
        slh_dsa("SLH-DSA-SHA2-128f", SlhDsaParameterSetType::SHA2_128F, 17_088),
        slh_dsa("SLH-DSA-SHAKE-192f", SlhDsaParameterSetType::SHAKE_192F, 35_664),
    ]
}

/// The sizes of ML-KEM: a name, the set, bytes of a ciphertext (FIPS 203 table 3).
const KEMS: [(&str, MlKemParameterSetType, usize); 3] = [
    ("ML-KEM-512", MlKemParameterSetType::ML_KEM_512, 768),
    ("ML-KEM-768", MlKemParameterSetType::ML_KEM_768, 1_088),
    ("ML-KEM-1024", MlKemParameterSetType::ML_KEM_1024, 1_568),
];

/// Both halves of a key.
#[derive(Clone, Copy)]
struct Pair {
    public: ObjectHandle,
    private: ObjectHandle,
}

fn make(
    session: &Session,
    name: &str,
    (generate, set): (&Mechanism<'_>, ParameterSetType),
    [public, private]: [Attribute; 2],
) -> Pair {
    let named = [Attribute::Token(true), Attribute::Label(name.into()), Attribute::Id(name.into())];
    let public = [&named[..], &[Attribute::ParameterSet(set), public]].concat();
    let locked =
        [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)];
    let private = [&named[..], &locked, &[private]].concat();
    let (public, private) = session.generate_key_pair(generate, &public, &private).expect(name);
    Pair { public, private }
}

fn make_signer(session: &Session, signer: &Signer) -> Pair {
    let kind = (&signer.generate, signer.set);
    make(session, signer.name, kind, [Attribute::Verify(true), Attribute::Sign(true)])
}

fn make_kem(session: &Session, name: &str, set: MlKemParameterSetType) -> Pair {
    let uses = [Attribute::Encapsulate(true), Attribute::Decapsulate(true)];
    make(session, name, (&Mechanism::MlKemKeyPairGen, set.into()), uses)
}

fn find(session: &Session, name: &str) -> Pair {
    let one = |class| {
        let wanted = [Attribute::Class(class), Attribute::Id(name.into())];
        let found = session.find_objects(&wanted).expect("a search");
        let [only] = found[..] else { panic!("{name} is there {} times", found.len()) };
        only
    };
    Pair { public: one(ObjectClass::PUBLIC_KEY), private: one(ObjectClass::PRIVATE_KEY) }
}

/// A secret of the session that may be read, to see that it is the same.
fn readable() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(32.into()),
    ]
}

/// A ciphertext for a public key, and the secret in it.
fn send(session: &Session, public: ObjectHandle) -> (Vec<u8>, Vec<u8>) {
    let (sent, secret) =
        session.encapsulate_key(&Mechanism::MlKem, public, &readable()).expect("C_EncapsulateKey");
    (sent, value(session, secret, AttributeType::Value))
}

/// The secret in a ciphertext.
fn receive(session: &Session, private: ObjectHandle, sent: &[u8]) -> Vec<u8> {
    let secret = session.decapsulate_key(&Mechanism::MlKem, private, &readable(), sent);
    value(session, secret.expect("C_DecapsulateKey"), AttributeType::Value)
}

/// What one session signs another verifies, and not other data.
fn signs(signer: &Signer, (one, by): (&Session, Pair), (other, with): (&Session, Pair)) {
    for mechanism in &signer.sign {
        let told = format!("{} by {:?}", signer.name, mechanism.mechanism_type());
        let signature = one.sign(mechanism, by.private, DATA).expect(&told);
        assert_eq!(signature.len(), signer.len, "{told}");
        other.verify(mechanism, with.public, DATA, &signature).expect(&told);
        let wrong = other.verify(mechanism, with.public, b"other data", &signature);
        refused(&told, wrong, &[RvError::SignatureInvalid]);
    }
}

/// What one session sends another gets.
fn sends(name: &str, (one, to): (&Session, Pair), (other, by): (&Session, Pair)) {
    let (sent, secret) = send(one, to.public);
    assert_eq!(secret.len(), 32, "{name}");
    assert_eq!(receive(other, by.private, &sent), secret, "{name}");
}

#[test]
fn signing_keys_are_one_key_on_every_member() {
    alone(&kryoptic(), |demo| {
        let (first, session) = application();
        let signers = signers();
        for signer in &signers {
            let made = make_signer(&session, signer);
            signs(signer, (&session, made), (&session, made));
        }
        for member in ["a", "b"] {
            let direct = demo.direct(member);
            for signer in &signers {
                let (here, there) = (find(&direct, signer.name), find(&session, signer.name));
                signs(signer, (&direct, here), (&session, there));
                signs(signer, (&session, there), (&direct, here));
            }
        }
        drop(session);
        first.finalize();
        only_one_member(demo, |session| {
            for signer in &signers {
                let pair = find(session, signer.name);
                signs(signer, (session, pair), (session, pair));
            }
        });
    });
}

#[test]
fn keys_that_are_sent_to_are_one_key_on_every_member() {
    alone(&kryoptic(), |demo| {
        let (first, session) = application();
        let mut before = Vec::new();
        for (name, set, len) in KEMS {
            let made = make_kem(&session, name, set);
            let (sent, secret) = send(&session, made.public);
            assert_eq!(sent.len(), len, "{name}");
            before.push((name, sent, secret));
        }
        for member in ["a", "b"] {
            let direct = demo.direct(member);
            for (name, sent, secret) in &before {
                let (here, there) = (find(&direct, name), find(&session, name));
                assert_eq!(receive(&direct, here.private, sent), *secret, "{name} on {member}");
                sends(name, (&direct, here), (&session, there));
                sends(name, (&session, there), (&direct, here));
            }
        }
        drop(session);
        first.finalize();
        only_one_member(demo, |session| {
            for (name, sent, secret) in &before {
                let pair = find(session, name);
                assert_eq!(receive(session, pair.private, sent), *secret, "{name}");
                sends(name, (session, pair), (session, pair));
            }
        });
    });
}

/// Does something through Tandem with each member alone.
fn only_one_member(demo: &Demo, work: impl Fn(&Session)) {
    for (away, _) in demo.members() {
        demo.take_away(away);
        let (application, session) = application();
        work(&session);
        drop(session);
        application.finalize();
        demo.bring_back(away);
    }
}

#[test]
fn what_is_sent_is_a_key_like_any_other() {
    alone(&kryoptic(), |demo| {
        let (first, session) = application();
        let pair = make_kem(&session, "kem", MlKemParameterSetType::ML_KEM_768);
        // A token key is on every member, and is what the other side has.
        let kept = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Token(true),
            Attribute::Id(b"kept".into()),
            Attribute::Encrypt(true),
        ];
        let kem = Mechanism::MlKem;
        let (sent, kept) = session.encapsulate_key(&kem, pair.public, &kept).expect("a token key");
        let mut other = readable();
        other[1] = Attribute::KeyType(KeyType::AES);
        other.push(Attribute::Encrypt(true));
        let other = session.decapsulate_key(&kem, pair.private, &other, &sent).expect("a key");
        let wanted = session.encrypt(&Mechanism::AesEcb, other, &[7; 16]).expect("a block");
        assert_eq!(session.encrypt(&Mechanism::AesEcb, kept, &[7; 16]).expect("a block"), wanted);
        for member in ["a", "b"] {
            let direct = demo.direct(member);
            let found = direct.find_objects(&[Attribute::Id(b"kept".into())]).expect("a search");
            let found = *found.first().expect("it is on every member");
            let got = direct.encrypt(&Mechanism::AesEcb, found, &[7; 16]).expect("a block");
            assert_eq!(got, wanted, "on {member}");
        }
        let flag = |kind| match session.get_attributes(kept, &[kind]).expect("a flag").first() {
            Some(
                Attribute::Local(flag)
                | Attribute::AlwaysSensitive(flag)
                | Attribute::Sensitive(flag),
            ) => *flag,
            other => panic!("{other:?}"),
        };
        assert!(flag(AttributeType::Sensitive) && !flag(AttributeType::Local));
        assert!(!flag(AttributeType::AlwaysSensitive), "its past is unknown");

        // Keys that may not, or can't.
        let refuses = |private, what: &str, with| {
            refused(what, session.decapsulate_key(&kem, private, &readable(), &sent), &[with]);
        };
        refuses(pair.public, "a public key", RvError::KeyFunctionNotPermitted);
        let signer = make_signer(&session, &signers()[0]);
        refuses(signer.private, "a key that signs", RvError::KeyTypeInconsistent);
        let session_data = [Attribute::Token(true)];
        let reader = first.open(false);
        let answer = reader.encapsulate_key(&kem, pair.public, &session_data);
        refused("a session that only reads", answer, &[RvError::SessionReadOnly]);
        assert!(matches!(
            session.sign(
                &Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
                pair.private,
                DATA
            ),
            Err(Error::Pkcs11(RvError::KeyTypeInconsistent, Function::SignInit))
        ));
    });
}

#[test]
fn another_key_of_the_same_name_is_not_taken_for_it() {
    alone(&kryoptic(), |demo| {
        let (first, session) = application();
        make_kem(&session, "kem", MlKemParameterSetType::ML_KEM_768);
        make_signer(&session, &signers()[1]);
        drop(session);
        first.finalize();
        let verified = |demo: &Demo| demo.tandem(&["verify"]).status.success();
        assert!(verified(demo));
        for (name, forge) in [("kem", true), ("ML-DSA-65", false)] {
            let direct = demo.direct("b");
            let pair = find(&direct, name);
            direct.destroy_object(pair.private).expect("a destroyed key");
            let other = if forge {
                make_kem(&direct, name, MlKemParameterSetType::ML_KEM_768)
            } else {
                make_signer(&direct, &signers()[1])
            };
            direct.destroy_object(other.public).expect("a destroyed key");
            drop(direct);
            assert!(!verified(demo), "{name} on b is another key");
        }
    });
}

#[test]
fn everything_comes_back_from_a_bundle() {
    alone(&kryoptic(), |demo| comes_back(demo, "shares"));
}

#[test]
fn everything_comes_back_as_a_rotation_has_wrapped_it() {
    alone(&kryoptic(), |demo| comes_back(demo, "new-shares"));
}

/// From a bundle that these shares open: those of the pairing, or those of a rotation since.
fn comes_back(demo: &Demo, opens: &str) {
    let (first, session) = application();
    let signers = signers();
    let mut published = Vec::new();
    for signer in &signers {
        let made = make_signer(&session, signer);
        published.push(value(&session, made.public, AttributeType::Value));
    }
    let kem = make_kem(&session, "kem", MlKemParameterSetType::ML_KEM_768);
    let (sent, secret) = send(&session, kem.public);
    drop(session);
    first.finalize();
    let bundle = demo.dir().join("one.bundle").display().to_string();
    let shares = demo.dir().join(opens).display().to_string();
    if opens != "shares" {
        let old = demo.dir().join("shares").display().to_string();
        let rotated = demo.report(&["kek", "rotate", "--shares", &old, "--shares-dir", &shares]);
        let all = signers.len() + 1;
        assert_eq!((&rotated["finished"], &rotated["rewrapped"]), (&true.into(), &all.into()));
    }
    demo.report(&["backup", "run", "--commit", "--out", &bundle]);
    for gone in ["members", "state"] {
        fs::remove_dir_all(demo.dir().join(gone)).expect("a folder");
    }

    let new = Demo::unpaired(&kryoptic(), &demo.dir().join("new"));
    new.report(&["restore", &bundle, "--shares", &shares]);
    assert_eq!(new.report(&["verify"])["verified"], true);
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", new.config()) };
    let (_second, session) = application();
    for (signer, published) in signers.iter().zip(published) {
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(signer.key_type),
            Attribute::Token(false),
            Attribute::Verify(true),
            Attribute::ParameterSet(signer.set),
            Attribute::Value(published),
        ];
        let known = session.create_object(&template).expect("the key that everybody knows");
        let private = find(&session, signer.name).private;
        let judge = Pair { public: known, private };
        signs(signer, (&session, judge), (&session, judge));
    }
    let kem = find(&session, "kem");
    assert_eq!(receive(&session, kem.private, &sent), secret, "what was sent before the fire");
}

#[test]
fn nothing_passes_through_the_host_that_may_not() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        let (_application, session) = application();
        let (name, set, _) = KEMS[1];
        let named = [Attribute::Token(true), Attribute::Id(name.into())];
        let public = [&named[..], &[Attribute::ParameterSet(set.into())]].concat();
        let (made, said) =
            demo.logged(|| session.generate_key_pair(&Mechanism::MlKemKeyPairGen, &public, &named));
        assert_eq!(rv(made), RvError::KeyNotWrappable);
        assert!(said.iter().any(|line| line.contains("allow_host_keygen = true")), "{said:?}");
        for member in ["a", "b"] {
            let found = demo.direct(member).find_objects(&named[1..]).expect("a search");
            assert!(found.is_empty(), "{member} holds half of a key");
        }
        // Keys of a session stay where they are made.
        let public = [Attribute::ParameterSet(set.into())];
        let made = session.generate_key_pair(&Mechanism::MlKemKeyPairGen, &public, &[]);
        let (public, private) = made.expect("a session's pair");
        sends(name, (&session, Pair { public, private }), (&session, Pair { public, private }));
    });
}

#[test]
fn a_member_that_has_no_such_keys_hides_them() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |_| {
        let application = initialised();
        let session = application.log_in();
        let public = [Attribute::ParameterSet(MlKemParameterSetType::ML_KEM_768.into())];
        let made = session.generate_key_pair(&Mechanism::MlKemKeyPairGen, &public, &[]);
        assert_eq!(rv(made), RvError::MechanismInvalid);
    });
}
