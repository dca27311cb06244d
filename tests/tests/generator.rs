//! A generator makes the keys that the other members hold, and no other member makes any while it counts.

use cryptoki::error::RvError;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::{Demo, Vendor, Wanted, alone, application, refused};

use Vendor::{Kryoptic, SoftHsm};

/// What SoftHSM and Kryoptic make for each other.
const KINDS: [Kind; 4] = [Kind::Rsa(2048), Kind::P256, Kind::Aes(32), Kind::Generic(32)];

/// What SoftHSM holds and can't make for others: it pads such a secret when it wraps it.
const ODD: Kind = Kind::Generic(20);

fn name_of(kind: Kind) -> String {
    format!("key {kind}")
}

fn make(session: &Session, kind: Kind) -> Made {
    kind.make(session, &name_of(kind)).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn works(session: &Session, kind: Kind, made: Made) {
    let result = kind.work(session, made).unwrap_or_else(|error| panic!("{kind}: {error}"));
    if let Some(public) = kind.public(session, made) {
        assert!(public.verifies(&DIGEST, &result), "{kind}");
    }
}

/// What a member's own module shows of Tandem's applications' objects.
fn names_on(demo: &Demo, member: &str) -> usize {
    let direct = demo.direct(member);
    let on = |kind: &Kind| {
        let id = Attribute::Id(name_of(*kind).as_str().into());
        direct.find_objects(&[id]).expect("a search").len()
    };
    KINDS.iter().chain([&ODD]).map(on).sum()
}

fn member(demo: &Demo, name: &str) -> Value {
    let members = demo.report(&["status"])["tokens"][0]["members"].clone();
    let found = members.as_array().expect("members").iter().find(|line| line["name"] == name);
    found.expect("a member of this name").clone()
}

/// The command is done.
#[track_caller]
fn done(demo: &Demo, arguments: &[&str]) {
    let output = demo.tandem(arguments);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "tandem {arguments:?}: {}", String::from_utf8_lossy(&said));
}

/// The command is not done, and says this.
#[track_caller]
fn not_done(demo: &Demo, arguments: &[&str], says: &str) {
    let output = demo.tandem(arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!output.status.success() && said.contains(says), "tandem {arguments:?}: {said}");
}

fn shares(demo: &Demo) -> String {
    demo.dir().join("shares").display().to_string()
}

/// Tries until it is done: a member that has just come back is left alone for a moment.
fn in_time<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < until, "{what}: not within a minute");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Puts an empty token in the place of a member's own.
fn empty(demo: &Demo, members: &[Vendor], name: &str) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fresh = Demo::unpaired(&Wanted::over(members), dir.path());
    for file in ["tokens", "token.sql"] {
        let (old, new) = (demo.storage(name).join(file), fresh.storage(name).join(file));
        let _ = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
        if new.exists() {
            fs::rename(new, old).expect("a token");
        }
    }
}

#[test]
fn keys_of_a_kryoptic_generator_stand_on_softhsm_alone() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]).with_generator("b"), |demo| {
        stand_on_the_others(demo, &[&KINDS[..], &[ODD]].concat());
    });
}

#[test]
fn keys_of_a_softhsm_generator_stand_on_kryoptic_alone() {
    alone(&Wanted::over(&[Kryoptic, SoftHsm]).with_generator("b"), |demo| {
        stand_on_the_others(demo, &KINDS);
        // The other could make it, and is not asked.
        let (_application, session) = application();
        assert!(ODD.make(&session, "odd").is_err());
    });
}

