//! How fast a member catches up that was away while thousands of keys were made and some destroyed, with signing going on:
//! against a bare loop of the vendor calls that every key takes, in the same run. Prints ratios and judges nothing.
//!
//! `TANDEM_BENCH_KEYS` says how many keys are made while it is away (4,000 unless given); a quarter of them is destroyed.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Application, Bare, Demo, Direct, Vendor, Wanted, initialised, value};

/// How many threads sign meanwhile.
const SIGNERS: usize = 2;
/// How long each waits between two signatures: with both loops at the same pace neither is held up more than the other.
const PACE: Duration = Duration::from_millis(5);
/// What the log says when the member is tried and works.
const UP_AGAIN: &str = "member b is up again";

fn main() {
    let keys: usize =
        std::env::var("TANDEM_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000);
    println!(
        "| member that was away | keys | Tandem, ms a key | bare loop, ms a key | ratio | signatures meanwhile | failed |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    // Two of a kind: a signature on the one costs the machine what it costs on the other, here and in the bare loop.
    for vendor in [Vendor::SoftHsm, Vendor::Kryoptic] {
        catch_up(&Wanted::over(&[vendor, vendor]), keys);
    }
}

/// Member `b` is away while keys are made on `a`.
fn catch_up(wanted: &Wanted, keys: usize) {
    let (_dir, demo) = Demo::make(wanted);
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    let vendor = demo.vendor("b");
    // Made now: it sets a variable, which no other thread may read meanwhile.
    let (_fresh_dir, fresh) = Demo::make(&Wanted::over(&[vendor, vendor]));
    let direct = fresh.direct("a");
    demo.take_away("b");
    let application = initialised();
    let session = application.log_in();
    let destroyed = keys / 4;
    for number in 0..keys {
        let made = Kind::P256.make(&session, &format!("key-{number}")).expect("a key");
        if number < destroyed {
            session.destroy_object(made.key).expect("a key that goes");
            session.destroy_object(made.public.expect("a pair")).expect("a key that goes");
        }
    }
    let kept = keys - destroyed;
    let (over, signed, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (ours, bare) = scope(|scope| {
        for _ in 0..SIGNERS {
            let session = application.open(true);
            let (over, signed, failed) = (&over, &signed, &failed);
            scope.spawn(move || sign(&session, over, signed, failed));
        }
        demo.bring_back("b");
        // It is tried when its back-off is over: that is told in `docs/guide/failover.md`, and is no catching up.
        while demo.log().matches(UP_AGAIN).count() == 0 {
            sleep(Duration::from_millis(20));
        }
        let began = Instant::now();
        wait_for(&demo);
        let ours = began.elapsed();
        let bare = bare_loop(&direct, vendor, kept);
        over.store(true, Ordering::Release);
        (ours, bare)
    });
    let each = |time: Duration| {
        time.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(kept).expect("a number"))
    };
    println!(
        "| {vendor} | {kept} of {keys} | {:.2} | {:.2} | {:.2} | {} | {} |",
        each(ours),
        each(bare),
        ours.as_secs_f64() / bare.as_secs_f64(),
        signed.into_inner(),
        failed.into_inner()
    );
    finish(application, session);
}

fn finish(application: Application, session: Session) {
    drop(session);
    application.finalize();
}

fn sign(session: &Session, over: &AtomicBool, signed: &AtomicUsize, failed: &AtomicUsize) {
    let key = Kind::P256.find(session, &last_key(session)).expect("a key").key;
    while !over.load(Ordering::Acquire) {
        let counter =
            if session.sign(&Mechanism::Ecdsa, key, &DIGEST).is_ok() { signed } else { failed };
        counter.fetch_add(1, Ordering::Relaxed);
        sleep(PACE);
    }
}

/// A key that is there: any.
fn last_key(session: &Session) -> String {
    let found =
        session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).expect("a search");
    let last = *found.last().expect("a key");
    String::from_utf8(value(session, last, AttributeType::Id)).expect("a name")
}

/// Waits until every follower is where the log is. The tool asks, in a process of its own: the database must not be opened
/// twice in one process by two copies of SQLite.
fn wait_for(demo: &Demo) {
    let is_behind = || {
        let status = demo.report(&["status"]);
        let members = status["tokens"][0]["members"].as_array().expect("members").clone();
        members.iter().any(|member| member["behind"].as_u64() != Some(0))
    };
    while is_behind() {
        // Each time a program starts, which takes the machine's time too.
        sleep(Duration::from_secs(1));
    }
}

/// What the vendor's own calls take, with signing going on.
fn bare_loop(direct: &Direct, vendor: Vendor, count: usize) -> Duration {
    let bare = Bare::new(direct, vendor);
    let [busy, _] = bare.one("busy", true);
    let over = AtomicBool::new(false);
    scope(|scope| {
        // As many of the signers as work on the member that catches up: half of them.
        for _ in 0..SIGNERS / 2 {
            let session = direct.open();
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Acquire) {
                    session.sign(&Mechanism::Ecdsa, busy, &DIGEST).expect("a signature");
                    sleep(PACE);
                }
            });
        }
        let began = Instant::now();
        for number in 0..count {
            bare.one(&format!("bare-{number}"), true);
        }
        let took = began.elapsed();
        over.store(true, Ordering::Release);
        took
    })
}
