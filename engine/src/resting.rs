//! A login that has ended and may come again: programs log in anew for each thing that they do, and the members are asked for
//! none of it.
//!
//! When the user's login ends the token is closed as ever: nothing private is seen, the seal on the log is shut. Only the members stay
//! logged in for a few seconds, in this process. Who brings the same PIN meanwhile is let in at once; any other PIN is tried on
//! a member, after the members' logins have ended.

use crate::error::Result;
use crate::login::Login;
use crate::member::User;
use crate::seal::Seal;
use crate::token::Token;
use tandem_values::Secret;

/// How long the members stay logged in, in milliseconds.
const REST_MS: u64 = 5_000;
/// For how long a PIN is believed that a member has taken, in milliseconds: it may have been changed since.
const BELIEVED_MS: u64 = 60_000;

/// What is kept of a login that has ended.
pub(crate) struct Resting {
    pin: Secret,
    taken_ms: u64,
    seal: Seal,
    /// The store's generation at its end: what has changed since is for a login to check.
    generation: u64,
    until_ms: u64,
}

impl Resting {
    /// True if it is this PIN. Compared under a key that nobody has, so that the time which it takes tells nothing.
    fn is_of(&self, pin: Option<&Secret>) -> bool {
        let mark = |pin: &Secret| self.seal.fingerprint(pin.expose());
        pin.is_some_and(|pin| mark(pin) == mark(&self.pin))
    }
}

impl Token {
    /// Lets the login that is ending rest; false if there is none of the user's, or it is long since a member took the PIN, and
    /// the members' logins must end now.
    pub(crate) fn lay_to_rest(&self) -> bool {
        let (login, seal) = (self.login.read(), self.seal.read());
        let (true, Some(pin), Some(seal)) = (login.is_user(), login.pin(), seal.as_ref()) else {
            return false;
        };
        let (now, taken_ms) = (self.clock.steady_ms(), login.taken_ms());
        if now.saturating_sub(taken_ms) >= BELIEVED_MS {
            return false;
        }
        *self.resting.lock() = Some(Resting {
            pin: pin.clone(),
            taken_ms,
            seal: seal.clone(),
            generation: self.store.generation(),
            until_ms: now.saturating_add(REST_MS),
        });
        true
    }

    /// Wakes a login that rests, if it is this one and nothing has changed since; otherwise the members' logins end. True if the
    /// user is logged in again.
    pub(crate) fn wake_login(&self, user: User, pin: Option<&Secret>) -> bool {
        let Some(resting) = self.resting.lock().take() else { return false };
        let is_it = user == User::User
            && self.clock.steady_ms() < resting.until_ms
            && self.store.generation() == resting.generation
            && self.shelf.is_checked()
            && resting.is_of(pin);
        if is_it && self.stations.iter().any(|station| station.is_ready()) {
            *self.login.write() = Login::user_with(&resting.pin, resting.taken_ms);
            *self.seal.write() = Some(resting.seal);
            self.let_others_in(pin);
            if self.take_up_again().is_ok() {
                return true;
            }
            self.close();
        }
        self.log_members_out();
        false
    }

    /// Members that came up meanwhile are logged in like any other.
    fn let_others_in(&self, pin: Option<&Secret>) {
        for station in &self.stations {
            if station.is_up() && station.logged_in().is_none() {
                // What goes wrong here is in the member's health: the token works with the others.
                let _ = self.enter_other(station, User::User, pin);
            }
        }
    }

    /// What a login does with the seal open and the log checked.
    fn take_up_again(&self) -> Result {
        if let Some(ring) = self.known_ring()? {
            self.use_ring(&ring);
        }
        self.take_up()
    }

    /// Ends the members' logins when a login has rested long enough: asked by whoever tends the members, or by calls that
    /// have to do without. Not while somebody logs in or out.
    pub(crate) fn end_long_rest(&self) {
        let Some(_turn) = self.login_turn.try_lock() else { return };
        let now = self.clock.steady_ms();
        let over = self.resting.lock().take_if(|resting| now >= resting.until_ms);
        if over.is_some() {
            self.log_members_out();
        }
    }

    /// Ends the members' logins if a login rests: the PIN may soon be another.
    pub(crate) fn end_rest(&self) {
        if self.resting.lock().take().is_some() {
            self.log_members_out();
        }
    }

    /// Ends the login on every member.
    pub(crate) fn log_members_out(&self) {
        for station in &self.stations {
            station.logout();
        }
    }
}
