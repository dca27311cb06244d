//! The gate through which every call goes: counted, spoilt if the script says so, forwarded, and written down.

use crate::carry::Carry;
use crate::damage::{self, Unwrapped};
use crate::exports;
use crate::face::{List, Word};
use crate::lanes::Lanes;
use crate::script::{Fault, Script};
use crate::table::Function;
use crate::wrapped::Wrapped;
use parking_lot::{Mutex, RwLock};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tandem_values::ck::*;
use tandem_values::names;

/// By which a change of a file is known.
type Stamp = Option<(u64, i64, i64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

/// The module as C_Initialize found it configured.
struct Module {
    wrapped: Wrapped,
    script: Option<PathBuf>,
    carry: Option<Carry>,
    log: Option<Mutex<File>>,
    state: Mutex<State>,
    /// Calls share it, and what is taken from under them has it alone: SoftHSM crashes where a session is closed while
    /// another thread is in it.
    inside: RwLock<()>,
    lanes: Lanes,
}

#[derive(Default)]
struct State {
    stamp: Stamp,
    script: Script,
    unwrapped: Unwrapped,
    slot: Option<CK_SLOT_ID>,
    initialised: bool,
}

/// A call that begins.
struct Next {
    number: u64,
    faults: Vec<Fault>,
    /// The script by which that is so.
    stamp: Stamp,
    lanes: Option<usize>,
}

static MODULE: RwLock<Option<Arc<Module>>> = RwLock::new(None);

/// What a function of the list does.
pub(crate) fn pass<const N: usize>(
    place: usize,
    words: [CK_ULONG; N],
    forward: impl Fn(&List, [CK_ULONG; N]) -> Option<CK_RV>,
) -> CK_RV {
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let Some(function) = Function::ALL.get(place).copied() else { return CKR_GENERAL_ERROR };
        if let Some(answer) = exports::own(function, &words) {
            return answer;
        }
        let module =
            if function == Function::C_Initialize { begin() } else { MODULE.read().clone() };
        match module {
            Some(module) => module.call(function, words, &forward),
            None if function == Function::C_Initialize => CKR_GENERAL_ERROR,
            None => CKR_CRYPTOKI_NOT_INITIALIZED,
        }
    }));
    answer.unwrap_or(CKR_GENERAL_ERROR)
}

/// Reads the configuration, which is in the environment while C_Initialize runs.
fn begin() -> Option<Arc<Module>> {
    let mut own = MODULE.write();
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let path = variable("TANDEM_FAULT_MODULE");
    let carry = env::var("TANDEM_FAULT_CARRY").ok().map(|text| Carry::parse(&text)).transpose();
    let carry = carry.map_err(|error| complain(&format!("TANDEM_FAULT_CARRY: {error}"))).ok()?;
    if let Some(module) = &*own
        && (module.state.lock().initialised
            || module.is_configured_as(path.as_deref(), variable("TANDEM_FAULT_SCRIPT").as_deref())
                && module.carry == carry)
    {
        return Some(Arc::clone(module));
    }
    let wrapped = match path
        .as_deref()
        .ok_or_else(|| "TANDEM_FAULT_MODULE is not set".to_owned())
        .and_then(Wrapped::load)
    {
        Ok(wrapped) => wrapped,
        Err(error) => {
            complain(&error);
            return None;
        }
    };
    let log = variable("TANDEM_FAULT_LOG").and_then(|path| {
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        opened.map_err(|error| complain(&format!("{}: {error}", path.display()))).ok()
    });
    let module = Arc::new(Module {
        wrapped,
        script: variable("TANDEM_FAULT_SCRIPT"),
        carry,
        log: log.map(Mutex::new),
        state: Mutex::default(),
        inside: RwLock::default(),
        lanes: Lanes::default(),
    });
    *own = Some(Arc::clone(&module));
    Some(module)
}

#[expect(
    clippy::print_stderr,
    reason = "who drills with faults wants to hear of a mistake in their script"
)]
fn complain(error: &str) {
    eprintln!("libtandem_fault.so: {error}");
}

impl Module {
    fn is_configured_as(&self, path: Option<&Path>, script: Option<&Path>) -> bool {
        path == Some(&self.wrapped.path) && script == self.script.as_deref()
    }

