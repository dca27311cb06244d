//! A member whose calls stop being answered at some point, as when the process is killed or the line is cut.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::{Member, Quirks, SessionId, User};
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::ck::{CKM_RSA_PKCS_KEY_PAIR_GEN, CKR_DEVICE_ERROR};
use tandem_values::info::{LibraryInfo, MechanismInfo, TokenInfo};
use tandem_values::template::{Pair, Reading};
use tandem_values::{AttributeType, Handle, Mechanism, MechanismType, Secret, Template};

/// Which calls fail, counted over all members of a test.
#[derive(Default)]
pub(crate) struct Plan {
    made: AtomicUsize,
    first: AtomicUsize,
    last: AtomicUsize,
}

impl Plan {
    /// From now on, counted from 0, calls from `first` to `last` fail.
    pub(crate) fn fail(&self, first: usize, last: usize) {
        self.made.store(0, Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
    }

    /// How many calls were made since.
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    fn count(&self, call: Call) -> Answer {
        let at = self.made.fetch_add(1, Ordering::Relaxed);
        let fails =
            (self.first.load(Ordering::Relaxed)..=self.last.load(Ordering::Relaxed)).contains(&at);
        if fails { Err(Fault::new(call, CKR_DEVICE_ERROR)) } else { Ok(()) }
    }
}

/// An RSA key pair, and how it was asked for.
type Rsa = (Template, Template, Pair);

/// A member by that plan. RSA key pairs take by far the longest to make, so they are made once and given out again after
/// they were destroyed; everything else is the real member's.
pub(crate) struct Cut<'a> {
    inner: &'a dyn Member,
    plan: &'a Plan,
    /// The session that holds the pairs.
    session: SessionId,
    free: Mutex<Vec<Rsa>>,
    given: Mutex<Vec<Rsa>>,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(inner: &'a dyn Member, plan: &'a Plan) -> Self {
        let session = inner.open(true).unwrap();
        Self { inner, plan, session, free: Mutex::default(), given: Mutex::default() }
    }

    /// The session in which pairs were given out has ended.
    pub(crate) fn forget_session(&self) {
        self.free.lock().append(&mut self.given.lock());
    }

    fn rsa(&self, mechanism: &Mechanism, public: &Template, private: &Template) -> Answer<Pair> {
        let mut free = self.free.lock();
        let at = free.iter().position(|(one, other, _)| (one, other) == (public, private));
        let rsa = if let Some(at) = at {
            free.swap_remove(at)
        } else {
            let pair = self.inner.generate_pair(self.session, mechanism, public, private)?;
            (public.clone(), private.clone(), pair)
        };
        let pair = rsa.2;
        self.given.lock().push(rsa);
        Ok(pair)
    }

    /// True for a key of a pair that was given out: it goes back when both halves are destroyed.
    fn takes_back(&self, object: Handle) -> bool {
        let mut given = self.given.lock();
        // Pairs are destroyed private half first.
        if let Some(at) = given.iter().position(|(.., pair)| pair.public == object) {
            self.free.lock().push(given.swap_remove(at));
            return true;
        }
        given.iter().any(|(.., pair)| pair.private == object)
    }
}

/// Methods that count and pass on.
macro_rules! counted {
    ($($call:ident: fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {$(
        fn $name(&self, $($argument: $kind),*) -> Answer<$answer> {
            self.plan.count(Call::$call)?;
            self.inner.$name($($argument),*)
        }
    )*};
}

impl Member for Cut<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn quirks(&self) -> &Quirks {
        self.inner.quirks()
    }

    fn life(&self) -> u64 {
        self.inner.life()
    }

    fn generate_pair(
        &self,
        session: SessionId,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Answer<Pair> {
        self.plan.count(Call::Generate)?;
        if mechanism.kind == CKM_RSA_PKCS_KEY_PAIR_GEN {
            return self.rsa(mechanism, public, private);
        }
        self.inner.generate_pair(session, mechanism, public, private)
    }

    fn destroy(&self, session: SessionId, object: Handle) -> Answer {
        self.plan.count(Call::Destroy)?;
        if self.takes_back(object) { Ok(()) } else { self.inner.destroy(session, object) }
    }

    counted! {
        Start: fn start() -> ();
        Start: fn restart() -> ();
        Stop: fn stop() -> ();
        Info: fn library() -> LibraryInfo;
        Info: fn token() -> TokenInfo;
        Info: fn mechanism_list() -> Vec<MechanismType>;
        Info: fn mechanisms() -> Vec<(MechanismType, MechanismInfo)>;
        Session: fn open(writes: bool) -> SessionId;
        Session: fn close(session: SessionId) -> ();
        Login: fn login(session: SessionId, user: User, pin: Option<&Secret>) -> ();
        Login: fn logout(session: SessionId) -> ();
        Session: fn state(session: SessionId) -> u64;
        Admin: fn init_token(pin: Option<&Secret>, label: &str) -> ();
        Admin: fn init_pin(session: SessionId, pin: Option<&Secret>) -> ();
        Admin: fn set_pin(session: SessionId, old: Option<&Secret>, new: Option<&Secret>) -> ();
        Find: fn find(session: SessionId, template: &Template) -> Vec<Handle>;
        Read: fn read(session: SessionId, object: Handle, kinds: &[AttributeType]) -> Vec<Reading>;
        Write: fn write(session: SessionId, object: Handle, template: &Template) -> ();
        Read: fn size(session: SessionId, object: Handle) -> u64;
        Create: fn create(session: SessionId, template: &Template) -> Handle;
        Create: fn copy(session: SessionId, object: Handle, template: &Template) -> Handle;
        Generate: fn generate(session: SessionId, mechanism: &Mechanism, template: &Template) -> Handle;
        Wrap: fn wrap(session: SessionId, mechanism: &Mechanism, by: Handle, key: Handle) -> Vec<u8>;
        Unwrap: fn unwrap(session: SessionId, mechanism: &Mechanism, by: Handle, wrapped: &[u8], template: &Template) -> Handle;
        Derive: fn derive(session: SessionId, mechanism: &Mechanism, base: Handle, template: &Template) -> Handle;
        Encapsulate: fn encapsulate(session: SessionId, mechanism: &Mechanism, public: Handle, template: &Template, room: Room) -> (Output, Handle);
        Encapsulate: fn decapsulate(session: SessionId, mechanism: &Mechanism, private: Handle, ciphertext: &[u8], template: &Template) -> Handle;
        Step: fn step(session: SessionId, step: &Step, room: Room) -> Output;
        Step: fn cancel(session: SessionId, verb: Verb) -> ();
        Random: fn random(session: SessionId, len: usize) -> Vec<u8>;
        Random: fn seed(session: SessionId, seed: &[u8]) -> ();
    }
}
