//! KEKs that are not what they should be on a member. A login, and work with keys that members hold, needs none of them; where one is
//! used for the first time it is noticed before anything is wrapped or opened under it.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use std::thread::sleep;
use std::time::Duration;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Vendor, Wanted, alone, application, value};

/// CKA_ID of the keys of a ring.
const RING_ID: &[u8] = b"tandem key ring";
/// By then a member that is down was tried again.
const BACK_OFF: Duration = Duration::from_secs(4);

/// What is done to the KEK for private keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Gone,
    /// In its place is a key of somebody's own, which looks like it.
    Another,
}

fn spoil(demo: &Demo, member: &str, deed: Deed) {
    let direct = demo.direct(member);
    let ring = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Id(RING_ID.to_vec())];
    let found = direct.find_objects(&ring).expect("a search");
    let label_of = |kek| value(&direct, kek, AttributeType::Label);
    let is_it = |kek: &&_| label_of(**kek).ends_with(b":private");
    let kek = *found.iter().find(is_it).expect("the KEK for private keys");
    let label = label_of(kek);
    direct.destroy_object(kek).expect("C_DestroyObject");
    if deed == Deed::Another {
        let flags = [Attribute::Token(true), Attribute::Private(true), Attribute::Sensitive(true)];
        let usage = [Attribute::Wrap(true), Attribute::Unwrap(true), Attribute::Decrypt(true)];
        let name = [
            Attribute::Id(RING_ID.to_vec()),
            Attribute::Label(label),
            Attribute::ValueLen(32.into()),
        ];
        let template = [&flags[..], &usage, &name].concat();
        direct.generate_key(&Mechanism::AesKeyGen, &template).expect("a key of somebody's own");
    }
}

fn works(session: &Session, name: &str) {
    let made = Kind::P256.find(session, name).expect("a key");
    let public = Kind::P256.public(session, made).expect("a public key");
    let signature = Kind::P256.work(session, made).expect("a signature");
    assert!(public.verifies(&DIGEST, &signature));
}

/// How many private keys a member holds, as its own vendor's module shows.
fn private_keys(demo: &Demo, member: &str) -> usize {
    let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    demo.direct(member).find_objects(&wanted).expect("a search").len()
}

fn is_noticed_at_its_first_use(demo: &Demo, member: &str, deed: Deed) {
    let why = match deed {
        Deed::Gone => "private key missing",
        Deed::Another => "is another key: somebody put it there",
    };
    let down = format!("member {member} is down");
    {
        let (application, session) = application();
        Kind::P256.make(&session, "before").expect("a key");
        drop(session);
        application.finalize();
    }
    spoil(demo, member, deed);

    let (application, session) = application();
    let ((), said) = demo.logged(|| works(&session, "before"));
    assert!(said.is_empty(), "no KEK is needed for a key that members hold: {said:?}");
    let (made, said) = demo.logged(|| Kind::P256.make(&session, "after"));
    made.expect("the other member holds it");
    let told: Vec<_> = said.iter().filter(|line| line.contains(&down)).collect();
    assert!(told.len() == 1 && told[0].contains(why), "{said:?}");
    assert_eq!(private_keys(demo, member), 1, "nothing was opened there");

    // It is not taken for well again as long as that is so, and the other does all the work.
    let ((), said) = demo.logged(|| {
        sleep(BACK_OFF);
        works(&session, "before");
        works(&session, "after");
    });
    assert!(!said.iter().any(|line| line.contains(&down)), "it did not come back: {said:?}");
    let log = demo.log();
    assert!(!log.contains(&format!("member {member} is up again")), "{log}");
    drop(session);
    application.finalize();

    // The doctor looks at all of them.
    let report = demo.report(&["doctor"]);
    let subject = format!("token demo, member {member}");
    let findings = report["findings"].as_array().expect("findings");
    let is_it = |finding: &&serde_json::Value| {
        finding["subject"] == subject.as_str()
            && finding["verdict"] == "wrong"
            && finding["found"].as_str().is_some_and(|found| found.contains(why))
    };
    assert!(findings.iter().any(|finding| is_it(&finding)), "{report}");

    // And what it told to do helps.
    let shares = demo.dir().join("shares").display().to_string();
    demo.report(&["member", "replace", member, "--shares", &shares]);
    let (application, session) = tandem_tests::application();
    works(&session, "after");
    Kind::P256.make(&session, "at last").expect("a key");
    drop(session);
    application.finalize();
    assert_eq!(private_keys(demo, member), 3, "it holds all of them");
    assert!(demo.tandem(&["verify"]).status.success());
}

/// The first member makes the keys, the second is brought them.
#[test]
fn one_that_is_gone_from_who_makes_keys() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| {
        is_noticed_at_its_first_use(demo, "a", Deed::Gone);
    });
}

#[test]
fn one_that_is_anothers_where_keys_are_made() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| {
        is_noticed_at_its_first_use(demo, "a", Deed::Another);
    });
}

#[test]
fn one_that_is_gone_from_who_is_brought_keys() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| {
        is_noticed_at_its_first_use(demo, "b", Deed::Gone);
    });
}

#[test]
fn one_that_is_anothers_where_keys_are_brought() {
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]).with("balance=primary");
    alone(&wanted, |demo| is_noticed_at_its_first_use(demo, "b", Deed::Another));
}
