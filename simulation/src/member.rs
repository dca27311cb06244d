//! A member: a toy HSM as one process reaches it, with what goes wrong on the way.

use crate::chance::Chance;
use crate::planted::Bug;
use crate::toy::{Hsm, Life};
use crate::trouble::{Kind, Place, Trouble, member_name};
use crate::world::World;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::{Member, Quirks, SessionId, User};
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::info::{LibraryInfo, MechanismInfo, TokenInfo};
use tandem_values::template::{Pair, Reading};
use tandem_values::{AttributeType, Handle, Mechanism, MechanismType, Secret, Template, ck::*};

/// A member.
pub struct Toy {
    world: Arc<World>,
    number: usize,
    name: String,
    life: Life,
    quirks: Quirks,
    /// What parts of operations came to, for a planted bug: by their data, which no two lines of a script share.
    parts: Mutex<BTreeMap<Vec<u8>, Output>>,
}

impl Toy {
    /// The member of this number as a process of this life reaches it.
    pub fn new(world: &Arc<World>, number: usize, life: Life) -> Self {
        Self {
            world: Arc::clone(world),
            number,
            name: member_name(number),
            life,
            quirks: Quirks::default(),
            parts: Mutex::default(),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.world.bug == Some(bug)
    }

    /// One call: what goes wrong before it, the call itself, what goes wrong after it.
    fn call<T>(
        &self,
        kind: Kind,
        call: Call,
        name: &'static str,
        act: impl FnOnce(&mut Hsm, Option<Trouble>) -> Answer<T>,
    ) -> Answer<T> {
        let gone = Fault::new(call, CKR_DEVICE_REMOVED);
        let place = Place::Member(self.number);
        let trouble = self.world.enter(self.life, place, kind, name).map_err(|_| gone)?;
        let mut hsm = self.world.hsms.get(self.number).ok_or(gone)?.lock();
        match trouble {
            Some(Trouble::IllBefore) => return Err(Fault::new(call, CKR_DEVICE_ERROR)),
            Some(Trouble::Vague) => return Err(Fault::new(call, CKR_GENERAL_ERROR)),
            Some(Trouble::Unable) => return Err(Fault::new(call, CKR_DEVICE_MEMORY)),
            Some(Trouble::MemberFull) => hsm.full = true,
            Some(Trouble::ForgotSessions) => hsm.forget_sessions(self.life),
            Some(Trouble::ForgotLogin) => hsm.forget_login(self.life),
            Some(Trouble::Rebooted) => hsm.reboot(),
            Some(Trouble::Unplugged) => hsm.away = true,
            Some(Trouble::Emptied) => hsm.replace_by_empty(),
            _ => {}
        }
        if hsm.away {
            return Err(gone);
        }
        let answer = act(&mut hsm, trouble);
        drop(hsm);
        match trouble {
            Some(Trouble::IllAfter | Trouble::Slow) => Err(Fault::new(call, CKR_DEVICE_ERROR)),
            Some(Trouble::CrashAfter) => self.world.crash(self.life),
            _ => answer,
        }
    }

    fn chance(&self) -> Chance {
        Chance::new(self.world.draw())
    }

    fn plain<T>(
        &self,
        call: Call,
        name: &'static str,
        act: impl FnOnce(&mut Hsm) -> Answer<T>,
    ) -> Answer<T> {
        self.call(Kind::Plain, call, name, |hsm, _| act(hsm))
    }

    /// What a part of an operation came to before, whatever it comes to now: a planted bug.
    fn as_before(&self, step: &Step, answer: Answer<Output>) -> Answer<Output> {
        let (true, Step::Part(_, data)) = (self.has(Bug::ReplaysUnchecked), step) else {
            return answer;
        };
        let mut parts = self.parts.lock();
        match answer {
            Ok(output) => Ok(parts.entry(data.to_vec()).or_insert(output).clone()),
            fault => fault,
        }
    }
}

/// Bytes that are others, or too few.
fn spoil(bytes: &mut Vec<u8>, trouble: Option<Trouble>) {
    match trouble {
        Some(Trouble::Lie) => {
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 0x55;
            }
        }
        Some(Trouble::Short) => bytes.truncate(bytes.len() / 2),
        _ => {}
    }
}

