//! KEKs rotated: new ones on every member and everything wrapped under them, while applications work.

use super::{
    Published, application_of, at, back_up, done, is_whole, new_tokens, refused, refused_as,
    replace_token, share_files, some,
};
use cryptoki::error::RvError::{DeviceError, KeyUnextractable};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use serde_json::Value;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::PublicKey;
use tandem_tests::refused as refused_call;
use tandem_tests::{Application, Demo, Vendor, Wanted, alone, application, kill_when};

use Vendor::{Kryoptic, SoftHsm};

/// So many keys of each kind, as operators have them.
const EACH: usize = 50;

/// Rotates the KEKs with the shares of one folder, and puts the new ones into another.
fn rotate(demo: &Demo, from: &str, to: &str) -> Value {
    let (from, to) = (at(demo, from), at(demo, to));
    done(demo, &["kek", "rotate", "--shares", &from, "--shares-dir", &to])
}

/// The same, not done: what it tells all the same.
fn rotate_in_part(demo: &Demo, from: &str, to: &str) -> Value {
    let (from, to) = (at(demo, from), at(demo, to));
    let arguments = ["kek", "rotate", "--shares", &from, "--shares-dir", &to, "--json"];
    let output = demo.tandem(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What `tandem kek list` tells of each: its name, its state, and how many backups are under it.
fn keks(demo: &Demo) -> Vec<(String, String, usize)> {
    let listed = done(demo, &["kek", "list"]);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let one = |kek: &Value| {
        let backups = kek["backups"].as_array().expect("backups").len();
        (text(&kek["name"]), text(&kek["state"]), backups)
    };
    listed["keks"].as_array().expect("KEKs").iter().map(one).collect()
}

/// How many keys of the ring a member holds, and its own module shows.
fn ring_keys(demo: &Demo, member: &str) -> usize {
    let wanted = [Attribute::Token(true), Attribute::Id(b"tandem key ring".to_vec())];
    let wanted = [&wanted[..], &[Attribute::Class(ObjectClass::SECRET_KEY)]].concat();
    demo.direct(member).find_objects(&wanted).expect("a search").len()
}

/// A key as everybody knows it: its name, handles, public key, and what it makes.
type Known = (Kind, String, Made, Option<PublicKey>, Vec<u8>);

/// Keys, as everybody knows them.
struct Many {
    keys: Vec<Known>,
}

impl Many {
    fn make(session: &Session, kinds: &[Kind], each: usize) -> Self {
        let named = kinds
            .iter()
            .flat_map(|kind| (0..each).map(move |number| (*kind, format!("{kind} {number}"))));
        let make = |(kind, name): (Kind, String)| {
            let made = kind.make(session, &name).unwrap_or_else(|e| panic!("{name}: {e}"));
            let result = kind.work(session, made).unwrap_or_else(|e| panic!("{name}: {e}"));
            let public = kind.public(session, made);
            (kind, name, made, public, result)
        };
        Self { keys: named.map(make).collect() }
    }

    /// Every key works, and is the one that was made.
    fn work(&self, session: &Session) {
        for key in &self.keys {
            Self::works(session, key, key.2);
        }
    }

    /// The same where handles are other ones.
    fn work_elsewhere(&self, session: &Session) {
        for key in &self.keys {
            let made = key.0.find(session, &key.1).unwrap_or_else(|| panic!("{} is there", key.1));
            Self::works(session, key, made);
        }
    }

    fn works(session: &Session, (kind, name, _, public, result): &Known, made: Made) {
        let worked = kind.work(session, made).unwrap_or_else(|e| panic!("{name}: {e}"));
        match public {
            Some(public) => assert!(public.verifies(&DIGEST, &worked), "{name} is another key"),
            None => assert_eq!(worked, *result, "{name} is another key"),
        }
    }
}

/// A private data object with a value.
fn keep(session: &Session, name: &str, value: &[u8]) {
    let template = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(name.into()),
        Attribute::Value(value.to_vec()),
    ];
    session.create_object(&template).expect("a data object");
}

fn kept(session: &Session, name: &str) -> Vec<u8> {
    let wanted = [Attribute::Class(ObjectClass::DATA), Attribute::Label(name.into())];
    let found = session.find_objects(&wanted).expect("a search");
    tandem_tests::value(session, found[0], AttributeType::Value)
}

fn works_while_it_is_rotated(demo: &Demo, kinds: &[Kind]) {
    let (application, session) = application();
    let many = Many::make(&session, kinds, EACH);
    keep(&session, "note", b"what is private");
    keep(&session, "changing", b"at first");
    let of_session = session_key(&session);
    let old = back_up(demo, "old.bundle");
    let (signed, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let report = thread::scope(|scope| {
        scope.spawn(|| signs(&application, &many, &signed, &over));
        scope.spawn(|| makes(&application, &over));
        let report = rotate(demo, "shares", "new");
        over.store(true, Ordering::Relaxed);
        report
    });
    assert!(signed.load(Ordering::Relaxed) > 0, "nothing was signed meanwhile");
    assert_eq!((&report["finished"], &report["begun"]), (&true.into(), &true.into()), "{report}");
    assert!(report["rewrapped"].as_u64() >= Some((EACH * kinds.len()) as u64), "{report}");
    assert_eq!(report["files"].as_array().map(Vec::len), Some(5), "{report}");
    // In the process that worked all the while, in another, and on each member alone.
    many.work(&session);
    assert_eq!(kept(&session, "note"), b"what is private");
    Kind::P256.make(&session, "after").expect("a key");
    let kept_key = [Attribute::Token(true), Attribute::Id(b"kept".to_vec())];
    let kept_key = session.copy_object(of_session.0, &kept_key).expect("a copy on the token");
    let mac = session.sign(&Mechanism::Sha256Hmac, kept_key, &DIGEST).expect("a MAC");
    assert_eq!(mac, of_session.1, "the key of the session is the one it was");
    drop(session);
    application.finalize();
    for gone in ["a", "b"] {
        demo.take_away(gone);
        let (_application, session) = tandem_tests::application();
        many.work_elsewhere(&session);
        drop(session);
        demo.bring_back(gone);
    }
    assert!(is_whole(demo));
    for (member, _) in demo.members() {
        assert_eq!(ring_keys(demo, member), 5, "older KEKs are gone from {member}");
    }
    opens_with_its_own_shares(demo, &old, &back_up(demo, "new.bundle"), &many);
}

/// A bundle from before opens with the old shares, one from after with the new ones, and neither with the others'.
fn opens_with_its_own_shares(demo: &Demo, old: &str, new: &str, many: &Many) {
    let (old_shares, new_shares) = (at(demo, "shares"), at(demo, "new"));
    for (bundle, shares, others) in
        [(old, &old_shares, &new_shares), (new, &new_shares, &old_shares)]
    {
        let drill = ["backup", "drill", "--from", bundle, "--shares"];
        refused(demo, &[&drill[..], &[others]].concat(), &["don't open this ring"]);
        let name = if bundle == old { "from-old" } else { "from-new" };
        let vendors: Vec<_> = demo.members().into_iter().map(|(_, vendor)| vendor).collect();
        let restored = new_tokens(demo, &vendors, name);
        refused(&restored, &["restore", bundle, "--shares", others], &["don't open this ring"]);
        done(&restored, &["restore", bundle, "--shares", shares]);
        assert!(is_whole(&restored));
        let (application, session) = application_of(&restored);
        many.work_elsewhere(&session);
        assert_eq!(kept(&session, "note"), b"what is private");
        drop(session);
        application.finalize();
    }
}

/// A key of the session, and what it makes of a text.
fn session_key(session: &Session) -> (ObjectHandle, Vec<u8>) {
    let template = [Attribute::Token(false), Attribute::ValueLen(32.into()), Attribute::Sign(true)];
    let key = session.generate_key(&Mechanism::GenericSecretKeyGen, &template).expect("a key");
    (key, session.sign(&Mechanism::Sha256Hmac, key, &DIGEST).expect("a MAC"))
}

fn signs(application: &Application, many: &Many, signed: &AtomicUsize, over: &AtomicBool) {
    let session = application.open(true);
    while !over.load(Ordering::Relaxed) {
        many.work(&session);
        signed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes, tightens and destroys keys, and changes private data.
fn makes(application: &Application, over: &AtomicBool) {
    let session = application.open(true);
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("meanwhile {number}");
        let loose = [Attribute::Sensitive(true), Attribute::Extractable(true)];
        let made = Kind::P256.make_with(&session, &name, &loose).expect("a key");
        let public = Kind::P256.public(&session, made).expect("a public key");
        session.update_attributes(made.key, &[Attribute::Extractable(false)]).expect("a change");
        let signature = Kind::P256.work(&session, made).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature), "{name}");
        let note =
            session.find_objects(&[Attribute::Label(b"changing".to_vec())]).expect("a search");
        let value = Attribute::Value(name.clone().into_bytes());
        session.update_attributes(note[0], &[value]).expect("another value");
        assert_eq!(kept(&session, "changing"), name.as_bytes());
        if number % 2 == 0 {
            session.destroy_object(made.key).expect("it goes");
            session.destroy_object(made.public.expect("a public key")).expect("it goes");
        }
    }
}

#[test]
fn over_one_of_each_while_applications_work() {
    alone(&Wanted::mixed(), |demo| {
        let secrets = [Kind::Aes(32), Kind::Generic(32), Kind::Generic(20)];
        works_while_it_is_rotated(demo, &[&[Kind::Rsa(2048), Kind::P256][..], &secrets].concat());
    });
}

#[test]
fn over_one_of_each_on_demand() {
    alone(&Wanted::mixed().with("hold=on-demand"), |demo| {
        let kinds = [Kind::Rsa(2048), Kind::P256, Kind::Aes(32), Kind::Generic(20)];
        works_while_it_is_rotated(demo, &kinds);
    });
}

#[test]
fn over_two_of_softhsm() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        works_while_it_is_rotated(demo, &[Kind::P256, Kind::Aes(32)]);
    });
}

