//! A member: one token of one vendor's module, for the engine.

use crate::config::MemberConfig;
use crate::encode::Attributes;
use crate::error::LoadError;
use crate::functions::Functions;
use crate::life::Keeper;
use crate::messages::Apart;
use crate::objects;
use crate::parameter::CMechanism;
use crate::read::Reader;
use crate::sessions::{Messages, Open};
use crate::step::Steps;
use crate::{decode, tokens};
use std::sync::Arc;
use std::time::Duration;
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::{Member, Quirks, SessionId, User};
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::ck::*;
use tandem_values::info::{LibraryInfo, MechanismInfo, TokenInfo};
use tandem_values::template::{Pair, Reading};
use tandem_values::{AttributeType, Handle, Mechanism, MechanismType, Secret, Template};
use tandem_values::{Rv, rv::Result};

/// A member of a virtual token: one token of one vendor's module. Nothing is loaded before [`Member::start`]. Calls
/// run inline, on the caller's thread.
pub struct VendorMember {
    keeper: Keeper,
}

impl VendorMember {
    /// A member as configured.
    pub fn new(config: MemberConfig) -> Self {
        Self { keeper: Keeper::new(config) }
    }

    /// How it is configured.
    pub const fn config(&self) -> &MemberConfig {
        self.keeper.config()
    }

    /// As [`Member::start`], with the reason and the remedy of a failure.
    pub fn try_start(&self) -> Result<(), Arc<LoadError>> {
        self.keeper.start()
    }

    /// True once no start, restart or stop of it is under way; false if one still is after so long.
    pub(crate) fn settles(&self, within: Duration) -> bool {
        self.keeper.settles(within)
    }

    /// Why the last start or restart failed; `None` if it didn't.
    pub fn problem(&self) -> Option<Arc<LoadError>> {
        self.keeper.problem()
    }

    /// The slot (CK_SLOT_ID) of its token; `None` if it isn't started.
    pub fn slot(&self) -> Option<u64> {
        self.keeper.slot()
    }

    /// True if it runs on a private copy of its library: restarting it concerns nobody else.
    pub fn is_private(&self) -> bool {
        self.keeper.is_private()
    }

    /// True if no other call is in its library while it logs in or out.
    pub fn logs_in_alone(&self) -> bool {
        self.keeper.known().logs_in_alone
    }

    /// True if nothing is made on its token while it is searched.
    pub fn searches_alone(&self) -> bool {
        self.keeper.known().searches_alone
    }

    /// A call on the token's slot.
    fn on_token<T>(
        &self,
        call: Call,
        run: impl FnOnce(&Functions, CK_SLOT_ID) -> Result<T>,
    ) -> Answer<T> {
        let place = self.keeper.place().map_err(|rv| Fault::new(call, rv.0))?;
        place
            .library
            .call(Some(place.epoch), |functions, _| run(functions, place.slot))
            .map_err(|rv| Fault::new(call, rv.0))
    }

    /// A call in a session.
    fn in_session<T>(
        &self,
        call: Call,
        session: SessionId,
        run: impl FnOnce(&Functions, CK_SESSION_HANDLE) -> Result<T>,
    ) -> Answer<T> {
        self.in_open(call, session, |functions, open| run(functions, open.handle))
    }

    fn in_open<T>(
        &self,
        call: Call,
        session: SessionId,
        run: impl FnOnce(&Functions, &Open) -> Result<T>,
    ) -> Answer<T> {
        let sessions = self.keeper.sessions().map_err(|rv| Fault::new(call, rv.0))?;
        let Some(open) = sessions.get(session) else {
            return Err(Fault::new(call, CKR_SESSION_HANDLE_INVALID));
        };
        let alone = call == Call::Login && self.logs_in_alone();
        let _apart = self.searches_alone().then(|| open.library.apart(call));
        let run = |functions: &Functions, _| run(functions, &open);
        let answer = if alone {
            open.library.call_alone(Some(open.epoch), run)
        } else {
            open.library.call(Some(open.epoch), run)
        };
        answer.map_err(|rv| {
            if matches!(rv.0, CKR_SESSION_HANDLE_INVALID | CKR_SESSION_CLOSED) {
                sessions.remove(session);
            }
            Fault::new(call, rv.0)
        })
    }
}

impl Member for VendorMember {
    fn has(&self, session: SessionId) -> bool {
        self.keeper.sessions().is_ok_and(|sessions| sessions.get(session).is_some())
    }

    fn name(&self) -> &str {
        &self.keeper.config().name
    }

    fn quirks(&self) -> &Quirks {
        &self.keeper.known().engine
    }

