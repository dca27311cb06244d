//! Forks of an application whose threads are signing: no call of its own fails or hangs, its children work, and nothing
//! is left on either side.

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::session::Session;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::{Application, Demo, Holdings, Wanted, alone, application, child, refused};

/// What the threads sign with, each with one of these.
const KINDS: [Kind; 4] = [Kind::P256, Kind::Rsa(2048), Kind::Generic(32), Kind::P256];
const THREADS: usize = 8;
/// Each kind of child so often.
const ROUNDS: usize = 6;
/// No call of the parent may take longer, however busy the machine is.
const STALL_MAX: Duration = Duration::from_secs(20);

#[test]
fn eight_threads_sign_while_their_process_forks() {
    alone(&Wanted::mixed(), |demo| forks(demo));
}

#[test]
fn eight_threads_sign_while_their_process_forks_and_calls_have_no_deadlines() {
    alone(&Wanted::mixed(), |demo| {
        demo.configure(|text| {
            text.replace("[[token.member]]", "[[token.member]]\ndeadline_ms = 0")
        });
        forks(demo);
    });
}

fn forks(demo: &Demo) {
    {
        let (_application, session) = application();
        for kind in KINDS.iter().take(3) {
            kind.make(&session, &kind.to_string()).expect("a key");
        }
    }
    let before = Holdings::now();
    let (application, session) = application();
    let (done, signed) = (AtomicBool::new(false), AtomicU64::new(0));
    let slowest = thread::scope(|scope| {
        let signers: Vec<_> = (0..THREADS)
            .map(|number| {
                let (application, done, signed) = (&application, &done, &signed);
                let kind = KINDS[number % KINDS.len()];
                scope.spawn(move || signs_until(done, signed, application, kind))
            })
            .collect();
        // Every thread is at it before the first fork.
        while signed.load(Ordering::Relaxed) < 10 * THREADS as u64 {
            thread::sleep(Duration::from_millis(10));
        }
        let children = catch_unwind(AssertUnwindSafe(|| {
            (0..ROUNDS).for_each(|round| children(demo, &application, &session, round));
        }));
        // Or else the signers would go on for ever.
        done.store(true, Ordering::Relaxed);
        children.unwrap_or_else(|panic| resume_unwind(panic));
        signers.into_iter().map(|signer| signer.join().expect("a signer")).max()
    });
    let (slowest, signed) = (slowest.expect("signers"), signed.into_inner());
    println!("| {} forks | {signed} signatures | slowest {slowest:?} |", 5 * ROUNDS);
    assert!(slowest < STALL_MAX, "a call took {slowest:?}");
    drop(session);
    application.finalize();
    let after = Holdings { resident_kib: before.resident_kib, ..Holdings::now() };
    assert_eq!(after, before, "something of the forks is left");
    assert!(demo.tandem(&["verify"]).status.success());
}

/// One child of each kind, each from a process whose threads are inside calls.
fn children(demo: &Demo, application: &Application, session: &Session, round: usize) {
    let gone = child(|| true);
    assert!(gone, "round {round}: a child that just ends");
    let plain = child(|| {
        // SAFETY: ends the child, and runs what libraries have left to be run at its end.
        unsafe { libc::exit(0) }
    });
    assert!(plain, "round {round}: a child that ends with exit()");
    let other = child(|| {
        refused(
            "the parent's session",
            session.get_session_info(),
            &[RvError::CryptokiNotInitialized],
        );
        true
    });
    assert!(other, "round {round}: a child that doesn't initialise");
    let heir = child(|| {
        anew(application);
        true
    });
    assert!(heir, "round {round}: a child that initialises");
    assert!(child(|| another_program(demo)), "round {round}: a child that becomes another program");
}

/// A child's own life with the module, from C_Initialize to C_Finalize, and one thread at its end as at its beginning.
fn anew(application: &Application) {
    let before = Holdings::now();
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    application.initialize(arguments).expect("C_Initialize in a child");
    let own = application.log_in();
    for kind in KINDS.iter().take(3) {
        let made = kind.find(&own, &kind.to_string()).expect("the parent's key");
        works(&own, *kind, made);
    }
    drop(own);
    (**application).clone().finalize().expect("C_Finalize in a child");
    let after = Holdings::now();
    assert_eq!((after.threads, before.threads), (1, 1), "threads of a child");
    assert!(after.files <= before.files, "files: {before}, then {after}");
}

/// What becomes of the child has nothing open that is Tandem's: no store, no log.
fn another_program(demo: &Demo) -> bool {
    let (state, log) = (demo.dir().join("state"), demo.dir().join("tandem.log"));
    let look = format!(
        "for file in /proc/self/fd/*; do case $(readlink $file) in {}/*|{}) exit 1 ;; esac; done",
        state.display(),
        log.display()
    );
    panic!("exec: {}", Command::new("sh").args(["-c", &look]).exec());
}

/// Signs and verifies until it is enough; answers how long the slowest of both together took.
fn signs_until(
    done: &AtomicBool,
    signed: &AtomicU64,
    application: &Application,
    kind: Kind,
) -> Duration {
    let session = application.open(false);
    let made = kind.find(&session, &kind.to_string()).expect("the key");
    let mut slowest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        works(&session, kind, made);
        slowest = slowest.max(begun.elapsed());
        signed.fetch_add(1, Ordering::Relaxed);
    }
    slowest
}

/// One signature, verified by the token.
fn works(session: &Session, kind: Kind, made: Made) {
    let signature = kind.work(session, made).expect("a signature");
    let verified = match kind {
        Kind::P256 => {
            session.verify(&Mechanism::Ecdsa, made.public.expect("a key"), &DIGEST, &signature)
        }
        Kind::Generic(_) => session.verify(&Mechanism::Sha256Hmac, made.key, &DIGEST, &signature),
        _ => {
            let data = [&tandem_tests::openssl::SHA256_INFO[..], &DIGEST].concat();
            session.verify(&Mechanism::RsaPkcs, made.public.expect("a key"), &data, &signature)
        }
    };
    verified.expect("it verifies");
}