/// What a toy HSM can do: mechanism, smallest and greatest key, what for.
const MECHANISMS: [(MechanismType, u64, u64, u64); 17] = [
    (CKM_RSA_PKCS_KEY_PAIR_GEN, 1024, 4096, CKF_GENERATE_KEY_PAIR),
    (CKM_EC_KEY_PAIR_GEN, 256, 521, CKF_GENERATE_KEY_PAIR),
    (CKM_AES_KEY_GEN, 16, 32, CKF_GENERATE),
    (CKM_GENERIC_SECRET_KEY_GEN, 1, 512, CKF_GENERATE),
    (CKM_RSA_PKCS, 1024, 4096, CKF_SIGN | CKF_VERIFY),
    (CKM_SHA256_RSA_PKCS, 1024, 4096, CKF_SIGN | CKF_VERIFY),
    (CKM_ECDSA, 256, 521, CKF_SIGN | CKF_VERIFY),
    (CKM_ECDSA_SHA256, 256, 521, CKF_SIGN | CKF_VERIFY),
    (CKM_SHA_1_HMAC, 1, 512, CKF_SIGN | CKF_VERIFY),
    (CKM_SHA256_HMAC, 1, 512, CKF_SIGN | CKF_VERIFY),
    (CKM_SHA512_HMAC, 1, 512, CKF_SIGN | CKF_VERIFY),
    (CKM_SHA256, 0, 0, CKF_DIGEST),
    (CKM_AES_ECB, 16, 32, CKF_ENCRYPT | CKF_DECRYPT),
    (CKM_AES_CBC, 16, 32, CKF_ENCRYPT | CKF_DECRYPT),
    (CKM_AES_GCM, 16, 32, CKF_ENCRYPT | CKF_DECRYPT),
    (CKM_AES_KEY_WRAP_KWP, 16, 32, CKF_WRAP | CKF_UNWRAP),
    (CKM_RSA_PKCS_OAEP, 1024, 4096, CKF_WRAP | CKF_UNWRAP),
];

impl Member for Toy {
    fn name(&self) -> &str {
        &self.name
    }

    fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    fn start(&self) -> Answer {
        self.plain(Call::Start, "start", |_| Ok(()))
    }

    /// A toy forgets all sessions and handles when it is started anew, and says so when it is asked.
    fn life(&self) -> u64 {
        0
    }

    fn restart(&self) -> Answer {
        let life = self.life;
        self.plain(Call::Start, "restart", |hsm| {
            hsm.forget_sessions(life);
            Ok(())
        })
    }

    fn stop(&self) -> Answer {
        let life = self.life;
        self.plain(Call::Stop, "stop", |hsm| {
            hsm.forget_sessions(life);
            Ok(())
        })
    }

    fn library(&self) -> Answer<LibraryInfo> {
        self.plain(Call::Info, "library", |_| {
            Ok(LibraryInfo {
                manufacturer: "Tandem".into(),
                description: "toy".into(),
                version: (0, 1),
                interface: (3, 2),
            })
        })
    }

    fn token(&self) -> Answer<TokenInfo> {
        let label = self.name.clone();
        self.plain(Call::Info, "token", |hsm| {
            let flags =
                CKF_RNG | CKF_LOGIN_REQUIRED | CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED;
            let serial = hsm.serial.clone();
            Ok(TokenInfo { label, serial, flags, pin_len_max: 64, ..TokenInfo::default() })
        })
    }

    fn mechanism_list(&self) -> Answer<Vec<MechanismType>> {
        self.plain(Call::Info, "mechanism list", |hsm| {
            let kinds = MECHANISMS.into_iter().map(|(kind, ..)| kind);
            Ok(kinds.filter(|kind| hsm.has_mechanism(*kind)).collect())
        })
    }

