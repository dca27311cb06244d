//! Pairing over real modules (design.md section 6; `facts.md` g, l, m).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that can't go on has failed"
)]

mod attacks;
mod cut;
mod interrupted;
mod recovery;
mod ring;
mod rotation;
mod routes;
mod tokens;
mod world;
