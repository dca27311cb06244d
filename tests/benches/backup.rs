//! How long a backup of thousands of keys takes, how large it is, and how fast it is verified and restored: against a bare loop
//! of the vendor calls that every key takes, in the same run. Prints ratios and judges nothing.
//!
//! `TANDEM_BENCH_KEYS` says how many keys there are (4,000 unless given), `TANDEM_BENCH_HOLD` how they are held (`resident` unless
//! given, or `on-demand`).

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]
#![expect(clippy::zombie_processes, reason = "it is waited for with what it used")]

use cryptoki::session::Session;
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tandem_tests::{Bare, Demo, Vendor, Wanted};

fn main() {
    let keys: u32 =
        std::env::var("TANDEM_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000);
    for vendor in [Vendor::SoftHsm, Vendor::Kryoptic] {
        measure(vendor, keys);
    }
}

/// What a command came to.
struct Ran {
    report: Value,
    took: Duration,
    /// The most memory that it had, in KiB.
    peak: i64,
}

/// Runs the tool, which must be done.
fn run(demo: &Demo, arguments: &[&str]) -> Ran {
    let began = Instant::now();
    let mut child = demo
        .command([arguments, &["--json"]].concat())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tandem runs");
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
    let (mut status, pid) = (0, i32::try_from(child.id()).expect("a number"));
    // SAFETY: all of it is numbers, and zeroes are good ones.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: waits for our own child, into what is ours.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert!(waited == pid && status == 0, "tandem {arguments:?}: {text}");
    let report = serde_json::from_str(&text).expect("JSON");
    Ran { report, took: began.elapsed(), peak: usage.ru_maxrss }
}

fn measure(vendor: Vendor, keys: u32) {
    let hold = std::env::var("TANDEM_BENCH_HOLD").unwrap_or_else(|_| "resident".to_owned());
    let resident = hold == "resident";
    let held = |members: &[Vendor]| Wanted::over(members).with(&format!("hold={hold}"));
    let (_dir, demo) = Demo::make(&held(&[vendor, vendor]));
    let (_bare_dir, bare) = Demo::make(&Wanted::over(&[vendor, vendor]));
    let count = keys.to_string();
    run(&demo, &["keys", "generate", "--count", &count, "--type", "ec:p256", "--label", "key"]);
    let file = demo.dir().join("one.bundle").display().to_string();
    let prepared = run(&demo, &["backup", "prepare"]);
    let made = run(&demo, &["backup", "run", "--out", &file]);
    let committed = run(&demo, &["backup", "commit"]);
    let idle = run(&demo, &["backup", "list"]);
    let verified = run(&demo, &["backup", "verify", &file]);
    // On the very token that opened them: some modules are the slower the more they hold.
    let bare_verify = bare_loop(&demo.direct("a"), vendor, keys, false);
    let new = Demo::unpaired(&held(&[vendor]), &demo.dir().join("new"));
    let shares = demo.dir().join("shares").display().to_string();
    let restored = run(&new, &["restore", &file, "--shares", &shares]);
    let bare_restore = bare_loop(&bare.direct("a"), vendor, keys, resident);

    let each = |time: Duration| time.as_secs_f64() * 1_000.0 / f64::from(keys);
    let share = |bare: Duration, ours: Duration| bare.as_secs_f64() / ours.as_secs_f64() * 100.0;
    println!("{vendor}, {keys} keys (P-256), {hold}");
    println!(
        "| what | time | ms a key | bare loop, ms a key | rate, of the bare loop's | the same without the login | peak memory |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let row = |what: &str, ran: &Ran, bare: Option<Duration>| {
        // The bare loop is in a session that is open: starting modules and logging in takes as long as it takes.
        let net = ran.took.saturating_sub(idle.took);
        let cells = bare.map_or_else(
            || " | | ".to_owned(),
            |bare| {
                let (whole, net) = (share(bare, ran.took), share(bare, net));
                format!("{:.2} | {whole:.0} % | {net:.0} %", each(bare))
            },
        );
        println!(
            "| {what} | {:.1} s | {:.2} | {cells} | {} MiB |",
            ran.took.as_secs_f64(),
            each(ran.took),
            ran.peak / 1_024
        );
    };
    row("prepare", &prepared, None);
    row("run: write, read back, prove", &made, None);
    row("commit", &committed, None);
    row("list (a login and nothing else)", &idle, None);
    row("verify", &verified, Some(bare_verify));
    row("restore onto one new token", &restored, Some(bare_restore));
    let bytes = verified.report["bytes"].as_u64().expect("a number");
    println!("a bundle of {bytes} bytes, {} a key", bytes / u64::from(keys));
}

/// What the vendor's own calls take; session objects go again.
fn bare_loop(session: &Session, vendor: Vendor, count: u32, token: bool) -> Duration {
    let bare = Bare::new(session, vendor);
    let began = Instant::now();
    for number in 0..count {
        let made = bare.one(&format!("bare-{number}"), token);
        if !token {
            for object in made {
                session.destroy_object(object).expect("it goes");
            }
        }
    }
    began.elapsed()
}
