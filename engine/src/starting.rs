//! The members brought up when the application initialises (C_Initialize, PKCS #11 3.2 section 5.4.1): all at once, and each
//! within its deadline.
//!
//! A module that reads many keys at its start may take longer than any call should. Where another member serves it comes in
//! later, like one that was down. With nobody else there the application could do nothing without it, so it is waited for, as
//! long as for a call that may take its time.

use crate::fault::{Answer, Fault};
use crate::station::Station;
use crate::token::Token;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far a start of the members is.
#[derive(Default)]
struct Progress<'a> {
    /// One of them serves.
    serves: AtomicBool,
    /// Those that did not answer in time.
    late: Mutex<Vec<(&'a Arc<Station>, Fault)>>,
}

impl Token {
    /// Starts the members that can be started. A member that can't is down, not an error. The catalogue is read when it is
    /// wanted.
    pub fn start(&self) {
        self.heed();
        let progress = Progress::default();
        let is_wanted = |station: &&Arc<Station>| station.is_up();
        self.at_once(self.stations.iter().filter(is_wanted), |station| match station.start() {
            Err(fault) if fault.is_late() => progress.late.lock().push((station, fault)),
            started => self.settle_start(station, started, &progress.serves),
        });
        self.await_start(progress);
        if let Err(error) = self.store.position() {
            log::error!("token {}: {error}", self.settings.label);
        }
    }

    /// Waits for one of those that are late, if nobody serves without them.
    fn await_start(&self, progress: Progress<'_>) {
        let Progress { serves, late } = progress;
        let late = late.into_inner();
        let served = || serves.load(Ordering::Acquire);
        if served() {
            for (station, fault) in &late {
                station.fail(*fault);
            }
            return;
        }
        for (station, fault) in &late {
            log::info!(
                "member {}: {fault}; it is waited for, since no other serves",
                station.name()
            );
        }
        self.at_once(late.iter().map(|(station, _)| *station), |station| {
            self.settle_start(station, station.start_slowly(&served), &serves);
        });
    }

    fn settle_start(&self, station: &Arc<Station>, started: Answer, serves: &AtomicBool) {
        match started {
            Ok(()) => {
                serves.store(true, Ordering::Release);
                self.note_abilities(station);
            }
            Err(fault) => station.fail(fault),
        }
    }
}
