//! A member as the engine keeps it: its health, its login, our sessions with it, and where its replicas are.
//!
//! No lock here is held while a vendor's code runs.

use crate::abilities::AsSeen;
use crate::beyond::Types;
use crate::desk::Desk;
use crate::fault::{Answer, Call, Class, Fault};
use crate::found::{Found, Life, RingThere, Spot};
use crate::heads::Seen;
use crate::health::Health;
use crate::load::Load;
use crate::loaded::{Loaded, LoadedKey};
use crate::member::{Member, SessionId, User};
use crate::object::{ObjectId, Under};
use crate::ports::{Clock, Entropy};
use crate::report::Condition;
use crate::retry::Patience;
use crate::ring::Generation;
use crate::settings::{Duty, MemberSettings};
use crate::standing::{Standing, outside};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use tandem_values::{Handle, Secret, ck::*};

/// A member as the engine keeps it.
pub struct Station {
    /// The member.
    pub member: Arc<dyn Member>,
    /// What the operator decided about it.
    pub settings: MemberSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    health: Mutex<Health>,
    /// What work wants to know of it without a lock: one of [`UNFIT`], [`SUSPECT`] and [`FIT`].
    fitness: AtomicU8,
    post: Mutex<Post>,
    idle: Mutex<Vec<SessionId>>,
    found: Mutex<Found>,
    /// Grows whenever every session and handle there has become worthless.
    era: AtomicU64,
    /// How busy and how quick it is, for balance.
    pub(crate) load: Load,
    /// Keys held on demand that are there just now.
    pub(crate) loaded: Loaded,
    /// Keys being made there, changed by `Makers` alone.
    pub(crate) making: AtomicUsize,
    /// When what lies idle there was last used, on the steady clock.
    pub(crate) awake_ms: AtomicU64,
    /// The last enabling by the operator that was heeded.
    pub(crate) enabling: Mutex<Option<Vec<u8>>>,
    /// How many other members could do its work when work was last given out.
    others: AtomicUsize,
    /// The lease epoch up to which our own following left nothing half-done.
    pub(crate) clean_epoch: AtomicU64,
    /// When what it could not take is tried again.
    pub(crate) patience: Mutex<Patience>,
    /// What it is to the token.
    pub(crate) standing: Mutex<Standing>,
    /// The types of keys that it has mechanisms for, if it has said.
    pub(crate) types: AsSeen<Option<Arc<Types>>>,
    /// It could not be asked what it can do when that was due: what is noted may be old.
    pub(crate) abilities_unasked: AtomicBool,
}

#[derive(Default)]
struct Post {
    /// Keeps the login alive while sessions come and go.
    anchor: Option<SessionId>,
    logged_in: Option<User>,
}

/// Work may not be given to it.
const UNFIT: u8 = 0;
/// It may, when nobody else can do it.
const SUSPECT: u8 = 1;
/// It may.
const FIT: u8 = 2;

/// True of an answer by which a handle names nothing: it must not be used again, not even to destroy what it named.
pub(crate) const fn names_nothing(fault: Fault) -> bool {
    matches!(fault.rv.0, CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID)
}

/// A key held on demand that is used in a session.
type KeptKey = (ObjectId, Arc<LoadedKey>);

/// Sessions kept for the next operation; more than this are closed.
const IDLE_SESSIONS_MAX: usize = 32;

