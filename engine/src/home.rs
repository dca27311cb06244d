//! Sessions with a member in which keys held on demand live: each belongs to one caller at a time, who brings keys there, and
//! the keys go with it.

use crate::desk::Desk;
use crate::fault::{Answer, Class, Fault};
use crate::found::Life;
use crate::loaded::Taken;
use crate::member::SessionId;
use crate::station::Station;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_values::Handle;

/// A session of one's own for bringing keys, for as long as this lives.
pub(crate) struct Home<'a> {
    station: &'a Station,
    life: Life,
    taken: Taken,
    pub(crate) session: SessionId,
    /// It can't be relied on any more, nor on what is in it.
    lost: AtomicBool,
}

impl Home<'_> {
    /// The desk there.
    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk::new(&*self.station.member, self.session).lent(self.life, &self.lost)
    }

    /// Destroys keys that nobody uses any more.
    pub(crate) fn destroy(&self, handles: Vec<Handle>) {
        for handle in handles {
            self.desk().discard(handle);
        }
    }

    /// Takes in what a call here has answered. True if the session is not what it was: then it is not lent again, and its keys
    /// are brought anew.
    pub(crate) fn is_lost(&self, fault: Fault) -> bool {
        // A call that was left behind may still be at work in it.
        let lost = matches!(fault.class, Class::Lost | Class::Ill) || fault.is_late();
        self.lost.fetch_or(lost, Ordering::Relaxed);
        lost
    }
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        let is_lost = self.lost.load(Ordering::Relaxed);
        self.station.loaded.give_home(self.taken, self.session, is_lost);
    }
}

impl Station {
    /// A session for bringing keys to the member in a life of it.
    pub(crate) fn home(&self, life: Life) -> Answer<Home<'_>> {
        let taken = self.loaded.take_home(life);
        let session = if let Some(session) = taken.session {
            session
        } else {
            self.close_left();
            self.member.open(true)?
        };
        Ok(Home { station: self, life, taken, session, lost: AtomicBool::new(false) })
    }

    /// Destroys what was evicted.
    pub(crate) fn destroy_evicted(&self) {
        let life = self.life();
        let doomed = self.loaded.take_doomed(life);
        if !doomed.is_empty()
            && let Ok(home) = self.home(life)
        {
            home.destroy(doomed);
        }
    }

    /// Asks every session that waits for keys how it is. One that is gone is not used again, nor what was in it.
    pub(crate) fn use_homes(&self) {
        let life = self.life();
        let homes: Vec<_> =
            (0..self.loaded.homes(life)).filter_map(|_| self.home(life).ok()).collect();
        for home in homes {
            if let Err(fault) = self.member.state(home.session) {
                home.is_lost(fault);
            }
        }
    }

    /// Lets everything go that is loaded, with the sessions in which it is.
    pub(crate) fn unload(&self) {
        self.loaded.clear();
        self.close_left();
    }

    /// Closes sessions that are over. They are gone already where the member knew of that.
    fn close_left(&self) {
        for left in self.loaded.take_left() {
            Desk::new(&*self.member, left).leave();
        }
    }
}
