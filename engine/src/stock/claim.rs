//! Claiming: a key in stock becomes an application's by one transaction of the log. Which key it is, is decided when nobody
//! else can write: what others have claimed or destroyed meanwhile is passed by. Members learn the name afterwards, as they
//! learn of any change, and a key is found under its old one until then.

use super::{KEEPER, fit, gone, label, name_of};
use crate::error::Result;
use crate::event::Event;
use crate::journal::Entry as Appended;
use crate::log::{Following, Position};
use crate::object::{Hold, Object, ObjectId};
use crate::shelf::{Entry, Stocked};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::keytype;
use tandem_values::{Handle, Template, ck::CKA_TOKEN};

/// So many keys are looked at for one that fits.
const OFFERS_MAX: usize = 16;
/// So many that fit are read, and so many more each time that others were quicker, who claim the first ones at the same time.
const OFFERS_MIN: usize = 2;
/// So often it is looked again where others were quicker.
const TRIES: usize = 8;

/// A key that would do: its halves, the public one first, with the events that give them to the application.
type Offer = Vec<(Handle, ObjectId, Event)>;

/// How far the members that hold keys have come, and whether each is up.
type Followings = Vec<(Following, bool)>;

impl Token {
    /// Gives an application a key of the stock, if there is one that shows what is asked of a key, and of its public half.
    /// Answers its handles, the public half's first; `None` if one must be made.
    pub(crate) fn claim(
        &self,
        key: &Template,
        public: Option<&Template>,
    ) -> Result<Option<Vec<Handle>>> {
        let is_token = key.is(CKA_TOKEN) && public.is_none_or(|public| public.is(CKA_TOKEN));
        let is_meant = is_token && self.login.read().is_user();
        let Some(kind) = keytype::of(public.unwrap_or(key)).filter(|_| is_meant) else {
            return Ok(None);
        };
        if !self.settings.stock.is_empty() {
            // Another process may have filled it just now.
            self.shelf.refresh()?;
        }
        for most in (1..=TRIES).map(|time| OFFERS_MIN.saturating_mul(time)) {
            if !self.shelf.has_stock()? {
                return Ok(None);
            }
            self.shelf.refresh()?;
            let seen = self.shelf.position();
            let offers = self.offers(&kind, key, public, most)?;
            if offers.is_empty() {
                return Ok(None);
            }
            if let Some(handles) = self.take_one(seen, &offers)? {
                self.follow_claim();
                return Ok(Some(handles));
            }
        }
        Ok(None)
    }

    /// Takes the first of some keys that nobody has taken since, or none.
    fn take_one(&self, seen: Position, offers: &[Offer]) -> Result<Option<Vec<Handle>>> {
        let mut taken = None;
        self.append_decided(seen, &mut |news| {
            let gone = gone(news);
            // A store that asks again has taken nothing the first time.
            taken = None;
            let is_there = |offer: &&Offer| offer.iter().all(|(_, id, _)| !gone.contains(id));
            let Some(offer) = offers.iter().find(is_there) else { return Default::default() };
            taken = Some(offer.iter().map(|(handle, ..)| *handle).collect());
            let events = offer.iter().map(|(.., event)| Appended::from(event.clone()));
            (events.collect(), Vec::new())
        })?;
        Ok(taken)
    }

    /// It is claimed, whatever comes of this.
    fn follow_claim(&self) {
        if let Err(error) = self.shelf.refresh() {
            log::warn!("token {}: {error}; a claimed key is seen later", self.settings.label);
        }
        if !self.is_tended() {
            self.catch_up();
            self.tell_names(false);
        }
    }

    /// So many keys of the stock that would do, those first that a backup holds, and then the oldest.
    fn offers(
        &self,
        kind: &str,
        key: &Template,
        public: Option<&Template>,
        most: usize,
    ) -> Result<Vec<Offer>> {
        let at_ms = self.clock.wall_ms();
        let mut offers = Vec::new();
        for (stocked, stock) in self.ready(kind)? {
            if offers.len() == most {
                break;
            }
            let Some(entry) = self.shelf.get(stocked.handle)? else { continue };
            let mate = match (public, entry.object.mate) {
                (Some(asked), Some(mate)) => self.shelf.by_id(mate)?.zip(Some(asked)),
                _ => None,
            };
            // One whose wrapped bytes somebody has taken out of the log can't be copied any more, nor loaded.
            if public.is_some() != mate.is_some() || self.wrapped(&entry.object).is_err() {
                continue;
            }
            let mut halves = Vec::new();
            if let Some((mate, asked)) = mate {
                let Some(half) = self.half(&mate, asked, None, at_ms) else { continue };
                halves.push(half);
            }
            let Some(half) = self.half(&entry, key, Some(&stock), at_ms) else { continue };
            halves.push(half);
            offers.push(halves);
        }
        Ok(offers)
    }

    /// The first keys of a type that may be given out, with the names of their stocks.
    fn ready(&self, kind: &str) -> Result<Vec<(Stocked, String)>> {
        let proven = self.store.following(KEEPER)?;
        let followings = self
            .keepers()
            .map(|station| Ok((self.store.following(station.name())?, station.is_up())))
            .collect::<Result<Followings>>()?;
        // A record that somebody has changed may have been the claim of any key that was made before it.
        let sound_from = self.shelf.last_broken();
        let mut ready = Vec::new();
        for hold in [Hold::Resident, Hold::OnDemand] {
            let stock = name_of(kind, hold);
            let is_ready = |stocked: &Stocked| {
                stocked.born <= proven.position
                    && stocked.born > sound_from
                    && !proven.excepts(stocked.id)
                    && self.is_held(stocked, hold, &followings)
            };
            let keys = self.shelf.stocked(Some(&label(&stock)), OFFERS_MAX, is_ready)?;
            ready.extend(keys.into_iter().map(|stocked| (stocked, stock.clone())));
        }
        let cover = self.cover();
        ready.sort_by_key(|(stocked, _)| !cover.has_key(stocked.id, stocked.born));
        Ok(ready)
    }

    /// Half of a key, or a whole one that has no halves, as the application's; `None` if it can't be that.
    fn half(
        &self,
        entry: &Arc<Entry>,
        asked: &Template,
        stock: Option<&str>,
        at_ms: u64,
    ) -> Option<(Handle, ObjectId, Event)> {
        let Object { id, template: stocked, hold, .. } = &entry.object;
        let template = fit::changes(stocked, asked)?;
        if stock.is_some() {
            let mut shows = stocked.clone();
            shows.merge(&template);
            // Under its new name it might have to live elsewhere.
            if self.settings.hold_of(&shows) != *hold {
                return None;
            }
        }
        let kind = stock.map(str::to_owned);
        Some((entry.handle, *id, Event::Claimed { id: *id, template, at_ms, kind }))
    }

    /// True if as many members hold a key, or would load it, as the operator asks for, and one of them is up.
    fn is_held(&self, stocked: &Stocked, hold: Hold, followings: &Followings) -> bool {
        let since = if hold == Hold::OnDemand { 0 } else { stocked.born };
        let holders = followings
            .iter()
            .filter(|(following, _)| following.position >= since && !following.excepts(stocked.id));
        let up = holders.clone().any(|(_, is_up)| *is_up);
        up && holders.count() >= self.settings.min_replicas.max(1)
    }
}