    fn start(&self) -> Answer {
        self.keeper.start().map_err(|error| error.fault(Call::Start))
    }

    fn life(&self) -> u64 {
        self.keeper.epoch()
    }

    fn restart(&self) -> Answer {
        self.keeper.restart().map_err(|error| error.fault(Call::Start))
    }

    fn stop(&self) -> Answer {
        self.keeper.stop().map_err(|error| error.fault(Call::Stop))
    }

    fn library(&self) -> Answer<LibraryInfo> {
        let place = self.keeper.place().map_err(|rv| Fault::new(Call::Info, rv.0))?;
        place.library.info().ok_or(Fault::new(Call::Info, CKR_CRYPTOKI_NOT_INITIALIZED))
    }

    fn token(&self) -> Answer<TokenInfo> {
        self.on_token(Call::Info, |functions, slot| {
            functions.token_info(slot).map(|info| decode::token_info(&info))
        })
    }

    fn mechanism_list(&self) -> Answer<Vec<MechanismType>> {
        self.on_token(Call::Info, tokens::mechanism_list)
    }

    fn mechanisms(&self) -> Answer<Vec<(MechanismType, MechanismInfo)>> {
        self.on_token(Call::Info, tokens::mechanisms)
    }

    fn open(&self, writes: bool) -> Answer<SessionId> {
        let fault = |rv: Rv| Fault::new(Call::Session, rv.0);
        let flags = CKF_SERIAL_SESSION | if writes { CKF_RW_SESSION } else { 0 };
        let place = self.keeper.place().map_err(fault)?;
        let open = place
            .library
            .call(Some(place.epoch), |functions, epoch| {
                let handle = functions.open(place.slot, flags)?;
                Ok(Open::new(place.library, epoch, handle))
            })
            .map_err(fault)?;
        self.keeper.sessions().map(|sessions| sessions.add(open)).map_err(fault)
    }

    fn close(&self, session: SessionId) -> Answer {
        let answer = self.in_session(Call::Session, session, Functions::close);
        // Closed or not, nobody uses it any more.
        if let Ok(sessions) = self.keeper.sessions() {
            sessions.remove(session);
        }
        answer
    }

    fn login(&self, session: SessionId, user: User, pin: Option<&Secret>) -> Answer {
        let user = match user {
            User::So => CKU_SO,
            User::User => CKU_USER,
            User::Context => CKU_CONTEXT_SPECIFIC,
        };
        self.in_session(Call::Login, session, |functions, handle| {
            functions.login(handle, user, pin)
        })
    }

    fn logout(&self, session: SessionId) -> Answer {
        self.in_session(Call::Login, session, Functions::logout)
    }

    fn state(&self, session: SessionId) -> Answer<u64> {
        self.in_session(Call::Session, session, tokens::state)
    }

    fn init_token(&self, pin: Option<&Secret>, label: &str) -> Answer {
        self.on_token(Call::Admin, |functions, slot| {
            functions.init_token(slot, pin, &tokens::padded(label)?)
        })?;
        // Another label, and with some vendors another serial number: another token to other members.
        self.keeper.claim_anew().map_err(|error| error.fault(Call::Admin))
    }

    fn init_pin(&self, session: SessionId, pin: Option<&Secret>) -> Answer {
        self.in_session(Call::Admin, session, |functions, handle| functions.init_pin(handle, pin))
    }

    fn set_pin(&self, session: SessionId, old: Option<&Secret>, new: Option<&Secret>) -> Answer {
        self.in_session(Call::Admin, session, |functions, handle| {
            functions.set_pin(handle, old, new)
        })
    }

    fn find(&self, session: SessionId, template: &Template) -> Answer<Vec<Handle>> {
        self.in_session(Call::Find, session, |functions, handle| {
            objects::find(functions, handle, template)
        })
    }

