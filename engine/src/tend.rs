//! What is done for the members beside the application's calls: the operator's wishes are heeded, members that are down are
//! tried, connections kept from falling asleep, followers brought up.
//!
//! Where the world outside has a thread for it that thread does it all, and calls wait for nothing. Otherwise the calls do
//! what they can't do without.

use crate::fault::{Class, Fault};
use crate::station::Station;
use crate::token::{Token, note};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long a session may lie idle before it is used for nothing but to be used, in milliseconds. Firewalls forget
/// connections after minutes.
const IDLE_MS: u64 = 30_000;
/// The longest time between two rounds, in milliseconds: other processes' changes are brought to the members by then.
const ROUND_MS: u64 = 1_000;

impl Token {
    /// From now on [`Token::tend`] is called in the background, and calls leave to it what they can.
    pub fn tended(&self, tended: bool) {
        self.tended.store(tended, Ordering::Relaxed);
        self.shelf.tended(tended);
    }

    /// True while [`Token::tend`] is called in the background.
    pub(crate) fn is_tended(&self) -> bool {
        self.tended.load(Ordering::Relaxed)
    }

    /// One round. Answers in how many milliseconds the next is due.
    pub fn tend(&self) -> u64 {
        self.heed();
        self.end_long_rest();
        self.wake_all();
        let now = self.clock.steady_ms();
        for station in self.stations.iter().filter(|station| station.is_up()) {
            station.destroy_evicted();
            if let Err(fault) = station.keep_awake(now)
                && station.judge(fault) == Class::Lost
            {
                // What was lost is more than a session: it is brought back up from the start.
                if station.is_up() {
                    station.fail(fault);
                }
                self.wake(station);
            }
        }
        if self.login.read().is_user() {
            self.catch_up();
            self.tell_heads(false);
            self.shelf.keep_checkpoint();
        }
        let due = self.stations.iter().filter_map(|s| s.health(|health| health.due_in_ms(now)));
        due.min().unwrap_or(ROUND_MS).clamp(1, ROUND_MS)
    }

    /// Does what operators have noted, in whichever process. Looks only when the store has changed.
    pub(crate) fn heed(&self) {
        let generation = self.store.generation();
        if self.heeded.swap(generation, Ordering::AcqRel) == generation {
            return;
        }
        self.heed_roster();
        self.heed_doubt();
        self.unload_destroyed();
        self.renew_session_keys();
        for station in &self.stations {
            self.heed_fence(station);
            self.heed_enabling(station);
            self.heed_drain(station);
        }
    }

    /// What another process has come to doubt, or has put right.
    fn heed_doubt(&self) {
        if self.seal.read().is_some()
            && let Err(error) = self.review()
        {
            log::debug!("token {}: {error}", self.settings.label);
        }
    }

    /// Lets a member in again that the operator has looked after.
    fn heed_enabling(&self, station: &Arc<Station>) {
        let Ok(note) = self.store.note(&note::member(station.name(), note::ENABLED)) else {
            return;
        };
        if station.sees_enabling(note) {
            station.health(|health| {
                health.unfence();
                health.forgive_pin();
            });
            station
                .fail(Fault::new(crate::fault::Call::Start, tandem_values::ck::CKR_DEVICE_REMOVED));
        }
    }

    fn heed_drain(&self, station: &Arc<Station>) {
        // A store that can't be read changes nothing of what was known.
        let Ok(note) = self.store.note(&note::member(station.name(), note::DRAINED)) else {
            return;
        };
        let drained = note.is_some();
        if station.health(|health| health.is_drained()) == drained {
            return;
        }
        station.health(|health| health.drain(drained));
        if drained {
            log::info!("member {} is drained: it gets no work until it is enabled", station.name());
            station.logout();
            station.leave();
            station.forget();
        } else {
            log::info!("member {} is enabled again", station.name());
            // It is brought back like one that was down.
            station
                .fail(Fault::new(crate::fault::Call::Start, tandem_values::ck::CKR_DEVICE_REMOVED));
        }
    }
}

impl Station {
    /// True if this note of an enabling is another than the last that was seen, and not the first.
    fn sees_enabling(&self, note: Option<Vec<u8>>) -> bool {
        let note = note.unwrap_or_default();
        let before = self.enabling.lock().replace(note.clone());
        before.is_some_and(|before| before != note)
    }

    /// Uses what has lain idle for long, so that nothing between us and the member forgets it.
    fn keep_awake(&self, now_ms: u64) -> Result<(), Fault> {
        let last = self.awake_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(last) < IDLE_MS {
            return Ok(());
        }
        self.awake_ms.store(now_ms, Ordering::Relaxed);
        self.use_idle()?;
        self.member.token().map(drop)
    }
}
