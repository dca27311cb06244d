//! What somebody has done to the log who may write to the state folder: found by the seals, named, and not used.

use crate::error::Result;
use crate::log::Position;
use crate::object::ObjectId;
use crate::shelf::Checked;
use crate::token::Token;
use tandem_values::ck::*;

/// What is wrong with a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogCheck {
    /// How many records there are.
    pub records: Position,
    /// Positions of records that were changed, or that don't follow from the one before: it was changed, removed or put elsewhere.
    pub broken: Vec<Position>,
    /// Objects that live and whose wrapped bytes are gone, and where they should be.
    pub gone: Vec<(ObjectId, Position)>,
}

impl LogCheck {
    /// True if nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.broken.is_empty() && self.gone.is_empty()
    }
}

impl Token {
    /// Checks the whole log against its seals, uses nothing of what was tampered with, and says what it was. Needs a login.
    pub fn check_log(&self) -> Result<LogCheck> {
        self.seal()?;
        let records = self.store.head()?.position;
        let checked = self.shelf.check()?;
        self.tell_of_log(records, checked)
    }

    /// The same for what was written since the catalogue's checkpoint, if there is one: what it was made of was judged by then, and is
    /// held against its seal when it is used.
    pub(crate) fn check_log_since(&self) -> Result<LogCheck> {
        self.seal()?;
        let records = self.store.head()?.position;
        let checked = self.shelf.check_since()?;
        self.tell_of_log(records, checked)
    }

    fn tell_of_log(&self, records: Position, checked: Checked) -> Result<LogCheck> {
        let label = &self.settings.label;
        let mut gone = Vec::new();
        for handle in self.shelf.wrapped_at(&checked.erased)? {
            // What was destroyed meanwhile is not missed.
            if let Some(object) = self.shelf.get(handle)?.map(|entry| entry.object.clone()) {
                log::error!(
                    "token {label}: the wrapped key of object {} ({:?}) is gone from record {} of the log: it can't be brought to \
                     another member; `tandem restore FILE --key {}` puts it back from a bundle",
                    object.id,
                    String::from_utf8_lossy(object.template.bytes(CKA_LABEL).unwrap_or_default()),
                    object.wrapped_at(),
                    object.id
                );
                gone.push((object.id, object.wrapped_at()));
            }
        }
        Ok(LogCheck { records, broken: checked.broken.into_iter().collect(), gone })
    }
}
