//! What an application is given, and what it is not.

use super::{back_up, done, enforce, file, keep, keep_with, level, refused, rotate_keks};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Demo, Vendor, Wanted, alone, application, value};

use Vendor::{Kryoptic, SoftHsm};

/// CKA_TANDEM_BACKED_UP (`pkcs11-headers/tandem-pkcs11.h`).
const BACKED_UP: u64 = 0x8000_0000 | 0x1444_0000 | 1;

const STOCK: [(&str, u64); 4] =
    [("rsa:2048", 2), ("ec:p256", 3), ("aes:256", 2), ("generic:32", 2)];
const KINDS: [(Kind, &str); 4] = [
    (Kind::Rsa(2048), "rsa:2048"),
    (Kind::P256, "ec:p256"),
    (Kind::Aes(32), "aes:256"),
    (Kind::Generic(32), "generic:32"),
];

fn is_backed_up(session: &Session, made: Made) -> bool {
    value(session, made.key, AttributeType::VendorDefined(BACKED_UP)) == [1]
}

/// The labels of all objects that are seen.
fn labels(session: &Session) -> Vec<String> {
    let found = session.find_objects(&[]).expect("a search");
    let label =
        |object| String::from_utf8(value(session, object, AttributeType::Label)).expect("text");
    found.into_iter().map(label).collect()
}

#[test]
fn a_claimed_key_is_backed_up_at_once_and_works_on_each_member_alone() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| claimed_at_once(demo));
}

#[test]
fn so_it_is_where_both_are_softhsm() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| claimed_at_once(demo));
}

#[test]
fn so_it_is_where_both_are_kryoptic() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| claimed_at_once(demo));
}

#[test]
fn so_it_is_with_keys_on_demand() {
    alone(&Wanted::mixed().with("hold=on-demand"), |demo| claimed_at_once(demo));
}

/// A key that was claimed, and what came of its first use, which was at once.
struct Claimed {
    kind: Kind,
    name: String,
    made: Made,
    public: Option<PublicKey>,
    signed: Vec<u8>,
}

impl Claimed {
    fn new(session: &Session, kind: Kind) -> Self {
        let name = format!("{kind} claimed");
        let made = kind.make(session, &name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let signed = kind.work(session, made).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(is_backed_up(session, made), "{name}");
        let public = kind.public(session, made);
        let found = kind.find(session, &name).expect("it is found by its id");
        assert_eq!((found.key, found.public), (made.key, made.public));
        for shown in [AttributeType::Label, AttributeType::Id] {
            assert_eq!(value(session, made.key, shown), name.as_bytes());
        }
        let key = Self { kind, name, made, public, signed };
        key.is_signed(&key.signed);
        key
    }

    fn works(&self, session: &Session) {
        let signed = self.kind.work(session, self.made);
        self.is_signed(&signed.unwrap_or_else(|error| panic!("{}: {error}", self.name)));
    }

    fn is_signed(&self, signed: &[u8]) {
        match &self.public {
            Some(public) => assert!(public.verifies(&DIGEST, signed), "{}", self.name),
            None => assert_eq!(signed, self.signed, "{}", self.name),
        }
    }
}

#[test]
fn so_it_is_when_the_keks_were_rotated_since_the_backup() {
    alone(&Wanted::mixed(), |demo| {
        claimed_after(demo, || rotate_keks(demo));
        // What nobody claimed goes from the log wherever a rotation has put it.
        for (kind, _) in STOCK {
            done(demo, &["stock", "drop", "--type", kind, "--keep", "0"]);
            assert_eq!(level(demo, kind)[0], 0, "{kind}");
        }
        assert_eq!(done(demo, &["log", "check"])["sound"], true);
        assert_eq!(done(demo, &["verify"])["verified"], true);
    });
}

fn claimed_at_once(demo: &Demo) {
    claimed_after(demo, || {});
}

/// Keys are claimed after something else has happened since the backup.
fn claimed_after(demo: &Demo, happens: impl Fn()) {
    enforce(demo);
    keep(demo, &STOCK);
    assert_eq!(done(demo, &["stock", "fill"])["made"], 9);
    back_up(demo, "one.bundle");
    happens();
    // From here on whoever is short makes keys, which are in no backup.
    keep(demo, &[]);
    {
        let (_application, session) = application();
        assert_eq!(labels(&session), Vec::<String>::new(), "nobody sees what is in stock");
        let keys: Vec<_> = KINDS.iter().map(|(kind, _)| Claimed::new(&session, *kind)).collect();
        for gone in ["a", "b"] {
            demo.take_away(gone);
            for key in &keys {
                key.works(&session);
            }
            demo.bring_back(gone);
            // It is tried again when its back-off is over.
            thread::sleep(Duration::from_secs(3));
        }
        let all: usize = KINDS
            .iter()
            .map(|(kind, _)| 1 + usize::from(kind.class() == ObjectClass::PRIVATE_KEY))
            .sum();
        assert_eq!(labels(&session).len(), all);
    }
    for (kind, name) in KINDS {
        let count = STOCK.iter().find(|(stocked, _)| *stocked == name).expect("in stock").1;
        assert_eq!(level(demo, name), [count - 1, count - 1, 0, 1], "{kind}");
    }
    // By another process, and by each member's own module under the application's names.
    assert_eq!(done(demo, &["verify"])["verified"], true);
    for member in ["a", "b"] {
        assert_eq!(
            done(demo, &["reconcile", "--plan"])["steps"].as_array().expect("steps").len(),
            0
        );
        let stands = !std::fs::read_to_string(demo.config()).expect("a text").contains("on-demand");
        let direct = demo.direct(member);
        let wanted = [Attribute::Id("P-256 claimed".into()), Attribute::Token(true)];
        let found = direct.find_objects(&wanted).expect("a search").len();
        assert_eq!(found, if stands { 2 } else { 0 }, "on {member}");
    }
}

#[test]
fn what_the_stock_does_not_have_is_made() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("ec:p256", 2), ("aes:256", 1)]);
        done(demo, &["stock", "fill"]);
        back_up(demo, "one.bundle");
        keep(demo, &[]);
        let (_application, session) = application();
        let is_stocked = |made: Made| is_backed_up(&session, made);
        let derives = [Attribute::Sensitive(true), Attribute::Derive(true)];
        let made = Kind::P256.make_with(&session, "derives", &derives).expect("a key");
        assert!(!is_stocked(made), "the stock's may not derive");
        let open = [Attribute::Sensitive(false), Attribute::Extractable(true)];
        let made = Kind::Aes(32).make_with(&session, "open", &open).expect("a key");
        assert!(!is_stocked(made), "the stock's never leave");
        assert!(!is_stocked(Kind::Aes(16).make(&session, "shorter").expect("a key")));
        assert!(!is_stocked(Kind::P384.make(&session, "other curve").expect("a key")));
        let less = [Attribute::Sign(false), Attribute::Wrap(false), Attribute::Unwrap(false)];
        let made = Kind::Aes(32).make_with(&session, "less", &less).expect("a key");
        assert!(is_stocked(made), "it may do less than the stock's");
        let sealed = Kind::Aes(32).work(&session, made).expect("it encrypts");
        let opened = session.decrypt(&Mechanism::AesCbc([7; 16]), made.key, &sealed);
        assert_eq!(opened.expect("it decrypts"), DIGEST);
        let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, made.key, made.key);
        tandem_tests::refused("wrapping", wrapped, &[RvError::KeyFunctionNotPermitted]);
        assert!(is_stocked(Kind::P256.make(&session, "first").expect("a key")));
        assert!(is_stocked(Kind::P256.make(&session, "second").expect("a key")));
        assert!(!is_stocked(Kind::P256.make(&session, "third").expect("a key")), "none is left");
    });
}

