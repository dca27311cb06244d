//! Who is logged in, and how that reaches the members (PKCS #11 3.2 sections 5.6.8 to 5.6.10).
//!
//! A PIN is tried on one member first. What that member refuses is tried nowhere else, so that a wrong PIN costs one try
//! on one member. A member that refuses a PIN which another took is left alone until another PIN comes.

use crate::error::{Error, Result};
use crate::fault::{Answer, Call, Class, Fault};
use crate::found::RingThere;
use crate::member::User;
use crate::pair;
use crate::ring::{Generation, Ring, RingKey};
use crate::seal::Seal;
use crate::settings::Duty;
use crate::station::{Lease, Station};
use crate::token::{Token, note};
use crate::waking::LOST_MAX;
use parking_lot::Mutex;
use std::sync::Arc;
use tandem_values::{Handle, Secret, ck::*};

/// Who is logged in, and the PIN with which members that come back are logged in again.
#[derive(Default)]
pub(crate) struct Login {
    user: Option<User>,
    pin: Option<Secret>,
    /// When a member took the PIN, on the steady clock.
    taken_ms: u64,
}

impl Login {
    /// The user, with this PIN, which a member took then.
    pub(crate) fn user_with(pin: &Secret, taken_ms: u64) -> Self {
        Self { user: Some(User::User), pin: Some(pin.clone()), taken_ms }
    }

    /// True if the user is logged in.
    pub(crate) const fn is_user(&self) -> bool {
        matches!(self.user, Some(User::User))
    }

    /// True if the security officer is logged in.
    pub(crate) const fn is_so(&self) -> bool {
        matches!(self.user, Some(User::So))
    }

    /// The PIN with which members that come back are logged in.
    pub(crate) const fn pin(&self) -> Option<&Secret> {
        self.pin.as_ref()
    }

    /// When a member took the PIN, on the steady clock.
    pub(crate) const fn taken_ms(&self) -> u64 {
        self.taken_ms
    }

    /// Who is logged in.
    pub(crate) const fn user(&self) -> Option<User> {
        self.user
    }
}

/// What came of an attempt to log in on the first member that answered.
enum First<'a> {
    /// Taken by this station.
    Taken(&'a Arc<Station>),
    /// Nobody answered: the last fault.
    Nobody(Fault),
}

impl Token {
    /// C_Login for the security officer or the user.
    pub(crate) fn log_in(self: &Arc<Self>, user: User, pin: Option<&Secret>) -> Result {
        let _turn = self.login_turn.lock();
        match self.login.read().user() {
            Some(current) if current == user => return Err(CKR_USER_ALREADY_LOGGED_IN.into()),
            Some(_) => return Err(CKR_USER_ANOTHER_ALREADY_LOGGED_IN.into()),
            None => {}
        }
        if user == User::So && self.has_read_only_session() {
            return Err(CKR_SESSION_READ_ONLY_EXISTS.into());
        }
        if self.wake_login(user, pin) {
            return Ok(());
        }
        self.enter(user, pin)?;
        let taken_ms = self.clock.steady_ms();
        *self.login.write() = Login { user: Some(user), pin: pin.cloned(), taken_ms };
        if user == User::User
            && let Err(error) = self.unlock()
        {
            self.end_login();
            return Err(error);
        }
        Ok(())
    }

    /// Logs in on the members: on one first, then on the others. An error if nobody answered.
    pub(crate) fn enter(&self, user: User, pin: Option<&Secret>) -> Result {
        let Some(fault) = self.enter_members(user, pin)? else { return Ok(()) };
        // That there was too little time left to wait says nothing that an application knows.
        let rv = if fault.is_late() || fault.class == Class::Ill {
            CKR_DEVICE_ERROR
        } else {
            fault.rv.0
        };
        Err(Error::new(
            rv,
            format!(
                "token {}: no member let us log in; the last said {fault} ({}); see `tandem status`",
                self.settings.label,
                self.conditions()
            ),
        ))
    }

