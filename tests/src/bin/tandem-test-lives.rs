//! A program that loads libtandem.so, uses it on three threads, and unloads it, as often as its argument says. After each
//! life it writes what it holds. `tests/lifecycle.rs` runs it, by itself and under valgrind.

use cryptoki::mechanism::Mechanism;
use cryptoki::session::Session;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Holdings, application};

fn main() {
    let lives: usize =
        std::env::args().nth(1).and_then(|many| many.parse().ok()).expect("a number");
    for _ in 0..lives {
        live();
        println!("{}", Holdings::now());
    }
}

/// From dlopen to dlclose: the application's is the last reference to the library.
fn live() {
    let (application, session) = application();
    sign(&session);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| sign(&application.open(false)));
        }
    });
    drop(session);
    application.finalize();
}

fn sign(session: &Session) {
    let made = Kind::P256.find(session, "key").expect("the key");
    let signature = Kind::P256.work(session, made).expect("a signature");
    let public = made.public.expect("a public key");
    session.verify(&Mechanism::Ecdsa, public, &DIGEST, &signature).expect("it verifies");
    assert!(!session.find_objects(&[]).expect("a search").is_empty());
}
