//! An application gone wild: what it calls the C face with is not what it should be. Here is all that is unsafe.
//!
//! Memory is its own ([`Arena`]): a length is true, or such that a module must not follow it.

pub(crate) mod arena;
mod arguments;
mod asked;
mod deeds;
mod play;

pub use arena::Arena;
pub(crate) use arguments::arguments;
pub use deeds::one;
pub use play::Play;

use crate::random::Random;
use crate::scene::Scene;
use tandem::state;
use tandem_simulation::setup::{self, Options, PIN};

/// The most deeds of a life.
const DEEDS_MAX: usize = 64;

/// A life of the application over toy members: each call as bytes say.
pub(crate) fn calls(data: &[u8]) {
    let world = Scene::get().world();
    let token = setup::token(&world, &Options::default(), world.be_born());
    token.start();
    state::initialize_over(vec![token.clone()]).expect("a module that is not initialised");
    let mut play = Play::new(Random::of(data), Arena::fenced(), PIN);
    for _ in 0..DEEDS_MAX {
        if play.is_over() {
            break;
        }
        one(&mut play);
    }
    // Toys never answer so: it is a panic that was caught.
    let failed = play.answers().keys().find(|answer| answer.ends_with("CKR_GENERAL_ERROR"));
    assert_eq!(failed, None);
    play.end();
    token.stop();
}
