//! Keys on demand against bare loops of the vendors' calls, in turns: signing with one that is loaded and with one that isn't, and making
//! them with eight threads; and both against keys that stay on a vendor's own token, where thousands are. Prints ratios and judges nothing.
//!
//! `TANDEM_BENCH_KEYS` says how many keys each makes in a round (400 unless given), `TANDEM_BENCH_OWN` how many there are on the vendor's own
//! token (4,000); `TANDEM_BENCH_VENDOR` and `TANDEM_BENCH_ONLY` (`loaded`, `turns`, `make`, `own`) leave the rest out.

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
    let keys = number("TANDEM_BENCH_KEYS", 400);
    println!("| two members | what | Tandem, µs | bare, µs | ratio | of the rounds |");
    println!("| --- | --- | ---: | ---: | ---: | --- |");
    for vendor in [Vendor::SoftHsm, Vendor::Kryoptic] {
        if is_asked("TANDEM_BENCH_VENDOR", vendor.name()) {
            measure(vendor, keys);
        }
    }
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
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
    if is_asked("TANDEM_BENCH_ONLY", "own") {
        let own = number("TANDEM_BENCH_OWN", 4_000);
        (0..own).for_each(|number| stays(&directs[0], &format!("own-{number}")));
        sign_beside_own(vendor, own, &session, &directs[0]);
        make_beside_own(vendor, (keys, own), &application, &directs[0]);
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
    let counts = (SIGNATURES, SIGNATURES);
    let rounds = rounds(counts, |_| again(ours, key), |_| again(direct, bare));
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
    tell(vendor, "sign, not loaded", &rounds((TURNS, TURNS), ours, theirs));
}

/// The same key again and again, against one that stays on the vendor's token beside so many.
fn sign_beside_own(vendor: Vendor, own: usize, ours: &Session, direct: &Direct) {
    const OURS: usize = 2_000;
    const THEIRS: usize = 50;
    let key = Kind::P256.make(ours, "beside").expect("a key").key;
    let last = Kind::P256.find(direct, &format!("own-{}", own - 1)).expect("a key").key;
    let again = |session: &Session, key, times| (0..times).for_each(|_| sign(session, key));
    again(ours, key, OURS);
    let rounds =
        rounds((OURS, THEIRS), |_| again(ours, key, OURS), |_| again(direct, last, THEIRS));
    tell(vendor, &format!("sign, loaded; bare: one of {own} token keys"), &rounds);
}

/// Pairs on P-256 by several threads, against making, wrapping, unwrapping and proving by as many.
fn make(vendor: Vendor, keys: usize, application: &Application, directs: &[Direct; 2]) {
    let each = keys.div_ceil(THREADS);
    let rounds = race(application, directs, (each, each), |session, _, signal| {
        let bare = Bare::new(session, vendor);
        signal.heed(|_| {
            for number in 0..each {
                bare.fresh();
                for key in bare.one(&number.to_string(), false) {
                    session.destroy_object(key).expect("a key that goes");
                }
            }
        });
    });
    tell(vendor, "make, 8 threads", &rounds);
}

/// The same against pairs that stay on the vendor's token beside so many.
fn make_beside_own(
    vendor: Vendor,
    (keys, own): (usize, usize),
    application: &Application,
    direct: &Direct,
) {
    const THEIRS: usize = 4;
    let counts = (keys.div_ceil(THREADS), THEIRS);
    let directs = std::slice::from_ref(direct);
    let rounds = race(application, directs, counts, |session, thread, signal| {
        signal.heed(|round| {
            for number in 0..THEIRS {
                stays(session, &format!("more-{thread}-{round}-{number}"));
            }
        });
    });
    tell(vendor, &format!("make, 8 threads; bare: token keys beside {own}"), &rounds);
}

/// A pair on P-256 that stays.
fn stays(session: &Session, name: &str) {
    Kind::P256.make(session, name).expect("a key");
}

/// Rounds in which several threads make so many pairs each through Tandem, and as many do something else so many times.
fn race(
    application: &Application,
    directs: &[Direct],
    (ours_each, theirs_each): (usize, usize),
    other: impl Fn(&Session, usize, &Signal) + Sync,
) -> Rounds {
    let (ours, theirs) = (Signal::default(), Signal::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let session = application.open(true);
            let ours = &ours;
            scope.spawn(move || {
                ours.heed(|round| {
                    for number in 0..ours_each {
                        stays(&session, &format!("made-{ours_each}-{round}-{thread}-{number}"));
                    }
                });
            });
        }
        for (thread, direct) in directs.iter().cycle().take(THREADS).enumerate() {
            let session = direct.open();
            let (theirs, other) = (&theirs, &other);
            scope.spawn(move || other(&session, thread, theirs));
        }
        let counts = (ours_each * THREADS, theirs_each * THREADS);
        rounds(counts, |_| ours.give(), |_| theirs.give())
    })
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
fn rounds(counts: (usize, usize), ours: impl Fn(usize), bare: impl Fn(usize)) -> Rounds {
    let timed = |round: usize, count: usize, work: &dyn Fn(usize)| {
        let began = Instant::now();
        work(round);
        began.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(count).expect("a number"))
    };
    let round = |round| [timed(round, counts.0, &ours), timed(round, counts.1, &bare)];
    Rounds((0..ROUNDS).map(round).collect())
}

fn tell(vendor: Vendor, what: &str, rounds: &Rounds) {
    let ([least, ratio, most], [ours, bare]) = (rounds.ratios(), rounds.medians());
    println!(
        "| {vendor} | {what} | {ours:.1} | {bare:.1} | {ratio:.3} | {least:.3} to {most:.3} |"
    );
}
