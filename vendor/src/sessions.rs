//! A member's sessions: numbers of our own, which are never used again, for the vendor's handles, which are.

use crate::library::Library;
use crate::messages::Apart;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_engine::member::SessionId;
use tandem_engine::step::Verb;
use tandem_values::MechanismType;
use tandem_values::ck::CK_SESSION_HANDLE;

/// An operation of many messages.
pub(crate) struct Messages {
    /// Its mechanism, by which the parameters of messages are laid out.
    pub(crate) mechanism: MechanismType,
    /// How it is done where the module has no functions for it.
    pub(crate) apart: Option<Apart>,
}

/// An open session.
pub(crate) struct Open {
    /// Where it is.
    pub(crate) library: &'static Library,
    /// Which life of the library it belongs to: after another C_Initialize the handle is another's.
    pub(crate) epoch: u64,
    /// The vendor's handle.
    pub(crate) handle: CK_SESSION_HANDLE,
    /// Its message operations, by verb.
    messages: Mutex<[Option<Arc<Messages>>; 4]>,
}

impl Open {
    /// A session that was just opened.
    pub(crate) fn new(library: &'static Library, epoch: u64, handle: CK_SESSION_HANDLE) -> Self {
        Self { library, epoch, handle, messages: Mutex::default() }
    }

    fn has_handle_of(&self, other: &Self) -> bool {
        self.handle == other.handle && std::ptr::eq(self.library, other.library)
    }

    /// Remembers an operation that was begun.
    pub(crate) fn begin_messages(&self, verb: Verb, messages: Messages) {
        self.put_messages(verb, Some(Arc::new(messages)));
    }

    /// Forgets one that has ended.
    pub(crate) fn end_messages(&self, verb: Verb) {
        self.put_messages(verb, None);
    }

    fn put_messages(&self, verb: Verb, messages: Option<Arc<Messages>>) {
        let mut all = self.messages.lock();
        if let Some(place) = place(verb).and_then(|place| all.get_mut(place)) {
            *place = messages;
        }
    }

    /// The message operation of this kind, if one was begun.
    pub(crate) fn messages(&self, verb: Verb) -> Option<Arc<Messages>> {
        self.messages.lock().get(place(verb)?)?.clone()
    }
}

const fn place(verb: Verb) -> Option<usize> {
    Some(match verb {
        Verb::MessageEncrypt => 0,
        Verb::MessageDecrypt => 1,
        Verb::MessageSign => 2,
        Verb::MessageVerify => 3,
        _ => return None,
    })
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