    fn mechanisms(&self) -> Answer<Vec<(MechanismType, MechanismInfo)>> {
        let info = |(kind, key_size_min, key_size_max, flags)| {
            (kind, MechanismInfo { key_size_min, key_size_max, flags })
        };
        self.plain(Call::Info, "mechanisms", |hsm| {
            let had = MECHANISMS.into_iter().filter(|(kind, ..)| hsm.has_mechanism(*kind));
            Ok(had.map(info).collect())
        })
    }

    fn open(&self, writes: bool) -> Answer<SessionId> {
        let life = self.life;
        self.plain(Call::Session, "open", |hsm| Ok(hsm.open(life, writes)))
    }

    fn close(&self, session: SessionId) -> Answer {
        let life = self.life;
        self.plain(Call::Session, "close", |hsm| hsm.close(life, session))
    }

    fn login(&self, session: SessionId, user: User, pin: Option<&Secret>) -> Answer {
        let (life, retries) = (self.life, self.has(Bug::RetriesWrongPin));
        let pin = pin.map(Secret::expose);
        self.plain(Call::Login, "login", |hsm| {
            let answer = hsm.login(life, session, user, pin);
            if answer.is_err_and(|fault| fault.rv.0 == CKR_PIN_INCORRECT) && retries {
                return hsm.login(life, session, user, pin);
            }
            answer
        })
    }

    fn logout(&self, session: SessionId) -> Answer {
        let life = self.life;
        self.plain(Call::Login, "logout", |hsm| hsm.logout(life, session))
    }

    fn state(&self, session: SessionId) -> Answer<u64> {
        let life = self.life;
        self.plain(Call::Session, "state", |hsm| hsm.state(life, session))
    }

    fn init_token(&self, _: Option<&Secret>, _: &str) -> Answer {
        Err(Fault::new(Call::Admin, CKR_FUNCTION_NOT_SUPPORTED))
    }

    fn init_pin(&self, _: SessionId, _: Option<&Secret>) -> Answer {
        Err(Fault::new(Call::Admin, CKR_FUNCTION_NOT_SUPPORTED))
    }

    fn set_pin(&self, session: SessionId, old: Option<&Secret>, new: Option<&Secret>) -> Answer {
        let life = self.life;
        let bytes = |pin: Option<&Secret>| pin.map(|pin| pin.expose().to_vec()).unwrap_or_default();
        self.plain(Call::Admin, "set PIN", |hsm| {
            hsm.set_pin(life, session, &bytes(old), &bytes(new))
        })
    }

    fn find(&self, session: SessionId, template: &Template) -> Answer<Vec<Handle>> {
        let life = self.life;
        let label = template.bytes(CKA_LABEL).unwrap_or_default();
        let overlooks = self.has(Bug::OverlooksHeads) && tandem_engine::heads::is_label(label);
        let found = self.plain(Call::Find, "find", |hsm| hsm.find(life, session, template));
        if overlooks { found.map(|_| Vec::new()) } else { found }
    }

