//! What a process that holds PINs does without.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// No core dump of this process from now on, and no other process of this user may look into it: it holds PINs.
/// For the tool only; an application's process is its own.
pub fn no_core_dumps() {
    // Where a host forbids even this, the tool still works, and the dump is then the host's own policy.
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        log::debug!("core dumps can't be switched off: {error}");
    }
    if let Err(error) = prctl::set_dumpable(false) {
        log::debug!("this process stays open to other processes of this user: {error}");
    }
}
