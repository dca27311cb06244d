//! Many keys held on demand by two members: how large the log is, how long a start, a list, a search and a signature with any
//! of them take, and how much memory that needs. Prints it and judges nothing.
//!
//! `TANDEM_BENCH_KEYS` says how many pairs there are (20,000 unless given); `TANDEM_BENCH_DEMO` names a folder of `tandem demo` that
//! is gone on with, and stays: a million are made in half an hour.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::fs;
use std::path::Path;
use std::time::Instant;
use tandem_tests::keys::DIGEST;
use tandem_tests::{Demo, Vendor, Wanted, application, value};

/// So many pairs are made by one run of the tool.
const LOT: u64 = 40_000;
/// So many keys are drawn.
const DRAWN: usize = 2_000;

fn main() {
    let keys: u64 = std::env::var("TANDEM_BENCH_KEYS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]).with("hold=on-demand");
    let (_dir, demo) = if let Some(folder) = std::env::var_os("TANDEM_BENCH_DEMO") {
        (None, Demo::at(Path::new(&folder), &wanted.members))
    } else {
        let (dir, demo) = Demo::make(&wanted);
        (Some(dir), demo)
    };
    println!("| two members of SoftHSM | |\n| --- | ---: |");
    fill(&demo, keys);
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    // The first login of all takes in what was made just now.
    drop(application());
    let began = Instant::now();
    let (application, session) = application();
    tell("initialise, log in", &millis(began));
    tell("the process then", &memory());
    let began = Instant::now();
    let all = session.find_objects(&private()).expect("a list");
    tell(&format!("list {} private keys", all.len()), &millis(began));
    use_any(&session, &all);
    tell("the process then", &memory());
    drop(session);
    application.finalize();
}

/// Makes as many pairs as are missing.
fn fill(demo: &Demo, keys: u64) {
    let (began, mut made) = (Instant::now(), 0);
    loop {
        let missing = keys.saturating_sub(demo.head() / 2);
        if missing == 0 {
            break;
        }
        let (count, label) = (missing.min(LOT), format!("lot-{}", demo.head()));
        let arguments = ["keys", "generate", "--count", &count.to_string(), "--type", "ec:p256"];
        let more = ["--label", &label, "--threads", "8"];
        demo.report(&[&arguments[..], &more].concat());
        made += count;
    }
    if made > 0 {
        let rate =
            f64::from(u32::try_from(made).expect("a number")) / began.elapsed().as_secs_f64();
        tell(&format!("make {made} pairs"), &format!("{rate:.0} a second"));
    }
    let pairs = demo.head() / 2;
    let len = |file: &str| {
        fs::metadata(demo.dir().join("state").join(file)).map_or(0, |metadata| metadata.len())
    };
    tell("log", &format!("{} bytes a pair", len("tandem.sqlite") / pairs.max(1)));
    tell("checkpoint", &format!("{} bytes a pair", len("checkpoint") / pairs.max(1)));
}

/// Keys from everywhere among all of them are found and used.
fn use_any(session: &Session, all: &[ObjectHandle]) {
    let step = (all.len() / DRAWN).max(1);
    let drawn: Vec<_> = all.iter().copied().step_by(step).take(DRAWN).collect();
    let ids = each("read an id", &drawn, |key| value(session, *key, AttributeType::Id));
    for what in ["find by id", "find by id, again"] {
        each(what, &ids, |id| {
            let wanted = [private(), vec![Attribute::Id(id.clone())]].concat();
            assert_eq!(session.find_objects(&wanted).expect("a search").len(), 1);
        });
    }
    for what in ["sign", "sign, again"] {
        // As many as a process has loaded at a time.
        let drawn = drawn.get(..drawn.len().min(500)).unwrap_or_default();
        each(what, drawn, |key| {
            session.sign(&Mechanism::Ecdsa, *key, &DIGEST).expect("a signature")
        });
    }
}

fn private() -> Vec<Attribute> {
    vec![Attribute::Class(ObjectClass::PRIVATE_KEY)]
}

/// Does it with each, and tells the median.
fn each<T, A>(what: &str, all: &[T], work: impl Fn(&T) -> A) -> Vec<A> {
    let mut times = Vec::with_capacity(all.len());
    let answers = all
        .iter()
        .map(|one| {
            let began = Instant::now();
            let answer = work(one);
            times.push(began.elapsed().as_secs_f64() * 1e6);
            answer
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    tell(&format!("{what}, each of {}", all.len()), &format!("{median:.1} µs"));
    answers
}

fn millis(began: Instant) -> String {
    format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3)
}

/// How much memory this process has (VmRSS).
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or_default().trim().to_owned()
}

fn tell(what: &str, came: &str) {
    println!("| {what} | {came} |");
}