#[test]
fn over_two_of_kryoptic() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| {
        works_while_it_is_rotated(demo, &[Kind::Ed25519, Kind::Generic(20)]);
    });
}

/// So many keys that wrapping them anew takes a while.
const MANY: usize = 300;

#[test]
fn one_that_is_killed_goes_on_where_it_was() {
    alone(&Wanted::mixed().with("hold=on-demand"), |demo| {
        let count = MANY.to_string();
        let made = ["keys", "generate", "--count", &count, "--type", "ec:p256", "--label", "key"];
        done(demo, &made);
        let (old, new) = (at(demo, "shares"), at(demo, "new"));
        let arguments = ["kek", "rotate", "--shares", &old, "--shares-dir", &new];
        let before = demo.head();
        // The first batch is in the log, and not the last.
        kill_when(demo.command(arguments), || demo.head() > before + 1);
        assert!(demo.head() < before + 1 + MANY as u64, "it was killed in the middle");
        let rotating = done(demo, &["status"]);
        let rotating = &rotating["tokens"][0]["rotation"];
        assert_eq!((&rotating["from"], &rotating["to"]), (&"kek-1".into(), &"kek-2".into()));
        assert_eq!(keks(demo)[0].1, "rotating-out");
        // Keys work and are made, whatever they are under.
        {
            let (_application, session) = application();
            let one = Kind::P256.make(&session, "in between").expect("a key");
            Kind::P256.work(&session, one).expect("a signature");
            for number in [1, MANY / 2, MANY] {
                let wanted = [
                    Attribute::Class(ObjectClass::PRIVATE_KEY),
                    Attribute::Label(format!("key-{number}").into()),
                ];
                let key = session.find_objects(&wanted).expect("a search")[0];
                Kind::P256.work(&session, Made { key, public: None }).expect("a signature");
            }
        }
        // Either shares go on with it, and hand out none.
        let report = rotate(demo, "shares", "none");
        assert_eq!((&report["finished"], &report["begun"]), (&true.into(), &false.into()));
        assert!(
            report["rewrapped"].as_u64().is_some_and(|it| 0 < it && it < MANY as u64),
            "{report}"
        );
        assert_eq!(report["files"], serde_json::json!([]));
        assert!(!demo.dir().join("none").exists());
        assert!(is_whole(demo));
        assert_eq!(keks(demo)[0].1, "rotated-out");
        // The shares that were handed out before it was killed open what it came to.
        replace_token(demo, "a");
        done(demo, &["member", "replace", "a", "--shares", &new]);
        assert!(is_whole(demo));
    });
}

