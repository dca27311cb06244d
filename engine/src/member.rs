//! What the engine asks of a member: one HSM's token, reached through its vendor's module or simulated.

use crate::fault::{Answer, Call, Fault};
use crate::step::{Output, Room, Step};
use tandem_values::ck::CKR_FUNCTION_NOT_SUPPORTED;
use tandem_values::info::{LibraryInfo, MechanismInfo, TokenInfo};
use tandem_values::template::{Pair, Reading};
use tandem_values::{AttributeType, Handle, Mechanism, MechanismType, Secret, Template};

/// A session with a member (the vendor's CK_SESSION_HANDLE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub u64);

/// Who logs in (CKU_…).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// CKU_SO.
    So,
    /// CKU_USER.
    User,
    /// CKU_CONTEXT_SPECIFIC.
    Context,
}

/// Ways in which a vendor's module departs from the specification or from the others, declared and never guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The number under which the module does RFC 5649 (AES key wrap with padding): CKM_AES_KEY_WRAP_KWP in
    /// the standard, CKM_AES_KEY_WRAP_PAD on SoftHSM.
    pub kwp: MechanismType,
    /// Secret keys whose length is no multiple of eight come back padded when this module wraps them: it never does.
    pub wraps_multiples_of_eight: bool,
    /// After its storage vanished the module works again only when finalised and initialised anew.
    pub heals_by_restart: bool,
    /// A process that is killed while it makes a key may leave an object without name and material on the token.
    pub leaves_half_made: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            kwp: tandem_values::ck::CKM_AES_KEY_WRAP_KWP,
            wraps_multiples_of_eight: false,
            heals_by_restart: false,
            leaves_half_made: false,
        }
    }
}

