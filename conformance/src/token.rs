//! The token that cases are run on: its sessions, its login, keys to work with, and what a case leaves behind.

use crate::answer::{Answer, Stop, Verdict, fail, same, skip};
use crate::argument::{Data, Out, Place, Several};
use crate::case::{Case, Need, State};
use crate::key::{Key, Sort, Usage};
use crate::module::{Module, Result, Start};
use crate::template;
use crate::value::{Mechanism, Template};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use tandem_values::ck::*;
use tandem_values::{Secret, names};

/// The label of every object that a case keeps on the token, by which it is found when the case has died.
pub const LABEL: &str = "p11-conformance";

/// Why a case of a function is skipped that the module lacks; its name follows.
pub(crate) const NO_FUNCTION: &str = "the module has no ";

/// How a token is reached.
pub struct Reach {
    /// How the module wants to be initialised.
    pub start: Start,
    /// The token's label.
    pub label: String,
    /// The user's PIN.
    pub pin: Secret,
    /// The security officer's PIN.
    pub so_pin: Option<Secret>,
    /// True if the token may be wiped.
    pub may_wipe: bool,
}

/// A token.
pub struct Token<'a> {
    /// Its module.
    pub module: &'a Module,
    /// How it is reached.
    pub reach: &'a Reach,
    slot: Cell<Option<CK_SLOT_ID>>,
    mechanisms: RefCell<HashMap<CK_MECHANISM_TYPE, CK_MECHANISM_INFO>>,
    /// The session that keeps the user logged in, and keys to work with alive.
    anchor: Cell<Option<CK_SESSION_HANDLE>>,
    keys: RefCell<HashMap<(Sort, Usage), Key>>,
}

/// A session that closes itself.
pub struct Session<'a> {
    module: &'a Module,
    /// Its handle.
    pub handle: CK_SESSION_HANDLE,
    stays: bool,
}

impl Session<'_> {
    /// It stays open.
    fn keep(mut self) -> CK_SESSION_HANDLE {
        self.stays = true;
        self.handle
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.stays {
            let _ = self.module.C_CloseSession(self.handle);
        }
    }
}

impl<'a> Token<'a> {
    /// A token whose module isn't initialised yet.
    pub fn new(module: &'a Module, reach: &'a Reach) -> Self {
        Self {
            module,
            reach,
            slot: Cell::new(None),
            mechanisms: RefCell::default(),
            anchor: Cell::new(None),
            keys: RefCell::default(),
        }
    }

    /// The token's slot.
    pub fn slot(&self) -> CK_SLOT_ID {
        self.slot.get().unwrap_or(CK_UNAVAILABLE_INFORMATION)
    }

    /// The session that keeps the user logged in.
    pub fn anchor(&self) -> CK_SESSION_HANDLE {
        self.anchor.get().unwrap_or(CK_INVALID_HANDLE)
    }

