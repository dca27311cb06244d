//! Session objects that are gone when the work with them is over, however it ends.

use crate::desk::Desk;
use std::cell::RefCell;
use tandem_values::Handle;
use tandem_values::template::Pair;

/// What was made at a desk for the moment.
pub(super) struct Scratch<'a> {
    pub(super) desk: Desk<'a>,
    objects: RefCell<Vec<Handle>>,
}

impl<'a> Scratch<'a> {
    /// Nothing yet.
    pub(super) fn at(desk: &Desk<'a>) -> Self {
        Self { desk: *desk, objects: RefCell::default() }
    }

    /// Takes over an object.
    pub(super) fn keep(&self, object: Handle) -> Handle {
        self.objects.borrow_mut().push(object);
        object
    }

    /// Takes over both keys of a pair.
    pub(super) fn keep_pair(&self, pair: Pair) -> Pair {
        Pair { public: self.keep(pair.public), private: self.keep(pair.private) }
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for object in self.objects.borrow().iter().rev() {
            // If this fails the object goes with the session.
            self.desk.discard(*object);
        }
    }
}
