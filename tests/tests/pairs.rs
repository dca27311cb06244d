//! A key made through Tandem is one key, on every member: found and used there with nothing but the vendor's module, and
//! gone from everywhere when it is destroyed.

use cryptoki::error::RvError;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use std::collections::BTreeSet;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Demo, Direct, Vendor, Wanted, alone, application, refused};

use Vendor::{Kryoptic, SoftHsm};

/// What every pair of members can hold.
const COMMON: [Kind; 9] = [
    Kind::Rsa(2048),
    Kind::Rsa(4096),
    Kind::P256,
    Kind::P384,
    Kind::Aes(16),
    Kind::Aes(32),
    Kind::Generic(24),
    Kind::Generic(32),
    Kind::Generic(64),
];

#[test]
fn two_softhsm_members_hold_the_same_keys() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        keys_are_the_same(demo, &COMMON);
        // SoftHSM pads such a secret when it wraps it, so that it would come out another.
        keys_are_refused(demo, &[Kind::Ed25519, Kind::Generic(20)]);
    });
}

#[test]
fn a_softhsm_and_a_kryoptic_member_hold_the_same_keys() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| {
        keys_are_the_same(demo, &COMMON);
        keys_are_refused(demo, &[Kind::Ed25519]);
    });
}

#[test]
fn two_kryoptic_members_hold_the_same_keys_ed25519_among_them() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        keys_are_the_same(demo, &[&COMMON[..], &[Kind::Ed25519, Kind::Generic(20)]].concat());
    });
}

/// A key, what is known of it, and what it did through Tandem.
struct Kept {
    kind: Kind,
    name: String,
    public: Option<PublicKey>,
    result: Vec<u8>,
}

fn keys_are_the_same(demo: &Demo, kinds: &[Kind]) {
    let before: Vec<_> =
        demo.members().iter().map(|(name, _)| objects(&demo.direct(name))).collect();
    let kept = make(kinds);

    // Each member by its own vendor's module.
    for (member, _) in demo.members() {
        let direct = demo.direct(member);
        for kept in &kept {
            let made = kept.kind.find(&direct, &kept.name).expect("the key is on every member");
            check(&direct, kept, made, &format!("{member} directly"));
            is_locked(&direct, made.key);
        }
    }

    // Each member alone, through Tandem.
    for (member, _) in demo.members() {
        let others = || demo.members().into_iter().filter(move |(other, _)| *other != member);
        others().for_each(|(other, _)| demo.take_away(other));
        let (application, session) = application();
        for kept in &kept {
            let made = kept.kind.find(&session, &kept.name).expect("the key is in the catalogue");
            check(&session, kept, made, &format!("Tandem with only {member}"));
        }
        drop(session);
        application.finalize();
        others().for_each(|(other, _)| demo.bring_back(other));
    }

    destroy(&kept);
    for ((member, _), before) in demo.members().iter().zip(before) {
        assert_eq!(objects(&demo.direct(member)), before, "{member} holds what it held before");
    }
    show(demo, &kept);
}

/// Makes keys and works with each.
fn make(kinds: &[Kind]) -> Vec<Kept> {
    let (_application, session) = application();
    let make = |kind: &Kind| {
        let name = format!("key {kind}");
        let made = kind.make(&session, &name).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let result = kind.work(&session, made).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let kept = Kept { kind: *kind, name, public: kind.public(&session, made), result };
        check(&session, &kept, made, "Tandem");
        kept
    };
    kinds.iter().map(make).collect()
}

/// The key is the one that was made: the same public part, and a signature that OpenSSL verifies under it; or the same
/// result for the same input.
fn check(session: &Session, kept: &Kept, made: Made, place: &str) {
    let what = format!("{} on {place}", kept.kind);
    assert_eq!(kept.kind.public(session, made), kept.public, "{what}: the public key");
    let result = kept.kind.work(session, made).unwrap_or_else(|error| panic!("{what}: {error}"));
    match &kept.public {
        Some(public) => {
            assert!(public.verifies(&DIGEST, &result), "{what}: OpenSSL refuses the signature");
            let mut other = DIGEST;
            other[0] ^= 1;
            assert!(!public.verifies(&other, &result), "{what}: OpenSSL takes any data");
        }
        None => assert_eq!(result, kept.result, "{what}: the result"),
    }
}

/// A replica never leaves its member.
fn is_locked(direct: &Direct, key: ObjectHandle) {
    let flags = [AttributeType::Sensitive, AttributeType::Extractable];
    let read = direct.get_attributes(key, &flags).expect("flags");
    assert!(
        matches!(read.as_slice(), [Attribute::Sensitive(true), Attribute::Extractable(false)]),
        "a replica is not locked: {read:?}"
    );
}

/// What a member holds, by class, id and label.
fn objects(direct: &Direct) -> BTreeSet<String> {
    let kinds = [AttributeType::Class, AttributeType::Id, AttributeType::Label];
    let found = direct.find_objects(&[]).expect("a search");
    found.into_iter().map(|object| format!("{:?}", direct.get_attributes(object, &kinds))).collect()
}

fn destroy(kept: &[Kept]) {
    let (_application, session) = application();
    for kept in kept {
        let made = kept.kind.find(&session, &kept.name).expect("the key is still there");
        for object in made.public.into_iter().chain([made.key]) {
            session.destroy_object(object).expect("C_DestroyObject");
        }
    }
}

/// What one of the members can't take is made nowhere.
fn keys_are_refused(demo: &Demo, kinds: &[Kind]) {
    let before: Vec<_> =
        demo.members().iter().map(|(name, _)| objects(&demo.direct(name))).collect();
    let (application, session) = application();
    for kind in kinds {
        let answer = kind.make(&session, "never made");
        let told = [RvError::MechanismInvalid, RvError::KeyNotWrappable];
        refused(&format!("{kind}"), answer, &told);
        assert!(
            kind.find(&session, "never made").is_none(),
            "{kind}: half of it is in the catalogue"
        );
        println!("| {} | {kind} | refused |", pair(demo));
    }
    drop(session);
    application.finalize();
    let log = demo.log();
    assert!(log.lines().any(|line| line.contains("member a")), "the log names the member: {log}");
    for ((member, _), before) in demo.members().iter().zip(before) {
        assert_eq!(objects(&demo.direct(member)), before, "{member} holds what it held before");
    }
}

fn pair(demo: &Demo) -> String {
    let vendors = demo.members().into_iter().map(|(_, vendor)| vendor.to_string());
    vendors.collect::<Vec<_>>().join(" + ")
}

fn show(demo: &Demo, kept: &[Kept]) {
    for kept in kept {
        println!(
            "| {} | {} | made, the same on each member, used on each alone, destroyed everywhere |",
            pair(demo),
            kept.kind
        );
    }
}
