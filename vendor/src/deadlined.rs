//! A member whose calls have a deadline: each runs on a thread of the member's own, with values of its own, and whoever
//! asked goes on without it when it doesn't answer in time.

use crate::budget::{self, HasDeadline};
use crate::member::VendorMember;
use crate::rest::Busy;
use crate::workers::{NoAnswer, Workers};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tandem_engine::fault::{Answer, Call, Class, Fault};
use tandem_engine::member::{Member, Quirks, SessionId, User};
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::ck::*;
use tandem_values::info::{LibraryInfo, MechanismInfo, TokenInfo};
use tandem_values::template::{Pair, Reading};
use tandem_values::{AttributeType, Handle, Mechanism, MechanismType, Secret, Template};

/// How long calls on a member may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// All the calls together that one call of the application needs.
    pub call: Duration,
    /// Making a key, or initialising a token, which may take its time.
    pub long: Duration,
    /// How many calls may hang at once before no other is risked.
    pub stuck_max: usize,
}

/// A member with deadlines.
pub struct Deadlined {
    number: u64,
    member: Arc<VendorMember>,
    deadlines: Deadlines,
    workers: Workers,
    /// Sessions in which a call is left behind. Nobody else goes in: many a module would not outlive it if a session were closed
    /// under a call.
    left: Mutex<HashSet<SessionId>>,
    _counted: HasDeadline,
}

/// How often who waits for a slow start looks whether another member has come up.
const LOOK: Duration = Duration::from_millis(20);

/// Tells members from each other in a thread's budget.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Deadlined {
    /// Puts deadlines on a member.
    pub fn new(member: Arc<VendorMember>, deadlines: Deadlines) -> Self {
        let workers = Workers::new(member.name(), deadlines.stuck_max);
        let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            number,
            member,
            deadlines,
            workers,
            left: Mutex::default(),
            _counted: HasDeadline::new(),
        }
    }

    /// How many calls hang in the vendor's code.
    pub fn stuck(&self) -> usize {
        self.workers.stuck()
    }

    fn run<T: Send + 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&VendorMember) -> Answer<T> + Send + 'static,
        late: impl FnOnce(&VendorMember, Answer<T>) + Send + 'static,
    ) -> Answer<T> {
        self.try_run(call, work, late)
            .unwrap_or_else(|(none, patience)| Err(self.fault(call, none, patience)))
    }

    /// The same; without an answer it says why, and how long that was waited for.
    fn try_run<T: Send + 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&VendorMember) -> Answer<T> + Send + 'static,
        late: impl FnOnce(&VendorMember, Answer<T>) + Send + 'static,
    ) -> Result<Answer<T>, (NoAnswer, Duration)> {
        let _busy = Busy::begin();
        let long = matches!(call, Call::Generate | Call::Admin);
        let patience = if long {
            self.deadlines.long
        } else {
            budget::patience(self.number, self.deadlines.call)
        };
        let (member, cleaner) = (Arc::clone(&self.member), Arc::clone(&self.member));
        let began = Instant::now();
        let answer =
            self.workers.run(patience, move || work(&member), move |answer| late(&cleaner, answer));
        if long {
            budget::put_off(began.elapsed());
        }
        answer.map_err(|none| (none, patience))
    }

    /// A call in a session. When its answer comes too late the session is closed: what it holds is anybody's guess.
    fn in_session<T: Send + 'static>(
        &self,
        call: Call,
        session: SessionId,
        work: impl FnOnce(&VendorMember) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        if self.left.lock().contains(&session) {
            return Err(Fault::new(call, CKR_SESSION_CLOSED));
        }
        let answer = self.try_run(call, work, move |member, _| leave(member, session));
        answer.unwrap_or_else(|(none, patience)| {
            if none == NoAnswer::Late {
                let mut left = self.left.lock();
                left.insert(session);
                // The answers of others have come since, and their sessions are closed.
                left.retain(|session| self.member.has(*session));
            }
            Err(self.fault(call, none, patience))
        })
    }

    fn fault(&self, call: Call, none: NoAnswer, patience: Duration) -> Fault {
        let name = self.member.name();
        match none {
            NoAnswer::Late => {
                log::debug!(
                    "member {name}: no answer in {call:?} within {} ms",
                    patience.as_millis()
                );
                let fault = Fault::new(call, CKR_FUNCTION_CANCELED);
                // Where others had used up the time, a short wait says little of this member.
                let fair = patience >= self.deadlines.call / 2;
                if fair { fault } else { Fault { class: Class::Unable, ..fault } }
            }
            NoAnswer::Full => Fault::new(call, CKR_FUNCTION_REJECTED),
            NoAnswer::NoThread => Fault::new(call, CKR_HOST_MEMORY),
            NoAnswer::Broken => Fault::new(call, CKR_GENERAL_ERROR),
        }
    }
}

