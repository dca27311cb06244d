//! Filling the stock: keys are made in small lots, by whoever holds the lease of the stock's follower, as background work that
//! leaves signatures their lanes. A lot is in the log at once, and is given out when it was proven.

use super::{About, KEEPER, RETRY_MS, label};
use crate::error::{Error, Result};
use crate::log::{Lease, Position};
use crate::object::{Object, ObjectId};
use crate::ports::Task;
use crate::report::{Progress, Quiet};
use crate::session::Session;
use crate::settings::StockSettings;
use crate::shelf::{Entry, Stocked};
use crate::token::{Token, note};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_values::ck::CKA_DERIVE;
use tandem_values::keytype::Recipe;

/// The most keys of a lot.
const LOT_KEYS: u64 = 16;
/// How long a lot is added to, in milliseconds; the key that is being made then is the last.
const LOT_MS: u64 = 500;
/// How long after a login the stock is left alone, in milliseconds: what programs log in for comes first, and many are done
/// by then.
const SETTLED_MS: u64 = 10_000;
/// How soon it is looked again whether the stock is full, in milliseconds.
const LOOK_MS: u64 = 1_000;
/// The same where another process fills it.
const OTHERS_MS: u64 = 5_000;

/// A key that was made and is nowhere yet.
type Made = Vec<(Object, Option<Vec<u8>>)>;

impl Token {
    /// True if [`Token::keep_stock`] has something to do.
    pub fn keeps_stock(&self) -> bool {
        !self.settings.stock.is_empty() || self.name_sink.is_some()
    }

    /// One round of keeping the stock full, and of having the names of claimed keys written, beside the application's calls.
    /// Answers in how many milliseconds the next is due.
    pub fn keep_stock(self: &Arc<Self>) -> u64 {
        self.tell_names(false);
        let now = self.clock.steady_ms();
        if !self.login.read().is_user() {
            *self.stocking.since_ms.lock() = None;
            return LOOK_MS;
        }
        let settled = self.stocking.since_ms.lock().get_or_insert(now).saturating_add(SETTLED_MS);
        let due = settled.max(self.stocking.due_ms(About::Keys));
        if now < due {
            return LOOK_MS.min(due.saturating_sub(now)).max(1);
        }
        match self.fill_a_little() {
            Ok(Some(true)) => 1,
            Ok(Some(false)) => LOOK_MS,
            Ok(None) => OTHERS_MS,
            Err(error) => {
                self.stocking.fail(self.clock.steady_ms());
                // That the login has ended meanwhile is no failure.
                if self.login.read().is_user() {
                    let message = format!(
                        "token {}: the stock is not full, and making keys for it failed: {error}; see `tandem stock`",
                        self.settings.label
                    );
                    self.stocking.tell(About::Keys, message);
                }
                LOOK_MS
            }
        }
    }

    /// Makes a lot of what is missing. True if it may not have been all; `None` if another process is at it.
    fn fill_a_little(self: &Arc<Self>) -> Result<Option<bool>> {
        self.shelf.refresh()?;
        if self.shortage()?.is_none() && self.is_all_given_out()? {
            self.stocking.is_well(About::Keys);
            return Ok(Some(false));
        }
        let Some(mut writing) = self.store.lease(KEEPER, 0)? else { return Ok(None) };
        self.prove_left(&mut *writing)?;
        let more = match self.shortage()? {
            Some((stock, missing)) => {
                // What has failed before is tried with as little as can be.
                let lot = if self.stocking.has_failed() { 1 } else { LOT_KEYS };
                self.make_lot(&mut *writing, stock, missing.min(lot), 1, &Quiet)?;
                true
            }
            None => false,
        };
        self.stocking.is_well(About::Keys);
        if !more && !self.is_all_given_out()? {
            // What could not be proven just now is no more likely to be in a second.
            self.stocking.put_off(About::Keys, self.clock.steady_ms(), RETRY_MS);
        }
        Ok(Some(more))
    }

