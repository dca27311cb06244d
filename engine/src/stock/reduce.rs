//! Fewer keys in stock: an operator's command, never done by itself. Why no more can be made is told here too.

use super::{gone, label};
use crate::check;
use crate::error::Result;
use crate::event::Event;
use crate::journal::Entry;
use crate::report::Progress;
use crate::shelf::Stocked;
use crate::token::Token;
use tandem_values::keytype::{KeyType, Recipe};
use tandem_values::{Mechanism, Template, ck::*};

/// So many keys are destroyed at a time; each time the members follow.
const BATCH: usize = 32;

impl Token {
    /// Destroys keys of a stock, by its name, beyond so many: the youngest, which are the least likely to be in a backup. What
    /// is claimed meanwhile is not touched. Answers how many were destroyed. Needs a login.
    pub fn reduce_stock(&self, name: &str, keep: u64, progress: &dyn Progress) -> Result<u64> {
        self.seal()?;
        self.shelf.refresh()?;
        let all = self.shelf.stocked(Some(&label(name)), usize::MAX, |_| true)?;
        let keep = usize::try_from(keep).unwrap_or(usize::MAX).min(all.len());
        let surplus = all.get(keep..).unwrap_or_default();
        progress.stage("destroying keys in stock", u64::try_from(surplus.len()).unwrap_or(0));
        let mut destroyed = 0_u64;
        for batch in surplus.rchunks(BATCH) {
            destroyed = destroyed.saturating_add(self.destroy_stocked(batch)?);
            for _ in batch {
                progress.step();
            }
        }
        Ok(destroyed)
    }

    fn destroy_stocked(&self, batch: &[Stocked]) -> Result<u64> {
        self.shelf.refresh()?;
        let seen = self.shelf.position();
        let mut doomed = Vec::new();
        for stocked in batch {
            // Claimed since: it is there and in no stock.
            let entry = self.shelf.get(stocked.handle)?;
            if let Some(entry) = entry.filter(|entry| entry.object.is_in_stock()) {
                doomed.push((stocked.id, entry.object.mate, entry.object.wrapped_at()));
            }
        }
        let mut count = 0_u64;
        self.append_decided(seen, &mut |news| {
            let gone = gone(news);
            let left = doomed.iter().filter(|(id, ..)| !gone.contains(id));
            let (mut entries, mut erase) = (Vec::new(), Vec::new());
            count = 0;
            for (id, mate, wrapped_at) in left {
                let halves = [Some(*id), *mate].into_iter().flatten();
                entries.extend(halves.map(|id| Entry::from(Event::Destroyed(id))));
                // Where a rotation puts them meanwhile members come to.
                erase.push(*wrapped_at);
                count = count.saturating_add(1);
            }
            (entries, erase)
        })?;
        self.shelf.refresh()?;
        self.catch_up();
        Ok(count)
    }

    /// Why keys of a type can't be made for the stock, as far as can be told without trying.
    pub(super) fn why_not_made(&self, kind: &KeyType) -> Option<String> {
        let (mechanism, template): (Mechanism, Template) = match kind.recipe(&[], "") {
            Recipe::Pair(mechanism, _, private) => (mechanism, private),
            Recipe::Secret(mechanism, key) => (mechanism, key),
        };
        let (class, key_type) = check::generated(mechanism.kind)?;
        let template = template.with(CKA_CLASS, class).with(CKA_KEY_TYPE, key_type);
        let made = self.mechanism(mechanism.kind).map(drop).map_err(|_| {
            "no member makes such keys that all the others can hold: `tandem doctor`".to_owned()
        });
        let carried = || {
            let duty = self.duty_to_make();
            self.can_be_carried(&template, duty).map_err(|error| error.to_string())
        };
        made.and_then(|()| carried()).err()
    }
}