    fn read(
        &self,
        session: SessionId,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Answer<Vec<Reading>> {
        let life = self.life;
        self.plain(Call::Read, "read", |hsm| hsm.read(life, session, object, kinds))
    }

    fn write(&self, session: SessionId, object: Handle, template: &Template) -> Answer {
        let life = self.life;
        self.plain(Call::Write, "write", |hsm| hsm.write(life, session, object, template))
    }

    fn size(&self, session: SessionId, object: Handle) -> Answer<u64> {
        let life = self.life;
        self.plain(Call::Read, "size", |hsm| {
            hsm.read(life, session, object, &[]).map(|_| CK_UNAVAILABLE_INFORMATION)
        })
    }

    fn create(&self, session: SessionId, template: &Template) -> Answer<Handle> {
        let life = self.life;
        self.plain(Call::Create, "create", |hsm| hsm.create(life, session, template))
    }

    fn copy(&self, session: SessionId, object: Handle, template: &Template) -> Answer<Handle> {
        let life = self.life;
        self.plain(Call::Create, "copy", |hsm| hsm.copy(life, session, object, template))
    }

    fn destroy(&self, session: SessionId, object: Handle) -> Answer {
        let life = self.life;
        self.plain(Call::Destroy, "destroy", |hsm| hsm.destroy(life, session, object))
    }

    fn generate(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        template: &Template,
    ) -> Answer<Handle> {
        let (life, mut chance) = (self.life, self.chance());
        self.plain(Call::Generate, "generate", |hsm| {
            hsm.generate(life, session, mechanism, template, &mut chance)
        })
    }

    fn generate_pair(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Answer<Pair> {
        let (life, mut chance) = (self.life, self.chance());
        self.plain(Call::Generate, "generate pair", |hsm| {
            hsm.generate_pair(life, session, mechanism, (public, private), &mut chance)
        })
    }

    fn wrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        key: Handle,
    ) -> Answer<Vec<u8>> {
        let life = self.life;
        self.call(Kind::Output, Call::Wrap, "wrap", |hsm, trouble| {
            let mut wrapped = hsm.wrap(life, session, mechanism, by, key)?;
            spoil(&mut wrapped, trouble);
            Ok(wrapped)
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
        let life = self.life;
        self.call(Kind::Unwrap, Call::Unwrap, "unwrap", |hsm, trouble| {
            let wrong = trouble == Some(Trouble::WrongKey);
            if self.has(Bug::ErasesFirst) {
                self.world.books.lock().erase_first(wrapped);
            }
            hsm.unwrap(life, session, (mechanism, by), wrapped, template, wrong)
        })
    }

    fn derive(
        &self,
        session: SessionId,
        _: &Mechanism,
        base: Handle,
        _: &Template,
    ) -> Answer<Handle> {
        let life = self.life;
        self.plain(Call::Derive, "derive", |hsm| {
            hsm.read(life, session, base, &[])?;
            Err(Fault::new(Call::Derive, CKR_MECHANISM_INVALID))
        })
    }

    fn step(&self, session: SessionId, step: &Step, room: Room) -> Answer<Output> {
        let life = self.life;
        let (kind, name) = described(step);
        let skips = self.has(Bug::SkipsProof);
        let answer = self.call(kind, Call::Step, name, |hsm, trouble| {
            let proves = skips && hsm.judges_for_us(session, step);
            let skewed = trouble == Some(Trouble::Skew);
            let mut output = hsm.step(life, session, step, room, skewed);
            if let Ok(Output::Bytes(bytes)) = &mut output {
                let mut spoilt = bytes.to_vec();
                spoil(&mut spoilt, trouble);
                *bytes = spoilt.into();
            }
            if proves { output.or(Ok(Output::Nothing)) } else { output }
        });
        self.as_before(step, answer)
    }

    fn cancel(&self, session: SessionId, verb: Verb) -> Answer {
        let life = self.life;
        self.plain(Call::Step, "cancel", |hsm| hsm.cancel(life, session, verb))
    }

    fn random(&self, session: SessionId, len: usize) -> Answer<Vec<u8>> {
        let (life, mut chance) = (self.life, self.chance());
        self.plain(Call::Random, "random", |hsm| {
            hsm.state(life, session)?;
            let mut bytes = vec![0; len];
            chance.fill(&mut bytes);
            Ok(bytes)
        })
    }

    fn seed(&self, session: SessionId, _: &[u8]) -> Answer {
        let life = self.life;
        self.plain(Call::Random, "seed", |hsm| hsm.state(life, session).map(|_| ()))
    }
}

fn described(step: &Step) -> (Kind, &'static str) {
    match step {
        Step::Init { verb: Verb::Sign | Verb::Encrypt | Verb::Decrypt, .. } => {
            (Kind::Begin, "init")
        }
        Step::Init { .. } => (Kind::Plain, "init to verify"),
        Step::Whole(..) => (Kind::Output, "whole"),
        Step::Part(..) => (Kind::Output, "part"),
        Step::Last(_) => (Kind::Output, "last"),
        Step::Feed(..) => (Kind::Plain, "feed"),
        Step::Check(..) | Step::CheckLast(..) => (Kind::Plain, "check"),
        _ => (Kind::Plain, "step"),
    }
}