    /// The same, where the last fault is an answer if nobody answered.
    pub(crate) fn enter_members(&self, user: User, pin: Option<&Secret>) -> Result<Option<Fault>> {
        self.wake_all();
        let first = match self.enter_first(user, pin)? {
            First::Taken(first) => first,
            First::Nobody(fault) => return Ok(Some(fault)),
        };
        self.enter_others(first, user, pin);
        Ok(None)
    }

    /// Logs in on the other members, now that one has taken the PIN, and finds the ring on each. What goes wrong there is in the
    /// member's health: the token works with the others.
    fn enter_others(&self, first: &Arc<Station>, user: User, pin: Option<&Secret>) {
        let ring = match user {
            User::User => self.known_ring().ok().flatten(),
            User::So | User::Context => None,
        };
        let find_ring = |station| ring.iter().for_each(|ring| self.find_ring(station, ring));
        let others = || self.stations.iter().filter(|other| !Arc::ptr_eq(other, first));
        // With the log's seal open a PIN that was refused before is known again, whichever process asked.
        let seal_first = others().any(|station| self.has_refused_some_pin(station));
        if seal_first {
            find_ring(first);
        }
        let answers = Mutex::new(Vec::new());
        let is_asked =
            |station: &Station| station.is_up() || station.health(|health| health.wants_pin());
        let first_too = (!seal_first).then_some(first).into_iter();
        self.at_once(first_too.chain(others().filter(|other| is_asked(other))), |station| {
            if Arc::ptr_eq(station, first) {
                return find_ring(station);
            }
            let Ok(pin) = self.pin_for(station, user, pin) else { return };
            let answer = station.login(user, pin.as_ref());
            if answer.is_ok() {
                find_ring(station);
            }
            answers.lock().push((station, pin, answer));
        });
        for (station, pin, answer) in answers.into_inner() {
            self.note_entry(station, pin.as_ref(), answer);
        }
    }

