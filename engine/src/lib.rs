//! The engine decides. It knows the log and its followers, the key ring, objects, operations, sessions, health and
//! routing; it knows no C, no file, no clock and no thread. The world outside implements [`member::Member`],
//! [`log::Store`], [`ports::Clock`] and [`ports::Entropy`], for real or simulated.

#![forbid(unsafe_code)]

pub mod event;
pub mod fault;
pub mod log;
pub mod member;
pub mod object;
pub mod ports;
pub mod ring;
pub mod step;