impl Station {
    /// A station; touches nothing yet.
    pub fn new(
        member: Arc<dyn Member>,
        settings: MemberSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            loaded: Loaded::new(settings.loaded_max),
            member,
            settings,
            clock,
            entropy,
            health: Mutex::default(),
            fitness: AtomicU8::new(FIT),
            post: Mutex::default(),
            idle: Mutex::default(),
            found: Mutex::default(),
            era: AtomicU64::new(0),
            load: Load::default(),
            making: AtomicUsize::new(0),
            awake_ms: AtomicU64::new(0),
            enabling: Mutex::default(),
            others: AtomicUsize::new(0),
            clean_epoch: AtomicU64::new(u64::MAX),
            patience: Mutex::default(),
            standing: Mutex::default(),
            types: AsSeen::default(),
            abilities_unasked: AtomicBool::new(false),
        }
    }

    /// The name the operator gave it.
    pub fn name(&self) -> &str {
        self.member.name()
    }

    /// True if this is what it is for.
    pub(crate) fn does(&self, duty: Duty) -> bool {
        self.settings.role.duty() == Some(duty)
    }

    /// True if work may be given to it.
    pub fn is_up(&self) -> bool {
        self.fitness.load(Ordering::Acquire) != UNFIT
    }

    /// True if it works only when nobody else can.
    pub(crate) fn is_suspect(&self) -> bool {
        self.fitness.load(Ordering::Acquire) == SUSPECT
    }

    /// True if it is up and logged in as the user, with the ring found: it can hold keys.
    pub fn is_ready(&self) -> bool {
        self.logged_in() == Some(User::User) && self.has_ring() && self.is_up()
    }

    /// What to show of it.
    pub fn condition(&self) -> (Condition, String) {
        let told = self.health.lock().condition();
        if told.0 == Condition::Outside { outside(self.name()) } else { told }
    }

    /// The time on the steady clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.steady_ms()
    }

    /// Runs on the health record.
    pub(crate) fn health<T>(&self, with: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self.health.lock();
        let answer = with(&mut health);
        let fitness = match (health.is_up(), health.is_suspect()) {
            (false, _) => UNFIT,
            (true, true) => SUSPECT,
            (true, false) => FIT,
        };
        self.fitness.store(fitness, Ordering::Release);
        answer
    }

    /// Who is logged in there.
    pub fn logged_in(&self) -> Option<User> {
        self.post.lock().logged_in
    }

    /// True if the ring was found there.
    pub fn has_ring(&self) -> bool {
        self.has_ring_in(self.life())
    }

    /// The same, for a session of this life.
    pub(crate) fn has_ring_in(&self, life: Life) -> bool {
        self.found.lock().ring(life).is_some()
    }

    /// CKR_USER_NOT_LOGGED_IN if it was not.
    pub(crate) fn ring_in(&self, life: Life) -> Answer {
        let is_found = self.has_ring_in(life).then_some(());
        is_found.ok_or_else(|| Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN))
    }

    /// True if it is to hold the ring's keys of this generation.
    pub(crate) fn holds(&self, generation: Generation) -> bool {
        let life = self.life();
        self.found.lock().ring(life).is_some_and(|ring| ring.holds(generation))
    }

    /// A KEK there that was checked, for a session of this life.
    pub(crate) fn kek(&self, life: Life, under: Under) -> Option<Handle> {
        self.found.lock().ring(life)?.kek(under)
    }

    /// Remembers the ring as it was found in this life.
    pub(crate) fn set_ring(&self, life: Life, ring: RingThere) {
        self.remember(life, |found| found.set_ring(ring));
    }

    /// Remembers a KEK that was checked in this life, and which generations are to be there.
    pub(crate) fn set_kek(&self, life: Life, kek: (Under, Handle), held: &[Generation]) {
        self.remember(life, |found| found.set_kek(kek, held));
    }

    /// The ring is to be looked for anew.
    pub(crate) fn forget_ring(&self) {
        self.found.lock().forget_ring();
    }

    /// What is known of the head record there.
    pub(crate) fn head(&self) -> Option<Seen> {
        self.found.lock().head(self.life())
    }

    /// Remembers what is known of the head record there, as it was read or written in this life.
    pub(crate) fn set_head(&self, life: Life, head: Seen) {
        self.remember(life, |found| found.set_head(Some(head)));
    }

    /// The head record there is to be read anew.
    pub(crate) fn forget_head(&self) {
        self.found.lock().set_head(None);
    }

    /// The lease was taken for something that leaves nothing half-done.
    pub(crate) fn stays_clean(&self, epoch: u64) {
        let before = epoch.saturating_sub(1);
        let _ =
            self.clean_epoch.compare_exchange(before, epoch, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Asks it something, and notes how long the answer took, where there is another to choose.
    pub(crate) fn timed<T>(&self, ask: impl FnOnce(&dyn Member) -> Answer<T>) -> Answer<T> {
        if self.others.load(Ordering::Relaxed) == 0 {
            return ask(&*self.member);
        }
        let begun = self.clock.steady_ns();
        let answer = ask(&*self.member);
        if answer.is_ok() {
            let now = self.clock.steady_ns();
            self.load.took(now.saturating_sub(begun), now);
        }
        answer
    }

    /// The era of its sessions and handles.
    pub fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// The life of its handles. Taken before the session is in which they are found: what becomes of the member meanwhile
    /// then makes them nothing.
    pub fn life(&self) -> Life {
        Life { era: self.era(), module: self.member.life() }
    }

    /// Remembers what was found in this life, unless it has ended.
    fn remember(&self, life: Life, what: impl FnOnce(&mut Found)) {
        let mut found = self.found.lock();
        if life == self.life() {
            what(found.begin(life));
        }
    }

    /// The member failed: nothing there is worth anything until it has been tried again.
    pub fn fail(&self, fault: Fault) {
        // Why a module doesn't start has been said, with the remedy, by who started it.
        let level = if fault.call == Call::Start { log::Level::Info } else { log::Level::Warn };
        self.fall(level, &fault.to_string());
    }

    /// The same, with a reason in words.
    pub fn fail_because(&self, reason: &str) {
        self.fall(log::Level::Warn, reason);
    }

    fn fall(&self, level: log::Level, reason: &str) {
        let now = self.clock.steady_ms();
        let chance = self.chance();
        let fails = |health: &mut Health| health.fail(now, chance, reason.to_owned());
        if self.end_era(|_| self.health(fails)) {
            self.load.erred(self.clock.steady_ns());
            log::log!(
                level,
                "member {} is down: {reason}; its work moves to the others",
                self.name()
            );
        }
    }

    /// Any number: so that many processes don't all come at once.
    pub(crate) fn chance(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    /// Forgets sessions, handles and login: they belong to another era.
    pub fn forget(&self) {
        self.end_era(|_| true);
    }

    /// Ends this era, of whose number `ends` makes whether it is to end, and what is noted with it. All at once: a thread that was
    /// slow to say that a login is gone must not take the next one away.
    fn end_era(&self, ends: impl FnOnce(u64) -> bool) -> bool {
        let mut post = self.post.lock();
        let ends = ends(self.era());
        if ends {
            self.era.fetch_add(1, Ordering::AcqRel);
            *post = Post::default();
            self.found.lock().clear();
            self.idle.lock().clear();
            self.loaded.clear();
        }
        ends
    }

    /// It was brought back, in this era: it is up. False if that has ended since, and what was brought back is gone again.
    pub(crate) fn recover(&self, era: u64) -> bool {
        let _post = self.post.lock();
        let lasts = era == self.era();
        if lasts && self.health(Health::recover) {
            log::info!("member {} is up again", self.name());
        }
        lasts
    }

    /// Starts the module and opens the anchor session.
    pub fn start(&self) -> Answer {
        self.member.start()?;
        if self.post.lock().anchor.is_some() {
            return Ok(());
        }
        let era = self.era();
        let anchor = self.member.open(true)?;
        let mut post = self.post.lock();
        if post.anchor.is_none() && era == self.era() {
            post.anchor = Some(anchor);
            return Ok(());
        }
        drop(post);
        let _ = self.member.close(anchor);
        Ok(())
    }

    /// The same, of a module that has not started in time: waits longer for it, until `served` says that another serves.
    pub fn start_slowly(&self, served: &(dyn Fn() -> bool + Sync)) -> Answer {
        self.member.start_slowly(served)?;
        self.start()
    }

    /// The anchor session; opened if need be.
    fn anchor(&self) -> Answer<SessionId> {
        self.start()?;
        self.post.lock().anchor.ok_or_else(|| Fault::new(Call::Session, CKR_SESSION_HANDLE_INVALID))
    }

    /// Logs in. A member that says it is logged in already is believed only if we logged in ourselves: a login that
    /// somebody else made proves nothing about this PIN.
    ///
    /// Where our sessions are gone the login is begun anew, once: no PIN has been judged then.
    pub fn login(&self, user: User, pin: Option<&Secret>) -> Answer {
        match self.login_once(user, pin) {
            Err(fault) if fault.class == Class::Lost => {
                self.forget();
                self.login_once(user, pin)
            }
            answer => answer,
        }
    }

    fn login_once(&self, user: User, pin: Option<&Secret>) -> Answer {
        let era = self.era();
        let anchor = self.anchor()?;
        if self.logged_in() == Some(user) {
            return Ok(());
        }
        let answer = match self.member.login(anchor, user, pin) {
            Err(fault) if fault.rv.0 == CKR_USER_ALREADY_LOGGED_IN => {
                self.member.logout(anchor)?;
                self.member.login(anchor, user, pin)
            }
            answer => answer,
        };
        answer?;
        let mut post = self.post.lock();
        if post.anchor != Some(anchor) || era != self.era() {
            // It has forgotten us again meanwhile.
            return Err(Fault::new(Call::Login, CKR_SESSION_HANDLE_INVALID));
        }
        post.logged_in = Some(user);
        Ok(())
    }

    /// Logs out. Sessions stay, but everything private that was found there is forgotten.
    pub fn logout(&self) {
        let anchor = {
            let mut post = self.post.lock();
            if post.logged_in.take().is_none() {
                return;
            }
            post.anchor
        };
        self.found.lock().clear();
        self.unload();
        self.close_idle();
        if let Some(anchor) = anchor
            && let Err(fault) = self.member.logout(anchor)
        {
            // A member that can't log out may still let somebody in: it is started anew before it serves again. One that has
            // forgotten our sessions has ended the login with them.
            if fault.class == Class::Lost {
                self.lose(fault);
            } else {
                self.fail(fault);
            }
        }
    }

    /// Closes the sessions that wait for work.
    pub fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        for session in idle {
            let _ = self.member.close(session);
        }
    }

    /// Asks every session that waits for work or for keys, and the anchor, how it is. One that is gone is no longer kept; a member that
    /// has lost the anchor has lost the login.
    pub(crate) fn use_idle(&self) -> Answer {
        let anchor = self.post.lock().anchor;
        if let Some(anchor) = anchor {
            self.member.state(anchor)?;
        }
        let (era, idle) = (self.era(), std::mem::take(&mut *self.idle.lock()));
        for session in idle {
            match self.member.state(session) {
                Ok(_) if era == self.era() => self.idle.lock().push(session),
                Err(fault) if fault.class == Class::Ill => return Err(fault),
                // Gone, or of another era: no longer kept.
                Ok(_) | Err(_) => {}
            }
        }
        self.use_homes();
        Ok(())
    }

    /// Closes the anchor session: the login there ends.
    pub(crate) fn close_anchor(&self) {
        let anchor = self.post.lock().anchor.take();
        if let Some(anchor) = anchor {
            let _ = self.member.close(anchor);
        }
    }

    /// Closes everything and stops the module.
    pub fn stop(&self) {
        self.close_idle();
        self.close_anchor();
        self.forget();
        let _ = self.member.stop();
    }

    /// Notes how many other members could do its work.
    pub(crate) fn set_others(&self, others: usize) {
        self.others.store(others, Ordering::Relaxed);
    }

    /// What this thread asks of it from now on is one attempt, with a share of the time that is left.
    pub(crate) fn attempt(&self) {
        self.member.attempt(self.others.load(Ordering::Relaxed));
    }

    /// A session for work: one that waits, or a new one.
    pub fn lease(self: &Arc<Self>) -> Answer<Lease> {
        self.attempt();
        let mut life = self.life();
        let waiting = self.idle.lock().pop();
        let session = if let Some(session) = waiting {
            session
        } else {
            self.start()?;
            life = self.life();
            self.member.open(true)?
        };
        Ok(Lease {
            station: Arc::clone(self),
            session,
            life,
            spoilt: AtomicBool::new(false),
            kept: Mutex::default(),
        })
    }

    /// Where an object's replica is, for a session of this life, if it was found before.
    pub fn replica(&self, life: Life, id: ObjectId) -> Option<Handle> {
        self.found.lock().replica(life, id)
    }

    /// Remembers where an object's replica was found in this life.
    pub fn set_replica(&self, life: Life, id: ObjectId, handle: Handle) {
        self.remember(life, |found| found.set_replica(id, handle));
    }

    /// Forgets where an object's replica is, and lets go of it where it is there only while it is used.
    pub fn forget_replica(&self, id: ObjectId) {
        self.found.lock().forget_replica(id);
        self.loaded.evict(id);
    }

    /// Forgets where an object's replica was, after an answer of the member's.
    pub(crate) fn lose_replica(&self, id: ObjectId, fault: Fault) {
        self.found.lock().forget_replica(id);
        if names_nothing(fault) {
            self.loaded.forget(id);
        }
    }

    /// True of an answer that a member gives which has forgotten us, and also of one about a session that was lost before we
    /// logged in again: which of the two it is the anchor tells.
    fn may_have_forgotten_us(&self, fault: Fault) -> bool {
        let gone = matches!(
            fault.rv.0,
            CKR_SESSION_HANDLE_INVALID
                | CKR_SESSION_CLOSED
                | CKR_USER_NOT_LOGGED_IN
                | CKR_CRYPTOKI_NOT_INITIALIZED
                // The ring's keys are seen only while we are logged in.
                | CKR_WRAPPING_KEY_HANDLE_INVALID
                | CKR_UNWRAPPING_KEY_HANDLE_INVALID
        );
        gone && self.logged_in().is_some()
    }

    /// Remembers where an unproven copy stands that could not be removed.
    pub(crate) fn set_stray(&self, life: Life, id: ObjectId, handle: Option<Handle>) {
        self.remember(life, |found| found.set_stray(id, handle));
    }

    /// Where an unproven copy stands, if this process left it.
    pub(crate) fn stray(&self, life: Life, id: ObjectId) -> Option<Handle> {
        self.found.lock().stray(life, id)
    }

    /// True if what stands there is a replica that was found.
    pub(crate) fn is_replica(&self, spot: Spot) -> bool {
        self.found.lock().is_replica(spot)
    }

    /// What it could not take is tried again at the next look.
    pub(crate) fn try_again_at_once(&self) {
        *self.patience.lock() = Patience::default();
    }

    /// Judges a fault: an ill member goes down, and so does one that has forgotten our sessions or our login, which is to
    /// be had again at once (`Token::wake`). Answers the class.
    pub fn judge(&self, fault: Fault) -> Class {
        let era = self.era();
        if self.may_have_forgotten_us(fault) && !matches!(self.still_knows_us(), Ok(true)) {
            self.is_forgotten(era, fault);
        }
        if fault.class != Class::Ill {
            return fault.class;
        }
        // That may also be all that a module has to say of a request it can't make sense of: an unknown curve, a broken
        // ciphertext. Then it is well, and only this is beyond it. Or of one who isn't logged in any more: Kryoptic.
        if fault.may_be_the_request() && self.member.token().is_ok() {
            match self.still_knows_us() {
                Ok(true) => return Class::Unable,
                Ok(false) => {
                    self.is_forgotten(era, fault);
                    return Class::Lost;
                }
                Err(_) => {}
            }
        }
        self.fail(fault);
        Class::Ill
    }

    /// It forgot us while it was logged in to: it is down, and may be tried at once.
    pub(crate) fn lose(&self, fault: Fault) {
        self.is_forgotten(self.era(), fault);
    }

    /// Notes that the member has forgotten us: it is down, and may be tried at once. Only who saw it in this era: another may
    /// be logging in again already.
    fn is_forgotten(&self, era: u64, fault: Fault) {
        let now = self.clock.steady_ms();
        let ends = self.end_era(|current| {
            if current == era {
                self.health(|health| health.lose(now, fault.to_string()));
            }
            current == era
        });
        if ends {
            log::info!("member {} has forgotten us ({fault}); we log in again", self.name());
            self.load.erred(self.clock.steady_ns());
        }
    }

    /// True if whoever we logged in there is logged in still.
    fn still_knows_us(&self) -> Answer<bool> {
        let (anchor, user) = {
            let post = self.post.lock();
            (post.anchor, post.logged_in)
        };
        let (Some(anchor), Some(user)) = (anchor, user) else { return Ok(true) };
        let state = self.member.state(anchor)?;
        Ok(match user {
            User::So => state == CKS_RW_SO_FUNCTIONS,
            User::User | User::Context => {
                matches!(state, CKS_RO_USER_FUNCTIONS | CKS_RW_USER_FUNCTIONS)
            }
        })
    }
}

/// A session with a member, lent for one piece of work. Given back when dropped, unless it was spoilt.
pub struct Lease {
    station: Arc<Station>,
    session: SessionId,
    life: Life,
    /// Something is left in the session.
    spoilt: AtomicBool,
    /// Keys held on demand that are used in it.
    kept: Mutex<SmallVec<[KeptKey; 1]>>,
}

impl Lease {
    /// The station it is at.
    pub fn station(&self) -> &Arc<Station> {
        &self.station
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The desk there.
    pub fn desk(&self) -> Desk<'_> {
        Desk::new(&*self.station.member, self.session).lent(self.life, &self.spoilt)
    }

    /// The life of what is found in its session.
    pub fn life(&self) -> Life {
        self.life
    }

    /// CKR_USER_NOT_LOGGED_IN if the ring was not found there, or in another life than its session's.
    pub fn ring(&self) -> Answer {
        self.station.ring_in(self.life)
    }

    /// Asks whether the user is logged in there ([`Desk::check_login`]).
    pub fn check_login(&self) -> Answer {
        self.desk().check_login()
    }

    /// A key stays loaded as long as this lease. Answers where it is.
    pub(crate) fn keep(&self, id: ObjectId, key: Arc<LoadedKey>) -> Handle {
        let handle = key.handle;
        self.kept.lock().push((id, key));
        handle
    }

    /// After an answer of the member's by which a handle names nothing any more, keys that were used here are loaded anew.
    pub(crate) fn forget_kept(&self, fault: Fault) {
        for (id, _) in self.kept.lock().drain(..).filter(|_| names_nothing(fault)) {
            self.station.loaded.forget(id);
        }
    }

    /// True while its session may still be there.
    pub fn is_current(&self) -> bool {
        self.life == self.station.life()
    }

    /// The session holds something left over (an operation half-way): it is closed, not lent again.
    pub fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_current() {
            return;
        }
        if !*self.spoilt.get_mut() {
            let mut idle = self.station.idle.lock();
            if idle.len() < IDLE_SESSIONS_MAX {
                idle.push(self.session);
                return;
            }
        }
        let _ = self.station.member.close(self.session);
    }
}
