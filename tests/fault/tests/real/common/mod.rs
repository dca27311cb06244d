//! A demo whose members fail as their scripts say, and how it is looked at afterwards.

mod look;
mod remote;
mod shim;
mod world;

pub(crate) use look::{View, look_at_member, look_at_token, same};
pub(crate) use remote::{Harm, dies_of_sigpipe};
pub(crate) use shim::compiled_shim;
pub(crate) use world::{RECOVERY, World, again, child_of_test, log_in_patiently};
