//! A member's sessions: numbers of our own, which are never used again, for the vendor's handles, which are.

use crate::library::Library;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_engine::member::SessionId;
use tandem_engine::step::Verb;
use tandem_values::MechanismType;
use tandem_values::ck::{CK_SESSION_HANDLE, CK_ULONG};

/// No mechanism has this number.
const NONE: u64 = CK_ULONG::MAX;

/// An open session.
pub(crate) struct Open {
    /// Where it is.
    pub(crate) library: &'static Library,
    /// Which life of the library it belongs to: after another C_Initialize the handle is another's.
    pub(crate) epoch: u64,
    /// The vendor's handle.
    pub(crate) handle: CK_SESSION_HANDLE,
    /// The mechanisms of its message operations, by verb.
    messages: [AtomicU64; 4],
}

impl Open {
    /// A session that was just opened.
    pub(crate) fn new(library: &'static Library, epoch: u64, handle: CK_SESSION_HANDLE) -> Self {
        Self { library, epoch, handle, messages: [const { AtomicU64::new(NONE) }; 4] }
    }

    fn has_handle_of(&self, other: &Self) -> bool {
        self.handle == other.handle && std::ptr::eq(self.library, other.library)
    }

    /// Remembers by which mechanism the parameters of messages are laid out.
    pub(crate) fn begin_messages(&self, verb: Verb, mechanism: MechanismType) {
        if let Some(place) = self.place(verb) {
            place.store(mechanism, Ordering::Relaxed);
        }
    }

    /// The mechanism of the message operation of this kind, if one was begun.
    pub(crate) fn messages(&self, verb: Verb) -> Option<MechanismType> {
        let mechanism = self.place(verb)?.load(Ordering::Relaxed);
        (mechanism != NONE).then_some(mechanism)
    }

    fn place(&self, verb: Verb) -> Option<&AtomicU64> {
        let index = match verb {
            Verb::MessageEncrypt => 0,
            Verb::MessageDecrypt => 1,
            Verb::MessageSign => 2,
            Verb::MessageVerify => 3,
            _ => return None,
        };
        self.messages.get(index)
    }
}

/// Every open session of a member.
#[derive(Default)]
pub(crate) struct Sessions {
    last: AtomicU64,
    open: RwLock<HashMap<u64, Arc<Open>>>,
}

impl Sessions {
    /// Adds a session, and forgets those of earlier lives, and whichever had the same handle: that was lost, and whoever still
    /// has its number must not work in what is now another's.
    pub(crate) fn add(&self, open: Open) -> SessionId {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut all = self.open.write();
        all.retain(|_, other| other.epoch == other.library.epoch() && !other.has_handle_of(&open));
        all.insert(id, Arc::new(open));
        SessionId(id)
    }

    /// A session.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<Open>> {
        self.open.read().get(&id.0).cloned()
    }

    /// Takes a session out.
    pub(crate) fn remove(&self, id: SessionId) -> Option<Arc<Open>> {
        self.open.write().remove(&id.0)
    }

    /// Takes out every session.
    pub(crate) fn take(&self) -> Vec<Arc<Open>> {
        self.open.write().drain().map(|(_, open)| open).collect()
    }
}
