//! SIGPIPE held off while a vendor's code runs on a thread of the application's: a module whose peer has gone must not end the
//! process. The threads of `workers` hold off every signal for good.

use nix::sys::signal::Signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::ptr;

/// While it lives SIGPIPE does nothing on this thread.
pub(crate) struct Shield {
    /// What was held off before; `None` if SIGPIPE was, or if nothing can be.
    before: Option<SigSet>,
}

impl Shield {
    /// Begins to hold it off.
    pub(crate) fn raise() -> Self {
        let before = pipe().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        Self { before: before.filter(|before| !before.contains(Signal::SIGPIPE)) }
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        let Some(before) = &self.before else { return };
        // What the vendor's writing has brought waits for this thread, and would be delivered now. A signal that was sent to
        // the process by somebody waits for another thread, unless all hold it off.
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a set, a time, and null for what is not wanted; takes a signal that waits, or answers that there is none.
        let _ = unsafe { libc::sigtimedwait(pipe().as_ref(), ptr::null_mut(), &raw const at_once) };
        let _ = before.thread_set_mask();
    }
}

/// Holds off every signal on a thread of our own for good, but for those that a thread brings upon itself: they would end the
/// process all the same, and whoever wants to be told of crashes would hear nothing.
pub fn hold_off_signals() {
    let mut others = SigSet::all();
    for own in [SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP] {
        others.remove(own);
    }
    let _ = others.thread_block();
}

fn pipe() -> SigSet {
    let mut pipe = SigSet::empty();
    pipe.add(Signal::SIGPIPE);
    pipe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_off() -> bool {
        SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE)
    }

    fn waits() -> bool {
        let mut waiting = std::mem::MaybeUninit::uninit();
        // SAFETY: writes the set of what waits for this thread.
        assert_eq!(unsafe { libc::sigpending(waiting.as_mut_ptr()) }, 0);
        // SAFETY: it was written.
        let waiting = unsafe { waiting.assume_init() };
        // SAFETY: a set of the system's own.
        let waiting = unsafe { SigSet::from_sigset_t_unchecked(waiting) };
        waiting.contains(Signal::SIGPIPE)
    }

    #[test]
    fn nothing_is_left_of_a_signal_that_came_meanwhile() {
        // As in a process that dies of it.
        // SAFETY: the default, in place of the ignoring that Rust has begun with.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert!(!held_off());
        let shield = Shield::raise();
        assert!(held_off());
        {
            let _inner = Shield::raise();
        }
        assert!(held_off(), "who was held off before stays so");
        // SAFETY: sends this thread a signal that it holds off.
        assert_eq!(unsafe { libc::raise(libc::SIGPIPE) }, 0);
        assert!(waits());
        drop(shield);
        assert!(!held_off() && !waits());
    }
}