/// One HSM's token. Every call may fail with a classed [`crate::fault::Fault`]; none retries by itself.
///
/// Implemented by `vendor` over a vendor's module and by `simulation` as a toy.
pub trait Member: Send + Sync {
    /// The name the operator gave it.
    fn name(&self) -> &str;
    /// How its module departs from the others.
    fn quirks(&self) -> &Quirks;
    /// The calls that this thread makes from now on are an attempt to do something here that so many other members could do
    /// instead. A member with a deadline divides what is left of the application's time accordingly.
    fn attempt(&self, _others: usize) {}
    /// Loads the module if need be, initialises it and finds the token. Does nothing when that is done.
    fn start(&self) -> Answer;
    /// As [`Member::start`], where no other member could serve meanwhile: it may take as long as making a key, until `served`
    /// says that another has come up.
    fn start_slowly(&self, _served: &(dyn Fn() -> bool + Sync)) -> Answer {
        self.start()
    }
    /// Which start of its module this is: what was found in another is nothing now. Asks nobody.
    fn life(&self) -> u64;
    /// False if a session is known to be gone, or not to be used any more: a call in it was left behind. Asks nobody.
    fn has(&self, _session: SessionId) -> bool {
        true
    }
    /// Finalises the module and initialises it anew: every session and login on it is gone.
    fn restart(&self) -> Answer;
    /// Finalises the module. The member can be started again.
    fn stop(&self) -> Answer;
    /// What the vendor's library says of itself.
    fn library(&self) -> Answer<LibraryInfo>;
    /// What the token says of itself.
    fn token(&self) -> Answer<TokenInfo>;
    /// C_GetMechanismList.
    fn mechanism_list(&self) -> Answer<Vec<MechanismType>>;
    /// Every mechanism of the token, which takes a call for each.
    fn mechanisms(&self) -> Answer<Vec<(MechanismType, MechanismInfo)>>;
    /// Opens a session, for reading and writing or for reading only.
    fn open(&self, writes: bool) -> Answer<SessionId>;
    /// Closes a session.
    fn close(&self, session: SessionId) -> Answer;
    /// Logs in; `None` is the protected authentication path. CKR_USER_ALREADY_LOGGED_IN comes back as it is.
    fn login(&self, session: SessionId, user: User, pin: Option<&Secret>) -> Answer;
    /// Logs out.
    fn logout(&self, session: SessionId) -> Answer;
    /// The session's state (CKS_…).
    fn state(&self, session: SessionId) -> Answer<u64>;
    /// C_InitToken with this SO PIN and label (at most 32 bytes of UTF-8; padded by the callee).
    fn init_token(&self, pin: Option<&Secret>, label: &str) -> Answer;
    /// C_InitPIN, in a session where the SO is logged in.
    fn init_pin(&self, session: SessionId, pin: Option<&Secret>) -> Answer;
    /// C_SetPIN.
    fn set_pin(&self, session: SessionId, old: Option<&Secret>, new: Option<&Secret>) -> Answer;
    /// Every object that matches a template.
    fn find(&self, session: SessionId, template: &Template) -> Answer<Vec<Handle>>;
    /// Reads attributes, an answer for each that was asked.
    fn read(
        &self,
        session: SessionId,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Answer<Vec<Reading>>;
    /// C_SetAttributeValue.
    fn write(&self, session: SessionId, object: Handle, template: &Template) -> Answer;
    /// C_GetObjectSize, in bytes.
    fn size(&self, session: SessionId, object: Handle) -> Answer<u64>;
    /// C_CreateObject.
    fn create(&self, session: SessionId, template: &Template) -> Answer<Handle>;
    /// C_CopyObject.
    fn copy(&self, session: SessionId, object: Handle, template: &Template) -> Answer<Handle>;
    /// C_DestroyObject.
    fn destroy(&self, session: SessionId, object: Handle) -> Answer;
    /// C_GenerateKey.
    fn generate(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        template: &Template,
    ) -> Answer<Handle>;
    /// C_GenerateKeyPair.
    fn generate_pair(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Answer<Pair>;
    /// C_WrapKey.
    fn wrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        key: Handle,
    ) -> Answer<Vec<u8>>;
    /// C_UnwrapKey.
    fn unwrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        wrapped: &[u8],
        template: &Template,
    ) -> Answer<Handle>;
    /// C_DeriveKey.
    fn derive(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        base: Handle,
        template: &Template,
    ) -> Answer<Handle>;
    /// C_EncapsulateKey: the ciphertext, and the handle of the secret, which is made only if there was room for the ciphertext. A
    /// module older than PKCS #11 3.2 has no such function.
    fn encapsulate(
        &self,
        _session: SessionId,
        _mechanism: &Mechanism,
        _public: Handle,
        _template: &Template,
        _room: Room,
    ) -> Answer<(Output, Handle)> {
        Err(Fault::new(Call::Encapsulate, CKR_FUNCTION_NOT_SUPPORTED))
    }
    /// C_DecapsulateKey.
    fn decapsulate(
        &self,
        _session: SessionId,
        _mechanism: &Mechanism,
        _private: Handle,
        _ciphertext: &[u8],
        _template: &Template,
    ) -> Answer<Handle> {
        Err(Fault::new(Call::Encapsulate, CKR_FUNCTION_NOT_SUPPORTED))
    }
    /// One step of an operation. A short buffer is an [`Output::Short`], not a fault.
    fn step(&self, session: SessionId, step: &Step, room: Room) -> Answer<Output>;
    /// Two steps of an operation, one right after the other: what begins it, and what it is for. The output of the second.
    fn steps(&self, session: SessionId, first: &Step, then: &Step, room: Room) -> Answer<Output> {
        self.step(session, first, Room::Query)?;
        self.step(session, then, room)
    }
    /// C_SessionCancel where the module has it; otherwise the operation is ended by its `Init` with a null mechanism
    /// or by closing the session, as the implementation sees fit.
    fn cancel(&self, session: SessionId, verb: crate::step::Verb) -> Answer;
    /// Random bytes.
    fn random(&self, session: SessionId, len: usize) -> Answer<Vec<u8>>;
    /// C_SeedRandom.
    fn seed(&self, session: SessionId, seed: &[u8]) -> Answer;
}