    /// A session that may change objects.
    pub fn session(&self) -> Verdict<Session<'a>> {
        self.session_with(CKF_RW_SESSION)
    }

    /// A session with these flags besides CKF_SERIAL_SESSION.
    pub fn session_with(&self, flags: CK_FLAGS) -> Verdict<Session<'a>> {
        let mut handle = Place::new();
        let flags = flags | CKF_SERIAL_SESSION;
        self.module.C_OpenSession(self.slot(), flags, (), (), &mut handle).ok()?;
        Ok(Session { module: self.module, handle: handle.value, stays: false })
    }

    /// C_Login as a kind of user, with the PIN that there is for it.
    pub fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE) -> Answer {
        let pin = match &self.reach.so_pin {
            Some(pin) if user == CKU_SO => pin,
            _ => &self.reach.pin,
        };
        self.module.C_Login(session, user, Data::from(pin.expose()))
    }

    /// The security officer's PIN; a case without it is skipped.
    pub fn so_pin(&self) -> Verdict<&[u8]> {
        match &self.reach.so_pin {
            Some(pin) => Ok(pin.expose()),
            None => skip("P11_SO_PIN is not set"),
        }
    }

    /// What a token says of a mechanism; `None` if it doesn't have it.
    pub fn mechanism(&self, kind: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_INFO> {
        self.mechanisms.borrow().get(&kind).copied()
    }

    /// The names of all its mechanisms.
    pub fn mechanisms(&self) -> Vec<String> {
        let mut all: Vec<_> = self
            .mechanisms
            .borrow()
            .keys()
            .map(|kind| names::mechanism(*kind).into_owned())
            .collect();
        all.sort_unstable();
        all
    }

    /// A key to work with. It lives as long as the user is logged in, and is made once.
    pub fn key(&self, sort: Sort, usage: Usage) -> Verdict<Key> {
        if let Some(key) = self.keys.borrow().get(&(sort, usage)) {
            return Ok(*key);
        }
        if let Some(info) = self.mechanism(sort.generator()) {
            if info.flags & (CKF_GENERATE | CKF_GENERATE_KEY_PAIR) == 0 {
                return skip(format!(
                    "the token doesn't make keys by {}",
                    names::mechanism(sort.generator())
                ));
            }
        } else {
            return skip(format!("the token has no {}", names::mechanism(sort.generator())));
        }
        let key = sort.make(self.module, self.anchor(), usage)?;
        self.keys.borrow_mut().insert((sort, usage), key);
        Ok(key)
    }

    /// Creates an object of the session.
    pub fn create(
        &self,
        session: CK_SESSION_HANDLE,
        mut wanted: Template,
    ) -> Verdict<CK_OBJECT_HANDLE> {
        let mut object = Place::new();
        self.module.C_CreateObject(session, &mut wanted, &mut object).prepares()?;
        Ok(object.value)
    }

    /// Signs in a single part.
    pub fn sign(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Verdict<Vec<u8>> {
        let mut out = Out::room(crate::work::ROOM);
        self.module.C_SignInit(session, &mut mechanism.clone(), key).prepares()?;
        self.module.C_Sign(session, data.into(), &mut out).prepares()?;
        Ok(out.bytes().to_vec())
    }

    /// Encrypts in a single part.
    pub fn encrypt(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Verdict<Vec<u8>> {
        let mut out = Out::room(data.len() + 1024);
        self.module.C_EncryptInit(session, &mut mechanism.clone(), key).prepares()?;
        self.module.C_Encrypt(session, data.into(), &mut out).prepares()?;
        Ok(out.bytes().to_vec())
    }

    /// The attribute's value, or the answer if there is none.
    pub fn read(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> std::result::Result<Vec<u8>, Answer> {
        let mut asked = Template::ask(&[kind], 4096);
        let answer = self.module.C_GetAttributeValue(session, object, &mut asked);
        match asked.value(0) {
            Some(value) if answer.rv == CKR_OK => Ok(value.to_vec()),
            _ => Err(answer),
        }
    }

    /// The attribute must have this value.
    pub fn shows(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
        wanted: &[u8],
    ) -> Verdict {
        match self.read(session, object, kind) {
            Ok(got) => same(&names::attribute(kind), &got, wanted),
            Err(answer) if answer.rv == CKR_OK => {
                fail(format!("{} has a length that it can't have", names::attribute(kind)))
            }
            Err(answer) => answer.ok(),
        }
    }

    /// The handles of all objects like this.
    pub fn find(
        &self,
        session: CK_SESSION_HANDLE,
        mut wanted: Template,
    ) -> Verdict<Vec<CK_OBJECT_HANDLE>> {
        let module = self.module;
        module.C_FindObjectsInit(session, &mut wanted).ok()?;
        let mut all = Vec::new();
        loop {
            let (mut batch, mut count) = (Several::room(0, 64), Place::new());
            module.C_FindObjects(session, &mut batch, &mut count).ok()?;
            all.extend_from_slice(batch.first(count.value));
            if count.value == 0 || all.len() > 100_000 {
                break;
            }
        }
        module.C_FindObjectsFinal(session).ok()?;
        Ok(all)
    }

    /// What the token says that it is and can (CK_TOKEN_INFO).
    fn flags(&self) -> CK_FLAGS {
        let mut info = Place::new();
        let _ = self.module.C_GetTokenInfo(self.slot(), &mut info);
        info.value.flags
    }

    /// Why the token can't run a case.
    pub fn lacks(&self, case: &Case) -> Option<String> {
        case.needs.iter().find_map(|need| self.lacking(*need))
    }

    fn lacking(&self, need: Need) -> Option<String> {
        match need {
            Need::Mechanism(kind, flag) => match self.mechanism(kind) {
                Some(info) if info.flags & flag == flag => None,
                Some(_) => {
                    Some(format!("the token doesn't offer {} for this", names::mechanism(kind)))
                }
                None => Some(format!("the token has no {}", names::mechanism(kind))),
            },
            Need::Function(name) => {
                let function = crate::function::named(name)?;
                let answer = (function.plain)(self.module, CK_INVALID_HANDLE);
                (answer.rv == CKR_FUNCTION_NOT_SUPPORTED).then(|| format!("{NO_FUNCTION}{name}"))
            }
            Need::Since(major, minor) => {
                let (own_major, own_minor) = self.module.version();
                ((own_major, own_minor) < (major, minor))
                    .then(|| format!("it came with PKCS #11 {major}.{minor}, and the module's list is of {own_major}.{own_minor}"))
            }
            Need::Dual => (self.flags() & CKF_DUAL_CRYPTO_OPERATIONS == 0)
                .then(|| "the token says that it doesn't do two operations at once".to_owned()),
            Need::Writable => (self.flags() & CKF_WRITE_PROTECTED != 0)
                .then(|| "the token is write-protected".to_owned()),
            Need::So => self.reach.so_pin.is_none().then(|| "P11_SO_PIN is not set".to_owned()),
            Need::MayWipe => (!self.reach.may_wipe)
                .then(|| "it changes PINs or wipes the token: --may-wipe allows it".to_owned()),
        }
    }
}

// How the module is brought into the state in which a case begins, and back.
impl Token<'_> {
    /// Brings the module into a state.
    pub fn bring(&self, state: State) -> Result<()> {
        match state {
            State::Finalised => self.finalise(),
            State::Alone => self.initialise().and_then(|()| self.alone()),
            State::LoggedIn => self.initialise().and_then(|()| self.logged_in()),
        }
    }

    fn finalise(&self) -> Result<()> {
        self.forget();
        self.slot.set(None);
        let answer = self.module.C_Finalize(false);
        told(answer, &[CKR_CRYPTOKI_NOT_INITIALIZED])
    }

    fn initialise(&self) -> Result<()> {
        if self.slot.get().is_some() {
            return Ok(());
        }
        let answer = self.module.C_Initialize(&mut self.reach.start.arguments());
        told(answer, &[CKR_CRYPTOKI_ALREADY_INITIALIZED])?;
        let slot = self.look_for_slot()?;
        self.slot.set(Some(slot));
        if self.mechanisms.borrow().is_empty() {
            self.ask_mechanisms(slot)?;
        }
        Ok(())
    }

    fn look_for_slot(&self) -> Result<CK_SLOT_ID> {
        let mut slots = Several::room(0, 4096);
        told(self.module.C_GetSlotList(CK_TRUE, &mut slots), &[])?;
        let labelled = |slot: &&CK_SLOT_ID| {
            let mut info = Place::new();
            let answer = self.module.C_GetTokenInfo(**slot, &mut info);
            answer.rv == CKR_OK && text(&info.value.label) == self.reach.label
        };
        let found = slots.first(slots.count).iter().find(labelled);
        found
            .copied()
            .ok_or_else(|| format!("the module has no token labelled {:?}", self.reach.label))
    }

    fn ask_mechanisms(&self, slot: CK_SLOT_ID) -> Result<()> {
        let mut kinds = Several::room(0, 4096);
        told(self.module.C_GetMechanismList(slot, &mut kinds), &[])?;
        for kind in kinds.first(kinds.count) {
            let mut info = Place::new();
            told(self.module.C_GetMechanismInfo(slot, *kind, &mut info), &[])?;
            self.mechanisms.borrow_mut().insert(*kind, info.value);
        }
        Ok(())
    }

    fn alone(&self) -> Result<()> {
        self.forget();
        told(self.module.C_CloseAllSessions(self.slot()), &[])
    }

    fn logged_in(&self) -> Result<()> {
        let mut info = Place::new();
        let anchored = self.anchor.get().is_some_and(|session| {
            let answer = self.module.C_GetSessionInfo(session, &mut info);
            answer.rv == CKR_OK && info.value.state == CKS_RW_USER_FUNCTIONS
        });
        if anchored {
            return Ok(());
        }
        self.alone()?;
        let session = self.session().map_err(reason)?;
        told(self.login(session.handle, CKU_USER), &[])?;
        self.anchor.set(Some(session.keep()));
        Ok(())
    }

    /// What was made in sessions is gone with them.
    fn forget(&self) {
        self.anchor.set(None);
        self.keys.borrow_mut().clear();
    }

    /// After a case: what it has changed, or may have, is not taken for granted.
    pub fn after(&self, state: State, ended_well: bool) {
        if state != State::LoggedIn || !ended_well {
            self.forget();
            self.slot.set(None);
        }
    }

    /// Destroys what cases have kept on the token.
    pub fn sweep(&self) -> Result<()> {
        self.bring(State::LoggedIn)?;
        let session = self.anchor();
        for object in
            self.find(session, template! { CKA_LABEL: LABEL, CKA_TOKEN: true }).map_err(reason)?
        {
            let _ = self.module.C_DestroyObject(session, object);
        }
        Ok(())
    }
}

/// What stopped a case, as text.
pub fn reason(stop: Stop) -> String {
    match stop {
        Stop::Failed(reason) | Stop::Skipped(reason) => reason,
    }
}

fn told(answer: Answer, besides: &[CK_RV]) -> Result<()> {
    if answer.rv == CKR_OK || besides.contains(&answer.rv) {
        Ok(())
    } else {
        Err(answer.to_string())
    }
}

/// A text of PKCS #11: padded with blanks, and by some modules with a zero.
pub fn text(padded: &[u8]) -> String {
    String::from_utf8_lossy(padded).trim_end_matches([' ', '\0']).to_owned()
}