#[test]
fn a_member_that_was_away_is_given_the_new_keks_when_it_is_back() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        demo.take_away("b");
        let report = rotate_in_part(demo, "shares", "new");
        assert_eq!(
            (&report["finished"], &report["lacking"][0]["member"]),
            (&false.into(), &"b".into())
        );
        // SoftHSM pads a secret of 20 bytes when it wraps it: that one waits for the other.
        assert_eq!(report["rewrapped"], 3, "{report}");
        assert_eq!(report["left"][0]["label"], "generic secret, 20 bytes", "{report}");
        let later = {
            let (_application, session) = application();
            published.work(&session);
            let later = Kind::P256.make(&session, "later").expect("a key");
            Kind::P256.public(&session, later).expect("a public key")
        };
        demo.bring_back("b");
        // It works for what it has, and what it can't open is no failure of anybody.
        {
            let (_application, session) = application();
            Kind::P256.make(&session, "latest").expect("a key that only one of the two can take");
            demo.take_away("a");
            published.work(&session);
            refused_call("a key", Kind::P256.make(&session, "none"), &[DeviceError]);
            demo.bring_back("a");
        }
        let found = |report: &Value, what: &str| {
            let findings = report["findings"].as_array().expect("findings");
            findings.iter().any(|it| it["found"].as_str().is_some_and(|found| found.contains(what)))
        };
        assert!(found(&demo.report(&["doctor"]), "KEKs are being rotated from kek-1 to kek-2"));
        // The old shares open nothing new.
        let report = rotate_in_part(demo, "shares", "none");
        assert_eq!(report["lacking"][0]["member"], "b", "{report}");
        let report = rotate(demo, "new", "none");
        assert_eq!(
            (&report["given"], &report["finished"]),
            (&serde_json::json!(["b"]), &true.into())
        );
        assert!(is_whole(demo));
        for member in ["a", "b"] {
            assert_eq!(ring_keys(demo, member), 5, "{member}");
            published.work_on(demo, member);
            let direct = demo.direct(member);
            let key = Kind::P256.find(&direct, "later").expect("it was brought");
            let signature = Kind::P256.work(&direct, key).expect("a signature");
            assert!(later.verifies(&DIGEST, &signature));
        }
    });
}

