//! What all members of this process share: the libraries that are mapped, the tokens that are taken, the environment.
//!
//! After a fork the child begins with an empty world. The parent's is left where it is, never dropped and
//! never looked at again: its locks may be held by threads that the child doesn't have.

use crate::environment::Environment;
use crate::error::LoadError;
use crate::file::Module;
use crate::library::{Library, Owner};
use parking_lot::Mutex;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use tandem_values::info::TokenInfo;

static WORLD: AtomicPtr<World> = AtomicPtr::new(ptr::null_mut());
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many copies that did not finalise a member may leave mapped.
const SPENT_MAX: usize = 8;

/// Shared by all members of this process.
#[derive(Default)]
pub(crate) struct World {
    // Mapped for good, so they live for ever.
    libraries: Mutex<Vec<&'static Library>>,
    tokens: Mutex<Vec<Claim>>,
    /// Written by whoever sets variables around C_Initialize, read by all others who call it.
    pub(crate) environment: Environment,
}

/// A token that a member uses.
struct Claim {
    by: u64,
    name: String,
    token: TokenId,
    lost: Arc<AtomicBool>,
}

/// Which token: two tokens differ in one of these. Not the module, which may be another copy of the same.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenId {
    manufacturer: String,
    model: String,
    serial: String,
    label: String,
}

impl From<&TokenInfo> for TokenId {
    fn from(info: &TokenInfo) -> Self {
        Self {
            manufacturer: info.manufacturer.clone(),
            model: info.model.clone(),
            serial: info.serial.clone(),
            label: info.label.clone(),
        }
    }
}

/// The number of forks, counted by [`forget_after_fork`], between the first process and this one.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// This process's world.
pub(crate) fn world() -> &'static World {
    let mut at = WORLD.load(Ordering::Acquire);
    if at.is_null() {
        let new = Box::into_raw(Box::default());
        at = match WORLD.compare_exchange(at, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(first) => {
                // SAFETY: from `Box::into_raw` a moment ago, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                first
            }
        };
    }
    // SAFETY: not null, from `Box::into_raw`, and never freed once it was stored.
    unsafe { &*at }
}

/// To be called in a forked child before its first member is made, by the only thread there is. Every library is then
/// loaded afresh, so that no login is inherited; members that the parent made answer CKR_CRYPTOKI_NOT_INITIALIZED.
pub fn forget_after_fork() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    // The parent's world is leaked on purpose.
    WORLD.store(ptr::null_mut(), Ordering::Release);
}

impl World {
    /// The library of a module: mapped already, or now.
    pub(crate) fn library(
        &self,
        module: &Module,
        owner: Option<Owner>,
    ) -> Result<&'static Library, LoadError> {
        let mut libraries = self.libraries.lock();
        if let Some(library) =
            libraries.iter().find(|library| library.serves(module, owner.as_ref()))
        {
            return Ok(library);
        }
        let spent = |library: &&&Library| library.is_spent_of(owner.as_ref());
        if libraries.iter().filter(spent).count() >= SPENT_MAX {
            return Err(LoadError::NoCopy {
                path: module.path.clone(),
                reason: format!("{SPENT_MAX} copies of it did not finalise"),
            });
        }
        let library: &'static Library = Box::leak(Box::new(Library::load(module, owner)?));
        libraries.push(library);
        Ok(library)
    }

    /// Notes that a member uses a token. The other member's name if one that was made before it does: members start at the same
    /// time, and one that was made later loses the token, which is noted.
    pub(crate) fn claim(
        &self,
        by: u64,
        name: &str,
        token: TokenId,
        lost: &Arc<AtomicBool>,
    ) -> Result<(), String> {
        let mut tokens = self.tokens.lock();
        if let Some(other) = tokens.iter().find(|claim| claim.token == token && claim.by < by) {
            return Err(other.name.clone());
        }
        for later in tokens.iter().filter(|claim| claim.token == token && claim.by > by) {
            later.lost.store(true, Ordering::Release);
        }
        tokens.retain(|claim| claim.by != by && claim.token != token);
        tokens.push(Claim { by, name: name.to_owned(), token, lost: Arc::clone(lost) });
        Ok(())
    }

    /// A member lets go of its token.
    pub(crate) fn unclaim(&self, by: u64) {
        self.tokens.lock().retain(|claim| claim.by != by);
    }
}
