//! Keys held on demand: on no member's token, and at work on each of them.

use cryptoki::error::RvError::{KeyHandleInvalid, ObjectHandleInvalid};
use cryptoki::object::Attribute;
use cryptoki::session::Session;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Demo, Vendor, Wanted, alone, application, initialised, refused};

use Vendor::{Kryoptic, SoftHsm};

const KINDS: [Kind; 5] =
    [Kind::Rsa(2048), Kind::P256, Kind::Aes(32), Kind::Generic(32), Kind::Generic(20)];

struct Key {
    kind: Kind,
    name: String,
    made: Made,
    public: Option<PublicKey>,
    result: Vec<u8>,
}

impl Key {
    fn new(session: &Session, kind: Kind, name: &str) -> Self {
        let made = kind.make(session, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let result = kind.work(session, made).unwrap_or_else(|error| panic!("{name}: {error}"));
        let public = kind.public(session, made);
        Self { kind, name: name.to_owned(), made, public, result }
    }

    fn works(&self, session: &Session) {
        let result = self.kind.work(session, self.made);
        let result = result.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        match &self.public {
            Some(public) => assert!(public.verifies(&DIGEST, &result), "{}", self.name),
            None => assert_eq!(result, self.result, "{}", self.name),
        }
    }
}

fn all_work(keys: &[Key], session: &Session) {
    for key in keys {
        key.works(session);
    }
}

fn make(session: &Session, kinds: &[Kind]) -> Vec<Key> {
    let name = |(number, kind): (usize, &Kind)| format!("key {number}, {kind}");
    let each = kinds.iter().enumerate();
    each.map(|(number, kind)| Key::new(session, *kind, &name((number, kind)))).collect()
}

/// How many of these keys' objects a member's own module finds on its token.
fn on_token(demo: &Demo, member: &str, keys: &[Key]) -> usize {
    let direct = demo.direct(member);
    let found = |key: &Key| {
        let wanted = [Attribute::Token(true), Attribute::Id(key.name.as_str().into())];
        direct.find_objects(&wanted).expect("a search").len()
    };
    keys.iter().map(found).sum()
}

fn states(report: &Value) -> Vec<(&str, &str)> {
    let objects = report["objects"].as_array().expect("objects").iter();
    let replicas = objects.flat_map(|object| {
        let replicas = object["replicas"].as_array().expect("replicas").iter();
        replicas
            .map(|replica| (object["hold"].as_str().unwrap(), replica["state"].as_str().unwrap()))
    });
    replicas.collect()
}

fn on_demand(members: &[Vendor]) -> Wanted {
    Wanted::over(members).with("hold=on-demand")
}

#[test]
fn over_one_of_each() {
    alone(&on_demand(&[SoftHsm, Kryoptic]), |demo| work_everywhere_and_stand_nowhere(demo));
}

#[test]
fn over_two_of_softhsm() {
    alone(&on_demand(&[SoftHsm, SoftHsm]), |demo| work_everywhere_and_stand_nowhere(demo));
}

#[test]
fn over_two_of_kryoptic() {
    alone(&on_demand(&[Kryoptic, Kryoptic]), |demo| work_everywhere_and_stand_nowhere(demo));
}

fn work_everywhere_and_stand_nowhere(demo: &Demo) {
    let keys = {
        let (_application, session) = application();
        // SoftHSM pads such a length when it wraps.
        let odd = demo.vendor("a") == SoftHsm && demo.vendor("b") == SoftHsm;
        let kinds = if odd { KINDS.get(..4) } else { KINDS.get(..) };
        let keys = make(&session, kinds.unwrap_or_default());
        for gone in ["a", "b"] {
            demo.take_away(gone);
            all_work(&keys, &session);
            demo.bring_back(gone);
        }
        keys
    };
    // Proven by another process, which has loaded none of them.
    let report = demo.report(&["verify"]);
    assert_eq!(report["verified"], true, "{report:#}");
    assert!(states(&report).iter().all(|state| *state == ("on-demand", "proven")), "{report:#}");
    let listed = demo.report(&["keys"]);
    assert!(states(&listed).iter().all(|state| *state == ("on-demand", "on-demand")));
    for member in ["a", "b"] {
        assert_eq!(on_token(demo, member, &keys), 0, "nothing stands on {member}");
        assert_eq!(demo.report(&["reconcile", "--plan"])["steps"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn more_keys_than_there_is_room_for() {
    alone(&on_demand(&[SoftHsm, Kryoptic]), |demo| {
        demo.configure(|text| {
            text.replace("[[token.member]]\n", "[[token.member]]\nloaded_max = 4\n")
        });
        let (application, session) = application();
        let keys = make(&session, &[Kind::P256; 24]);
        let turn = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let session = application.open(true);
                    // Each thread takes another key than the others, and comes back to it when it is long gone.
                    while let turn = turn.fetch_add(7, Ordering::Relaxed)
                        && turn < 7 * 400
                    {
                        keys[turn % keys.len()].works(&session);
                    }
                });
            }
        });
    });
}