/// By then a member that is back was tried again.
const BACK_OFF: Duration = Duration::from_secs(4);

#[test]
fn a_session_key_that_only_its_copies_are_left_of_works_and_goes_no_further() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| {
        let (_application, session) = application();
        let (key, mac) = session_key(&session);
        let signs = || session.sign(&Mechanism::Sha256Hmac, key, &DIGEST).expect("a MAC");
        demo.take_away("a");
        Kind::P256.make(&session, "meanwhile").expect("a key that the other makes");
        assert_eq!(signs(), mac, "by a copy on the other");
        demo.bring_back("a");
        sleep(BACK_OFF);
        rotate(demo, "shares", "new");
        assert_eq!(signs(), mac);
        let kept = session.copy_object(key, &[Attribute::Token(true)]);
        refused_call("a copy on the token", kept, &[KeyUnextractable]);
        assert!(is_whole(demo));
    });
}

#[test]
fn one_that_waits_for_a_member_is_finished_without_it() {
    alone(&Wanted::mixed(), |demo| {
        Published::by_an_application();
        demo.take_away("a");
        rotate_in_part(demo, "shares", "new");
        done(demo, &["member", "remove", "a"]);
        assert_eq!(rotate(demo, "new", "none")["finished"], true);
        // It comes back as it left: with keys that are no more.
        demo.bring_back("a");
        let without = ["member", "replace", "a"];
        refused(demo, &without, &["--shares"]);
        done(demo, &[&without[..], &["--shares", &at(demo, "new")]].concat());
        assert!(is_whole(demo));
    });
}

