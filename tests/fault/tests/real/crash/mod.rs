//! A process killed between any two steps of making or destroying a key, at every step in turn. Afterwards there is no
//! orphan on any member, no half-made key is seen, and what was acknowledged is whole.

mod act;
mod check;
mod steps;

use self::act::Act;
use tandem_tests::keys::Kind;
use tandem_tests::{Vendor, Wanted};

#[test]
fn making_p256() {
    steps::kill_at_each(&Wanted::mixed(), Act::Make(Kind::P256));
}

#[test]
fn making_rsa_2048() {
    steps::kill_at_each(&Wanted::mixed(), Act::Make(Kind::Rsa(2048)));
}

#[test]
fn making_aes_256() {
    steps::kill_at_each(&Wanted::mixed(), Act::Make(Kind::Aes(32)));
}

#[test]
fn destroying_p256() {
    steps::kill_at_each(&Wanted::mixed(), Act::Destroy);
}

#[test]
fn making_p256_on_two_of_one_vendor() {
    steps::kill_at_each(&Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]), Act::Make(Kind::P256));
}

#[test]
fn making_p256_within_softhsm() {
    steps::kill_within_softhsm(&Wanted::mixed(), Act::Make(Kind::P256));
}

#[test]
fn making_aes_256_within_softhsm() {
    steps::kill_within_softhsm(&Wanted::mixed(), Act::Make(Kind::Aes(32)));
}

#[test]
fn making_what_only_wraps_within_softhsm() {
    steps::kill_within_softhsm(&Wanted::mixed(), Act::Make(Kind::Wrapping(32)));
}

/// The process that is killed. Does nothing when it is not started by a test.
#[test]
#[ignore = "a process of the other tests"]
fn child() {
    act::child();
}

/// The process that looks what is left. Does nothing when it is not started by a test.
#[test]
#[ignore = "a process of the other tests"]
fn after() {
    check::child();
}
