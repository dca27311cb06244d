//! An application gone wild: calls that would be right, with templates, mechanisms, buffers and handles mutated at random,
//! through the C face, on two real tokens. Nothing may crash, read or write past what it was given, or panic inside.
//!
//! Every value and buffer is an allocation of its own that ends where the value ends, at any alignment, so
//! AddressSanitizer sees a byte too many (`module/tests/asan.sh` runs it so). A run is its seed:
//!
//! * `TANDEM_SEED`: the seed; without it the same every time.
//! * `TANDEM_MUTATIONS`: how many mutated calls are made.
//! * `TANDEM_MUTATIONS_LOG`: a file for the module's log.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::multiple_unsafe_ops_per_block,
    clippy::disallowed_methods,
    reason = "a test that panics has failed; what it tells is its seed"
)]

#[path = "../world/mod.rs"]
mod world;

use std::ptr;
use tandem::abi::*;
use tandem_fuzz::random::Random;
use tandem_fuzz::wild::{Arena, Play, one};
use tandem_values::{ck::*, names};
use world::{LABEL, SO_PIN, USER_PIN};

/// How many mutated calls are made where nobody asks for more.
const MUTATIONS: u64 = 2_000;

/// In how many lives, from C_Initialize to C_Finalize.
const LIVES: u64 = 5;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_an_application_does_is_fatal() {
    let seed = number("TANDEM_SEED", 20_261_121);
    let mutations = number("TANDEM_MUTATIONS", MUTATIONS);
    println!("TANDEM_SEED={seed} TANDEM_MUTATIONS={mutations}");

    let world = world::World::new();
    initialise();
    for life in 0..LIVES {
        // SAFETY: null asks for nothing.
        ok(unsafe { C_Initialize(ptr::null_mut()) });
        let random = Random::seeded(seed.wrapping_add(life));
        let mut play = Play::new(random, Arena::exact(), USER_PIN);
        while play.calls() < mutations.div_ceil(LIVES) {
            one(&mut play);
        }
        println!("{}", play.end());
    }
    let log = world.log();
    if let Some(copy) = std::env::var_os("TANDEM_MUTATIONS_LOG") {
        std::fs::write(copy, &log).unwrap();
    }
    assert!(!log.contains("internal error"), "{log}");
}

/// The call must succeed.
#[track_caller]
fn ok(rv: CK_RV) {
    assert_eq!(names::rv(rv), "CKR_OK");
}

/// The first life of the virtual token: both PINs are set. The first login will pair its members.
fn initialise() {
    let (mut so_pin, mut user_pin, mut label) = (SO_PIN.to_vec(), USER_PIN.to_vec(), *LABEL);
    let mut session = 0;
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    // SAFETY: PINs with their lengths, a label of 32 bytes, room for a handle.
    unsafe {
        ok(C_Initialize(ptr::null_mut()));
        ok(C_InitToken(0, so_pin.as_mut_ptr(), so_pin.len() as u64, label.as_mut_ptr()));
        ok(C_OpenSession(0, flags, ptr::null_mut(), None, &raw mut session));
        ok(C_Login(session, CKU_SO, so_pin.as_mut_ptr(), so_pin.len() as u64));
        ok(C_InitPIN(session, user_pin.as_mut_ptr(), user_pin.len() as u64));
        ok(C_Logout(session));
        ok(C_CloseSession(session));
        ok(C_Finalize(ptr::null_mut()));
    }
}
