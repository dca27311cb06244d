//! How long a key takes to be made on two members: made, wrapped, written to the log, brought to both and proven there, against
//! a bare loop of the vendors' calls, in turns. Prints ratios and judges nothing.
//!
//! `TANDEM_BENCH_KEYS` says how many keys each makes in a round (100 unless given).

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

use std::time::Instant;
use tandem_tests::keys::Kind;
use tandem_tests::{Bare, Demo, Rounds, Vendor, Wanted, initialised};

/// How many rounds there are, each with more keys on the tokens than the one before.
const ROUNDS: usize = 7;

fn main() {
    let keys: usize =
        std::env::var("TANDEM_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    println!(
        "| two members | keys | Tandem, ms a key | bare loop, ms a key | ratio | of the rounds |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | --- |");
    for vendor in [Vendor::SoftHsm, Vendor::Kryoptic] {
        make(vendor, keys);
    }
}

/// Pairs on P-256 that stay.
fn make(vendor: Vendor, keys: usize) {
    let wanted = Wanted::over(&[vendor, vendor]);
    let ((_dir, demo), (_fresh_dir, fresh)) = (Demo::make(&wanted), Demo::make(&wanted));
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    let directs = ["a", "b"].map(|name| fresh.direct(name));
    let [first, second] = directs.each_ref().map(|direct| Bare::new(direct, vendor));
    let application = initialised();
    let session = application.log_in();
    let ours = |name: &str| _ = Kind::P256.make(&session, name).expect("a key");
    let bare = |name: &str| {
        first.fresh();
        first.one(name, true);
        second.one(name, true);
    };
    // Whatever the first one of a process takes longer.
    ours("warm");
    bare("warm");
    let rounds = (0..ROUNDS).map(|round| [timed(round, keys, &ours), timed(round, keys, &bare)]);
    let rounds = Rounds(rounds.collect());
    let ([least, ratio, most], [ours, bare]) = (rounds.ratios(), rounds.medians());
    println!(
        "| {vendor} | {ROUNDS} x {keys} | {ours:.2} | {bare:.2} | {ratio:.2} | {least:.2} to {most:.2} |"
    );
    drop(session);
    application.finalize();
}

/// Milliseconds that each of so many keys takes.
fn timed(round: usize, keys: usize, make: &dyn Fn(&str)) -> f64 {
    let began = Instant::now();
    for number in 0..keys {
        make(&format!("key-{round}-{number}"));
    }
    began.elapsed().as_secs_f64() * 1_000.0 / f64::from(u32::try_from(keys).expect("a number"))
}