    fn call<const N: usize>(
        &self,
        function: Function,
        mut words: [CK_ULONG; N],
        forward: &impl Fn(&List, [CK_ULONG; N]) -> Option<CK_RV>,
    ) -> CK_RV {
        let Next { number, faults, stamp, lanes } = self.next(function);
        let lane = (!function.is_local()).then(|| self.lanes.enter(lanes));
        let mut replaced = None;
        for fault in &faults {
            match fault {
                Fault::Kill => {
                    self.write(number, function, "killed before");
                    kill();
                }
                Fault::Return(rv) => {
                    self.write(number, function, &format!("{} instead", names::rv(*rv)));
                    return *rv;
                }
                Fault::Delay(time) => std::thread::sleep(*time),
                Fault::Hang => {
                    self.write(number, function, "hangs");
                    self.wait_for_another_script(stamp);
                    self.write(number, function, "CKR_DEVICE_ERROR instead, after it hung");
                    return CKR_DEVICE_ERROR;
                }
                Fault::LoseSessions => self.lose_sessions(),
                Fault::LoseLogin => self.lose_login(&words),
                Fault::WrongKey if function == Function::C_UnwrapKey => {
                    replaced = self.state.lock().unwrapped.replace(&mut words);
                }
                _ => {}
            }
        }
        let inside = self.inside.read();
        let rv = self.forward(function, words, forward);
        drop(inside);
        drop(lane);
        if rv == CKR_OK && replaced.is_none() {
            self.learn(function, &words);
        }
        drop(replaced);
        let mut answer = rv;
        for fault in &faults {
            match fault {
                Fault::KillAfter => {
                    self.write(number, function, &format!("killed after {}", names::rv(rv)));
                    kill();
                }
                Fault::ReturnAfter(rv) => answer = *rv,
                Fault::WrongOutput if rv == CKR_OK => damage::change_bit(function, &words),
                Fault::WrongLength if rv == CKR_OK => damage::shorten(function, &words),
                _ => {}
            }
        }
        let said = if answer == rv {
            names::rv(rv)
        } else {
            format!("{} after {}", names::rv(answer), names::rv(rv)).into()
        };
        self.write(number, function, &said);
        answer
    }

    /// Calls the wrapped module, with mechanisms under the numbers that it is to get.
    fn forward<const N: usize>(
        &self,
        function: Function,
        mut words: [CK_ULONG; N],
        forward: &impl Fn(&List, [CK_ULONG; N]) -> Option<CK_RV>,
    ) -> CK_RV {
        let dressed = self.carry.as_ref().and_then(|carry| carry.dress(function, &mut words));
        let rv = forward(&self.wrapped.list, words).unwrap_or(CKR_FUNCTION_NOT_SUPPORTED);
        drop(dressed);
        if rv == CKR_OK
            && let Some(carry) = &self.carry
        {
            carry.undress(function, &words);
        }
        rv
    }

    /// Counts a call, by the script as it is now, which is known by its stamp.
    fn next(&self, function: Function) -> Next {
        let mut state = self.state.lock();
        if let Some(path) = &self.script {
            let stamp = stamp(path);
            if stamp != state.stamp {
                state.stamp = stamp;
                let text = fs::read_to_string(path).unwrap_or_default();
                state.script = Script::parse(&text).unwrap_or_else(|error| {
                    complain(&format!("{}: {error}", path.display()));
                    Script::default()
                });
            }
        }
        let (number, faults) = state.script.next(function);
        Next { number, faults, stamp: state.stamp, lanes: state.script.lanes() }
    }

    /// What hung answers, with an error, when whatever held it up is mended: when the script is another than the one by
    /// which it hangs.
    fn wait_for_another_script(&self, hung_by: Stamp) {
        while hung_by == self.script.as_deref().and_then(stamp) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What later faults need to know.
    fn learn(&self, function: Function, words: &[CK_ULONG]) {
        match function {
            Function::C_Initialize => self.state.lock().initialised = true,
            Function::C_Finalize => self.state.lock().initialised = false,
            Function::C_OpenSession => self.state.lock().slot = words.first().copied(),
            Function::C_UnwrapKey => self.state.lock().unwrapped.remember(words),
            _ => {}
        }
    }

    fn lose_sessions(&self) {
        let _alone = self.inside.write();
        let slot = self.state.lock().slot;
        if let (Some(slot), Some(close)) = (slot, self.wrapped.list.C_CloseAllSessions) {
            // SAFETY: takes a slot's number and nothing else.
            let _ = unsafe { close(slot) };
        }
    }

    fn lose_login(&self, words: &[CK_ULONG]) {
        let _alone = self.inside.write();
        if let (Some(session), Some(logout)) = (words.first(), self.wrapped.list.C_Logout) {
            // SAFETY: takes a session's handle and nothing else; what is none is refused.
            let _ = unsafe { logout(*session) };
        }
    }

    fn write(&self, number: u64, function: Function, said: &str) {
        if let Some(log) = &self.log {
            // In one write, so that lines of several processes don't mix.
            let _ =
                log.lock().write_all(format!("{number} {} {said}\n", function.name()).as_bytes());
        }
    }
}

/// Ends the process as a power cut ends it: nothing runs any more.
fn kill() {
    // SAFETY: takes nothing and answers a number.
    let own = unsafe { libc::getpid() };
    // SAFETY: takes numbers; ends this process.
    unsafe { libc::kill(own, libc::SIGKILL) };
    // The signal may take effect on another thread first.
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The word of an argument, for `exports`.
pub(crate) fn argument<T: Word>(words: &[CK_ULONG], at: usize) -> Option<T> {
    words.get(at).copied().map(T::argument)
}