#[test]
fn wrong_shares_and_too_few_change_nothing() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        let other = new_tokens(demo, &[Kryoptic], "other");
        let pair = ["pair", "--shares-dir", &at(demo, "others")];
        done(&other, &pair);
        let before = demo.head();
        let objects = |member: &str| demo.direct(member).find_objects(&[]).expect("a search").len();
        let held = ["a", "b"].map(objects);
        let files = share_files(demo.dir()).len();
        let few = some(demo, "shares", &[1, 2], "few");
        let (few, others, none) = (few.as_str(), at(demo, "others"), at(demo, "none"));
        let rotate = ["kek", "rotate", "--shares-dir", &none, "--shares"];
        refused(demo, &[&rotate[..], &[&others]].concat(), &["don't open", "Nothing was changed"]);
        refused(demo, &[&rotate[..], &[few]].concat(), &["2 of 3"]);
        refused_as(demo, &rotate[..4], 2, &["--shares DIR"]);
        assert_eq!(demo.head(), before);
        assert_eq!(["a", "b"].map(objects), held);
        assert_eq!(share_files(demo.dir()).len(), files + 2, "but for those that were copied here");
        refused_as(demo, &["kek", "retire", "kek-2", "--yes"], 2, &["no KEKs of the name"]);
        refused(demo, &["kek", "retire", "kek-1", "--yes"], &["are in force"]);
        let (_application, session) = application();
        published.work(&session);
    });
}

#[test]
fn backups_count_until_their_keks_are_retired() {
    alone(&Wanted::mixed(), |demo| {
        demo.configure(|text| {
            let policy = "[token.policy]\nrequire_backup = \"enforce\"\n\n[[token.member]]";
            text.replacen("[[token.member]]", policy, 1)
        });
        let (_application, session) = application();
        let made = Kind::P256.make(&session, "one").expect("a key");
        keep(&session, "note", b"what is private");
        let old = back_up(demo, "old.bundle");
        Kind::P256.work(&session, made).expect("it is backed up");
        // What a backup is to hold stays where it is until it is made.
        done(demo, &["backup", "prepare"]);
        let rotates =
            ["kek", "rotate", "--shares", &at(demo, "shares"), "--shares-dir", &at(demo, "new")];
        refused(demo, &rotates, &["is prepared"]);
        done(demo, &["backup", "rollback"]);

        rotate(demo, "shares", "new");
        Kind::P256.work(&session, made).expect("it is backed up still");
        assert_eq!(done(demo, &["backup", "list"])["not_backed_up"], 0, "the private value too");
        let states = |keks: &[(String, String, usize)]| {
            keks.iter().map(|(_, state, backups)| (state.clone(), *backups)).collect::<Vec<_>>()
        };
        assert_eq!(states(&keks(demo)), [("rotated-out".into(), 1), ("in-force".into(), 0)]);
        // Nobody here opens what is in it, which is no reason to withdraw it.
        let output = demo.tandem(&["backup", "verify", &old, "--json"]);
        let verified: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&verified["rotated_out"], &verified["proven"]), (&2.into(), &0.into()));
        assert_eq!(verified["failed"], serde_json::json!([]));
        Kind::P256.work(&session, made).expect("it is backed up still");

        refused_as(demo, &["kek", "retire", "kek-1"], 2, &["--yes"]);
        let retired = done(demo, &["kek", "retire", "kek-1", "--yes"]);
        assert_eq!(retired["backups"].as_array().map(Vec::len), Some(1), "{retired}");
        assert!(Kind::P256.work(&session, made).is_err(), "no backup of it counts");
        assert_eq!(done(demo, &["kek", "retire", "kek-1", "--yes"])["changed"], false);
        back_up(demo, "new.bundle");
        Kind::P256.work(&session, made).expect("it is backed up");
        assert_eq!(states(&keks(demo)), [("retired".into(), 1), ("in-force".into(), 1)]);

        // Whoever has the old shares gets a key out of the old bundle.
        session.destroy_object(made.key).expect("it goes");
        let pick = ["restore", &old, "--label", "one"];
        let left = demo.tandem(&[&pick[..], &["--json"]].concat());
        let left = String::from_utf8_lossy(&left.stdout).into_owned();
        assert!(left.contains("kek-1, which was rotated out"), "{left}");
        done(demo, &[&pick[..], &["--shares", &at(demo, "shares")]].concat());
        back_up(demo, "newer.bundle");
        let key = Kind::P256.find(&session, "one").expect("it is back");
        Kind::P256.work(&session, key).expect("a signature");
        assert!(is_whole(demo));
    });
}

