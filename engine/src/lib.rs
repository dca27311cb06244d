//! The engine decides. It knows the log and its followers, the key ring, objects, operations, sessions, health and
//! routing; it knows no C, no file, no clock and no thread. The world outside implements [`member::Member`],
//! [`log::Store`], [`ports::Clock`] and [`ports::Entropy`], for real or simulated.

#![forbid(unsafe_code)]

mod abilities;
mod admin;
mod adopt;
pub mod backup;
pub mod carry;
pub mod check;
mod data;
pub mod desk;
mod directory;
pub mod error;
pub mod event;
pub mod fault;
mod follow;
pub mod found;
mod half_made;
pub mod health;
pub mod held;
mod import;
mod inquiry;
mod inspect;
mod inventory;
pub mod joining;
pub mod journal;
pub mod leaving;
mod leftover;
pub mod log;
mod login;
mod make;
pub mod member;
mod mentions;
pub mod object;
mod operation;
mod operator;
pub mod pair;
mod pairing;
mod point;
pub mod ports;
pub mod prove;
pub mod reconcile;
pub mod recovery;
mod replica;
pub mod report;
mod retry;
pub mod ring;
mod roll;
mod route;
mod routes;
pub mod runway;
pub mod seal;
pub mod session;
pub mod settings;
pub mod shares;
pub mod shelf;
pub mod shown;
mod standing;
pub mod station;
pub mod step;
mod strangers;
mod stray;
pub mod tampering;
mod tend;
pub mod token;
mod waking;
