//! A vendor's library in this process: its life from C_Initialize to C_Finalize, and the one gate through which every call goes.

use crate::config::{Initialise, MemberConfig};
use crate::decode;
use crate::error::LoadError;
use crate::file::{FileId, Module};
use crate::function_list;
use crate::functions::Functions;
use crate::gate::{Gate, Pass, Shut};
use crate::image;
use crate::initialise::{initialise, text_of};
use crate::rest::Busy;
use crate::shield::Shield;
use crate::world::{self, World};
use parking_lot::{Mutex, RwLock};
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tandem_engine::fault::Call;
use tandem_values::ck::*;
use tandem_values::info::LibraryInfo;
use tandem_values::{Rv, rv::Result};

/// How long a start or stop waits for calls that are under way. Meanwhile no new call begins, so a call that hangs
/// must not make the others hang with it.
const CALLS_WAIT: Duration = Duration::from_secs(2);
/// After so many refusals in a row a library is not asked to finalise again.
const ENDS_MAX: u32 = 3;
/// How long a call waits for a start or stop that is under way.
const CHANGE_WAIT: Duration = Duration::from_secs(10);

/// The CK_INFO by which Tandem's own module is known, whatever its file is called.
const OWN_DESCRIPTION: &str = "Tandem";

/// With what a library is started.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Start {
    environment: Vec<(String, String)>,
    initialise: Initialise,
    forbid_threads: bool,
}

impl From<&MemberConfig> for Start {
    fn from(config: &MemberConfig) -> Self {
        Self {
            environment: config.environment.clone(),
            initialise: config.initialise.clone(),
            forbid_threads: config.forbid_threads,
        }
    }
}

/// For whom a private copy was made. Kept for the same member when it comes back: a library is never unmapped
/// (its threads and exit handlers may still run), so each is used again rather than mapped once more.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) member: String,
    pub(crate) start: Start,
}

/// Who called C_Initialize.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Up {
    Ours,
    /// The application did: it is the application's to finalise.
    Theirs,
}

#[derive(Clone, Default)]
struct Life {
    up: Option<Up>,
    start: Option<Start>,
    info: LibraryInfo,
    // What C_Initialize's argument pointed at.
    _text: Arc<CString>,
}

/// The number of a new life: no two libraries ever have the same one.
fn next_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// A search, or something else, that others keep out of the way of.
pub(crate) type Apart<'a> = (Option<Shut<'a>>, Option<Pass<'a>>);

/// A mapped library.
pub(crate) struct Library {
    path: PathBuf,
    id: FileId,
    owner: Option<Owner>,
    generation: u32,
    functions: Functions,
    /// Calls pass it, C_Initialize and C_Finalize shut it: neither may run while another thread is in the library.
    gate: Gate,
    /// Where searches and the making of objects keep out of each other's way.
    making: Gate,
    /// Changes only while the gate is shut. Never locked while the vendor's code runs.
    life: RwLock<Life>,
    /// Which life it is: another number with each C_Initialize and C_Finalize. Changes only while the gate is shut.
    epoch: AtomicU64,
    /// The vendor says that it isn't initialised: the application has finalised what it shares with us.
    lost: AtomicBool,
    users: AtomicU32,
    /// A private copy that a member has.
    taken: AtomicBool,
    /// A private copy that did not finalise, and is not used again.
    spent: AtomicBool,
    /// How often in a row it has refused to finalise.
    refused_ends: AtomicU32,
    serialize: AtomicBool,
    /// No SIGPIPE comes of its calls.
    stays_inside: AtomicBool,
    one_at_a_time: Mutex<()>,
    _mapped: libloading::os::unix::Library,
}

impl Library {
    /// Maps a module: for one member alone if there is an owner.
    pub(crate) fn load(module: &Module, owner: Option<Owner>) -> Result<Self, LoadError> {
        let mapped = match owner {
            Some(_) => image::private(module)?,
            None => image::shared(module)?,
        };
        let list = function_list::of(&mapped).ok_or_else(|| LoadError::NoModule {
            path: module.path.clone(),
            reason: "it has neither C_GetInterface nor C_GetFunctionList".into(),
        })?;
        Ok(Self {
            path: module.path.clone(),
            id: module.id,
            owner,
            generation: world::generation(),
            functions: Functions::new(Box::new(list)),
            gate: Gate::default(),
            making: Gate::default(),
            life: RwLock::default(),
            epoch: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            users: AtomicU32::new(0),
            taken: AtomicBool::new(true),
            spent: AtomicBool::new(false),
            refused_ends: AtomicU32::new(0),
            serialize: AtomicBool::new(false),
            stays_inside: AtomicBool::new(false),
            one_at_a_time: Mutex::new(()),
            _mapped: mapped,
        })
    }

