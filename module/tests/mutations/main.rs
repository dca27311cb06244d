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
    clippy::panic,
    clippy::cast_ptr_alignment,
    clippy::multiple_unsafe_ops_per_block,
    clippy::disallowed_methods,
    reason = "a test that panics has failed; what it tells is its seed"
)]

mod arena;
mod calls;
mod play;
mod random;
#[path = "../world/mod.rs"]
mod world;

use play::Play;

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
    play::initialise();
    for life in 0..LIVES {
        let mut play = Play::new(seed.wrapping_add(life));
        while play.calls() < mutations.div_ceil(LIVES) {
            calls::one(&mut play);
        }
        println!("{}", play.end());
    }
    let log = world.log();
    if let Some(copy) = std::env::var_os("TANDEM_MUTATIONS_LOG") {
        std::fs::write(copy, &log).unwrap();
    }
    assert!(!log.contains("internal error"), "{log}");
}
