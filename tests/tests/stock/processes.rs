//! Many processes claim from one stock while they are killed at random: no key is given twice, and none is lost.

use super::{done, keep, level};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::Kind;
use tandem_tests::openssl::hex;
use tandem_tests::{Demo, Wanted, alone, application, value};

/// Where a process writes what it was given, and what it is to call it.
const LEDGER: &str = "TANDEM_TEST_LEDGER";

/// How many keys; `TANDEM_CLAIMS` says otherwise.
fn keys() -> u64 {
    std::env::var("TANDEM_CLAIMS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// How many processes.
const PROCESSES: usize = 16;

#[test]
fn no_key_is_given_twice_and_none_is_lost_however_often_processes_are_killed() {
    alone(&Wanted::mixed(), |demo| claimed_by_many(demo, keys().min(300)));
}

#[test]
fn nor_with_keys_on_demand() {
    alone(&Wanted::mixed().with("hold=on-demand"), |demo| claimed_by_many(demo, keys()));
}

/// A process that claims until it is killed, or there are no more. Does nothing when it is not started by a test.
#[test]
#[ignore = "a process of the other tests"]
fn child() {
    let Some(ledger) = std::env::var_os(LEDGER) else { return };
    let name = Path::new(&ledger).file_name().expect("a name").to_string_lossy().into_owned();
    let mut ledger = OpenOptions::new().create(true).append(true).open(&ledger).expect("a ledger");
    let (_application, session) = application();
    for number in 0.. {
        let label = format!("{name} {number}");
        let made = Kind::P256.make(&session, &label).expect("a key");
        let point = value(&session, made.public.expect("a public key"), AttributeType::EcPoint);
        // One write: what is in the ledger was acknowledged.
        ledger.write_all(format!("{label} {}\n", hex(&point)).as_bytes()).expect("the ledger");
    }
}

fn start(demo: &Demo, ledgers: &Path, number: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a path of this program"));
    command
        .args(["--exact", "processes::child", "--nocapture", "--ignored", "--test-threads=1"])
        .env("TANDEM_CONFIG", demo.config())
        .env(LEDGER, ledgers.join(format!("p{number}")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("a process")
}

/// A small generator of numbers that are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn claimed_by_many(demo: &Demo, count: u64) {
    keep(demo, &[("ec:p256", count)]);
    done(demo, &["stock", "fill", "--threads", "8"]);
    keep(demo, &[]);
    for member in ["a", "b"] {
        demo.index(member);
    }
    let ledgers: PathBuf = demo.dir().join("ledgers");
    fs::create_dir(&ledgers).expect("a folder");
    let mut chance = Chance(1);
    let (mut started, mut kills) = (0, 0);
    let mut next = || {
        started += 1;
        start(demo, &ledgers, started)
    };
    let mut running: Vec<Child> = (0..PROCESSES).map(|_| next()).collect();
    let began = Instant::now();
    while acknowledged(&ledgers) < count || there(demo) > 0 {
        // The longer the log, the longer a process takes before it claims.
        thread::sleep(Duration::from_millis(20 + chance.below(80 + count / 10)));
        let at = usize::try_from(chance.below(16)).expect("a place");
        running[at].kill().expect("a process that is alive");
        running[at].wait().expect("a child");
        running[at] = next();
        kills += 1;
        assert!(began.elapsed() < Duration::from_secs(1_500), "it does not come to an end");
    }
    for mut process in running {
        process.kill().expect("a process that is alive");
        process.wait().expect("a child");
    }
    assert!(kills > 0, "nobody was killed while keys were claimed");
    judge(demo, &ledgers, count);
    println!(
        "| {count} keys claimed by {PROCESSES} processes in {:.1} s, {kills} kills |",
        began.elapsed().as_secs_f64()
    );
}

/// How many keys processes say that they were given.
fn acknowledged(ledgers: &Path) -> u64 {
    let lines = |ledger: fs::DirEntry| {
        fs::read_to_string(ledger.path()).map_or(0, |text| text.lines().count())
    };
    let ledgers = fs::read_dir(ledgers).expect("a folder").map(|ledger| ledger.expect("a file"));
    u64::try_from(ledgers.map(lines).sum::<usize>()).expect("a number")
}

fn there(demo: &Demo) -> u64 {
    let report = done(demo, &["stock"]);
    let levels = report["levels"].as_array().expect("levels");
    levels.iter().map(|level| level["there"].as_u64().expect("a number")).sum()
}

/// Every acknowledged key is there as it was told, each once, and as many were claimed as there were.
fn judge(demo: &Demo, ledgers: &Path, count: u64) {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for ledger in fs::read_dir(ledgers).expect("a folder") {
        let text = fs::read_to_string(ledger.expect("a file").path()).expect("a text");
        for line in text.lines() {
            let (label, point) = line.rsplit_once(' ').expect("a label and a point");
            assert!(told.insert(label.to_owned(), point.to_owned()).is_none(), "{label} twice");
        }
    }
    let points: BTreeSet<_> = told.values().collect();
    assert_eq!(points.len(), told.len(), "a key was given twice");
    assert_eq!(level(demo, "ec:p256")[3], count, "none was lost, and none claimed twice");

    let (_application, session) = application();
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for object in
        session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)]).expect("a search")
    {
        let label = String::from_utf8(value(&session, object, AttributeType::Label)).expect("text");
        let point = hex(&value(&session, object, AttributeType::EcPoint));
        assert!(shown.insert(label.clone(), point).is_none(), "{label} is there twice");
    }
    let points: BTreeSet<_> = shown.values().collect();
    assert_eq!(points.len(), shown.len(), "two names for one key");
    assert!(u64::try_from(shown.len()).expect("a number") >= count, "{} are there", shown.len());
    for (label, point) in &told {
        assert_eq!(shown.get(label), Some(point), "{label}");
    }
    for label in told.keys().take(20) {
        let made = Kind::P256.find(&session, label).expect("a key");
        let signature = Kind::P256.work(&session, made).expect("it signs");
        let public = Kind::P256.public(&session, made).expect("a public key");
        assert!(public.verifies(&tandem_tests::keys::DIGEST, &signature), "{label}");
    }
}