    /// True if a member of this file and owner can have this library. Takes it if it is a private copy.
    pub(crate) fn serves(&self, module: &Module, owner: Option<&Owner>) -> bool {
        match (&self.owner, owner) {
            (None, None) => self.id.same_file(&module.id),
            (Some(own), Some(owner)) => {
                self.id == module.id
                    && own == owner
                    && !self.spent.load(Ordering::Acquire)
                    && !self.taken.swap(true, Ordering::AcqRel)
            }
            _ => false,
        }
    }

    /// True if it is a copy of this owner's that is not used again.
    pub(crate) fn is_spent_of(&self, owner: Option<&Owner>) -> bool {
        self.owner.as_ref() == owner && self.is_private() && self.spent.load(Ordering::Acquire)
    }

    /// True if it has refused to finalise so often that it isn't asked again.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// True if it is one member's own.
    pub(crate) const fn is_private(&self) -> bool {
        self.owner.is_some()
    }

    /// Which life it is.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// True if it is still in this life, as far as is known.
    pub(crate) fn is_in(&self, epoch: u64) -> bool {
        self.epoch() == epoch && !self.lost.load(Ordering::Acquire)
    }

    /// True unless this process is a fork of the one that loaded it: then its locks may be held for ever.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.generation == world::generation()
    }

    /// Calls the vendor: everything but C_Initialize and C_Finalize goes through here. With an epoch, only in
    /// that life of the library: otherwise CKR_SESSION_HANDLE_INVALID, before a handle reaches a vendor who may have
    /// given it to somebody else.
    pub(crate) fn call<T>(
        &self,
        epoch: Option<u64>,
        run: impl FnOnce(&Functions, u64) -> Result<T>,
    ) -> Result<T> {
        if !self.is_of_this_process() {
            return Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED));
        }
        let _busy = Busy::begin();
        // Longer than any start takes that doesn't hang.
        let _pass = self.gate.enter(CHANGE_WAIT).ok_or(Rv(CKR_DEVICE_ERROR))?;
        self.run(epoch, run)
    }

    /// As [`Library::call`], with no other call in the library meanwhile. CKR_DEVICE_ERROR if one stays in it.
    pub(crate) fn call_alone<T>(
        &self,
        epoch: Option<u64>,
        run: impl FnOnce(&Functions, u64) -> Result<T>,
    ) -> Result<T> {
        if !self.is_of_this_process() {
            return Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED));
        }
        let _busy = Busy::begin();
        let _shut = self.gate.shut(CALLS_WAIT).ok_or(Rv(CKR_DEVICE_ERROR))?;
        self.run(epoch, run)
    }

    /// Keeps a search apart from calls that make, change or destroy objects, for as long as what is answered lives. Nothing is
    /// kept apart from a call that does not come to its end.
    pub(crate) fn apart(&self, call: Call) -> Apart<'_> {
        match call {
            Call::Find => (self.making.shut(CALLS_WAIT), None),
            Call::Create | Call::Unwrap | Call::Write | Call::Destroy => {
                (None, self.making.enter(CALLS_WAIT))
            }
            _ => (None, None),
        }
    }

    /// Past the gate.
    fn run<T>(
        &self,
        epoch: Option<u64>,
        run: impl FnOnce(&Functions, u64) -> Result<T>,
    ) -> Result<T> {
        let now = self.epoch();
        if epoch.is_some_and(|epoch| epoch != now) {
            return Err(Rv(CKR_SESSION_HANDLE_INVALID));
        }
        if self.life.read().up.is_none() {
            return Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED));
        }
        let _one = self.serialize.load(Ordering::Relaxed).then(|| self.one_at_a_time.lock());
        let shield = (!self.stays_inside.load(Ordering::Relaxed)).then(Shield::raise);
        let answer = run(&self.functions, now);
        drop(shield);
        if matches!(answer, Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED))) {
            self.lost.store(true, Ordering::Release);
        }
        answer
    }

    /// A member begins to use it. To be followed by [`Library::up`].
    pub(crate) fn join(&self, serialize: bool, stays_inside: bool) {
        self.users.fetch_add(1, Ordering::AcqRel);
        // One member that needs it is enough: the library is the same for all.
        self.serialize.fetch_or(serialize, Ordering::Relaxed);
        self.stays_inside.store(stays_inside, Ordering::Relaxed);
    }

    /// Initialises it unless it is. What it says of itself.
    pub(crate) fn up(&self, world: &World, start: &Start) -> Result<LibraryInfo, LoadError> {
        let shut = self.shut()?;
        self.begin(&shut, world, start)
    }

    /// Finalises it and initialises it anew. Every session on it is gone, whoever's it was.
    pub(crate) fn restart(&self, world: &World, start: &Start) -> Result<LibraryInfo, LoadError> {
        let shut = self.shut()?;
        self.end(&shut)?;
        self.begin(&shut, world, start)
    }

    /// A member ceases to use it: the last one finalises it, unless the application initialised it.
    pub(crate) fn leave(&self) -> Result<(), LoadError> {
        let last = self.users.fetch_sub(1, Ordering::AcqRel) == 1;
        let ended = if last { self.shut().and_then(|shut| self.end(&shut)) } else { Ok(()) };
        if ended.is_err() {
            self.spent.store(true, Ordering::Release);
        }
        self.taken.store(false, Ordering::Release);
        ended
    }

    /// True if sessions outlive their member here: others use it, or the application initialised it.
    pub(crate) fn outlives_a_member(&self) -> bool {
        self.users.load(Ordering::Acquire) > 1 || self.life.read().up == Some(Up::Theirs)
    }

    /// What it says of itself; `None` if it isn't initialised.
    pub(crate) fn info(&self) -> Option<LibraryInfo> {
        let life = self.life.read();
        life.up.map(|_| life.info.clone())
    }

    fn shut(&self) -> Result<Shut<'_>, LoadError> {
        self.gate.shut(CALLS_WAIT).ok_or_else(|| LoadError::Busy(self.path.clone()))
    }

    fn begin(
        &self,
        shut: &Shut<'_>,
        world: &World,
        start: &Start,
    ) -> Result<LibraryInfo, LoadError> {
        if self.lost.swap(false, Ordering::AcqRel) {
            self.life.write().up = None;
        }
        let life = self.life.read().clone();
        if life.up.is_some() {
            return match &life.start {
                Some(other) if other != start => Err(LoadError::Conflict(self.path.clone())),
                _ => Ok(life.info),
            };
        }
        let text = text_of(&start.initialise).map_err(|rv| self.failed(rv))?;
        let _shield = Shield::raise();
        let up = self.initialise(world, start, &text)?;
        self.epoch.store(next_epoch(), Ordering::Release);
        let info = self.functions.info().map_or_else(
            |_| LibraryInfo { interface: self.functions.version(), ..LibraryInfo::default() },
            |info| decode::library_info(&info, self.functions.version()),
        );
        let own = info.description.starts_with(OWN_DESCRIPTION);
        *self.life.write() = Life {
            up: Some(up),
            start: Some(start.clone()),
            info: info.clone(),
            _text: Arc::new(text),
        };
        if own {
            self.end(shut)?;
            return Err(LoadError::Own(self.path.clone()));
        }
        Ok(info)
    }

    fn end(&self, _: &Shut<'_>) -> Result<(), LoadError> {
        let before = std::mem::take(&mut *self.life.write());
        let Some(up) = before.up else { return Ok(()) };
        self.epoch.store(next_epoch(), Ordering::Release);
        match up {
            Up::Theirs => Ok(()),
            Up::Ours => match self.finalise() {
                Ok(()) | Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)) => {
                    self.refused_ends.store(0, Ordering::Relaxed);
                    Ok(())
                }
                Err(rv) => {
                    if self.refused_ends.fetch_add(1, Ordering::Relaxed) + 1 >= ENDS_MAX {
                        self.spent.store(true, Ordering::Release);
                    } else {
                        // It is still initialised, and may be finalised the next time.
                        *self.life.write() = before;
                    }
                    Err(LoadError::Failed { path: self.path.clone(), rv })
                }
            },
        }
    }

    /// C_Finalize, which may tell a peer that has gone.
    fn finalise(&self) -> Result {
        let _shield = Shield::raise();
        self.functions.finalise()
    }

    /// C_Initialize, as the vendor will have it.
    fn initialise(&self, world: &World, start: &Start, text: &CString) -> Result<Up, LoadError> {
        let threads = if start.forbid_threads { CKF_LIBRARY_CANT_CREATE_OS_THREADS } else { 0 };
        let call = |locking| {
            let run = || initialise(&self.functions, &start.initialise, text, threads | locking);
            world.environment.with(&start.environment, run)
        };
        let mut answer = call(CKF_OS_LOCKING_OK);
        if answer == Err(Rv(CKR_CANT_LOCK)) {
            // It can't lock for itself, so it is called by one thread at a time.
            answer = call(0);
            self.serialize.store(true, Ordering::Relaxed);
        }
        if answer == Err(Rv(CKR_CRYPTOKI_ALREADY_INITIALIZED)) && self.is_private() {
            // Nobody else can have done it: it is left over from an attempt that failed half-way.
            let _ = self.functions.finalise();
            answer = call(CKF_OS_LOCKING_OK);
        }
        match answer {
            Ok(()) => Ok(Up::Ours),
            Err(Rv(CKR_CRYPTOKI_ALREADY_INITIALIZED)) if self.generation > 0 => {
                Err(LoadError::Inherited(self.path.clone()))
            }
            Err(Rv(CKR_CRYPTOKI_ALREADY_INITIALIZED)) if !self.is_private() => Ok(Up::Theirs),
            Err(rv) => {
                // Kryoptic is half initialised after such a failure. On a shared library this might be the
                // application's doing, which is not ours to end.
                if self.is_private() {
                    let _ = self.functions.finalise();
                }
                Err(self.failed(rv))
            }
        }
    }

    fn failed(&self, rv: Rv) -> LoadError {
        LoadError::Initialise { path: self.path.clone(), rv }
    }
}
