//! A member's life: from a path in the configuration to a slot of an initialised library, and back.

use crate::config::{AfterFork, MemberConfig};
use crate::decode;
use crate::environment;
use crate::error::LoadError;
use crate::file::Module;
use crate::library::{Library, Owner, Start};
use crate::quirks::{Known, known_quirks};
use crate::rest::Busy;
use crate::sessions::Sessions;
use crate::tokens::{self, Found};
use crate::world::{TokenId, World, generation, world};
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tandem_values::ck::*;
use tandem_values::info::{LibraryInfo, TokenInfo};
use tandem_values::{Rv, rv::Result};

/// Tells members from each other, also two of one name.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Where a started member's token is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) library: &'static Library,
    pub(crate) slot: CK_SLOT_ID,
    /// The life of the library in which the slot was found: in another it may have another number.
    pub(crate) epoch: u64,
}

/// Starts, restarts and stops a member.
pub(crate) struct Keeper {
    id: u64,
    config: MemberConfig,
    start: Start,
    generation: u32,
    by_file: Known,
    by_library: OnceLock<Known>,
    /// One start, restart or stop at a time. Held during C_Initialize, never during a call.
    changing: Mutex<()>,
    place: RwLock<Option<Place>>,
    /// Its token is an earlier member's, which found it later.
    lost: Arc<AtomicBool>,
    sessions: Sessions,
    problem: Mutex<Option<Arc<LoadError>>>,
}

type Done<T = ()> = Result<T, Arc<LoadError>>;