/// Closes a session that nobody waits for any more. That it may be gone already is no matter.
fn leave(member: &VendorMember, session: SessionId) {
    let _ = member.close(session);
}

/// What comes too late and leaves nothing behind.
fn nothing<T>(_: &VendorMember, _: Answer<T>) {}

impl Drop for Deadlined {
    fn drop(&mut self) {
        self.workers.end();
    }
}

impl Member for Deadlined {
    fn name(&self) -> &str {
        self.member.name()
    }

    fn quirks(&self) -> &Quirks {
        self.member.quirks()
    }

    fn attempt(&self, others: usize) {
        budget::attempt(self.number, self.deadlines.call, others);
    }

    /// One that was left behind is waited for here: another thread of the member's would only stand behind it.
    fn start(&self) -> Answer {
        let patience = budget::patience(self.number, self.deadlines.call);
        if !self.member.settles(patience) {
            return Err(self.fault(Call::Start, NoAnswer::Late, patience));
        }
        self.run(Call::Start, VendorMember::start, nothing)
    }

    fn start_slowly(&self, served: &(dyn Fn() -> bool + Sync)) -> Answer {
        let _busy = Busy::begin();
        let began = Instant::now();
        let ends = loop {
            if self.member.settles(LOOK) {
                break true;
            }
            if served() || began.elapsed() >= self.deadlines.long {
                break false;
            }
        };
        budget::put_off(began.elapsed());
        if ends {
            self.start()
        } else {
            Err(self.fault(Call::Start, NoAnswer::Late, self.deadlines.long))
        }
    }

    fn life(&self) -> u64 {
        self.member.life()
    }

    fn has(&self, session: SessionId) -> bool {
        !self.left.lock().contains(&session) && self.member.has(session)
    }

    fn restart(&self) -> Answer {
        self.run(Call::Start, VendorMember::restart, nothing)
    }

    fn stop(&self) -> Answer {
        if self.stuck() > 0 {
            // A library in which calls hang can't be finalised: it is left as it is.
            return Err(Fault::new(Call::Stop, CKR_FUNCTION_REJECTED));
        }
        self.run(Call::Stop, VendorMember::stop, nothing)
    }

    fn library(&self) -> Answer<LibraryInfo> {
        self.run(Call::Info, VendorMember::library, nothing)
    }

    fn token(&self) -> Answer<TokenInfo> {
        self.run(Call::Info, VendorMember::token, nothing)
    }

    fn mechanism_list(&self) -> Answer<Vec<MechanismType>> {
        self.run(Call::Info, VendorMember::mechanism_list, nothing)
    }

    fn mechanisms(&self) -> Answer<Vec<(MechanismType, MechanismInfo)>> {
        self.run(Call::Info, VendorMember::mechanisms, nothing)
    }

    fn open(&self, writes: bool) -> Answer<SessionId> {
        let late = |member: &VendorMember, answer: Answer<SessionId>| {
            if let Ok(session) = answer {
                leave(member, session);
            }
        };
        self.run(Call::Session, move |member| member.open(writes), late)
    }

    fn close(&self, session: SessionId) -> Answer {
        if self.left.lock().contains(&session) {
            // It is closed when the call that is left behind in it has come back.
            return Ok(());
        }
        self.run(Call::Session, move |member| member.close(session), nothing)
    }

    fn login(&self, session: SessionId, user: User, pin: Option<&Secret>) -> Answer {
        let pin = pin.cloned();
        // A login that comes too late is nobody's: the member is logged out again.
        let late = move |member: &VendorMember, answer: Answer| {
            if answer.is_ok() && user != User::Context {
                let _ = member.logout(session);
            }
        };
        self.run(Call::Login, move |member| member.login(session, user, pin.as_ref()), late)
    }

    fn logout(&self, session: SessionId) -> Answer {
        self.in_session(Call::Login, session, move |member| member.logout(session))
    }

    fn state(&self, session: SessionId) -> Answer<u64> {
        self.in_session(Call::Session, session, move |member| member.state(session))
    }

    fn init_token(&self, pin: Option<&Secret>, label: &str) -> Answer {
        let (pin, label) = (pin.cloned(), label.to_owned());
        let work = move |member: &VendorMember| member.init_token(pin.as_ref(), &label);
        self.run(Call::Admin, work, nothing)
    }

    fn init_pin(&self, session: SessionId, pin: Option<&Secret>) -> Answer {
        let pin = pin.cloned();
        self.in_session(Call::Admin, session, move |member| member.init_pin(session, pin.as_ref()))
    }

