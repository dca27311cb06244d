//! `mechanisms = "any"`: a key that only some members can hold lives on those, is counted by those, and comes to a member that takes
//! the place of one that could not. SoftHSM has no post-quantum keys, and takes no Ed25519 key from anywhere.

use cryptoki::error::RvError;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{
    Attribute, AttributeType, MlDsaParameterSetType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use serde_json::{Value, json};
use std::fs;
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, Vendor, Wanted, alone, application, number, refused, rv};

use Vendor::Kryoptic;

/// SoftHSM as `a`, Kryoptic as `b`.
fn any() -> Wanted {
    Wanted::mixed().with("mechanisms=any").with("allow_host_keygen=true")
}

const DATA: &[u8] = b"what is signed";

fn ml_dsa() -> Mechanism<'static> {
    Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None))
}

/// Makes an ML-DSA-65 key.
fn make(session: &Session, name: &str) -> Result<ObjectHandle, cryptoki::error::Error> {
    let named = [Attribute::Token(true), Attribute::Label(name.into()), Attribute::Id(name.into())];
    let set = Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_65.into());
    let public = [&named[..], &[set, Attribute::Verify(true)]].concat();
    let private = [&named[..], &[Attribute::Private(true), Attribute::Sign(true)]].concat();
    Ok(session.generate_key_pair(&Mechanism::MlDsaKeyPairGen, &public, &private)?.1)
}

fn find(session: &Session, class: ObjectClass, name: &str) -> Option<ObjectHandle> {
    let wanted = [Attribute::Class(class), Attribute::Id(name.into())];
    let found = session.find_objects(&wanted).expect("a search");
    assert!(found.len() < 2, "{name} is there {} times", found.len());
    found.first().copied()
}

/// What one session signs with the key of this name another verifies.
fn signs(by: &Session, judge: &Session, name: &str) {
    let private = find(by, ObjectClass::PRIVATE_KEY, name).expect("a private key");
    let public = find(judge, ObjectClass::PUBLIC_KEY, name).expect("a public key");
    let signature = by.sign(&ml_dsa(), private, DATA).expect("a signature");
    assert_eq!(signature.len(), 3309, "FIPS 204 table 2");
    judge.verify(&ml_dsa(), public, DATA, &signature).expect("a good signature");
    let wrong = judge.verify(&ml_dsa(), public, b"other data", &signature);
    refused("other data", wrong, &[RvError::SignatureInvalid]);
}

/// CKA_TANDEM_REPLICAS.
fn replicas(session: &Session, key: ObjectHandle) -> u64 {
    number(session, key, AttributeType::VendorDefined(0x9444_0006))
}

fn status(demo: &Demo) -> Value {
    demo.report(&["status"])["tokens"][0].clone()
}

/// What `tandem status` says is beyond a member: how many objects, and why.
fn beyond(demo: &Demo, member: usize) -> Vec<(u64, String)> {
    let lines = status(demo)["members"][member]["beyond"].clone();
    let told = |line: &Value| {
        (
            line["objects"].as_u64().expect("a number"),
            line["reason"].as_str().expect("a text").into(),
        )
    };
    lines.as_array().expect("a list").iter().map(told).collect()
}

/// On which members an object is, as `tandem keys` says.
fn states(demo: &Demo, name: &str, class: &str) -> Vec<String> {
    let objects = demo.report(&["keys"])["objects"].clone();
    let is_meant = |object: &&Value| object["label"] == name && object["class"] == class;
    let found = objects.as_array().expect("objects").iter().find(is_meant).cloned();
    let replicas = found.expect("the object")["replicas"].clone();
    let state = |replica: &Value| replica["state"].as_str().expect("a text").to_owned();
    replicas.as_array().expect("replicas").iter().map(state).collect()
}