impl Keeper {
    pub(crate) fn new(config: MemberConfig) -> Self {
        Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed),
            start: Start::from(&config),
            generation: generation(),
            by_file: known_quirks(&[], &config.module).overridden(&config.quirks),
            by_library: OnceLock::new(),
            changing: Mutex::new(()),
            place: RwLock::new(None),
            lost: Arc::default(),
            sessions: Sessions::default(),
            problem: Mutex::new(None),
            config,
        }
    }

    pub(crate) const fn config(&self) -> &MemberConfig {
        &self.config
    }

    /// What is known of the module: more once it has been started.
    pub(crate) fn known(&self) -> &Known {
        self.by_library.get().unwrap_or(&self.by_file)
    }

    pub(crate) fn problem(&self) -> Option<Arc<LoadError>> {
        if self.is_of_this_process() { self.problem.lock().clone() } else { None }
    }

    pub(crate) fn slot(&self) -> Option<u64> {
        self.place().ok().map(|place| place.slot)
    }

    pub(crate) fn is_private(&self) -> bool {
        self.place().is_ok_and(|place| place.library.is_private())
    }

    /// Which start of its library this is; nought before the first.
    pub(crate) fn epoch(&self) -> u64 {
        (*self.place.read()).map_or(0, |place| place.library.epoch())
    }

    /// The member's sessions.
    pub(crate) fn sessions(&self) -> Result<&Sessions> {
        if self.is_of_this_process() {
            Ok(&self.sessions)
        } else {
            Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED))
        }
    }

    /// Where its token is; CKR_DEVICE_REMOVED if it isn't started. When another member has restarted the same library,
    /// the token is looked for again.
    pub(crate) fn place(&self) -> Result<Place> {
        self.sessions()?;
        let place = (*self.place.read()).ok_or(Rv(CKR_DEVICE_REMOVED))?;
        if place.library.is_in(place.epoch) && !self.lost.load(Ordering::Acquire) {
            return Ok(place);
        }
        self.start().map_err(|_| Rv(CKR_DEVICE_REMOVED))?;
        (*self.place.read()).ok_or(Rv(CKR_DEVICE_REMOVED))
    }

    pub(crate) fn start(&self) -> Done {
        self.change(|world| {
            let place = *self.place.read();
            match place {
                Some(_) if self.lost.swap(false, Ordering::AcqRel) => {
                    if let Some(library) = self.let_go(world) {
                        drop(library.leave());
                    }
                    self.begin(world)
                }
                Some(place) if place.library.is_in(place.epoch) => Ok(()),
                Some(place) => {
                    let info = place.library.up(world, &self.start);
                    self.settle_again(world, place.library, info)
                }
                None => self.begin(world),
            }
        })
    }

    /// True once nothing changes its life; false if something still does after so long.
    pub(crate) fn settles(&self, within: Duration) -> bool {
        // What holds the lock in a child is the parent's: the change itself says no there.
        !self.is_of_this_process() || self.changing.try_lock_for(within).is_some()
    }

    pub(crate) fn restart(&self) -> Done {
        self.change(|world| {
            let place = *self.place.read();
            let Some(Place { library, .. }) = place else { return self.begin(world) };
            if library.outlives_a_member() {
                self.close_sessions();
            }
            match library.restart(world, &self.start) {
                // A private copy that doesn't finalise is left behind in the end, and another takes its place. Until then
                // all is as it was.
                Err(refused @ LoadError::Failed { .. }) if library.is_private() => {
                    if !library.is_spent() {
                        return Err(refused);
                    }
                    self.let_go(world);
                    drop(library.leave());
                    self.begin(world)
                }
                info => self.settle_again(world, library, info),
            }
        })
    }

    pub(crate) fn stop(&self) -> Done {
        self.change(|world| match self.let_go(world) {
            Some(library) => library.leave(),
            None => Ok(()),
        })
    }

    /// Looks at the token again and notes which it is now.
    pub(crate) fn claim_anew(&self) -> Done {
        let place = self.place().map_err(|rv| Arc::new(self.failed(rv)))?;
        let info = place
            .library
            .call(Some(place.epoch), |functions, _| functions.token_info(place.slot))
            .map_err(|rv| Arc::new(self.failed(rv)))?;
        self.claim(world(), &decode::token_info(&info)).map_err(Arc::new)
    }

    const fn is_of_this_process_at(&self, now: u32) -> bool {
        self.generation == now
    }

    fn is_of_this_process(&self) -> bool {
        self.is_of_this_process_at(generation())
    }

    /// Runs a change of the member's life, alone, and remembers how it ended.
    fn change(&self, run: impl FnOnce(&World) -> Result<(), LoadError>) -> Done {
        let _busy = Busy::begin();
        // Before any lock: a thread of the parent may have held it.
        if !self.is_of_this_process() {
            return Err(Arc::new(LoadError::Forked));
        }
        let _alone = self.changing.lock();
        let ended = run(world()).map_err(Arc::new);
        let mut problem = self.problem.lock();
        if let Err(error) = &ended
            && problem.as_ref() != Some(error)
        {
            // Once, however often it is tried.
            log::warn!("member {}: {error}; {}", self.config.name, error.remedy());
        }
        *problem = ended.as_ref().err().cloned();
        ended
    }

    /// Loads and initialises the library, and finds the token.
    fn begin(&self, world: &World) -> Result<(), LoadError> {
        if let Some(name) = environment::invalid(&self.config.environment) {
            return Err(LoadError::Variable(name.into()));
        }
        let module = Module::open(&self.config)?;
        let copies = self.by_file.private_copy || self.must_copy();
        let library = self.join(world, &module, copies)?;
        let info = library.up(world, &self.start);
        // The library may turn out to be one that gets a private copy, whatever its file is called.
        if let Ok(info) = &info
            && !library.is_private()
            && known_quirks(&[&info.manufacturer], &self.config.module)
                .overridden(&self.config.quirks)
                .private_copy
        {
            library.leave()?;
            let library = self.join(world, &module, true)?;
            let info = library.up(world, &self.start);
            return self.settle(world, library, info);
        }
        self.settle(world, library, info)
    }

    /// In a forked child the file's own instance is the parent's, with the parent's login.
    fn must_copy(&self) -> bool {
        self.generation > 0 && self.by_file.after_fork == AfterFork::FreshCopy
    }

    fn join(
        &self,
        world: &World,
        module: &Module,
        private: bool,
    ) -> Result<&'static Library, LoadError> {
        let owner =
            private.then(|| Owner { member: self.config.name.clone(), start: self.start.clone() });
        // p11-kit's client looks where its server is when it is asked for its functions, before C_Initialize.
        let load = || world.library(module, owner);
        let library = world.environment.with(&self.config.environment, load)?;
        library.join(self.config.serialize || self.by_file.serialize, self.by_file.stays_inside);
        Ok(library)
    }

    /// Settles on the library that the member was on. While a call hangs there nothing was ended: all is as it was.
    fn settle_again(
        &self,
        world: &World,
        library: &'static Library,
        info: Result<LibraryInfo, LoadError>,
    ) -> Result<(), LoadError> {
        match info {
            Err(busy @ LoadError::Busy(_)) => Err(busy),
            info => self.settle(world, library, info),
        }
    }

    /// Settles on a library that has been joined and started: finds the token there. On failure the library is left, so
    /// that the next attempt starts it anew (some modules look for tokens only then).
    fn settle(
        &self,
        world: &World,
        library: &'static Library,
        info: Result<LibraryInfo, LoadError>,
    ) -> Result<(), LoadError> {
        let found = info.and_then(|info| {
            let (place, maker) = self.find_token(world, library)?;
            let known = known_quirks(&[&info.manufacturer, &maker], &self.config.module);
            self.by_library.get_or_init(|| known.overridden(&self.config.quirks));
            log::info!(
                "member {}: {} {}.{} speaks PKCS #11 {}.{}, slot {}{}",
                self.config.name,
                info.manufacturer,
                info.version.0,
                info.version.1,
                info.interface.0,
                info.interface.1,
                place.slot,
                if library.is_private() { ", private copy" } else { "" },
            );
            Ok(place)
        });
        match found {
            Ok(place) => {
                *self.place.write() = Some(place);
                Ok(())
            }
            Err(error) => {
                self.let_go(world);
                // What made it fail is what matters; that it can't be finalised either is told when it is used again.
                drop(library.leave());
                Err(error)
            }
        }
    }

    /// Where its token is, and who made that.
    fn find_token(
        &self,
        world: &World,
        library: &'static Library,
    ) -> Result<(Place, String), LoadError> {
        let wanted = || self.config.token.to_string();
        let path = || self.config.module.clone();
        let (found, epoch) = library
            .call(None, |functions, epoch| {
                tokens::find(functions, &self.config.token).map(|found| (found, epoch))
            })
            .map_err(|rv| self.failed(rv))?;
        match found {
            Found::One(slot, info) => {
                self.claim(world, &info)?;
                Ok((Place { library, slot, epoch }, info.manufacturer))
            }
            Found::Several => Err(LoadError::Ambiguous { path: path(), wanted: wanted() }),
            Found::None(seen) => Err(LoadError::NoToken { path: path(), wanted: wanted(), seen }),
        }
    }

    /// Notes that the token is this member's. One that isn't initialised is nobody's yet.
    fn claim(&self, world: &World, info: &TokenInfo) -> Result<(), LoadError> {
        if info.flags & CKF_TOKEN_INITIALIZED == 0 {
            return Ok(());
        }
        world.claim(self.id, &self.config.name, TokenId::from(info), &self.lost).map_err(|other| {
            LoadError::SameToken { label: info.label.clone(), serial: info.serial.clone(), other }
        })
    }

    fn failed(&self, rv: Rv) -> LoadError {
        LoadError::Failed { path: self.config.module.clone(), rv }
    }

    /// Forgets place, token and sessions. The library that was used, which is still to be left.
    fn let_go(&self, world: &World) -> Option<&'static Library> {
        let place = self.place.write().take();
        world.unclaim(self.id);
        if place.is_some_and(|place| place.library.outlives_a_member()) {
            self.close_sessions();
        }
        self.sessions.take();
        place.map(|place| place.library)
    }

    /// Closes the member's sessions one by one, where C_Finalize won't.
    fn close_sessions(&self) {
        for open in self.sessions.take() {
            // One that is gone already is as good as closed.
            let _ =
                open.library.call(Some(open.epoch), |functions, _| functions.close(open.handle));
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // In a forked child it is the parent's to stop, and its locks may be held for ever.
        if self.is_of_this_process() {
            drop(self.stop());
        }
    }
}