    fn set_pin(&self, session: SessionId, old: Option<&Secret>, new: Option<&Secret>) -> Answer {
        let (old, new) = (old.cloned(), new.cloned());
        self.in_session(Call::Admin, session, move |member| {
            member.set_pin(session, old.as_ref(), new.as_ref())
        })
    }

    fn find(&self, session: SessionId, template: &Template) -> Answer<Vec<Handle>> {
        let template = template.clone();
        self.in_session(Call::Find, session, move |member| member.find(session, &template))
    }

    fn read(
        &self,
        session: SessionId,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Answer<Vec<Reading>> {
        let kinds = kinds.to_vec();
        self.in_session(Call::Read, session, move |member| member.read(session, object, &kinds))
    }

    fn write(&self, session: SessionId, object: Handle, template: &Template) -> Answer {
        let template = template.clone();
        self.in_session(Call::Write, session, move |member| {
            member.write(session, object, &template)
        })
    }

    fn size(&self, session: SessionId, object: Handle) -> Answer<u64> {
        self.in_session(Call::Read, session, move |member| member.size(session, object))
    }

    fn create(&self, session: SessionId, template: &Template) -> Answer<Handle> {
        let template = template.clone();
        self.in_session(Call::Create, session, move |member| member.create(session, &template))
    }

    fn copy(&self, session: SessionId, object: Handle, template: &Template) -> Answer<Handle> {
        let template = template.clone();
        self.in_session(Call::Create, session, move |member| {
            member.copy(session, object, &template)
        })
    }

    fn destroy(&self, session: SessionId, object: Handle) -> Answer {
        self.in_session(Call::Destroy, session, move |member| member.destroy(session, object))
    }

    fn generate(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        template: &Template,
    ) -> Answer<Handle> {
        let (mechanism, template) = (mechanism.clone(), template.clone());
        self.in_session(Call::Generate, session, move |member| {
            member.generate(session, &mechanism, &template)
        })
    }

    fn generate_pair(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Answer<Pair> {
        let (mechanism, public, private) = (mechanism.clone(), public.clone(), private.clone());
        self.in_session(Call::Generate, session, move |member| {
            member.generate_pair(session, &mechanism, &public, &private)
        })
    }

    fn wrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        key: Handle,
    ) -> Answer<Vec<u8>> {
        let mechanism = mechanism.clone();
        self.in_session(Call::Wrap, session, move |member| {
            member.wrap(session, &mechanism, by, key)
        })
    }

    fn unwrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        wrapped: &[u8],
        template: &Template,
    ) -> Answer<Handle> {
        let (mechanism, template) = (mechanism.clone(), template.clone());
        let wrapped = wrapped.to_vec();
        self.in_session(Call::Unwrap, session, move |member| {
            member.unwrap(session, &mechanism, by, &wrapped, &template)
        })
    }

    fn derive(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        base: Handle,
        template: &Template,
    ) -> Answer<Handle> {
        let (mechanism, template) = (mechanism.clone(), template.clone());
        self.in_session(Call::Derive, session, move |member| {
            member.derive(session, &mechanism, base, &template)
        })
    }

    fn encapsulate(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        public: Handle,
        template: &Template,
        room: Room,
    ) -> Answer<(Output, Handle)> {
        let (mechanism, template) = (mechanism.clone(), template.clone());
        self.in_session(Call::Encapsulate, session, move |member| {
            member.encapsulate(session, &mechanism, public, &template, room)
        })
    }

    fn decapsulate(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        private: Handle,
        ciphertext: &[u8],
        template: &Template,
    ) -> Answer<Handle> {
        let (mechanism, template) = (mechanism.clone(), template.clone());
        let ciphertext = ciphertext.to_vec();
        self.in_session(Call::Encapsulate, session, move |member| {
            member.decapsulate(session, &mechanism, private, &ciphertext, &template)
        })
    }

    fn step(&self, session: SessionId, step: &Step, room: Room) -> Answer<Output> {
        let step = step.clone();
        self.in_session(Call::Step, session, move |member| member.step(session, &step, room))
    }

    fn steps(&self, session: SessionId, first: &Step, then: &Step, room: Room) -> Answer<Output> {
        let (first, then) = (first.clone(), then.clone());
        self.in_session(Call::Step, session, move |member| {
            member.steps(session, &first, &then, room)
        })
    }

    fn cancel(&self, session: SessionId, verb: Verb) -> Answer {
        self.in_session(Call::Step, session, move |member| member.cancel(session, verb))
    }

    fn random(&self, session: SessionId, len: usize) -> Answer<Vec<u8>> {
        self.in_session(Call::Random, session, move |member| member.random(session, len))
    }

    fn seed(&self, session: SessionId, seed: &[u8]) -> Answer {
        let seed = seed.to_vec();
        self.in_session(Call::Random, session, move |member| member.seed(session, &seed))
    }
}