#[test]
fn a_key_lives_on_the_members_that_can_hold_it() {
    alone(&any(), |demo| {
        let (first, session) = application();
        let offered = first.get_mechanism_list(first.slot).expect("mechanisms");
        assert!(offered.contains(&MechanismType::ML_DSA_KEY_PAIR_GEN), "{offered:?}");
        let common = Kind::P256.make(&session, "common").expect("a key of all members").key;
        let apart = make(&session, "apart").expect("a key of one member");
        signs(&session, &session, "apart");
        assert_eq!((replicas(&session, common), replicas(&session, apart)), (2, 1));

        let direct = demo.direct("b");
        signs(&session, &direct, "apart");
        signs(&direct, &session, "apart");
        let wanted = [Attribute::Id(b"apart".into())];
        assert!(demo.direct("a").find_objects(&wanted).expect("a search").is_empty());
        drop((direct, session));
        first.finalize();

        // It is counted where it is, and nobody is behind or has failed.
        let told = status(demo);
        for member in 0..2 {
            assert_eq!(told["members"][member]["behind"], 0, "{told}");
            assert_eq!(told["members"][member]["exceptions"], json!([]), "{told}");
            assert_eq!(told["members"][member]["condition"], "up", "{told}");
        }
        assert_eq!(
            (told["members"][0]["proven"].as_u64(), told["members"][1]["proven"].as_u64()),
            (Some(2), Some(4))
        );
        let why = "it has no mechanism for keys of type CKK_ML_DSA".to_owned();
        assert_eq!((beyond(demo, 0), beyond(demo, 1)), (vec![(2, why)], vec![]));
        assert_eq!(
            told["apart"],
            json!([{ "key_type": "ml-dsa:65", "members": ["b"], "objects": 2 }])
        );
        assert_eq!(states(demo, "apart", "private"), ["beyond", "proven"]);
        assert_eq!(states(demo, "common", "private"), ["proven", "proven"]);
        assert_eq!(demo.report(&["verify"])["verified"], true);
        assert_eq!(
            demo.report(&["reconcile"])["steps"],
            json!([]),
            "nothing is to be brought to a"
        );
        let doctor = demo.tandem(&["doctor"]);
        let said = String::from_utf8_lossy(&doctor.stdout).replace('\n', " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(doctor.status.success(), "it is as the operator wants it: {said}");
        for part in ["ml-dsa:65 that are beyond a: 2, on b alone", "tandem member replace NAME"] {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }

        // The only member that holds it is not taken out.
        let removed = demo.tandem(&["member", "remove", "b"]);
        assert!(
            !removed.status.success() && String::from_utf8_lossy(&removed.stderr).contains("apart")
        );
    });
}

#[test]
fn its_work_goes_on_as_long_as_one_of_them_is_there() {
    alone(&any(), |demo| {
        let (first, session) = application();
        make(&session, "apart").expect("a key of one member");
        let common = Kind::P256.make(&session, "common").expect("a key of all members");
        drop(session);
        first.finalize();
        let with = |away: &str, work: &dyn Fn(&Session)| {
            demo.take_away(away);
            let (application, session) = application();
            work(&session);
            drop(session);
            application.finalize();
            demo.bring_back(away);
        };
        with("a", &|session| signs(session, session, "apart"));
        with("b", &|session| {
            let private = find(session, ObjectClass::PRIVATE_KEY, "apart").expect("it is listed");
            assert_eq!(rv(session.sign(&ml_dsa(), private, DATA)), RvError::DeviceError);
            assert_eq!(rv(make(session, "another")), RvError::DeviceError);
            Kind::P256.work(session, common).expect("a signature");
        });
        let (_second, session) = application();
        signs(&session, &session, "apart");
        // What is destroyed is beyond nobody any more.
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            let key = find(&session, class, "apart").expect("a key");
            session.destroy_object(key).expect("a destroyed key");
        }
        assert_eq!(beyond(demo, 0), vec![]);
        assert!(find(&demo.direct("b"), ObjectClass::PRIVATE_KEY, "apart").is_none());
    });
}

#[test]
fn a_member_that_takes_the_place_of_one_that_could_not_is_brought_the_keys() {
    alone(&any(), |demo| {
        let (first, session) = application();
        make(&session, "apart").expect("a key of one member");
        Kind::P256.make(&session, "common").expect("a key of all members");
        drop(session);
        first.finalize();
        let spare = Demo::unpaired(&Wanted::over(&[Kryoptic]), &demo.dir().join("spare"));
        let its = fs::read_to_string(spare.config()).expect("its tandem.toml");
        demo.configure(|text| text.replacen(section(&text, "a"), section(&its, "a"), 1));
        let shares = demo.dir().join("shares").display().to_string();
        let replaced = demo.report(&["member", "replace", "a", "--shares", &shares]);
        assert_eq!((&replaced["exceptions"], &replaced["beyond"]), (&json!([]), &json!([])));
        assert_eq!(states(demo, "apart", "private"), ["proven", "proven"]);
        assert_eq!(status(demo)["apart"], json!([]));
        assert_eq!(demo.report(&["verify"])["verified"], true);
        demo.take_away("b");
        let (_second, session) = application();
        signs(&session, &session, "apart");
        let key = find(&session, ObjectClass::PRIVATE_KEY, "apart").expect("a key");
        assert_eq!(replicas(&session, key), 2);
        make(&session, "another").expect("a key of one member");
    });
}

