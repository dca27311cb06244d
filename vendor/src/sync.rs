//! What this crate's threads meet by. `tests/orders` puts others in its place, by which every order of events is tried on the
//! same files.

pub(crate) use parking_lot::{Condvar, Mutex};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