fn stand_on_the_others(demo: &Demo, kinds: &[Kind]) {
    {
        let (_application, session) = application();
        for kind in kinds {
            works(&session, *kind, make(&session, *kind));
        }
        session.generate_random_vec(32).expect("C_GenerateRandom");
        session.seed_random(b"a seed").expect("C_SeedRandom");
    }
    let pairs = kinds.iter().filter(|kind| kind.class() == ObjectClass::PRIVATE_KEY).count();
    assert_eq!(names_on(demo, "a"), kinds.len() + pairs);
    assert_eq!(names_on(demo, "b"), 0, "nothing stands on the generator");

    let verified = demo.report(&["verify"]);
    assert_eq!(verified["verified"], true, "{verified:#}");
    for object in verified["objects"].as_array().expect("objects") {
        let replicas = object["replicas"].as_array().expect("replicas");
        let on: Vec<_> = replicas.iter().map(|it| (&it["member"], &it["state"])).collect();
        assert_eq!(on, [(&Value::from("a"), &Value::from("proven"))], "{object:#}");
    }
    let generator = member(demo, "b");
    assert_eq!(
        (&generator["role"], &generator["condition"], &generator["behind"], &generator["proven"]),
        (&"generator".into(), &"up".into(), &0.into(), &0.into())
    );
    assert_eq!(demo.report(&["reconcile", "--plan"])["steps"].as_array().unwrap().len(), 0);
    done(demo, &["doctor"]);
    let head = demo.report(&["log", "check"])["heads"].clone();
    assert!(
        head.as_array().expect("heads").iter().all(|it| it["verdict"] == "holds"),
        "the generator knows where the log ends: {head}"
    );
}

#[test]
fn only_the_generator_makes_keys() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic, SoftHsm]).with_generator("c"), |demo| {
        let (_application, session) = application();
        make(&session, Kind::P256);
        // Kryoptic could make it for all.
        assert!(ODD.make(&session, "odd").is_err());
        done(demo, &["member", "drain", "c"]);
        works(&session, ODD, make(&session, ODD));
        works(&session, Kind::Rsa(2048), make(&session, Kind::Rsa(2048)));
        done(demo, &["member", "enable", "c"]);
        in_time("the generator makes keys again", || Kind::P256.make(&session, "again").ok());
        assert!(ODD.make(&session, "odd").is_err());

        // Others can't be spared for it.
        done(demo, &["member", "drain", "a"]);
        not_done(demo, &["member", "drain", "b"], "the last member that isn't drained");
        done(demo, &["member", "enable", "a"]);
        done(demo, &["verify"]);
        done(demo, &["member", "remove", "c", "--wipe"]);
        ODD.make(&session, "odd").expect("a key that Kryoptic makes");
        done(demo, &["member", "add", "c", "--shares", &shares(demo)]);
        assert!(ODD.make(&session, "odd").is_err(), "it counts from now on");
        in_time("the one that was added makes keys", || Kind::P256.make(&session, "added").ok());
        done(demo, &["verify"]);
    });
}

#[test]
fn while_the_generator_is_away_none_are_made_and_all_else_goes_on() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]).with_generator("b"), |demo| {
        let (application, session) = application();
        let made = make(&session, Kind::P256);
        demo.take_away("b");
        // Kryoptic notices when it is next started.
        drop((session, application));
        let (_application, session) = tandem_tests::application();
        let (failed, lines) = demo.logged(|| {
            let failed = Kind::P256.make(&session, "not made");
            refused("a pair", failed, &[RvError::DeviceRemoved]);
            Kind::Aes(32).make(&session, "not made")
        });
        refused("a key", failed, &[RvError::DeviceRemoved]);
        assert!(lines.iter().any(|line| line.contains("tandem member drain b")), "{lines:?}");
        // One of a session would be no better.
        let template = [Attribute::ValueLen(32.into()), Attribute::Encrypt(true)];
        let key = session.generate_key(&Mechanism::AesKeyGen, &template);
        refused("a session key", key, &[RvError::DeviceRemoved]);

        works(&session, Kind::P256, Kind::P256.find(&session, &name_of(Kind::P256)).expect("it"));
        assert_ne!(session.generate_random_vec(16).expect("C_GenerateRandom"), [0; 16]);
        let imported = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(cryptoki::object::KeyType::AES),
            Attribute::Token(true),
            Attribute::Value(vec![7; 32]),
            Attribute::Encrypt(true),
        ];
        let imported = session.create_object(&imported).expect("a key that was brought");
        session.encrypt(&Mechanism::AesEcb, imported, &DIGEST).expect("C_Encrypt");
        assert!(!demo.tandem(&["doctor"]).status.success());
        done(demo, &["verify"]);

        demo.bring_back("b");
        in_time("the generator is back", || Kind::P256.make(&session, "made again").ok());
        let _ = made;
    });
}