#[test]
fn keks_are_rotated_again_and_again() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        back_up(demo, "one.bundle");
        rotate(demo, "shares", "two");
        back_up(demo, "two.bundle");
        let split = ["recovery", "split", "--shares", "4", "--threshold", "2"];
        let folders = ["--shares-from", &at(demo, "two"), "--shares-dir", &at(demo, "two-again")];
        let split = done(demo, &[&split[..], &folders].concat());
        assert_eq!(
            split["destroy"].as_array().map(Vec::len),
            Some(1),
            "those before are kept: {split}"
        );
        rotate(demo, "two-again", "three");
        let three = back_up(demo, "three.bundle");
        let keks = keks(demo);
        assert_eq!(keks.iter().map(|kek| kek.2).collect::<Vec<_>>(), [1, 1, 1], "{keks:?}");
        for (bundle, shares) in [
            ("one.bundle", "shares"),
            ("two.bundle", "two"),
            ("two.bundle", "two-again"),
            ("three.bundle", "three"),
        ] {
            let (bundle, shares) = (at(demo, bundle), at(demo, shares));
            let drill = done(demo, &["backup", "drill", "--from", &bundle, "--shares", &shares]);
            assert_eq!(drill["recovered"], true, "{drill}");
        }
        // New HSMs for old, from the last bundle alone.
        let restored = new_tokens(demo, &[SoftHsm, Kryoptic], "restored");
        done(&restored, &["restore", &three, "--shares", &at(demo, "three")]);
        assert!(is_whole(&restored));
        published.work_on(&restored, "b");
    });
}

#[test]
fn a_generator_and_a_backup_token_get_the_new_keks_too() {
    let members = [SoftHsm, Kryoptic, SoftHsm];
    let wanted = Wanted::over(&members).with_generator("c").with_backup_token(Kryoptic);
    alone(&wanted, |demo| {
        let many = {
            let (_application, session) = application();
            Many::make(&session, &[Kind::P256, Kind::Aes(32)], 2)
        };
        let fill = ["backup", "run", "--commit", "--to", "backup"];
        done(demo, &[&fill[..], &["--shares", &at(demo, "shares")]].concat());
        rotate(demo, "shares", "new");
        for member in ["a", "b", "c"] {
            assert_eq!(ring_keys(demo, member), 5, "{member}");
        }
        {
            let (_application, session) = application();
            many.work_elsewhere(&session);
            Kind::P256.make(&session, "later").expect("a key");
        }
        refused(demo, &fill, &["backup", "--shares DIR"]);
        done(demo, &["backup", "rollback"]);
        done(demo, &[&fill[..], &["--shares", &at(demo, "new")]].concat());
        assert!(is_whole(demo));
        let drill = ["backup", "drill", "--from", "backup", "--shares", &at(demo, "new")];
        assert_eq!(done(demo, &drill)["recovered"], true);
        fs::remove_dir_all(at(demo, "shares")).expect("the old shares");
    });
}