    fn enter_first(&self, user: User, pin: Option<&Secret>) -> Result<First<'_>> {
        let mut last = Fault::new(Call::Login, CKR_DEVICE_REMOVED);
        let mut order: Vec<_> = self.stations.iter().collect();
        // A member that has refused a PIN which the others took is not the one to judge the next. A generator that has locked its
        // PIN would keep keys from being made.
        order
            .sort_by_key(|station| (self.has_refused_some_pin(station), !station.does(Duty::Keys)));
        for station in order {
            if !station.is_up() || (user == User::User && station.settings.pin.is_some()) {
                continue;
            }
            match station.login(user, pin) {
                Ok(()) => return Ok(First::Taken(station)),
                Err(fault) if station.judge(fault) == Class::Refused => {
                    log::warn!(
                        "token {}: member {} refused the login ({fault}); no other member was asked",
                        self.settings.label,
                        station.name()
                    );
                    return Err(fault.into());
                }
                Err(fault) => last = fault,
            }
        }
        Ok(First::Nobody(last))
    }

    /// True if it has refused a PIN that another took, and no other was brought since.
    fn has_refused_some_pin(&self, station: &Station) -> bool {
        matches!(self.store.note(&note::member(station.name(), note::REFUSED_PIN)), Ok(Some(_)))
    }

    /// Logs in on a further member, with its own PIN or the one another member has just taken.
    pub(crate) fn enter_other(
        &self,
        station: &Station,
        user: User,
        pin: Option<&Secret>,
    ) -> Answer {
        let pin = self.pin_for(station, user, pin)?;
        let answer = station.login(user, pin.as_ref());
        self.note_entry(station, pin.as_ref(), answer);
        answer
    }

    /// The PIN for a further member: its own, or this one. An error, which is in the member's health, if it can't be read or
    /// the member has refused it before.
    fn pin_for(
        &self,
        station: &Station,
        user: User,
        pin: Option<&Secret>,
    ) -> Answer<Option<Secret>> {
        let pin = match (&station.settings.pin, user) {
            (Some(source), User::User) => match source.pin() {
                Ok(pin) => Some(pin),
                Err(reason) => {
                    station.fail_because(&format!("its PIN could not be read: {reason}"));
                    return Err(Fault::new(Call::Login, CKR_DEVICE_ERROR));
                }
            },
            _ => pin.cloned(),
        };
        let mark = self.mark(pin.as_ref());
        let refused = note::member(station.name(), note::REFUSED_PIN);
        if mark.is_some() && self.store.note(&refused).ok().flatten() == mark {
            station.health(|health| {
                health.refuse_pin(
                    "it has refused this PIN before; enable it or bring another".into(),
                );
            });
            return Err(Fault::new(Call::Login, CKR_PIN_INCORRECT));
        }
        Ok(pin)
    }

    /// Notes what a further member said to a PIN, so that none is tried there twice that it has refused.
    fn note_entry(&self, station: &Station, pin: Option<&Secret>, answer: Answer) {
        let refused = note::member(station.name(), note::REFUSED_PIN);
        let mark = self.mark(pin);
        match answer {
            Ok(()) => {
                station.health(crate::health::Health::forgive_pin);
                if mark.is_some() && matches!(self.store.note(&refused), Ok(Some(_))) {
                    let _ = self.store.set_note(&refused, None);
                }
            }
            Err(fault) if fault.class == Class::Lost => station.lose(fault),
            Err(fault) if station.judge(fault) == Class::Ill => {}
            Err(fault) if !says_no_to_pin(fault) => station.fail(fault),
            Err(fault) => {
                log::error!(
                    "member {} refused the PIN that the others took ({fault}): it is not tried again; set its PIN to the \
                     others', or give it a pin_source",
                    station.name()
                );
                station.health(|health| health.refuse_pin(format!("{fault}")));
                if let Some(mark) = &mark {
                    let _ = self.store.set_note(&refused, Some(mark));
                }
            }
        }
    }

    /// A mark by which a refused PIN is known again, by those only who are logged in: it is keyed by the log's seal.
    fn mark(&self, pin: Option<&Secret>) -> Option<Vec<u8>> {
        let seal = self.seal.read().clone()?;
        Some(seal.fingerprint(pin?.expose()).to_vec())
    }

    /// After a login of the user: finds the ring, opens the seal, checks the log, and lets the members catch up.
    pub(crate) fn unlock(self: &Arc<Self>) -> Result {
        let Some(ring) = self.known_ring()? else {
            if self.store.note(note::FRESH)?.is_some() {
                return self.pair_fresh();
            }
            return Err(Error::new(
                CKR_FUNCTION_FAILED,
                format!(
                    "token {} is not paired: run `tandem pair --token {}`",
                    self.settings.label, self.settings.label
                ),
            ));
        };
        self.is_restored()?;
        self.tell_outsiders();
        self.unlock_with(&ring)
    }

    /// The same, with the ring at hand.
    pub(crate) fn unlock_with(&self, ring: &Arc<Ring>) -> Result {
        self.use_ring(ring);
        if self.seal.read().is_none() {
            return Err(Error::new(
                CKR_DEVICE_ERROR,
                format!(
                    "token {}: none of the members that answer holds its key ring. If their tokens are new, `tandem recovery combine \
                     --shares DIR` brings it back (or `tandem restore`, if that was interrupted); see `tandem status`",
                    self.settings.label
                ),
            ));
        }
        self.check_log_since()?;
        self.use_sealed_ring(ring)?;
        self.try_again();
        self.take_up()
    }

    /// What told of the ring's keys was not held against the seal before one of them had opened it. If somebody has changed what is
    /// told of the others, those that were found are not used.
    fn use_sealed_ring(&self, used: &Ring) -> Result {
        let Some(ring) = self.known_ring()?.filter(|ring| ring.keys != used.keys) else {
            return Ok(());
        };
        for station in self.members() {
            station.forget_ring();
        }
        self.use_ring(&ring);
        Ok(())
    }

    /// Goes on from where the log is, with the seal open and the log checked.
    pub(crate) fn take_up(&self) -> Result {
        self.shelf.refresh()?;
        self.review()?;
        if !self.is_tended() || self.is_anybody_behind()? {
            self.catch_up();
        }
        Ok(())
    }

    /// Finds the ring on every member that is logged in, which opens the seal.
    pub(crate) fn use_ring(&self, ring: &Arc<Ring>) {
        *self.ring.write() = Some(Arc::clone(ring));
        for station in self.members() {
            if station.logged_in() == Some(User::User) && !station.has_ring() {
                self.find_ring(station, ring);
            }
        }
    }

    /// Finds the ring on a member and opens the seal with it.
    pub(crate) fn find_ring(&self, station: &Arc<Station>, ring: &Ring) {
        if let Err(error) = self.look_for_ring(station, ring) {
            station.fail_because(&error.to_string());
        }
    }

    /// The same, where it is for the caller to say what comes of a failure.
    pub(crate) fn look_for_ring(&self, station: &Arc<Station>, ring: &Ring) -> Result {
        let lease = station.lease()?;
        let (held, seal) = (pair::to_hold(&lease.desk(), ring)?, self.seal_by(&lease, ring)?);
        station.set_ring(lease.life(), RingThere::of(held));
        self.remove_noted(&lease.desk(), station, ring);
        self.seal.write().get_or_insert(seal);
        Ok(())
    }

    /// The seal by the ring's log key on a member. That it is the ring's tells the record that told of the ring: it bears this seal, which
    /// no other key makes.
    fn seal_by(&self, lease: &Lease, ring: &Ring) -> Result<Seal> {
        let desk = lease.desk();
        if let [only] = *pair::named(&desk, ring, RingKey::Log, Generation::FIRST)?
            && let Ok(seal) = Seal::derive(&desk, only)
            && matches!(self.journal.sound(&seal, 1), Ok(Some(_)))
        {
            return Ok(seal);
        }
        // That record may have been changed, or there is none yet, or another key bears the label as well.
        let log_key = pair::find_key(&desk, ring, RingKey::Log, Generation::FIRST)?;
        let seal = Seal::derive(&desk, log_key)?;
        self.trust_seal(lease, log_key, &seal)?;
        Ok(seal)
    }

    /// Makes sure that a seal is what the log was sealed with, and not a slip of the member that derived it: with another, every
    /// record would look forged, and what is made would be lost on everybody else. One record that bears it is enough: others
    /// may have been changed by somebody.
    fn trust_seal(&self, lease: &Lease, log_key: Handle, seal: &Seal) -> Result {
        match self.bears(seal) {
            Ok(true) => return Ok(()),
            // A store that can't be read says nothing of the member: what it makes twice is believed.
            Err(_) if Seal::derive(&lease.desk(), log_key)? == *seal => return Ok(()),
            Ok(false) | Err(_) => {}
        }
        Err(Error::new(
            CKR_DEVICE_ERROR,
            "what it makes of the log key is not what the log is sealed with; if all members say so, the log was changed: run \
             `tandem restore` with the last bundle",
        ))
    }

    /// True if some record of the log bears this seal, or there is none.
    fn bears(&self, seal: &Seal) -> Result<bool> {
        let head = self.store.head()?.position;
        for position in [1, head.div_ceil(2), head] {
            if head == 0 || self.journal.sound(seal, position)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// C_Logout.
    pub(crate) fn log_out(&self) -> Result {
        let _turn = self.login_turn.lock();
        if self.login.read().user().is_none() {
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        self.end_login();
        Ok(())
    }

    /// Ends the login. Private session objects go with it.
    pub(crate) fn end_login(&self) {
        // Where nobody does it in the background, whoever logs in next would have to bring the members up.
        if self.login.read().is_user() && !self.is_tended() {
            self.catch_up();
        }
        self.tell_heads(true);
        self.tell_names(true);
        self.shelf.leave_checkpoint();
        let rests = self.lay_to_rest() || self.resting.lock().is_some();
        self.close();
        if !rests {
            self.log_members_out();
        }
    }

    /// Nobody is logged in any more, as far as applications see.
    pub(crate) fn close(&self) {
        *self.login.write() = Login::default();
        *self.seal.write() = None;
        for session in self.open_sessions() {
            session.end_operations();
        }
        for transient in self.transients.remove_private() {
            self.destroy_places(&transient);
        }
    }

    /// The PIN changed: what comes back is logged in with the new one.
    pub(crate) fn keep_pin(&self, pin: Option<&Secret>) {
        self.login.write().pin = pin.cloned();
    }

    /// Tries a member that is down and whose back-off is over. What it is brought up to is what the token is: started,
    /// logged in, its ring found, caught up.
    pub(crate) fn wake(&self, station: &Arc<Station>) {
        let now = self.clock.steady_ms();
        let due = station.health(|health| {
            let due = health.is_due(now);
            if due {
                health.trying(now, station.chance());
            }
            due
        });
        if !due {
            return;
        }
        let waking = self.waking.begin();
        let has_failed = station.health(|health| health.has_failed());
        let revived = self.revive_surely(station);
        drop(waking);
        match revived {
            Ok(()) => {
                // Asked when it serves again: that takes a call for each of its mechanisms.
                if has_failed {
                    self.note_abilities(station);
                }
                if station.has_ring() {
                    station.try_again_at_once();
                    self.catch_up_one(station);
                }
            }
            Err(fault) => log::debug!("member {} is still down: {fault}", station.name()),
        }
    }

    /// Brings back a member that has forgotten us. If another thread is at it and no other member is up, that is waited for.
    pub(crate) fn bring_back(&self, station: &Arc<Station>) {
        // One session was lost, or all of them.
        station.close_idle();
        self.wake(station);
        station.settings.role.duty().into_iter().for_each(|duty| self.wait_for_anybody(duty));
    }

    /// Waits while nobody is up who does this and somebody is being brought back.
    pub(crate) fn wait_for_anybody(&self, duty: Duty) {
        self.waking.wait_until(|| !self.up(duty).is_empty());
    }

    /// A member that forgets us again while it is being brought back is tried again at once.
    fn revive_surely(&self, station: &Arc<Station>) -> Answer {
        let again = Fault::new(Call::Login, CKR_SESSION_HANDLE_INVALID);
        let revive =
            || self.revive(station).and_then(|era| station.recover(era).then_some(()).ok_or(again));
        for _ in 1..LOST_MAX {
            match revive() {
                Err(fault) if fault.class == Class::Lost => {}
                revived => return revived,
            }
        }
        revive()
    }

    /// Answers the era of the login there.
    fn revive(&self, station: &Arc<Station>) -> Answer<u64> {
        station.forget();
        if station.member.quirks().heals_by_restart {
            station.member.restart()?;
        }
        station.start()?;
        station.member.token()?;
        let (user, pin) = {
            let login = self.login.read();
            (login.user(), login.pin.clone())
        };
        let Some(user) = user else { return Ok(station.era()) };
        self.enter_other(station, user, pin.as_ref())?;
        let era = station.era();
        if station.logged_in().is_none() {
            return Err(Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN));
        }
        // Logged out meanwhile: nobody is left behind in there.
        if self.login.read().user().is_none() && self.resting.lock().is_none() {
            station.logout();
            return Ok(era);
        }
        // A store that can't be read now says nothing of the ring, which is as it was known before. Without it the member would
        // be up and of no use.
        let ring = self.known_ring().unwrap_or_else(|_| self.ring.read().clone());
        if user == User::User
            && let Some(ring) = ring
        {
            let lease = station.lease()?;
            // All of its keys: it may be down since one of them was not what it should be.
            let handles = pair::find(&lease.desk(), &ring).map_err(|error| {
                let fault = Fault::new(Call::Find, error.rv.0);
                if fault.class == Class::Lost {
                    fault
                } else {
                    Fault { class: Class::Ill, ..fault }
                }
            })?;
            station.set_ring(lease.life(), handles.into());
            self.remove_noted(&lease.desk(), station, &ring);
        }
        Ok(era)
    }

    /// Tries every member that is down and due.
    pub(crate) fn wake_all(&self) {
        let now = self.clock.steady_ms();
        let due = |station: &&Arc<Station>| station.health(|health| health.is_due(now));
        self.at_once(self.stations.iter().filter(due), |station| self.wake(station));
    }
}

/// True if a member that did not let us in has judged the PIN. That it has no session left, or no memory, says nothing of
/// the PIN, and a member that is thought to have refused it would be left alone until another is brought.
fn says_no_to_pin(fault: Fault) -> bool {
    let unusable =
        matches!(fault.rv.0, CKR_PIN_LOCKED | CKR_PIN_EXPIRED | CKR_USER_PIN_NOT_INITIALIZED);
    unusable || fault.class == Class::Refused
}