#[test]
fn session_keys_leave_the_generator() {
    let wanted = Wanted::over(&[SoftHsm, Kryoptic]).with_generator("b");
    alone(&wanted.with("session_objects=pinned"), |demo| {
        let (_application, session) = application();
        let key = [
            Attribute::ValueLen(32.into()),
            Attribute::Encrypt(true),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ];
        let key = session.generate_key(&Mechanism::AesKeyGen, &key).expect("a session key");
        let text = session.encrypt(&Mechanism::AesEcb, key, &DIGEST).expect("C_Encrypt");
        let copy = [Attribute::Token(true), Attribute::Label("copy".into())];
        let copy = session.copy_object(key, &copy).expect("C_CopyObject");
        assert_eq!(session.encrypt(&Mechanism::AesEcb, copy, &DIGEST).expect("C_Encrypt"), text);
        let pair = session.generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[Attribute::EcParams(tandem_tests::keys::P256.to_vec()), Attribute::Verify(true)],
            &[Attribute::Sign(true)],
        );
        let (public, private) = pair.expect("a session pair");
        let signature = session.sign(&Mechanism::Ecdsa, private, &DIGEST).expect("C_Sign");
        session.verify(&Mechanism::Ecdsa, public, &DIGEST, &signature).expect("C_Verify");
        done(demo, &["verify"]);
    });
}

#[test]
fn the_generator_says_what_keys_can_be_made() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]).with_generator("b"), |demo| {
        let shown = || {
            let (application, _session) = application();
            let slots = application.get_slots_with_token().expect("slots");
            application.get_mechanism_list(slots[0]).expect("mechanisms")
        };
        let with = shown();
        assert!(with.contains(&MechanismType::ECC_KEY_PAIR_GEN), "{with:?}");
        // SoftHSM makes such keys, Kryoptic doesn't.
        assert!(!with.contains(&MechanismType::DES3_KEY_GEN), "{with:?}");
        done(demo, &["member", "drain", "b"]);
        assert!(shown().contains(&MechanismType::DES3_KEY_GEN));
    });
}

#[test]
fn a_generator_is_replaced_by_an_empty_token() {
    const MEMBERS: [Vendor; 2] = [Kryoptic, SoftHsm];
    alone(&Wanted::over(&MEMBERS).with_generator("b"), |demo| {
        {
            let (_application, session) = application();
            make(&session, Kind::P256);
        }
        empty(demo, &MEMBERS, "b");
        {
            let (_application, session) = application();
            let failed = Kind::P256.make(&session, "not made");
            refused("with another token", failed, &[RvError::DeviceRemoved]);
            done(demo, &["member", "replace", "b", "--shares", &shares(demo)]);
            in_time("the new one makes keys", || Kind::Rsa(2048).make(&session, "new").ok());
        }
        done(demo, &["verify"]);
        assert_eq!(names_on(demo, "b"), 0);
        not_done(demo, &["member", "remove", "a"], "is its last member");
        done(demo, &["member", "remove", "b"]);
        let (_application, session) = application();
        works(&session, ODD, make(&session, ODD));
    });
}

#[test]
fn everything_is_restored_onto_new_tokens_the_generator_among_them() {
    const MEMBERS: [Vendor; 2] = [SoftHsm, Kryoptic];
    alone(&Wanted::over(&MEMBERS).with_generator("b"), |demo| {
        done(demo, &["keys", "generate", "--count", "2", "--type", "ec:p256", "--label", "old"]);
        let bundle = demo.dir().join("one.bundle").display().to_string();
        done(demo, &["backup", "run", "--commit", "--out", &bundle]);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let new = Demo::unpaired(&Wanted::over(&MEMBERS), dir.path());
        new.give_role("b", "generator");
        let restored = new.report(&["restore", &bundle, "--shares", &shares(demo)]);
        assert_eq!(restored["members"].as_array().map(Vec::len), Some(2), "{restored}");
        done(&new, &["keys", "generate", "--count", "1", "--type", "ec:p256", "--label", "new"]);
        assert_eq!(new.report(&["verify"])["verified"], true);
        let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        let on = |member| new.direct(member).find_objects(&private).expect("a search").len();
        assert_eq!((on("a"), on("b")), (3, 0));
    });
}