    fn read(
        &self,
        session: SessionId,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Answer<Vec<Reading>> {
        self.in_session(Call::Read, session, |functions, session| {
            Reader { functions, session, object }.read(kinds)
        })
    }

    fn write(&self, session: SessionId, object: Handle, template: &Template) -> Answer {
        self.in_session(Call::Write, session, |functions, handle| {
            functions.write(handle, object, &mut Attributes::new(template))
        })
    }

    fn size(&self, session: SessionId, object: Handle) -> Answer<u64> {
        self.in_session(Call::Read, session, |functions, handle| functions.size(handle, object))
    }

    fn create(&self, session: SessionId, template: &Template) -> Answer<Handle> {
        self.in_session(Call::Create, session, |functions, handle| {
            functions.create(handle, &mut Attributes::new(template))
        })
    }

    fn copy(&self, session: SessionId, object: Handle, template: &Template) -> Answer<Handle> {
        self.in_session(Call::Create, session, |functions, handle| {
            functions.copy(handle, object, &mut Attributes::new(template))
        })
    }

    fn destroy(&self, session: SessionId, object: Handle) -> Answer {
        self.in_session(Call::Destroy, session, |functions, handle| {
            functions.destroy(handle, object)
        })
    }

    fn generate(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        template: &Template,
    ) -> Answer<Handle> {
        self.in_session(Call::Generate, session, |functions, handle| {
            let mut mechanism = CMechanism::new(mechanism)?;
            functions.generate(handle, &mut mechanism, &mut Attributes::new(template))
        })
    }

    fn generate_pair(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Answer<Pair> {
        self.in_session(Call::Generate, session, |functions, handle| {
            let (mut public, mut private) = (Attributes::new(public), Attributes::new(private));
            let mut mechanism = CMechanism::new(mechanism)?;
            functions.generate_pair(handle, &mut mechanism, &mut public, &mut private)
        })
    }

    fn wrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        key: Handle,
    ) -> Answer<Vec<u8>> {
        self.in_session(Call::Wrap, session, |functions, handle| {
            objects::wrap(functions, handle, mechanism, by, key)
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
        self.in_session(Call::Unwrap, session, |functions, handle| {
            let mut mechanism = CMechanism::new(mechanism)?;
            functions.unwrap(handle, &mut mechanism, by, wrapped, &mut Attributes::new(template))
        })
    }

    fn derive(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        base: Handle,
        template: &Template,
    ) -> Answer<Handle> {
        self.in_session(Call::Derive, session, |functions, handle| {
            let mut mechanism = CMechanism::new(mechanism)?;
            functions.derive(handle, &mut mechanism, base, &mut Attributes::new(template))
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
        self.in_session(Call::Encapsulate, session, |functions, handle| {
            objects::encapsulate(functions, handle, mechanism, public, template, room)
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
        self.in_session(Call::Encapsulate, session, |functions, handle| {
            let (mut mechanism, mut template) =
                (CMechanism::new(mechanism)?, Attributes::new(template));
            functions.decapsulate(handle, &mut mechanism, private, ciphertext, &mut template)
        })
    }

    fn step(&self, session: SessionId, step: &Step, room: Room) -> Answer<Output> {
        self.in_open(Call::Step, session, |functions, open| {
            let messages = verb_of(step).and_then(|verb| open.messages(verb));
            let mechanism = messages.as_ref().map(|messages| messages.mechanism);
            let steps = Steps { functions, session: open.handle, messages: mechanism };
            if let Step::Init { verb, mechanism, key, .. } = step
                && verb.is_of_messages()
            {
                let apart = match steps.step(step, room) {
                    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED)) => {
                        Some(Apart::begin(&steps, *verb, mechanism, *key)?)
                    }
                    begun => begun.map(|_| None)?,
                };
                open.begin_messages(*verb, Messages { mechanism: mechanism.kind, apart });
                return Ok(Output::Nothing);
            }
            if let Step::MessageFinal(verb) = step {
                open.end_messages(*verb);
            }
            match messages.as_ref().and_then(|messages| messages.apart.as_ref()) {
                Some(apart) => apart.step(&steps, step, room),
                None => steps.step(step, room),
            }
        })
    }

    fn cancel(&self, session: SessionId, verb: Verb) -> Answer {
        self.in_open(Call::Step, session, |functions, open| {
            let steps = Steps { functions, session: open.handle, messages: None };
            let messages = open.messages(verb);
            open.end_messages(verb);
            match messages.as_ref().and_then(|messages| messages.apart.as_ref()) {
                Some(apart) => apart.end(&steps),
                None => steps.cancel(verb),
            }
        })
    }

    fn random(&self, session: SessionId, len: usize) -> Answer<Vec<u8>> {
        self.in_session(Call::Random, session, |functions, handle| {
            tokens::random(functions, handle, len)
        })
    }

    fn seed(&self, session: SessionId, seed: &[u8]) -> Answer {
        self.in_session(Call::Random, session, |functions, handle| functions.seed(handle, seed))
    }
}

/// The message operation that a step goes on with.
const fn verb_of(step: &Step) -> Option<Verb> {
    match step {
        Step::Message(verb, ..)
        | Step::MessageBegin(verb, ..)
        | Step::MessageNext(verb, ..)
        | Step::MessageCheck(verb, ..)
        | Step::MessageFinal(verb) => Some(*verb),
        _ => None,
    }
}