#[test]
fn ed25519_lives_on_the_member_that_can_be_brought_it() {
    alone(&Wanted::mixed().with("mechanisms=any"), |demo| {
        let (first, session) = application();
        let key = Kind::Ed25519.make(&session, "edwards").expect("a key of one member");
        let signature = Kind::Ed25519.work(&session, key).expect("a signature");
        assert_eq!((signature.len(), replicas(&session, key.key)), (64, 1));
        let direct = demo.direct("b");
        let there = Kind::Ed25519.find(&direct, "edwards").expect("it is on b");
        assert_eq!(Kind::Ed25519.work(&direct, there).expect("a signature"), signature);
        assert!(Kind::Ed25519.find(&demo.direct("a"), "edwards").is_none());
        drop((direct, session));
        first.finalize();
        assert_eq!(states(demo, "edwards", "private"), ["beyond", "proven"]);
        // A member can hold the public half.
        assert_eq!(states(demo, "edwards", "public"), ["proven", "proven"]);
        let told = beyond(demo, 0);
        assert!(matches!(&told[..], [(1, why)] if why.starts_with("ed25519 ")), "{told:?}");
        assert_eq!(demo.report(&["verify"])["verified"], true);
        demo.take_away("a");
        let (_second, session) = application();
        let key = Kind::Ed25519.find(&session, "edwards").expect("a key");
        assert_eq!(Kind::Ed25519.work(&session, key).expect("a signature"), signature);
    });
}

#[test]
fn a_key_that_lives_on_demand_is_used_where_it_can_be() {
    alone(&any().with("hold=on-demand").with("balance=round-robin"), |demo| {
        let (first, session) = application();
        make(&session, "apart").expect("a key of one member");
        let common = Kind::P256.make(&session, "common").expect("a key of all members");
        for _ in 0..8 {
            signs(&session, &session, "apart");
            Kind::P256.work(&session, common).expect("a signature");
        }
        let key = find(&session, ObjectClass::PRIVATE_KEY, "apart").expect("a key");
        assert_eq!((replicas(&session, key), replicas(&session, common.key)), (1, 2));
        drop(session);
        first.finalize();
        assert_eq!(states(demo, "apart", "private"), ["beyond", "on-demand"]);
        assert_eq!(demo.report(&["verify"])["verified"], true);
        assert_eq!(states(demo, "common", "private"), ["on-demand", "on-demand"]);
    });
}

#[test]
fn too_few_members_for_min_replicas_make_no_such_key() {
    alone(&any(), |demo| {
        let policy = "[token.policy]\nmin_replicas = 2\n\n[[token.member]]";
        demo.configure(|text| text.replacen("[[token.member]]", policy, 1));
        let (_application, session) = application();
        assert_eq!(rv(make(&session, "apart")), RvError::KeyNotWrappable);
        let told = "1 of its members can hold keys of this kind and min_replicas = 2";
        assert!(demo.log().contains(told), "{}", demo.log());
        Kind::P256.make(&session, "common").expect("a key of all members");
    });
}

#[test]
fn everything_comes_back_from_a_bundle_to_members_that_differ() {
    alone(&any(), |demo| {
        let (first, session) = application();
        make(&session, "apart").expect("a key of one member");
        Kind::P256.make(&session, "common").expect("a key of all members");
        drop(session);
        first.finalize();
        let bundle = demo.dir().join("one.bundle").display().to_string();
        let shares = demo.dir().join("shares").display().to_string();
        demo.report(&["backup", "run", "--commit", "--out", &bundle]);
        let objects = demo.report(&["keys"])["objects"].clone();
        assert!(objects.as_array().expect("objects").iter().all(|it| it["backed_up"] == true));
        for gone in ["members", "state"] {
            fs::remove_dir_all(demo.dir().join(gone)).expect("a folder");
        }
        let new = Demo::unpaired(&any(), &demo.dir().join("new"));
        new.report(&["restore", &bundle, "--shares", &shares]);
        assert_eq!(new.report(&["verify"])["verified"], true);
        assert_eq!(states(&new, "apart", "private"), ["beyond", "proven"]);
        // SAFETY: no other thread of this program reads the environment now.
        unsafe { std::env::set_var("TANDEM_CONFIG", new.config()) };
        let (_second, session) = application();
        signs(&session, &session, "apart");
    });
}

#[test]
fn a_backup_token_says_what_it_can_not_hold() {
    alone(&any().with_backup_token(Vendor::SoftHsm), |demo| {
        let (first, session) = application();
        make(&session, "apart").expect("a key of one member");
        Kind::P256.make(&session, "common").expect("a key of all members");
        drop(session);
        first.finalize();
        let shares = demo.dir().join("shares").display().to_string();
        let run =
            demo.tandem(&["backup", "run", "--commit", "--to", "backup", "--shares", &shares]);
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(
            said.contains("backup does not hold it"),
            "{said}{}",
            String::from_utf8_lossy(&run.stderr)
        );
        let objects = demo.report(&["keys"])["objects"].clone();
        for object in objects.as_array().expect("objects") {
            assert_eq!(object["backed_up"], object["label"] == "common", "{object}");
        }
    });
}

/// A member's section of a tandem.toml.
fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let named = text.find(&format!("name = \"{name}\"")).expect("a section of this name");
    let begin = text[..named].rfind("[[token.member]]").expect("its head");
    let end = text[named..].find("\n[").map_or(text.len(), |end| named + end);
    &text[begin..end]
}