#[test]
fn a_destroyed_key_is_gone_for_everybody() {
    alone(&on_demand(&[SoftHsm, Kryoptic]), |demo| {
        let (_application, session) = application();
        let keys = make(&session, &[Kind::P256, Kind::Aes(32)]);
        session.destroy_object(keys[0].made.key).expect("C_DestroyObject");
        refused("a destroyed key", Kind::P256.work(&session, keys[0].made), &[KeyHandleInvalid]);
        refused("again", session.destroy_object(keys[0].made.key), &[ObjectHandleInvalid]);
        keys[1].works(&session);
        let listed = demo.report(&["keys"]);
        assert_eq!(listed["objects"].as_array().unwrap().len(), 2, "a public and a secret key");
    });
}

#[test]
fn rules_say_where_keys_of_some_kind_live() {
    alone(&Wanted::mixed(), |demo| {
        let rules = "[[token.rule]]\nlabel = \"zsk-*\"\nhold = \"on-demand\"\n\n[[token.rule]]\n\
                     type = \"aes:128\"\nhold = \"on-demand\"\n\n";
        demo.configure(|text| {
            text.replacen("[[token.member]]", &format!("{rules}[[token.member]]"), 1)
        });
        let (_application, session) = application();
        for (kind, name, resident) in [
            (Kind::P256, "zsk-1", false),
            (Kind::P256, "ksk-1", true),
            (Kind::Aes(16), "any", false),
            (Kind::Aes(32), "other", true),
        ] {
            let key = Key::new(&session, kind, name);
            key.works(&session);
            let report = demo.report(&["keys"]);
            let objects = report["objects"].as_array().unwrap().iter();
            let holds: Vec<_> =
                objects.filter(|it| it["label"] == name).map(|it| &it["hold"]).collect();
            let expected = if resident { "resident" } else { "on-demand" };
            assert!(!holds.is_empty() && holds.iter().all(|hold| *hold == expected), "{name}");
        }
    });
}

#[test]
fn keys_move_while_they_are_used() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| {
        let application = initialised();
        let session = application.log_in();
        let keys = make(&session, &[Kind::P256, Kind::Rsa(2048), Kind::Aes(32)]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let users: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let session = application.open(true);
                        let mut rounds = 0;
                        while !done.load(Ordering::Relaxed) {
                            all_work(&keys, &session);
                            rounds += 1;
                        }
                        rounds
                    })
                })
                .collect();
            for to in ["on-demand", "resident", "on-demand"] {
                let moved = demo.report(&["keys", "hold", "--all", "--to", to]);
                assert_eq!((moved["moved"].as_u64(), moved["there"].as_u64()), (Some(5), Some(0)));
                assert_eq!(
                    (moved["left"].as_array().unwrap().len(), &moved["kept"]),
                    (0, &Value::Array(vec![]))
                );
            }
            done.store(true, Ordering::Relaxed);
            assert!(users.into_iter().all(|user| user.join().expect("a thread") > 0));
        });
        let again = demo.report(&["keys", "hold", "--all", "--to", "on-demand"]);
        assert_eq!((again["moved"].as_u64(), again["there"].as_u64()), (Some(0), Some(5)));
        drop((session, application));
        assert_eq!(["a", "b"].map(|member| on_token(demo, member, &keys)), [0, 0]);
        let some = demo.report(&["keys", "hold", "--type", "ec:p256", "--to", "resident"]);
        assert_eq!(some["moved"], 2, "{some}");
        assert_eq!(["a", "b"].map(|member| on_token(demo, member, &keys)), [2, 2]);
        assert_eq!(demo.report(&["verify"])["verified"], true);
    });
}

#[test]
fn keys_on_demand_are_backed_up_and_restored() {
    alone(&on_demand(&[SoftHsm, Kryoptic]), |demo| {
        let policy = "[token.policy]\nrequire_backup = \"enforce\"\n\n[[token.member]]";
        demo.configure(|text| text.replacen("[[token.member]]", policy, 1));
        let session = application();
        let made = Kind::P256.make(&session.1, "key").expect("a key");
        assert!(Kind::P256.work(&session.1, made).is_err(), "not before it is backed up");
        let bundle = demo.dir().join("one.bundle");
        let bundle = bundle.to_str().unwrap();
        demo.report(&["backup", "run", "--commit", "--out", bundle]);
        let public = Kind::P256.public(&session.1, made).unwrap();
        assert!(public.verifies(&DIGEST, &Kind::P256.work(&session.1, made).expect("a signature")));
        drop(session);
        let drilled = demo.report(&["backup", "verify", bundle]);
        assert_eq!(drilled["verified"], true, "{drilled}");
    });
}
