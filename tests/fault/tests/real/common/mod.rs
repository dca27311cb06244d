//! A demo whose members fail as their scripts say, and how it is looked at afterwards.

mod look;
mod world;

pub(crate) use look::{View, look_at_member, look_at_token, same};
pub(crate) use world::{World, child_of_test};
