//! Moving keys between the members' tokens and the log, while they are used: an event for each, which every member follows.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::log::Position;
use crate::object::{Hold, Object, ObjectId};
use crate::report::Progress;
use crate::shelf::Entry;
use crate::token::Token;
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_values::{Template, ck::*};

/// So many keys are moved at a time; each time the members follow.
const BATCH: usize = 64;

/// What came of moving keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many objects were moved: both halves of a key pair count.
    pub moved: u64,
    /// How many were so before.
    pub there: u64,
    /// Keys that stay where they are, since a member holds them that can't give them away.
    pub kept: Vec<ObjectId>,
    /// What members could not take, or let go of: the member, the object, and why. It is tried again as the others are
    /// (`tandem reconcile`).
    pub left: Vec<(String, ObjectId, String)>,
}

impl Token {
    /// Holds the chosen keys so from now on, and the other halves of their pairs. Needs a login. What was moved stays moved
    /// however this ends; asked again it goes on with the rest.
    ///
    /// A key that members let go of was opened from the log first, on as many of them as a new key is proven on.
    pub fn hold(
        &self,
        hold: Hold,
        chosen: &dyn Fn(&Object) -> bool,
        progress: &dyn Progress,
    ) -> Result<Moved> {
        self.seal()?;
        self.shelf.refresh()?;
        let mut moved = Moved::default();
        let entries = self.chosen_keys(chosen)?;
        let (there, meant): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.object.hold == hold);
        moved.there = u64::try_from(there.len()).unwrap_or(u64::MAX);
        let (kept, meant): (Vec<_>, Vec<_>) =
            meant.into_iter().partition(|entry| entry.object.holders.is_some());
        moved.kept = kept.iter().map(|entry| entry.object.id).collect();
        progress.stage("moving keys", u64::try_from(meant.len()).unwrap_or(0));
        for batch in meant.chunks(BATCH) {
            self.hold_batch(hold, batch, &mut moved)?;
            for _ in batch {
                progress.step();
            }
        }
        Ok(moved)
    }

    /// Keys that are chosen, or whose other halves are, in order of handle.
    fn chosen_keys(&self, chosen: &dyn Fn(&Object) -> bool) -> Result<Vec<Arc<Entry>>> {
        let mut keys = self.shelf.find(&Template::new())?;
        keys.retain(|entry| {
            let class = entry.object.class();
            let is_key = matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY | CKO_PUBLIC_KEY);
            // The stock's live where the configuration has them.
            is_key && !entry.object.is_in_stock()
        });
        let ids: BTreeSet<_> = keys
            .iter()
            .filter(|entry| chosen(&entry.object))
            .flat_map(|entry| [Some(entry.object.id), entry.object.mate])
            .flatten()
            .collect();
        keys.retain(|entry| ids.contains(&entry.object.id));
        Ok(keys)
    }

    fn hold_batch(&self, hold: Hold, batch: &[Arc<Entry>], moved: &mut Moved) -> Result {
        let ids: Vec<_> = batch.iter().map(|entry| entry.object.id).collect();
        if hold == Hold::OnDemand {
            self.opens_from_the_log(&ids)?;
        }
        let entries: Vec<_> = ids.iter().map(|id| Event::Held { id: *id, hold }.into()).collect();
        let first = self.append_all(entries, Vec::new())?;
        self.shelf.refresh()?;
        for (member, exception) in self.catch_up() {
            if ids.contains(&exception.id) {
                moved.left.push((member, exception.id, exception.failure.to_string()));
            }
        }
        if hold == Hold::Resident {
            self.stand_where_wanted(&ids, first, moved)?;
        }
        moved.moved = moved.moved.saturating_add(u64::try_from(ids.len()).unwrap_or(0));
        Ok(())
    }

    /// Resident keys that too few members could take would be of less use than before: they stay on demand, and nothing more is
    /// moved.
    fn stand_where_wanted(&self, ids: &[ObjectId], first: Position, moved: &Moved) -> Result {
        let wanted = self.settings.min_replicas.max(1);
        let stands = |id: &&ObjectId| self.proven_on(**id, first).len() >= wanted;
        let (standing, homeless): (Vec<&ObjectId>, Vec<_>) = ids.iter().partition(stands);
        if homeless.is_empty() {
            return Ok(());
        }
        let hold = Hold::OnDemand;
        let entries: Vec<_> =
            homeless.iter().map(|id| Event::Held { id: **id, hold }.into()).collect();
        self.append_all(entries, Vec::new())?;
        self.shelf.refresh()?;
        self.catch_up();
        let why = moved.left.last();
        let why = why.map(|(member, _, reason)| format!(" (member {member}: {reason})"));
        Err(Error::new(
            CKR_DEVICE_MEMORY,
            format!(
                "min_replicas asks for {wanted} members that hold a key, and fewer could take {} of them{}: those and the rest stay on \
                 demand; {} objects were moved",
                homeless.len(),
                why.unwrap_or_default(),
                moved.moved.saturating_add(u64::try_from(standing.len()).unwrap_or(0))
            ),
        ))
    }

    fn opens_from_the_log(&self, ids: &[ObjectId]) -> Result {
        let wanted = self.settings.min_replicas.max(1);
        match self.try_out_new(ids, None)? {
            (proven, None) if proven >= wanted => Ok(()),
            (_, Some((member, failure))) => Err(Error::new(
                CKR_FUNCTION_FAILED,
                format!(
                    "member {member} could not open a key from the log ({failure}): the rest was not moved, and members keep it; \
                     run `tandem verify`"
                ),
            )),
            (proven, None) => Err(Error::new(
                CKR_DEVICE_ERROR,
                format!(
                    "keys could be opened from the log on {proven} members and min_replicas asks for {wanted}: the rest was not \
                     moved, and members keep it; see `tandem status`"
                ),
            )),
        }
    }
}