#[test]
fn an_rsa_key_of_4096_bits_is_there_at_once() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("rsa:4096", 7)]);
        done(demo, &["stock", "fill"]);
        back_up(demo, "one.bundle");
        keep(demo, &[]);
        let (_application, session) = application();
        let mut took: Vec<Duration> = (0..7)
            .map(|number| {
                let began = Instant::now();
                let made = Kind::Rsa(4096).make(&session, &format!("key {number}"));
                let took = began.elapsed();
                assert!(is_backed_up(&session, made.expect("a key")));
                took
            })
            .collect();
        took.sort();
        println!("| RSA-4096 from stock: median {:?}, slowest {:?} |", took[3], took[6]);
        // The bound of the benchmark is 5 ms; what is shown here on any machine is that none was made meanwhile.
        assert!(took[3] < Duration::from_millis(100), "{took:?}");
    });
}

#[test]
fn a_key_that_is_destroyed_after_it_was_claimed_is_gone_for_good() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("ec:p256", 2)]);
        done(demo, &["stock", "fill"]);
        keep(demo, &[]);
        {
            let (_application, session) = application();
            let made = Kind::P256.make(&session, "short-lived").expect("a key");
            for object in [Some(made.key), made.public].into_iter().flatten() {
                session.destroy_object(object).expect("it goes");
            }
            assert!(Kind::P256.find(&session, "short-lived").is_none());
        }
        assert_eq!(level(demo, "ec:p256"), [1, 0, 0, 1]);
        for member in ["a", "b"] {
            let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
            assert_eq!(demo.direct(member).find_objects(&wanted).expect("a search").len(), 1);
        }
    });
}

#[test]
fn what_is_wrong_in_the_configuration_is_said_where_it_stands() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("ec:p257", 2)]);
        refused(demo, &["stock"], 1, &["token.stock.key.type", "ec:p257", "ec:p256, ec:p384"]);
        keep(demo, &[("ed448", 2)]);
        let report = done(demo, &["stock"]);
        let problem = report["levels"][0]["problem"].as_str().expect("text").to_owned();
        if !problem.is_empty() {
            refused(demo, &["stock", "fill"], 1, &["made 0 keys"]);
        }
        keep_with(demo, "names = \"names\"", &[]);
        refused(demo, &["stock"], 1, &["token.stock.names", "no absolute path"]);
        assert!(!file(demo, "names").exists());
    });
}