    /// Fills the stock, with so many keys made at a time. Answers how many were made. Needs a login.
    pub fn fill_stock(
        self: &Arc<Self>,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<(u64, Option<Error>)> {
        self.seal()?;
        self.shelf.refresh()?;
        let Some(mut writing) = self.store.lease(KEEPER, self.settings.lease_wait_ms)? else {
            return Err(self.out_of_order(
                "another process is filling its stock; see how far it is with `tandem stock`",
            ));
        };
        self.prove_left(&mut *writing)?;
        let mut missing = 0_u64;
        for stock in &self.settings.stock {
            missing = missing.saturating_add(self.missing(stock)?);
        }
        progress.stage("filling the stock", missing);
        let lot = LOT_KEYS.saturating_mul(u64::try_from(threads).unwrap_or(1));
        let mut made = 0_u64;
        while let Some((stock, missing)) = self.shortage()? {
            match self.make_lot(&mut *writing, stock, missing.min(lot), threads, progress) {
                Ok(count) => made = made.saturating_add(count),
                // What was made before stays made.
                Err(error) => return Ok((made, Some(error))),
            }
        }
        Ok((made, None))
    }

    /// The first stock that is short, and how many keys it lacks.
    fn shortage(&self) -> Result<Option<(&StockSettings, u64)>> {
        for stock in &self.settings.stock {
            let missing = self.missing(stock)?;
            if missing > 0 {
                return Ok(Some((stock, missing)));
            }
        }
        Ok(None)
    }

    fn missing(&self, stock: &StockSettings) -> Result<u64> {
        Ok(stock.count.saturating_sub(self.shelf.count_stocked(&label(&stock.name()))?))
    }

    /// Makes so many keys, or as many as there is time for, and lets them be given out. Answers how many.
    fn make_lot(
        self: &Arc<Self>,
        writing: &mut dyn Lease,
        stock: &StockSettings,
        wanted: u64,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<u64> {
        let until_ms = self.clock.steady_ms().saturating_add(LOT_MS);
        let next = AtomicU64::new(0);
        let made: Mutex<(Vec<Made>, Option<Error>)> = Mutex::default();
        let work = || {
            let session = self.backstage();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let is_late = number > 0 && self.clock.steady_ms() >= until_ms;
                if number >= wanted || is_late || made.lock().1.is_some() {
                    break;
                }
                match session.made_for(stock) {
                    Ok(key) => made.lock().0.push(key),
                    Err(error) => made.lock().1 = Some(error),
                }
            }
            self.transients.close(session.number(), &self.stations);
        };
        let tasks = (0..threads.max(1)).map(|_| Box::new(work) as Task<'_>).collect();
        self.hands.all(tasks);
        let (keys, failure) = made.into_inner();
        let count = u64::try_from(keys.len()).unwrap_or(0);
        if !keys.is_empty() {
            let handles = self.commit(keys.into_iter().flatten().collect(), None)?;
            self.give_out(writing, &handles)?;
            keys_done(progress, count);
        }
        failure.map_or(Ok(count), Err)
    }

    /// These were proven, and nothing before them is in doubt that is not among the exceptions.
    fn give_out(&self, writing: &mut dyn Lease, handles: &[tandem_values::Handle]) -> Result {
        let mut last = writing.following()?.position;
        for handle in handles {
            if let Some(entry) = self.shelf.get(*handle)? {
                last = last.max(entry.object.born);
            }
        }
        Ok(writing.advance(last)?)
    }

    /// True if every key in stock may be claimed.
    fn is_all_given_out(&self) -> Result<bool> {
        let following = self.store.following(KEEPER)?;
        let is_left =
            |stocked: &Stocked| stocked.born > following.position || following.excepts(stocked.id);
        Ok(self.shelf.stocked(None, 1, is_left)?.is_empty())
    }

    /// Keys that a process has left which died before it knew that they were proven, and those that came from a backup.
    fn prove_left(&self, writing: &mut dyn Lease) -> Result {
        let following = writing.following()?;
        let is_left =
            |stocked: &Stocked| stocked.born > following.position || following.excepts(stocked.id);
        let left = self.shelf.stocked(None, usize::MAX, is_left)?;
        let unnamed = self.unnamed_up_to()?;
        let mut last = following.position;
        for stocked in &left {
            last = last.max(stocked.born);
            let Some(entry) = self.shelf.get(stocked.handle)? else { continue };
            match self.why_not_given(&entry, unnamed)? {
                Some(why) => writing.except(stocked.id, &why)?,
                None => writing.resolve(stocked.id)?,
            }
        }
        let is_there = |id: &ObjectId| left.iter().any(|stocked| stocked.id == *id);
        for (id, _) in following.exceptions.iter().filter(|(id, _)| !is_there(id)) {
            writing.resolve(*id)?;
        }
        if last > following.position {
            writing.advance(last)?;
        }
        Ok(())
    }

    /// Why a key in stock is given to nobody; `None` if it may be.
    fn why_not_given(&self, entry: &Arc<Entry>, unnamed: Position) -> Result<Option<String>> {
        let object = &entry.object;
        if object.born <= unnamed {
            return Ok(Some(
                "it came from a backup, and may have been claimed since that was made: `tandem restore` with --names, or `tandem \
                 stock release`"
                    .into(),
            ));
        }
        let wanted = self.settings.min_replicas.max(1);
        let proven = if object.is_on_demand() {
            self.try_out_new(&[object.id], None)?.0
        } else {
            self.proven_on(object.id, object.born).len()
        };
        Ok((proven < wanted).then(|| {
            format!("it is proven on {proven} members, and min_replicas asks for {wanted}")
        }))
    }

    /// Up to where the keys in stock came from a backup of which no names were taken.
    fn unnamed_up_to(&self) -> Result<Position> {
        let noted = self.store.note(note::UNNAMED)?.and_then(|noted| noted.try_into().ok());
        Ok(noted.map_or(0, Position::from_be_bytes))
    }

    /// The log is a backup's up to here, and it isn't known which keys of the stock were claimed since it was made: none is
    /// given out.
    pub(crate) fn doubt_stock(&self, to: Position) -> Result {
        self.store.set_note(note::UNNAMED, Some(&to.to_be_bytes()))?;
        Ok(self.store.forget(KEEPER)?)
    }

    /// How many keys in stock are given to nobody, since they came from a backup and may have been claimed since.
    pub(crate) fn held_back(&self) -> Result<u64> {
        let unnamed = self.unnamed_up_to()?;
        let held = self.shelf.stocked(None, usize::MAX, |stocked| stocked.born <= unnamed)?;
        Ok(u64::try_from(held.len()).unwrap_or(u64::MAX))
    }

    /// The keys in stock that came from a backup were claimed by nobody, as the operator knows: they are given out as they are
    /// proven. Needs a login.
    pub fn release_stock(self: &Arc<Self>) -> Result {
        self.seal()?;
        self.store.set_note(note::UNNAMED, None)?;
        self.shelf.refresh()?;
        match self.store.lease(KEEPER, self.settings.lease_wait_ms)? {
            Some(mut writing) => self.prove_left(&mut *writing),
            // Whoever fills the stock does it at the next lot.
            None => Ok(()),
        }
    }
}

fn keys_done(progress: &dyn Progress, count: u64) {
    for _ in 0..count {
        progress.step();
    }
}

impl Session {
    /// Has a member make a key for a stock.
    fn made_for(&self, stock: &StockSettings) -> Result<Made> {
        // Nobody shares it, so that each key is found on members by its name alone.
        let id = self.token().new_object_id();
        let mut recipe = stock.kind.recipe(&id.0, &label(&stock.name()));
        if let (Recipe::Pair(_, public, private), true) = (&mut recipe, stock.derive) {
            public.set(CKA_DERIVE, true);
            private.set(CKA_DERIVE, true);
        }
        let mut made = self.made_apart(&recipe)?;
        for (object, _) in &mut made {
            object.stock = Some(stock.name());
            object.hold = stock.hold;
        }
        Ok(made)
    }
}
