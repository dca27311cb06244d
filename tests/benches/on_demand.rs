//! Keys on demand against bare loops of the vendors' calls, in turns: signing with one that is loaded and with one that isn't, and making
//! them with eight threads. Prints ratios and judges nothing.
//!
//! `TANDEM_BENCH_KEYS` says how many keys each makes in a round (400 unless given); `TANDEM_BENCH_VENDOR` and `TANDEM_BENCH_ONLY` (`loaded`,
//! `turns`, `make`) leave the rest out.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Application, Bare, Demo, Direct, Rounds, Vendor, Wanted, initialised};

/// How many rounds there are.
const ROUNDS: usize = 7;
/// How many threads make keys.
const THREADS: usize = 8;
/// How many keys a member is given at a time: the others must be loaded.
const LOADED: usize = 16;
/// How many keys take their turns, so that none is loaded when its turn comes.
const TURNS: usize = 64;

fn main() {
    let keys: usize =
        std::env::var("TANDEM_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    println!("| two members | what | Tandem, µs | bare, µs | ratio | of the rounds |");
    println!("| --- | --- | ---: | ---: | ---: | --- |");
    for vendor in [Vendor::SoftHsm, Vendor::Kryoptic] {
        if is_asked("TANDEM_BENCH_VENDOR", vendor.name()) {
            measure(vendor, keys);
        }
    }
}

/// True unless this variable asks for something else.
fn is_asked(variable: &str, part: &str) -> bool {
    std::env::var(variable).map_or(true, |asked| asked == part)
}

fn measure(vendor: Vendor, keys: usize) {
    let wanted = Wanted::over(&[vendor, vendor]).with("hold=on-demand");
    let ((_dir, demo), (_fresh_dir, fresh)) = (Demo::make(&wanted), Demo::make(&wanted));
    let members = format!("[[token.member]]\nloaded_max = {LOADED}\ndeadline_ms = 0\n");
    demo.configure(|text| text.replace("[[token.member]]\n", &members));
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    let directs = ["a", "b"].map(|name| fresh.direct(name));
    let application = initialised();
    let session = application.log_in();
    if is_asked("TANDEM_BENCH_ONLY", "loaded") {
        sign_loaded(vendor, &session, &directs[0]);
    }
    if is_asked("TANDEM_BENCH_ONLY", "turns") {
        sign_not_loaded(vendor, &session, &directs[0]);
    }
    if is_asked("TANDEM_BENCH_ONLY", "make") {
        make(vendor, keys, &application, &directs);
    }
    drop(session);
    application.finalize();
}

fn sign(session: &Session, key: ObjectHandle) {
    session.sign(&Mechanism::Ecdsa, key, &DIGEST).expect("a signature");
}

/// The same key again and again, against a session key of the vendor's.
fn sign_loaded(vendor: Vendor, ours: &Session, direct: &Direct) {
    const SIGNATURES: usize = 2_000;
    let key = Kind::P256.make(ours, "loaded").expect("a key").key;
    let bare = Bare::new(direct, vendor).one("loaded", false)[0];
    let again = |session: &Session, key| (0..SIGNATURES).for_each(|_| sign(session, key));
    again(ours, key);
    again(direct, bare);
    let rounds = rounds(SIGNATURES, |_| again(ours, key), |_| again(direct, bare));
    tell(vendor, "sign, loaded", &rounds);
}

/// Each key in its turn, against an unwrap, a signature and its verification.
fn sign_not_loaded(vendor: Vendor, ours: &Session, direct: &Direct) {
    let name = |number: usize| format!("turn-{number}");
    let keys: Vec<_> =
        (0..TURNS).map(|number| Kind::P256.make(ours, &name(number)).expect("a key").key).collect();
    let bare = Bare::new(direct, vendor);
    let ours = |_| keys.iter().for_each(|key| sign(ours, *key));
    let theirs = |_| {
        for number in 0..TURNS {
            for key in bare.one(&name(number), false) {
                direct.destroy_object(key).expect("a key that goes");
            }
        }
    };
    ours(0);
    tell(vendor, "sign, not loaded", &rounds(TURNS, ours, theirs));
}

/// Pairs on P-256 by several threads, against making, wrapping, unwrapping and proving by as many.
fn make(vendor: Vendor, keys: usize, application: &Application, directs: &[Direct; 2]) {
    let each = keys.div_ceil(THREADS);
    let (ours, theirs) = (Signal::default(), Signal::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let session = application.open(true);
            let ours = &ours;
            scope.spawn(move || {
                ours.heed(|round| {
                    for number in 0..each {
                        let name = format!("made-{round}-{thread}-{number}");
                        Kind::P256.make(&session, &name).expect("a key");
                    }
                });
            });
        }
        for direct in directs.iter().cycle().take(THREADS) {
            let session = direct.open();
            let theirs = &theirs;
            scope.spawn(move || {
                let bare = Bare::new(&session, vendor);
                theirs.heed(|_| {
                    for number in 0..each {
                        bare.fresh();
                        for key in bare.one(&number.to_string(), false) {
                            session.destroy_object(key).expect("a key that goes");
                        }
                    }
                });
            });
        }
        let rounds = rounds(each * THREADS, |_| ours.give(), |_| theirs.give());
        tell(vendor, "make, 8 threads", &rounds);
    });
}

/// Has threads do their work at the same time, round by round.
struct Signal {
    begin: Barrier,
    end: Barrier,
}

impl Default for Signal {
    fn default() -> Self {
        Self { begin: Barrier::new(THREADS + 1), end: Barrier::new(THREADS + 1) }
    }
}

impl Signal {
    /// One round, from its beginning to its end.
    fn give(&self) {
        self.begin.wait();
        self.end.wait();
    }

    /// What a thread does in each round.
    fn heed(&self, mut work: impl FnMut(usize)) {
        for round in 0..ROUNDS {
            self.begin.wait();
            work(round);
            self.end.wait();
        }
    }
}

/// Microseconds that each of so many takes, by us and bare, round by round.
fn rounds(count: usize, ours: impl Fn(usize), bare: impl Fn(usize)) -> Rounds {
    let timed = |round: usize, work: &dyn Fn(usize)| {
        let began = Instant::now();
        work(round);
        began.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(count).expect("a number"))
    };
    Rounds((0..ROUNDS).map(|round| [timed(round, &ours), timed(round, &bare)]).collect())
}

fn tell(vendor: Vendor, what: &str, rounds: &Rounds) {
    let ([least, ratio, most], [ours, bare]) = (rounds.ratios(), rounds.medians());
    println!(
        "| {vendor} | {what} | {ours:.1} | {bare:.1} | {ratio:.2} | {least:.2} to {most:.2} |"
    );
}
